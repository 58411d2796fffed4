"""Pictures of one object for models to look at: cut out, cropped, highlighted, outlined. Arrays in, JPEG files out."""

from __future__ import annotations

import cv2
import numpy as np

__all__ = [
    "BLOCK",
    "DRAWING",
    "blocks_of_a_cell",
    "crop",
    "highlighted",
    "line_width",
    "masked",
    "outlined",
    "shrunk",
    "to_jpeg",
]

#: Goes up with every change of how pictures look, and with it the key of every answer about one.
DRAWING = 2

YELLOW = (255, 225, 0)
#: What remains of the brightness around a highlighted object.
DARKENED = 0.45
#: How far a crop reaches beyond the object, as a share of the object's longer side.
MARGIN = 0.1
#: JPEG's own scale, 0 … 100.
QUALITY = 85
#: Pixels a side of JPEG's blocks where the colours have half the resolution (4:2:0).
BLOCK = 16


def masked(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Everything but the object black.

    Args:
        frame: uint8 RGB ``[H,W,3]``.
        mask: uint8 ``[H,W]``, 1 on the object.
    """
    return cv2.copyTo(frame, mask)


def crop(frame: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """The part of a frame around the object, as it is: uint8 RGB ``[h,w,3]``.

    Args:
        frame: uint8 RGB ``[H,W,3]``.
        box: of the object, ``(x0, y0, x1, y1)`` in pixels.
    """
    x0, y0, x1, y1 = box
    margin = round(MARGIN * max(x1 - x0, y1 - y0))
    return frame[max(0, y0 - margin) : y1 + margin, max(0, x0 - margin) : x1 + margin]


def outlined(frame: np.ndarray, mask: np.ndarray, width: int | None = None) -> np.ndarray:
    """The frame with a yellow line around the object: uint8 RGB ``[H,W,3]``; as it was where the mask is empty.

    Args:
        frame: uint8 RGB ``[H,W,3]``.
        mask: uint8 ``[H,W]``, 1 on the object.
        width: of the line in pixels; what suits the frame without.
    """
    picture = frame.copy()
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, contours, -1, YELLOW, width or line_width(frame.shape))
    return picture


def line_width(shape: tuple[int, ...]) -> int:
    """Of an outline in a frame ``[H,W,…]``, in pixels."""
    return max(2, round(min(shape[:2]) / 180))


def highlighted(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The frame with a yellow line around the object, and everything else darkened."""
    dark = cv2.convertScaleAbs(frame, alpha=DARKENED)
    cv2.copyTo(frame, mask, dark)
    return outlined(dark, mask)


def shrunk(picture: np.ndarray, longest_side: int) -> np.ndarray:
    """A picture, made smaller where it is larger than ``longest_side`` pixels.

    Args:
        picture: uint8 RGB ``[H,W,3]``.
        longest_side: in pixels.
    """
    height, width = picture.shape[:2]
    size = _smaller(height, width, longest_side)
    # Halves by their means first; what remains is less than a half, for which two neighbours a side are enough. The
    # mean over any other ratio (INTER_AREA) takes four times as long.
    while min(picture.shape[:2]) > 1 and picture.shape[0] >= 2 * size[0] and picture.shape[1] >= 2 * size[1]:
        even = picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]
        picture = cv2.resize(even, (even.shape[1] // 2, even.shape[0] // 2), interpolation=cv2.INTER_AREA)
    if picture.shape[:2] == size:
        return picture
    return cv2.resize(picture, size[::-1], interpolation=cv2.INTER_LINEAR)


def _smaller(height: int, width: int, longest_side: int) -> tuple[int, int]:
    """``(h, w)`` of a picture ``[H,W]`` that may have a side of ``longest_side`` at most."""
    scale = min(1.0, longest_side / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def blocks_of_a_cell(width: int) -> int:
    """How many blocks of a JPEG file stand together between two restart markers.

    From 4 to 10, so that markers take less than a hundredth of the file, where a row can be divided like that; or else
    a whole row.

    Args:
        width: of the picture, in pixels.

    >>> blocks_of_a_cell(640), blocks_of_a_cell(480), blocks_of_a_cell(368)
    (10, 10, 23)
    """
    row = -(-width // BLOCK)
    return next((blocks for blocks in range(10, 3, -1) if row % blocks == 0), row)


def to_jpeg(picture: np.ndarray, restart: int = 0) -> bytes:
    """A picture as a JPEG file (libjpeg-turbo within OpenCV).

    Args:
        picture: uint8 RGB ``[H,W,3]``.
        restart: a marker after every so many blocks; the same is to be seen on it.
    """
    swapped = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2BGR)
    options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    if restart:
        options += [cv2.IMWRITE_JPEG_RST_INTERVAL, restart]
        options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
    done, encoded = cv2.imencode(".jpg", swapped, options)
    if not done:
        raise ValueError(f"a picture of shape {list(picture.shape)} can't be written as JPEG")
    return encoded.tobytes()
