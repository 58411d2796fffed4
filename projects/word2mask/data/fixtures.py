"""Pictures and videos of plain rectangles, for the two-record copies that every source writes of its own format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from word2mask.ops.masks import box_to_mask, encode_rle

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


def moving_boxes(num_frames: int, scale: int = 1) -> list[dict[str, Box]]:
    """Boxes for each frame of 32 × 48 pixels, all lengths times ``scale``.

    Red, 10 × 10, moves to the right from x = 2 by 4 pixels a frame; blue, 20 × 12, stands below it from the third frame
    on.
    """
    boxes: list[dict[str, Box]] = []
    for t in range(num_frames):
        frame = {"red": (2 + 4 * t, 4, 12 + 4 * t, 14)} | ({"blue": (20, 18, 40, 30)} if t >= 2 else {})
        boxes.append(
            {colour: (x0 * scale, y0 * scale, x1 * scale, y1 * scale) for colour, (x0, y0, x1, y1) in frame.items()}
        )
    return boxes


def write_frames(folder: Path, size: tuple[int, int], boxes: Sequence[Mapping[str, Box]]) -> list[str]:
    """Boxes frame by frame as ``00000.jpg`` …; their names without the suffix."""
    names = [f"{t:05d}" for t in range(len(boxes))]
    for name, frame in zip(names, boxes, strict=True):
        write_picture(folder / f"{name}.jpg", size, frame)
    return names


def write_indices(path: Path, size: tuple[int, int], boxes: Sequence[tuple[int, Box]]) -> None:
    """Numbered boxes as an indexed picture, the later above the earlier; folders are made."""
    indices = np.zeros(size, dtype=np.uint8)
    for number, (x0, y0, x1, y1) in boxes:
        indices[y0:y1, x0:x1] = number
    picture = Image.fromarray(indices)
    # Colours that differ from their numbers: who reads colours reads nonsense.
    picture.putpalette([(7 * number + shift) % 256 for number in range(256) for shift in (0, 90, 170)])
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


def box_track(boxes: Sequence[Mapping[str, Box]], colour: str, size: tuple[int, int]) -> list[dict[str, Any] | None]:
    """The run lengths of a colour's box frame by frame, ``None`` where it is absent."""
    return [encode_rle(box_to_mask(frame[colour], *size)) if colour in frame else None for frame in boxes]


def box_polygon(box: Box) -> list[int]:
    """The outline ``[x0, y0, x1, y0, …]`` of a box."""
    x0, y0, x1, y1 = box
    return [x0, y0, x1, y0, x1, y1, x0, y1]
