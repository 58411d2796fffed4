"""Effects around an object: the rest dimmed, a line along its border, another background, nothing but the object."""

from __future__ import annotations

import cv2
import numpy as np

from word2mask.inference.editing.soft_masks import signed_distance
from word2mask.inference.editing.tones import blend
from word2mask.inference.render import dimmed

__all__ = ["cover", "cutout", "outline", "replace_background", "spotlight"]


def spotlight(frame: np.ndarray, soft: np.ndarray) -> np.ndarray:
    """The object lit, and the rest dim and nearly grey, with a glow between.

    Args:
        frame: uint8 RGB ``[H,W,3]``.
        soft: float32 ``[H,W]``.

    Returns:
        uint8 RGB ``[H,W,3]``; where ``soft`` is 1, the frame.
    """
    width = max(2.0, min(frame.shape[:2]) / 24)
    small = cv2.resize(soft, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    glow = cv2.resize(cv2.GaussianBlur(small, (0, 0), width / 4), soft.shape[::-1], interpolation=cv2.INTER_LINEAR)
    lit = np.maximum(soft, np.clip(0.8 * glow, 0, 1))
    return blend(dimmed(frame.astype(np.float32)).astype(np.uint8), frame, lit)


def outline(
    frame: np.ndarray, soft: np.ndarray, color: tuple[int, int, int] = (255, 255, 255), width: float | None = None
) -> np.ndarray:
    """A line on the object's border.

    Args:
        frame: uint8 RGB ``[H,W,3]``.
        soft: float32 ``[H,W]``; the border is where it passes 0.5.
        color: RGB of the line.
        width: of the line in pixels, half of it outside; ``None`` goes by the frame's size.
    """
    width = max(2.0, min(frame.shape[:2]) / 120) if width is None else width
    # At twice the size, or a border that moves by parts of a pixel would jump by whole ones.
    large = (2 * soft.shape[1], 2 * soft.shape[0])
    distance = signed_distance(cv2.resize(soft, large, interpolation=cv2.INTER_LINEAR) > 0.5) / 2
    line = np.clip(2 * (width / 2 - np.abs(distance)) + 0.5, 0, 1)
    line = cv2.resize(line, soft.shape[::-1], interpolation=cv2.INTER_AREA)
    return blend(frame, np.broadcast_to(np.uint8(color), frame.shape), line)


def replace_background(frame: np.ndarray, soft: np.ndarray, background: np.ndarray) -> np.ndarray:
    """The object before another background.

    Args:
        frame: uint8 RGB ``[H,W,3]``.
        soft: float32 ``[H,W]``.
        background: uint8 RGB ``[H,W,3]``.

    Returns:
        uint8 RGB ``[H,W,3]``; where ``soft`` is at most a half, the background: the outer half of the edge shows the
        old one.
    """
    return blend(background, frame, _inner(soft))


def cutout(frame: np.ndarray, soft: np.ndarray) -> np.ndarray:
    """The object alone.

    Returns:
        uint8 RGBA ``[H,W,4]``, the colours as in the frame; opaque where ``soft`` is 1.
    """
    return np.dstack([frame, np.rint(255 * _inner(soft)).astype(np.uint8)])


def cover(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture enlarged or reduced until it covers ``size`` ``(H, W)``, and cut evenly on both sides.

    Returns:
        uint8 RGB ``[H,W,3]``.
    """
    height, width = size
    scale = max(height / picture.shape[0], width / picture.shape[1])
    large = (max(width, round(picture.shape[1] * scale)), max(height, round(picture.shape[0] * scale)))
    resized = cv2.resize(picture, large, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    top, left = (large[1] - height) // 2, (large[0] - width) // 2
    return np.ascontiguousarray(resized[top : top + height, left : left + width])


def _inner(soft: np.ndarray) -> np.ndarray:
    """The inner half of the edge, as a ramp of its own."""
    return np.clip(2 * soft - 1, 0, 1)
