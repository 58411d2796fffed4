"""JPEG files in cells that stand for themselves, so that a part of a picture can be encoded and put in.

The pictures of a frame with one object outlined in each are the same but for where the outlines are. Restart markers
(ITU-T T.81, E.1.4) after every few blocks make these independent of those before: what is put together is, byte for
byte, the file of the whole picture. Encoding is what drawing mostly consists of; a part takes its share of it alone.
"""

from __future__ import annotations

import re

import cv2
import numpy as np

from word2mask.annotate.views import BLOCK, blocks_of_a_cell, line_width, outlined, to_jpeg

__all__ = ["OutlinedFrame"]

_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_MARKERS = [b"\xff" + bytes([0xD0 + number]) for number in range(8)]
_START_OF_SCAN, _END = 0xDA, b"\xff\xd9"


class OutlinedFrame:
    """A frame that is sent with the outlines of several objects, one at a time.

    Args:
        frame: uint8 RGB ``[H,W,3]``.
    """

    def __init__(self, frame: np.ndarray) -> None:
        self._frame = frame
        self._blocks = blocks_of_a_cell(frame.shape[1])
        self._head, self._cells = _split(to_jpeg(frame, self._blocks))
        #: Cells side by side.
        self._across = -(-frame.shape[1] // (BLOCK * self._blocks))

    def jpeg(self, mask: np.ndarray) -> bytes:
        """The file that ``to_jpeg(outlined(frame, mask), blocks_of_a_cell(W))`` gives.

        Args:
            mask: uint8 ``[H,W]``, 1 on the object.
        """
        cells = self._cells
        left, top, across, down = cv2.boundingRect(mask)
        if down:
            width = line_width(mask.shape)
            x0, x1 = _reach(left, across, width, BLOCK * self._blocks, self._across)
            y0, y1 = _reach(top, down, width, BLOCK, len(cells) // self._across)
            here = slice(BLOCK * y0, BLOCK * y1), slice(BLOCK * self._blocks * x0, BLOCK * self._blocks * x1)
            _, part = _split(to_jpeg(outlined(self._frame[here], mask[here], width), self._blocks))
            cells = cells.copy()
            for number, row in enumerate(range(y0, y1)):
                start, wide = row * self._across + x0, x1 - x0
                cells[start : start + wide] = part[number * wide : (number + 1) * wide]
        parts = [self._head, cells[0]]
        for number, cell in enumerate(cells[1:]):
            parts += (_MARKERS[number % 8], cell)
        parts.append(_END)
        return b"".join(parts)


def _reach(start: int, length: int, margin: int, side: int, count: int) -> tuple[int, int]:
    """Of ``count`` cells of ``side`` pixels, the first that something reaches, and the first behind it."""
    return max(0, start - margin) // side, min(count, -(-(start + length + margin) // side))


def _split(file: bytes) -> tuple[bytes, list[bytes]]:
    """A file's head, up to where its picture begins, and the cells without what stands between them."""
    place = 2
    while True:
        kind, length = file[place + 1], int.from_bytes(file[place + 2 : place + 4], "big")
        place += 2 + length
        if kind == _START_OF_SCAN:
            break
    # Within the picture 0xFF is followed by 0 where it isn't a marker.
    return file[:place], _RESTART.split(file[place : -len(_END)])
