"""Removing an object: the background that other frames show, and where none does, a guess from around.

Neighbouring frames are laid over the frame by the motion of the background between them (a homography from tracked
corners), so that a moving camera does no harm. What no frame shows comes from the frame before as it was filled, so
that the guess stands still, and for the first frame from OpenCV's inpainting (Telea, 2004).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import cv2
import numpy as np

from word2mask.inference.editing.soft_masks import signed_distance, soft_edge
from word2mask.inference.editing.tones import blend

__all__ = ["inpaint", "remove"]

#: How far other frames lie from the one that is filled: near ones first, which look most alike.
OFFSETS = (-2, 2, -5, 5, -10, 10, -18, 18, -30, 30, -48, 48)
#: Longest side of the pictures in which corners are tracked.
TRACKED_SIDE = 480
#: A background that moved as one has this many corners, and this share of them, that agree.
MIN_CORNERS, MIN_SHARE = 10, 0.5
#: Mean difference of values, of the surroundings of the hole, from which a frame shows something else.
MAX_DIFFERENCE = 14.0
#: A hole is filled by inpainting on a picture in which it has at most this side.
INPAINT_SIDE = 96


def remove(frames: Sequence[np.ndarray], masks: Sequence[np.ndarray], span: range) -> Iterator[np.ndarray]:
    """The frames of a span without the object.

    Args:
        frames: uint8 RGB ``[H,W,3]`` each, of the whole video.
        masks: float32 ``[H,W]`` each.
        span: which to give.

    Yields:
        uint8 RGB ``[H,W,3]`` for each of ``span``; away from the object, the frame.
    """
    before: np.ndarray | None = None
    hole_of = lru_cache(maxsize=16)(lambda index: _hole(masks[index]))
    for index in span:
        frame, hole = frames[index], hole_of(index)
        if not hole.any():
            before = None
            yield frame
            continue
        filled, missing, distance = frame.copy(), hole.copy(), signed_distance(hole)
        around = ~hole & (distance > -max(8.0, min(hole.shape) / 24))
        for other in (index + offset for offset in OFFSETS):
            if not 0 <= other < len(frames):
                continue
            missing = _fill(filled, frame, hole, around, missing, frames[other], hole_of(other))
            if not missing.any():
                break
        if missing.any() and before is not None:
            missing = _fill(filled, frame, hole, around, missing, before, np.zeros_like(hole))
        if missing.any():
            filled = inpaint(filled, missing)
        width = max(2.0, min(hole.shape) / 160)
        result = blend(frame, filled, soft_edge(distance, width))
        # Within the hole itself nothing of the object may shine through.
        result[hole] = filled[hole]
        before = result
        yield result


def inpaint(frame: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The hole filled from what is around it.

    Args:
        frame: uint8 RGB ``[H,W,3]``.
        hole: bool ``[H,W]``.

    Returns:
        uint8 RGB ``[H,W,3]``; outside of the hole, the frame.
    """
    if hole.all() or not hole.any():
        return frame
    rows, columns = np.nonzero(hole)
    side = max(np.ptp(rows), np.ptp(columns)) + 1
    scale = min(1.0, INPAINT_SIDE / side)
    size = (max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale)))
    small_hole = cv2.resize(hole.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
    if small_hole.all():
        size, small_hole = frame.shape[1::-1], hole
    # Only pixels beyond the hole count on the small picture.
    weight = cv2.resize((~hole).astype(np.float32), size, interpolation=cv2.INTER_AREA)[..., None]
    seen = cv2.resize(frame * (~hole[..., None]).astype(np.float32), size, interpolation=cv2.INTER_AREA)
    small = np.clip(seen / np.maximum(weight, 1e-3), 0, 255).astype(np.uint8)
    guess = cv2.inpaint(small, small_hole.astype(np.uint8), 4, cv2.INPAINT_TELEA)
    # Far from the border its rays show; there the guess is smoothed.
    depth = np.clip(signed_distance(small_hole) / 12, 0, 1)[..., None]
    guess = guess * (1 - depth) + cv2.GaussianBlur(guess, (0, 0), 4) * depth
    large = cv2.resize(guess.astype(np.float32), frame.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    filled = frame.copy()
    filled[hole] = np.clip(large[hole], 0, 255).astype(np.uint8)
    return filled


def _hole(soft: np.ndarray) -> np.ndarray:
    """The object and a rim: its blurred border and a little shadow belong to it."""
    if not soft.any():
        return soft > 0
    return signed_distance(soft > 0.02) > -max(3.0, min(soft.shape) / 80)


def _fill(
    filled: np.ndarray,
    frame: np.ndarray,
    hole: np.ndarray,
    around: np.ndarray,
    missing: np.ndarray,
    other: np.ndarray,
    other_hole: np.ndarray,
) -> np.ndarray:
    """Fills what another frame shows, in place, and gives what is still missing, bool ``[H,W]``."""
    motion = _motion(other, other_hole, frame, hole)
    if motion is None:
        return missing
    size = (frame.shape[1], frame.shape[0])
    seen = cv2.warpPerspective((~other_hole).astype(np.uint8), motion, size, flags=cv2.INTER_NEAREST) > 0
    useful = missing & seen
    if not useful.any():
        return missing
    warped = cv2.warpPerspective(other, motion, size, flags=cv2.INTER_LINEAR)
    compared = around & seen
    if compared.sum() < 32:
        return missing
    difference = frame[compared].astype(np.float32) - warped[compared]
    light = np.median(difference, axis=0)
    if np.abs(difference - light).mean() > MAX_DIFFERENCE:
        return missing
    filled[useful] = np.clip(warped[useful] + light, 0, 255).astype(np.uint8)
    return missing & ~useful


def _motion(source: np.ndarray, source_hole: np.ndarray, frame: np.ndarray, hole: np.ndarray) -> np.ndarray | None:
    """How the background moved from one frame to another: a homography ``[3,3]``, or ``None`` where it isn't one."""
    scale = min(1.0, TRACKED_SIDE / max(frame.shape[:2]))
    gray, other = (
        cv2.resize(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        for picture in (frame, source)
    )
    behind = ~_small(hole | source_hole, gray.shape)
    if behind.any() and np.abs(gray.astype(np.int16) - other)[behind].mean() < 1.0:
        return np.eye(3)  # A camera that stands still, with the noise of its compression.
    usable = (~_small(hole, gray.shape)).astype(np.uint8)
    corners = cv2.goodFeaturesToTrack(gray, 300, 0.01, 6, mask=usable)
    if corners is None or len(corners) < MIN_CORNERS:
        return None
    moved, found, _ = cv2.calcOpticalFlowPyrLK(gray, other, corners, None)
    back, found_back, _ = cv2.calcOpticalFlowPyrLK(other, gray, moved, None)
    good = (found & found_back).ravel().astype(bool) & (np.abs(back - corners).max(axis=(1, 2)) < 1)
    if good.sum() < MIN_CORNERS:
        return None
    motion, inliers = cv2.findHomography(moved[good] / scale, corners[good] / scale, cv2.RANSAC, 2.0 / scale)
    if motion is None or inliers.sum() < max(MIN_CORNERS, MIN_SHARE * good.sum()):
        return None
    return motion


def _small(mask: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    return cv2.resize(mask.astype(np.uint8), (size[1], size[0]), interpolation=cv2.INTER_NEAREST) > 0
