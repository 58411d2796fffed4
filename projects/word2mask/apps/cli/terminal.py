"""What a terminal shows: bars while the model works, and an answer in lines."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from word2mask.ops.masks import mask_to_box
from word2mask.types import Result

__all__ = ["Bar", "lines_of", "say", "written"]

#: What is counted in each stage of an answer.
UNITS = {"track": "frame", "edit": "frame"}


class Bar:
    """A bar for each stage of an answer, on stderr, where that is a terminal."""

    def __enter__(self) -> Bar:
        self._bar: Any = None
        self._stage = ""
        return self

    def __call__(self, stage: str, done: int, total: int) -> None:
        from tqdm import tqdm

        if stage != self._stage:
            self.__exit__()
            self._stage = stage
            self._bar = tqdm(total=total, desc=stage, unit=UNITS.get(stage, "answer"), leave=False, disable=None)
        self._bar.update(done - self._bar.n)

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar, self._stage = None, ""


def say(text: str) -> None:
    """A line on stdout, seen at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def lines_of(result: Result) -> Iterator[str]:
    """One line an object: its phrase, where it is, and how sure the model is."""
    for number, segment in enumerate(result.segments, start=1):
        seen = [frame for frame, found in enumerate(segment.found_on) if found]
        if not seen:
            where = "not found"
        elif result.num_frames > 1:
            where = f"in {len(seen)} of {result.num_frames} frames"
        else:
            where = f"at {list(mask_to_box(segment.masks[0]) or ())}"
        yield f"  {number}  {segment.phrase or '(no words)'}: {where}, score {segment.confidence:.2f}"


def written(folder: Path) -> str:
    """What lies in a folder, in a line."""
    return f"written to {folder}: {', '.join(sorted(entry.name for entry in folder.iterdir()))}"
