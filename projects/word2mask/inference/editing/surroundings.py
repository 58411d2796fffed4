"""Effects around an object: the rest dimmed, a line along its border, another background, nothing but the object."""

from __future__ import annotations

import cv2
import numpy as np

from word2mask.inference.editing.completion import smooth_fill
from word2mask.inference.editing.soft_masks import signed_distance
from word2mask.inference.editing.tones import USUAL, blend
from word2mask.inference.render import dimmed

__all__ = ["cover", "cutout", "outline", "own_colors", "replace_background", "spotlight"]

#: Width of the edge on which a camera mixes an object's colours with the background's, beside the frame's shorter side.
MIXED = 1 / 200


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
    frame: np.ndarray, soft: np.ndarray, color: tuple[int, int, int] = (255, 255, 255), strength: float | None = None
) -> np.ndarray:
    """A line on the object's border.

    Args:
        frame: uint8 RGB ``[H,W,3]``.
        soft: float32 ``[H,W]``; the border is where it passes 0.5.
        color: RGB of the line.
        strength: how wide it is, 0…1; ``None`` and 0.5 are 1/120 of the frame's shorter side, at least 2 pixels, half
            of it outside, and 1 is twice as wide.
    """
    width = max(1.0, max(2.0, min(frame.shape[:2]) / 120) * (1.0 if strength is None else strength / USUAL))
    # At twice the size, or a border that moves by parts of a pixel would jump by whole ones.
    large = (2 * soft.shape[1], 2 * soft.shape[0])
    inside = cv2.resize(soft, large, interpolation=cv2.INTER_LINEAR) > 0.5
    # A speck or a gap that a line around it would cover is a dot that comes and goes.
    for kind in (True, False):
        inside[_specks(inside == kind, (2 * width) ** 2)] = not kind
    distance = signed_distance(inside) / 2
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
        old one. The inner half has the object's :func:`own_colors`.
    """
    return blend(background, own_colors(frame, soft), _inner(soft))


def cutout(frame: np.ndarray, soft: np.ndarray) -> np.ndarray:
    """The object alone.

    Returns:
        uint8 RGBA ``[H,W,4]``; opaque where ``soft`` is 1, with the colours of the frame but on the edge. Where nothing
        is to be seen, there is nothing of the frame either.
    """
    alpha = _inner(soft)
    # A video's colours are blurred over the edge: what lies beyond it goes on in the object's.
    colors = own_colors(frame, soft, everywhere=True)
    return np.dstack([colors, np.rint(255 * alpha).astype(np.uint8)])


def own_colors(frame: np.ndarray, soft: np.ndarray, everywhere: bool = False) -> np.ndarray:
    """The frame with the object's own colours on its edge, where a camera mixes them with the background's.

    Without, the old background is a rim around the object before another one.

    Args:
        frame: uint8 RGB ``[H,W,3]``.
        soft: float32 ``[H,W]``.
        everywhere: outside of the object, its colours go on, instead of the frame's.

    Returns:
        uint8 RGB ``[H,W,3]``. What is as thin as an edge keeps the frame's colours.
    """
    inside = soft > 0.5
    if not inside.any():
        return np.zeros_like(frame) if everywhere else frame
    width = max(1.5, min(frame.shape[:2]) * MIXED)
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    margin = int(4 * width) + 2
    top, left = max(rows[0] - margin, 0), max(columns[0] - margin, 0)
    box = np.s_[top : rows[-1] + margin + 1, left : columns[-1] + margin + 1]
    part, distance = frame[box].astype(np.float32), signed_distance(inside[box])
    share = np.clip(distance / width, 0, 1)  # of the frame's colour that counts as the object's
    sure = np.where(distance > width, np.float32(1), np.float32(0))
    weight = cv2.GaussianBlur(sure, (0, 0), width)
    near = cv2.GaussianBlur(part * sure[..., None], (0, 0), width) / np.maximum(weight, 1e-6)[..., None]
    share = np.where(weight > 0.02, share, np.float32(1))[..., None]
    mixed = np.clip(np.rint(share * part + (1 - share) * near), 0, 255)
    result = np.zeros_like(frame) if everywhere else frame.copy()
    if everywhere:
        mixed = np.where(inside[box][..., None], mixed, smooth_fill(mixed, ~inside[box]))
        result[:] = np.rint(mixed[inside[box]].mean(axis=0))
        result[box] = np.clip(np.rint(mixed), 0, 255)
    else:
        result[box][inside[box]] = mixed[inside[box]]
    return result


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


def _specks(where: np.ndarray, area: float) -> np.ndarray:
    """Parts smaller than an area, in pixels, beside larger ones; bool ``[H,W]``."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(where.astype(np.uint8), connectivity=8)
    is_small = stats[:, cv2.CC_STAT_AREA] < area
    is_small[0] = False  # the rest
    return is_small[labels] if not is_small[1:].all() else np.zeros_like(where)


def _inner(soft: np.ndarray) -> np.ndarray:
    """The inner half of the edge, as a ramp of its own."""
    return np.clip(2 * soft - 1, 0, 1)
