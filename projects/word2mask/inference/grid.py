"""Rows of pictures with words beneath, as one picture: what was asked, what is right, and what was answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from word2mask.inference.render import GAP, PAPER, SIDE, beside, spotlight

__all__ = ["Cell", "grid", "spotlights"]

#: Sizes in pixels: of words, around them, and between rows.
FONT, PADDING, ROW_GAP = 15, 6, 14
#: Lines of words in a cell; what is longer ends in an ellipsis.
MOST_LINES = 5
INK, TITLE_INK = (20, 20, 20), (110, 110, 110)


@dataclass(frozen=True)
class Cell:
    """A picture with words.

    Attributes:
        title: a few words in grey above the text.
        text: any length, broken into lines.
        picture: uint8 RGB ``[H,W,3]``, at most ``SIDE`` wide; ``None`` leaves the place white.
    """

    title: str
    text: str
    picture: np.ndarray | None = None


def spotlights(frames: np.ndarray, masks: np.ndarray | None, most: int = 3, is_region: bool = False) -> np.ndarray:
    """A picture, or some frames of a video in a row, in which the masks shine; at most ``SIDE`` wide.

    Args:
        frames: uint8 RGB ``[T,H,W,3]``.
        masks: bool ``[N,T,H,W]``, or ``None`` for the frames as they are.
        most: of the frames.
        is_region: outline the masks only.
    """
    places = np.unique(np.linspace(0, len(frames) - 1, min(most, len(frames))).round().astype(int))
    side = (SIDE - GAP * (len(places) - 1)) // len(places)
    nothing = np.zeros((0, *frames.shape[1:3]), dtype=bool)
    return beside(
        *(spotlight(frames[place], nothing if masks is None else masks[:, place], side, is_region) for place in places)
    )


def grid(rows: Sequence[Sequence[Cell]], width: int = SIDE) -> np.ndarray:
    """Cells in rows and columns on white.

    Args:
        rows: of as many cells each.
        width: of a column, in pixels.

    Returns:
        uint8 RGB ``[H,W,3]``.

    Raises:
        ValueError: no row, or rows of different lengths.
    """
    if not rows or len({len(row) for row in rows}) != 1 or not rows[0]:
        raise ValueError(f"expected rows of as many cells each, got {[len(row) for row in rows]}")
    drawn = [beside(*(_drawn(cell, width) for cell in row)) for row in rows]
    gap = np.full((ROW_GAP, drawn[0].shape[1], 3), PAPER, dtype=np.uint8)
    gap[ROW_GAP // 2] = 220
    parts = [part for row in drawn for part in (row, gap)]
    return np.concatenate(parts[:-1])


def _drawn(cell: Cell, width: int) -> np.ndarray:
    """A cell: picture, title, lines of text; uint8 RGB ``[h,width,3]``."""
    lines = _lines(cell.text, width - 2 * PADDING)
    step = FONT + 4
    words = Image.new("RGB", (width, step * (1 + len(lines)) + 2 * PADDING), (PAPER, PAPER, PAPER))
    draw = ImageDraw.Draw(words)
    title = _lines(cell.title, width - 2 * PADDING)[:1]
    for number, line in enumerate([*title, *lines]):
        ink = TITLE_INK if number < len(title) else INK
        draw.text((PADDING, PADDING + number * step), line, font=_font(), fill=ink)
    if cell.picture is None:
        return np.asarray(words)
    picture = cell.picture
    if picture.shape[1] > width:
        height = max(round(picture.shape[0] * width / picture.shape[1]), 1)
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    canvas = np.full((picture.shape[0], width, 3), PAPER, dtype=np.uint8)
    canvas[:, : picture.shape[1]] = picture
    return np.concatenate([canvas, np.asarray(words)])


def _lines(text: str, width: int) -> list[str]:
    """A text in lines of at most ``width`` pixels, broken at spaces, within words where one alone is too long."""
    lines, line = [], ""
    for word in text.split():
        while word:
            longer = f"{line} {word}".strip()
            if _font().getlength(longer) <= width:
                line, word = longer, ""
            elif line:
                lines.append(line)
                line = ""
            else:
                fits = max(n for n in range(1, len(word) + 1) if n == 1 or _font().getlength(word[:n]) <= width)
                lines.append(word[:fits])
                word = word[fits:]
    lines += [line] if line else []
    if len(lines) > MOST_LINES:
        lines = [*lines[: MOST_LINES - 1], lines[MOST_LINES - 1][:-1] + "…"]
    return lines


@cache
def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size=FONT)
