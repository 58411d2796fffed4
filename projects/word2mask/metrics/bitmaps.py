"""Masks as rows of bits, 64 pixels a word: boundaries, dilation and counts at a fraction of the cost of bytes.

A bitmap is uint64 ``[H,words]``, contiguous: bit ``b`` of word ``w`` is the pixel in column ``64 w + b``. A row ends in
a margin of zero bits. Pixels are moved through all rows at once, as in one long row; what leaves a row by no more than
the margin falls between two rows and hits no pixel. Nothing here knows of scores.
"""

from __future__ import annotations

import functools
import math

import numpy as np

_WORD = 64


def pack(mask: np.ndarray, margin: int = 1) -> np.ndarray:
    """The bitmap of a mask.

    Args:
        mask: bool or uint8 ``[H,W]``, any value but 0 counting as true.
        margin: how far its pixels can be moved sideways, at least.

    Returns:
        uint64 ``[H,words]``; the bits after the last column are 0.
    """
    height, width = mask.shape
    packed = np.packbits(mask, axis=1, bitorder="little")
    rows = np.zeros((height, -(-(width + margin) // _WORD) * _WORD // 8), dtype=np.uint8)
    rows[:, : packed.shape[1]] = packed
    return rows.view("<u8")


def count(bitmap: np.ndarray) -> int:
    """Number of true pixels."""
    return int(np.bitwise_count(bitmap).sum(dtype=np.int64))


def boundary(bitmap: np.ndarray, width: int) -> np.ndarray:
    """Pixels that differ from their right, lower or lower right neighbour, as a bitmap.

    The last row looks only right, the last column only down, the last pixel nowhere: the rule of Martin's
    ``seg2bmap``, which the DAVIS toolkit uses.

    Args:
        bitmap: uint64 ``[H,words]``.
        width: W of the mask.
    """
    right = np.zeros_like(bitmap)
    _add_earlier(right, bitmap, 1)
    has_right = _columns(width - 1, *bitmap.shape)
    result = (bitmap ^ right) & has_right
    upper = bitmap[:-1]
    result[:-1] |= upper ^ bitmap[1:]
    result[:-1] |= (upper ^ right[1:]) & has_right[1:]
    return result


def dilate(bitmap: np.ndarray, radius: int) -> np.ndarray:
    """Pixels within ``radius`` of a true one, in Euclidean distance, as a bitmap; its margins hold anything.

    Args:
        bitmap: uint64 ``[H,words]`` with a margin of ``radius`` or more.
        radius: in pixels, 0 or more.
    """
    result = np.zeros_like(bitmap)
    line, reach = bitmap, 0
    # From the disk's top and bottom to its middle, where its rows are longest.
    for distance in range(radius, -1, -1):
        half_length = math.isqrt(radius**2 - distance**2)
        while reach < half_length:
            # The very first pixel has become reach + 1 pixels in a row; moved further than that, they'd leave a gap.
            step = min(half_length - reach, reach + 1)
            wider = line.copy()
            _add_later(wider, line, step)
            _add_earlier(wider, line, step)
            line, reach = wider, reach + step
        if distance == 0:
            result |= line
        elif distance < len(bitmap):
            result[distance:] |= line[:-distance]
            result[:-distance] |= line[distance:]
    return result


@functools.lru_cache(maxsize=8)
def _columns(number: int, num_rows: int, num_words: int) -> np.ndarray:
    """Bits of the first ``number`` columns of every row, uint64 ``[rows,words]``."""
    bits = np.zeros((num_rows, num_words * _WORD), dtype=bool)
    bits[:, :number] = True
    return np.packbits(bits, axis=1, bitorder="little").view("<u8")


def _add_earlier(result: np.ndarray, bitmap: np.ndarray, columns: int) -> None:
    """Adds every pixel, moved left by a number of columns, to ``result``."""
    words, bits = divmod(columns, _WORD)
    to, pixels = result.reshape(-1), bitmap.reshape(-1)[words:]
    to[: len(pixels)] |= pixels >> np.uint64(bits)
    if bits and len(pixels):
        to[: len(pixels) - 1] |= pixels[1:] << np.uint64(_WORD - bits)


def _add_later(result: np.ndarray, bitmap: np.ndarray, columns: int) -> None:
    """Adds every pixel, moved right by a number of columns, to ``result``."""
    words, bits = divmod(columns, _WORD)
    to, pixels = result.reshape(-1)[words:], bitmap.reshape(-1)
    pixels = pixels[: len(to)]
    to |= pixels << np.uint64(bits)
    if bits and len(to):
        to[1:] |= pixels[:-1] >> np.uint64(_WORD - bits)
