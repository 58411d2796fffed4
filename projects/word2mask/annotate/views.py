"""Pictures of one object for models to look at: cut out, cropped, highlighted, outlined. Arrays in, JPEG files out."""

from __future__ import annotations

import cv2
import numpy as np

from word2mask.ops.masks import mask_to_box

__all__ = ["crop", "highlighted", "masked", "outlined", "shrunk", "to_jpeg"]

YELLOW = (255, 225, 0)
#: What remains of the brightness around a highlighted object.
DARKENED = 0.45
#: How far a crop reaches beyond the object, as a share of the object's longer side.
MARGIN = 0.1
QUALITY = 90


def masked(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Everything but the object black.

    Args:
        frame: uint8 RGB ``[H,W,3]``.
        mask: bool ``[H,W]``.
    """
    return cv2.bitwise_and(frame, frame, mask=mask.astype(np.uint8))


def crop(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The part of a frame around the object, as it is: uint8 RGB ``[h,w,3]``.

    Args:
        frame: uint8 RGB ``[H,W,3]``.
        mask: bool ``[H,W]``, not empty.
    """
    box = mask_to_box(mask)
    if box is None:
        raise ValueError("an empty mask has no surroundings to crop")
    x0, y0, x1, y1 = box
    margin = round(MARGIN * max(x1 - x0, y1 - y0))
    return frame[max(0, y0 - margin) : y1 + margin, max(0, x0 - margin) : x1 + margin]


def outlined(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The frame with a yellow line around the object: uint8 RGB ``[H,W,3]``; as it was where the mask is empty."""
    picture = np.ascontiguousarray(frame).copy()
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, contours, -1, YELLOW, max(2, round(min(frame.shape[:2]) / 180)))
    return picture


def highlighted(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The frame with a yellow line around the object, and everything else darkened."""
    dark = cv2.convertScaleAbs(frame, alpha=DARKENED)
    cv2.copyTo(frame, mask.astype(np.uint8), dark)
    return outlined(dark, mask)


def shrunk(picture: np.ndarray, longest_side: int) -> np.ndarray:
    """A picture or a mask, made smaller where it is larger than ``longest_side`` pixels.

    Args:
        picture: uint8 RGB ``[H,W,3]``, or bool ``[H,W]``.
        longest_side: in pixels.
    """
    height, width = picture.shape[:2]
    scale = longest_side / max(height, width)
    if scale >= 1:
        return picture
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if picture.dtype == bool:
        return cv2.resize(picture.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST).astype(bool)
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def to_jpeg(picture: np.ndarray, longest_side: int) -> bytes:
    """A JPEG file, made smaller where the picture is larger than ``longest_side`` pixels."""
    small = cv2.cvtColor(np.ascontiguousarray(shrunk(picture, longest_side)), cv2.COLOR_RGB2BGR)
    done, encoded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise ValueError(f"a picture of shape {list(picture.shape)} can't be written as JPEG")
    return encoded.tobytes()
