"""Pictures and videos of plain rectangles, for the two-record copies that every source writes of its own format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

Box = tuple[int, int, int, int]

COLOURS = {"red": (220, 30, 30), "blue": (30, 30, 220), "green": (30, 180, 30)}


def draw_boxes(size: tuple[int, int], boxes: Mapping[str, Box]) -> np.ndarray:
    """uint8 RGB ``[H,W,3]``: boxes ``(x0, y0, x1, y1)``, ends exclusive, by colour name on grey."""
    picture = np.full((*size, 3), 200, dtype=np.uint8)
    for colour, (x0, y0, x1, y1) in boxes.items():
        picture[y0:y1, x0:x1] = COLOURS[colour]
    return picture


def write_picture(path: Path, size: tuple[int, int], boxes: Mapping[str, Box]) -> None:
    """The boxes as a picture file; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(draw_boxes(size, boxes)).save(path, quality=95)


def box_polygon(box: Box) -> list[int]:
    """The outline ``[x0, y0, x1, y0, …]`` of a box."""
    x0, y0, x1, y1 = box
    return [x0, y0, x1, y0, x1, y1, x0, y1]
