"""Where a benchmark's table goes."""

from __future__ import annotations

import sys
from pathlib import Path


def write_table(text: str, path: Path | None) -> None:
    """Into the file that ``--write`` names, or to stdout."""
    if path is None:
        sys.stdout.write(text)
    else:
        path.write_text(text, encoding="utf-8")
