"""Videos that mustn't be annotated, such as those of an evaluation set: who trains on them measures nothing there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from word2mask.annotate.records import VideoReference
from word2mask.errors import UserError

__all__ = ["leave_out", "read_names"]


def read_names(file: Path) -> frozenset[str]:
    """Names of videos.

    Args:
        file: ``.json``: a ``meta_expressions`` file (MeViS, Ref-YouTube-VOS, Ref-SAV's evaluation), Ref-SAV's own
            format, or a list of names; any other: a name a line, as DAVIS's ``ImageSets`` have them.

    Raises:
        UserError: the file can't be read, or names no video.
    """
    try:
        text = file.read_text(encoding="utf-8")
        content: Any = json.loads(text) if file.suffix == ".json" else text.split()
    except OSError as error:
        raise UserError(f"{file}: can't be read ({error.strerror}); check the path") from None
    except ValueError as error:
        raise UserError(f"{file}: not JSON ({error}); give names, one a line, in a .txt") from None
    names = content.get("videos", content) if isinstance(content, dict) else content
    if not isinstance(names, (dict, list)) or not names or not all(isinstance(name, str) for name in names):
        raise UserError(f"{file}: expected names of videos, got {str(names)[:80]!r}")
    return frozenset(PurePosixPath(name).name.removesuffix(".mp4") for name in names)


def leave_out(references: Sequence[VideoReference], names: frozenset[str]) -> list[VideoReference]:
    """The videos whose names, and whose files' or folders' names, aren't among ``names``.

    Raises:
        UserError: nothing is left.
    """
    left = [found for found in references if not {found.video_id, PurePosixPath(found.video_path).stem} & names]
    if not left:
        raise UserError(f"all {len(references)} videos are to be left out; check what --exclude names")
    return left
