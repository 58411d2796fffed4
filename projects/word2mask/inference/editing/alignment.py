"""How the background moved between two frames, so that one can be laid over the other.

Several motions are proposed: none, some shifts (phase correlation), and homographies from tracked corners (RANSAC). The
one under which the pictures differ least is taken, and of two that do about as well the simpler one. Corners alone
would not do: on a plain wall all of them lie on the things that move before it.

A thing of strong contrast, with many corners and most of the picture's energy, must not hide the rest, nor must a large
plain one: pictures are compared with the contrast made equal over them, so that a motion is chosen by how much of the
picture has a texture that it explains, however weak. Each part of the picture gives its own few best corners.
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
#: The picture is divided into so many parts, down and across, and each gives so many corners, this far apart at least,
#: and none that is weaker than this share of its best.
PARTS, CORNERS_A_PART, APART, WEAKEST = (8, 10), 6, 6, 0.05
#: Deviation (in pixels) of the surroundings with which a pixel's contrast is measured, and grey values that are noise.
SURROUNDINGS, NOISE = 8.0, 2.0
#: Differences of grey values, and of values of equal contrast, count up to here: things that move on their own are no
#: worse than that.
MOST, MOST_EVEN = 25.0, 1.0
#: A richer motion is taken when it leaves less than this share of the difference.
BETTER = 0.85
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
    best, least, differs = None, np.inf, np.inf
    smooth, other = (cv2.GaussianBlur(picture, (0, 0), 1.2) for picture in (frame, source))
    even, even_other = _even(smooth, hole), _even(other, source_hole)
    for motion in _proposals(source, source_hole, frame, hole):
        laid = _laid_over(even_other, source_hole, even, hole, motion)
        if laid is None:
            continue
        of_light = _difference(other, source_hole, smooth, hole, motion)
        of_texture = float(np.minimum(np.abs(laid[0] - laid[1]), MOST_EVEN).mean())
        if (of_light + 1e-3) * (of_texture + 1e-3) < least * BETTER:
            best, least, differs = motion, (of_light + 1e-3) * (of_texture + 1e-3), of_light
    return best if differs <= MAX_DIFFERENCE else None


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
    behind = ~(hole | source_hole)
    starts = [np.eye(3)]
    if behind.any():
        # As the pictures are, too: on a plain wall equal contrast is mostly noise.
        plain = [
            np.where(unknown, np.float32(0), gray - gray[behind].mean())
            for gray, unknown in ((source, source_hole), (frame, hole))
        ]
        for one, two in ((_even(source, source_hole), _even(frame, hole)), plain):
            shift = _shift(one, two)
            if np.abs(shift[:2, 2]).max() >= 0.25:
                yield shift
            if np.abs(shift[:2, 2]).max() > 12:
                starts.append(shift)
    # From all: corners that moved far are found near where a shift puts them.
    for start in starts:
        motion = _from_corners(source, source_hole, frame, hole, start)
        if motion is not None:
            yield motion


def _shift(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """By phase correlation of two pictures float32 ``[h,w]``, 0 in the middle and in the holes."""
    motion = np.eye(3)
    window = cv2.createHanningWindow(two.shape[::-1], cv2.CV_32F) if min(two.shape) > 1 else None
    (across, down), _ = cv2.phaseCorrelate(one, two, window)
    motion[:2, 2] = across, down
    return motion


def _even(gray: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """A picture with the same contrast everywhere, 0 in the hole."""
    known = (~hole).astype(np.float32)
    share = cv2.GaussianBlur(known, (0, 0), SURROUNDINGS) + 1e-3
    mean = cv2.GaussianBlur(gray * known, (0, 0), SURROUNDINGS) / share
    difference = (gray - mean) * known
    deviation = np.sqrt(cv2.GaussianBlur(difference * difference, (0, 0), SURROUNDINGS) / share)
    return difference / (deviation + NOISE)


def _corners(gray: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The best corners of each part of a picture.

    Args:
        gray: uint8 ``[h,w]``.
        hole: bool ``[h,w]``, where there are none.

    Returns:
        float32 ``[K,1,2]``, (column, row).
    """
    strength = cv2.cornerMinEigenVal(gray, 3)
    strength[hole] = 0
    is_top = (strength > 0) & (strength == cv2.dilate(strength, np.ones((2 * APART - 1, 2 * APART - 1), np.uint8)))
    rows, columns = np.nonzero(is_top)
    values = strength[rows, columns]
    parts = rows * PARTS[0] // gray.shape[0] * PARTS[1] + columns * PARTS[1] // gray.shape[1]
    order = np.lexsort((-values, parts))
    parts, values = parts[order], values[order]
    _, first, counts = np.unique(parts, return_index=True, return_counts=True)
    rank = np.arange(len(parts)) - np.repeat(first, counts)
    taken = order[(rank < CORNERS_A_PART) & (values >= WEAKEST * np.repeat(values[first], counts))]
    return np.stack([columns[taken], rows[taken]], axis=1).astype(np.float32)[:, None]


def _from_corners(
    source: np.ndarray, source_hole: np.ndarray, frame: np.ndarray, hole: np.ndarray, start: np.ndarray
) -> np.ndarray | None:
    """By corners of the frame that are found again in the source and back."""
    gray, other = frame.astype(np.uint8), source.astype(np.uint8)
    corners = _corners(gray, hole)
    if len(corners) < MIN_CORNERS:
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


def _laid_over(
    source: np.ndarray, source_hole: np.ndarray, frame: np.ndarray, hole: np.ndarray, motion: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Values of the frame and of the source where both are seen; ``None`` where too little is."""
    size = frame.shape[::-1]
    seen = cv2.warpPerspective((~source_hole).astype(np.uint8), motion, size, flags=cv2.INTER_NEAREST) > 0
    both = seen & ~hole
    if both.sum() < MIN_OVERLAP * both.size:
        return None
    warped = cv2.warpPerspective(source, motion, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return frame[both], warped[both]


def _difference(
    source: np.ndarray, source_hole: np.ndarray, frame: np.ndarray, hole: np.ndarray, motion: np.ndarray
) -> float:
    """Mean difference of grey values where both are seen, light made equal; infinite where too little is."""
    laid = _laid_over(source, source_hole, frame, hole, motion)
    if laid is None:
        return np.inf
    one, two = laid
    gain = float(np.median(one) / max(float(np.median(two)), 1.0))
    return float(np.minimum(np.abs(one - gain * two), MOST).mean())
