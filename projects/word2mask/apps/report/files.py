"""Reports on disk: whole, or not at all."""

from __future__ import annotations

from pathlib import Path

from word2mask.errors import UserError


def write_whole(path: Path, text: str) -> None:
    """Writes a file under its name only when complete.

    Raises:
        UserError: the place can't be written.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise UserError(f"{path} can't be written: {error.strerror}; give another --out") from error
