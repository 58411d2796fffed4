"""Region similarity J and boundary accuracy F of video object segmentation.

The measures of Perazzi et al., "A benchmark dataset and evaluation methodology for video object segmentation" (CVPR
2016), as computed by the official code (davisvideochallenge/davis2017-evaluation, commit ac7c43f,
``davis2017/metrics.py``), the origin of the expected values in the tests. Boundaries are one pixel wide; a boundary
pixel is matched when the other mask's boundary passes within 0.008 of the image diagonal, rounded up to whole pixels;
two empty masks score 1.
"""

from __future__ import annotations

import functools
import math

import cv2
import numpy as np

#: Tolerance of a boundary match, as a share of the image diagonal (the official code's ``bound_th``).
BOUNDARY_TOLERANCE = 0.008


def region_similarity(prediction: np.ndarray, target: np.ndarray, void: np.ndarray | None = None) -> np.ndarray:
    """J: the IoU of each frame.

    Args:
        prediction: bool ``[T,H,W]``.
        target: bool ``[T,H,W]``.
        void: bool ``[T,H,W]``, true where nothing counts, or ``None``.

    Returns:
        float64 ``[T]`` in 0…1; 1 where both masks of a frame are empty.
    """
    prediction, target = _without_void(prediction, target, void)
    intersection = np.count_nonzero(prediction & target, axis=(1, 2))
    union = np.count_nonzero(prediction | target, axis=(1, 2))
    return np.where(union == 0, 1.0, intersection / np.maximum(union, 1))


def boundary_accuracy(
    prediction: np.ndarray, target: np.ndarray, void: np.ndarray | None = None, tolerance: float = BOUNDARY_TOLERANCE
) -> np.ndarray:
    """F: harmonic mean of the precision and recall of boundary pixels, for each frame.

    Args:
        prediction: bool ``[T,H,W]``.
        target: bool ``[T,H,W]``.
        void: bool ``[T,H,W]``, true where nothing counts, or ``None``.
        tolerance: largest distance of a match, as a share of the image diagonal.

    Returns:
        float64 ``[T]`` in 0…1; 1 where neither mask of a frame has a boundary, 0 where only one has.
    """
    prediction, target = _without_void(prediction, target, void)
    radius = math.ceil(tolerance * math.hypot(*prediction.shape[1:]))
    pairs = zip(prediction, target, strict=True)
    return np.array([_frame_boundary_accuracy(one, other, radius) for one, other in pairs], dtype=np.float64)


def j_and_f(prediction: np.ndarray, target: np.ndarray, void: np.ndarray | None = None) -> tuple[float, float, float]:
    """Means over the frames of one object: ``(J, F, (J + F) / 2)``, each in 0…1.

    All T frames count, as MeViS's and Ref-YouTube-VOS's protocols have it; the semi-supervised DAVIS protocol, where
    the first frame is given, leaves out the first and the last, which is the caller's to slice off.
    """
    j = float(region_similarity(prediction, target, void).mean())
    f = float(boundary_accuracy(prediction, target, void).mean())
    return j, f, (j + f) / 2


def _without_void(prediction: np.ndarray, target: np.ndarray, void: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Both masks as bool ``[T,H,W]``, false where void; checks the shapes."""
    if prediction.shape != target.shape or prediction.ndim != 3:
        raise ValueError(f"prediction {prediction.shape} and target {target.shape} must be one [T,H,W]")
    prediction, target = prediction.astype(bool), target.astype(bool)
    if void is None:
        return prediction, target
    if void.shape != target.shape:
        raise ValueError(f"void {void.shape} and target {target.shape} must have one shape")
    return prediction & ~void, target & ~void


def _boundary(mask: np.ndarray) -> np.ndarray:
    """Boundary of a mask, bool ``[H,W]``: pixels that differ from their right, lower or lower right neighbour.

    The last row looks only right, the last column only down, the last pixel nowhere, as in the official code.
    """
    boundary = np.zeros_like(mask)
    boundary[:, :-1] |= mask[:, :-1] ^ mask[:, 1:]
    boundary[:-1, :] |= mask[:-1, :] ^ mask[1:, :]
    boundary[:-1, :-1] |= mask[:-1, :-1] ^ mask[1:, 1:]
    return boundary


@functools.lru_cache(maxsize=8)
def _disk(radius: int) -> np.ndarray:
    """Pixels within ``radius`` of the centre, uint8 ``[2 radius + 1, 2 radius + 1]``."""
    offsets = np.arange(-radius, radius + 1)
    return (offsets[:, None] ** 2 + offsets[None, :] ** 2 <= radius**2).astype(np.uint8)


def _frame_boundary_accuracy(prediction: np.ndarray, target: np.ndarray, radius: int) -> float:
    """F of one frame, bool ``[H,W]`` each."""
    predicted, true = _boundary(prediction), _boundary(target)
    num_predicted, num_true = int(np.count_nonzero(predicted)), int(np.count_nonzero(true))
    if num_predicted == 0 or num_true == 0:
        return float(num_predicted == num_true)
    # Matches lie on a boundary, so nothing outside the box around both can count: dilating inside it is exact and fast.
    rows, columns = np.nonzero((predicted | true).any(1))[0], np.nonzero((predicted | true).any(0))[0]
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    predicted, true = predicted[box], true[box]
    disk = _disk(radius)
    near_true = cv2.dilate(true.astype(np.uint8), disk, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    near_predicted = cv2.dilate(predicted.astype(np.uint8), disk, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    precision = np.count_nonzero(predicted & near_true.astype(bool)) / num_predicted
    recall = np.count_nonzero(true & near_predicted.astype(bool)) / num_true
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
