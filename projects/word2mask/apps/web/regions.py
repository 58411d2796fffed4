"""What a visitor marks on the picture: clicks, boxes and brush strokes, gathered into regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np

from word2mask.errors import UserError
from word2mask.types import VisualPrompt

__all__ = ["Marks", "Region"]

#: Width of a brush stroke, as a part of the picture's longer side.
BRUSH = 0.035


@dataclass(frozen=True, eq=False)
class Region:
    """One thing that was marked, on one frame.

    Attributes:
        frame: of the video; 0 for a picture.
        box: ``(x1, y1, x2, y2)`` in pixels, or ``None``.
        points: ``(x, y, label)``, label 1 on the thing and 0 off it.
        strokes: polylines of the brush, ``((x, y), …)`` each.
    """

    frame: int
    box: tuple[float, float, float, float] | None = None
    points: tuple[tuple[float, float, int], ...] = ()
    strokes: tuple[tuple[tuple[float, float], ...], ...] = ()

    def as_prompt(self, size: tuple[int, int]) -> VisualPrompt:
        """As the session takes it; strokes become a mask of ``size`` (H, W)."""
        mask = None
        if self.strokes:
            canvas = np.zeros(size, dtype=np.uint8)
            width = max(round(max(size) * BRUSH), 1)
            for stroke in self.strokes:
                places = np.array(stroke, dtype=np.float64).round().astype(np.int32)
                cv2.polylines(canvas, [places.reshape(-1, 1, 2)], False, 1, width)
            mask = canvas.astype(bool)
        return VisualPrompt(self.frame, self.box, self.points, mask)


@dataclass
class Marks:
    """The regions of the next question, in the order in which they were begun, with what undoes each step.

    Attributes:
        most: regions at a time.
    """

    most: int = 8
    regions: list[Region] = field(default_factory=list)
    is_open: bool = False
    _before: list[tuple[list[Region], bool]] = field(default_factory=list)

    def add(self, mark: Any, tool: str, frame: int, size: tuple[int, int], corrects: bool = False) -> None:
        """Takes in what was drawn on the page.

        A click or a stroke goes on with the region that is being marked, if it is on the same frame; a box begins a new
        one where that has a box already.

        Args:
            mark: the page's own words for it: ``[[x, y], …]`` as parts (0…1) of width and height.
            tool: ``"on"``, ``"off"``, ``"box"`` or ``"brush"``.
            frame: that is shown.
            size: ``(H, W)`` of the frame.
            corrects: whether it is for an object that has a mask, so that the first click may be off it.

        Raises:
            UserError: something that the page can't have drawn, a first click off everything, or too many regions.
        """
        places = _places(mark, size)
        region = self.regions[-1] if self.regions and self.is_open and self.regions[-1].frame == frame else None
        if tool == "box" and region is not None and region.box is not None:
            region = None
        if tool == "off" and not corrects and (region is None or not (region.box or region.strokes or region.points)):
            raise UserError("a click off the object needs one on it first; choose “On it” and click the object")
        if region is None and len(self.regions) >= self.most:
            raise UserError(f"{self.most} regions are marked, which is the most for one question; ask, or undo some")
        changed = _with(region or Region(frame), places, tool)
        self._before.append((list(self.regions), self.is_open))
        if region is None:
            self.regions.append(changed)
        else:
            self.regions[-1] = changed
        self.is_open = True

    def next_region(self) -> None:
        """What is marked from now on is another thing."""
        self._before.append((list(self.regions), self.is_open))
        self.is_open = False

    def undo(self) -> None:
        """Takes back the last step; nothing happens where there is none."""
        if self._before:
            self.regions, self.is_open = self._before.pop()

    def clear(self) -> None:
        """Forgets all."""
        self.regions, self.is_open, self._before = [], False, []

    def prompts(self, size: tuple[int, int]) -> tuple[VisualPrompt, ...]:
        """One prompt a region, for a frame of ``size`` (H, W)."""
        return tuple(region.as_prompt(size) for region in self.regions)


def _places(mark: Any, size: tuple[int, int]) -> list[tuple[float, float]]:
    """Pixels ``(x, y)`` of what the page drew, inside the frame."""
    height, width = size
    try:
        parts = np.array(mark, dtype=np.float64)
    except (TypeError, ValueError):
        parts = np.zeros(0)
    if parts.ndim != 2 or parts.shape[1] != 2 or not 1 <= len(parts) <= 4096 or not np.isfinite(parts).all():
        raise UserError("this mark can't be read; draw it again")
    parts = parts.clip(0, 1)
    return [(min(x * width, width - 1), min(y * height, height - 1)) for x, y in parts.tolist()]


def _with(region: Region, places: Sequence[tuple[float, float]], tool: str) -> Region:
    """A region with one more mark."""
    if tool == "box":
        (x1, y1), (x2, y2) = places[0], places[-1]
        box = (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
        if box[2] - box[0] < 1 or box[3] - box[1] < 1:
            raise UserError("this box has no area; press at one corner and let go at the opposite one")
        return replace(region, box=box)
    if tool == "brush":
        return replace(region, strokes=(*region.strokes, tuple(places)))
    if tool in ("on", "off"):
        return replace(region, points=(*region.points, (*places[0], int(tool == "on"))))
    raise UserError("choose a tool: on it, off it, box or brush")
