"""How the background moved between two frames, so that one can be laid over the other.

Several motions are proposed: none, a shift (phase correlation), and a homography from tracked corners (RANSAC). The one
under which the pictures differ least is taken, and of two that do about as well the simpler one. Corners alone would
not do: on a plain wall all of them lie on the things that move before it.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

__all__ = ["background_motion", "shrunk"]

#: Longest side of the pictures that are compared.
COMPARED_SIDE = 480
#: A homography has at least this many corners, and this share of all, that agree.
MIN_CORNERS, MIN_SHARE = 10, 0.4
#: Differences of grey values count up to here: things that move on their own are no worse than that.
MOST = 25.0
#: A richer motion is taken when it leaves less than this share of the difference.
BETTER = 0.92
#: Mean difference beyond which one picture shows something else than the other.
MAX_DIFFERENCE = 12.0
#: Share of the frame that must be seen in both.
MIN_OVERLAP = 0.15


def background_motion(
    source: np.ndarray, source_hole: np.ndarray, frame: np.ndarray, hole: np.ndarray
) -> np.ndarray | None:
    """The motion of what lies outside of the holes.

    Args:
        source, frame: gray float32 ``[h,w]`` of one size, as :func:`shrunk` makes them.
        source_hole, hole: bool ``[h,w]``, what doesn't count.

    Returns:
        homography float64 ``[3,3]`` from pixels of ``source`` to those of ``frame``; ``None`` where none explains the
        two.
    """
    best, least = None, np.inf
    smooth, other = (cv2.GaussianBlur(picture, (0, 0), 1.2) for picture in (frame, source))
    for motion in _proposals(source, source_hole, frame, hole):
        difference = _difference(other, source_hole, smooth, hole, motion)
        if difference < least * BETTER:
            best, least = motion, difference
    return best if least <= MAX_DIFFERENCE else None


def shrunk(frame: np.ndarray, side: int = COMPARED_SIDE) -> tuple[np.ndarray, float]:
    """A frame as it is compared.

    Args:
        frame: uint8 RGB ``[H,W,3]``.
        side: the longest.

    Returns:
        gray float32 ``[h,w]``, and its size beside the frame's, at most 1.
    """
    scale = min(1.0, side / max(frame.shape[:2]))
    size = (max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale)))
    gray = cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA)
    return gray.astype(np.float32), scale


def _proposals(
    source: np.ndarray, source_hole: np.ndarray, frame: np.ndarray, hole: np.ndarray
) -> Iterator[np.ndarray]:
    """Motions that may be it, the simplest first."""
    yield np.eye(3)
    shift = _shift(source, source_hole, frame, hole)
    if np.abs(shift[:2, 2]).max() >= 0.25:
        yield shift
    # From both: corners that moved far are found near where the shift puts them.
    for start in (np.eye(3), shift) if np.abs(shift[:2, 2]).max() > 12 else (np.eye(3),):
        motion = _from_corners(source, source_hole, frame, hole, start)
        if motion is not None:
            yield motion


def _shift(source: np.ndarray, source_hole: np.ndarray, frame: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """By phase correlation, the holes filled with the mean."""
    behind = ~(hole | source_hole)
    motion = np.eye(3)
    if not behind.any():
        return motion
    window = cv2.createHanningWindow(frame.shape[::-1], cv2.CV_32F) if min(frame.shape) > 1 else None
    one = np.where(source_hole, np.float32(0), source - source[behind].mean())
    two = np.where(hole, np.float32(0), frame - frame[behind].mean())
    (across, down), _ = cv2.phaseCorrelate(one, two, window)
    motion[:2, 2] = across, down
    return motion


def _from_corners(
    source: np.ndarray, source_hole: np.ndarray, frame: np.ndarray, hole: np.ndarray, start: np.ndarray
) -> np.ndarray | None:
    """By corners of the frame that are found again in the source and back."""
    gray, other = frame.astype(np.uint8), source.astype(np.uint8)
    corners = cv2.goodFeaturesToTrack(gray, 300, 0.01, 6, mask=(~hole).astype(np.uint8))
    if corners is None or len(corners) < MIN_CORNERS:
        return None
    guess = (corners - start[:2, 2]).astype(np.float32)
    moved, found, _ = cv2.calcOpticalFlowPyrLK(gray, other, corners, guess, flags=cv2.OPTFLOW_USE_INITIAL_FLOW)
    back, found_back, _ = cv2.calcOpticalFlowPyrLK(
        other, gray, moved, corners.copy(), flags=cv2.OPTFLOW_USE_INITIAL_FLOW
    )
    good = np.logical_and(found, found_back).ravel() & (np.abs(back - corners).max(axis=(1, 2)) < 1)
    columns, rows = np.clip(np.rint(moved[:, 0]), 0, np.array(source.shape[::-1]) - 1).T.astype(int)
    good &= ~source_hole[rows, columns]
    if good.sum() < MIN_CORNERS:
        return None
    motion, inliers = cv2.findHomography(moved[good], corners[good], cv2.RANSAC, 1.5)
    if motion is None or inliers.sum() < max(MIN_CORNERS, MIN_SHARE * good.sum()):
        return None
    return motion


def _difference(
    source: np.ndarray, source_hole: np.ndarray, frame: np.ndarray, hole: np.ndarray, motion: np.ndarray
) -> float:
    """Mean difference of grey values where both are seen, light made equal; infinite where too little is."""
    size = frame.shape[::-1]
    seen = cv2.warpPerspective((~source_hole).astype(np.uint8), motion, size, flags=cv2.INTER_NEAREST) > 0
    both = seen & ~hole
    if both.sum() < MIN_OVERLAP * both.size:
        return np.inf
    warped = cv2.warpPerspective(source, motion, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    one, two = frame[both], warped[both]
    gain = float(np.median(one) / max(float(np.median(two)), 1.0))
    return float(np.minimum(np.abs(one - gain * two), MOST).mean())
