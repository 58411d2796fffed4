"""Region similarity J and boundary accuracy F of video object segmentation.

The measures of Perazzi et al., "A benchmark dataset and evaluation methodology for video object segmentation" (CVPR
2016), as computed by the official code (davisvideochallenge/davis2017-evaluation, commit ac7c43f,
``davis2017/metrics.py``), the origin of the expected values in the tests. Boundaries are one pixel wide; a boundary
pixel is matched when the other mask's boundary passes within 0.008 of the image diagonal, rounded up to whole pixels;
two empty masks score 1. Frames are scored one at a time, so memory doesn't grow with their number.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from word2mask.metrics import bitmaps
from word2mask.metrics.sums import Accumulator, ExactSum
from word2mask.ops.masks import decode_rle

#: Tolerance of a boundary match, as a share of the image diagonal (the official code's ``bound_th``).
BOUNDARY_TOLERANCE = 0.008

#: Run lengths of one frame's mask as in COCO, ``{"size": [H, W], "counts": …}``.
RLE = Mapping[str, Any]


def region_similarity(prediction: np.ndarray, target: np.ndarray, void: np.ndarray | None = None) -> np.ndarray:
    """J: the IoU of each frame.

    Args:
        prediction: bool ``[T,H,W]``.
        target: bool ``[T,H,W]``.
        void: bool ``[T,H,W]``, true where nothing counts, or ``None``.

    Returns:
        float64 ``[T]`` in 0…1; 1 where both masks of a frame are empty.

    Raises:
        ValueError: if the shapes differ.
    """
    frames = _frames(prediction, target, void)
    return np.array([_region(*_packed(*frame, margin=0)) for frame in frames], dtype=np.float64)


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

    Raises:
        ValueError: if the shapes differ.
    """
    frames, radius = _frames(prediction, target, void), _radius(prediction, tolerance)
    width = prediction.shape[2]
    return np.array([_boundary(*_packed(*frame, margin=radius), width, radius) for frame in frames], dtype=np.float64)


def frame_scores(
    prediction: np.ndarray, target: np.ndarray, void: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """J and F of each frame, faster than one after the other: float64 ``[T]`` each, of bool ``[T,H,W]``.

    Raises:
        ValueError: if the shapes differ.
    """
    frames, radius = _frames(prediction, target, void), _radius(prediction, BOUNDARY_TOLERANCE)
    width = prediction.shape[2]
    scores = np.empty((2, len(prediction)))
    for index, frame in enumerate(frames):
        pair = _packed(*frame, margin=radius)
        scores[:, index] = _region(*pair), _boundary(*pair, width, radius)
    return scores[0], scores[1]


def j_and_f(prediction: np.ndarray, target: np.ndarray, void: np.ndarray | None = None) -> tuple[float, float, float]:
    """Means over the frames of one object: ``(J, F, (J + F) / 2)``, each in 0…1.

    All T frames count, as MeViS's and Ref-YouTube-VOS's protocols have it; :mod:`word2mask.metrics.davis` has the
    official one of DAVIS, which leaves some out.

    Raises:
        ValueError: if the shapes differ, or there are no frames.
    """
    if not len(prediction):
        raise ValueError("no frames to score")
    j, f = (float(values.mean()) for values in frame_scores(prediction, target, void))
    return j, f, (j + f) / 2


def j_and_f_of_rles(predictions: Iterable[RLE | None], targets: Iterable[RLE | None]) -> tuple[float, float, float]:
    """:func:`j_and_f` of run lengths, one frame decoded at a time.

    Args:
        predictions: T frames' run lengths, ``None`` for a frame without the object.
        targets: the same, of the same size; either may be a generator.

    Raises:
        ValueError: if the sizes or the numbers of frames differ, or there are no frames.
    """
    j, f = ExactSum(), ExactSum()
    for prediction, target in zip(predictions, targets, strict=True):
        sizes = [tuple(rle["size"]) for rle in (prediction, target) if rle is not None]
        if not sizes:
            one, other = ExactSum.of([1.0]), ExactSum.of([1.0])
        else:
            masks = [
                np.zeros(sizes[0], dtype=bool, order="F") if rle is None else decode_rle(dict(rle))
                for rle in (prediction, target)
            ]
            # Run lengths go down the columns. Both scores are the same of transposed masks, whose rows are the columns.
            one, other = (ExactSum.of(values) for values in frame_scores(masks[0].T[None], masks[1].T[None]))
        j, f = j + one, f + other
    if not j.count:
        raise ValueError("no frames to score")
    return j.mean(), f.mean(), (j.mean() + f.mean()) / 2


@dataclass
class JFAccumulator(Accumulator):
    """Means over objects or expressions, in any order and any number of parts.

    Attributes:
        j: the samples' J.
        f: the samples' F.
    """

    j: ExactSum = field(default_factory=ExactSum)
    f: ExactSum = field(default_factory=ExactSum)

    def add(self, prediction: np.ndarray, target: np.ndarray, void: np.ndarray | None = None) -> tuple[float, float]:
        """Adds one sample, bool ``[T,H,W]``; returns its J and F."""
        j, f, _ = j_and_f(prediction, target, void)
        self.add_scores(j, f)
        return j, f

    def add_scores(self, j: float, f: float) -> None:
        """Adds one sample by its J and F, each in 0…1."""
        self.j, self.f = self.j + ExactSum.of([j]), self.f + ExactSum.of([f])

    def __len__(self) -> int:
        """Number of samples added."""
        return self.j.count

    def summary(self) -> dict[str, float]:
        """``j&f``, ``j`` and ``f`` in percent; empty without samples."""
        if not len(self):
            return {}
        j, f = self.j.mean(100), self.f.mean(100)
        return {"j&f": (j + f) / 2, "j": j, "f": f}


Frame = tuple[np.ndarray, np.ndarray, np.ndarray | None]


def _frames(prediction: np.ndarray, target: np.ndarray, void: np.ndarray | None) -> Iterator[Frame]:
    """The frames of all, bool ``[H,W]`` each; checks the shapes first."""
    if prediction.shape != target.shape or prediction.ndim != 3:
        raise ValueError(f"prediction {prediction.shape} and target {target.shape} must be one [T,H,W]")
    if void is not None and void.shape != target.shape:
        raise ValueError(f"void {void.shape} and target {target.shape} must have one shape")
    prediction, target = prediction.astype(bool, copy=False), target.astype(bool, copy=False)
    ignored = [None] * len(target) if void is None else void.astype(bool, copy=False)
    return zip(prediction, target, ignored, strict=True)


def _radius(masks: np.ndarray, tolerance: float) -> int:
    """The largest distance of a match in pixels, for masks ``[T,H,W]``."""
    height, width = masks.shape[1:]
    return math.ceil(tolerance * math.sqrt(height * height + width * width))


def _packed(
    prediction: np.ndarray, target: np.ndarray, void: np.ndarray | None, margin: int
) -> tuple[np.ndarray, np.ndarray]:
    """Both masks of a frame as bitmaps, false where void."""
    packed = bitmaps.pack(prediction, margin), bitmaps.pack(target, margin)
    if void is None:
        return packed
    counted = ~bitmaps.pack(void, margin)
    return packed[0] & counted, packed[1] & counted


def _region(prediction: np.ndarray, target: np.ndarray) -> float:
    """J of one frame's bitmaps."""
    union = bitmaps.count(prediction | target)
    return bitmaps.count(prediction & target) / union if union else 1.0


def _boundary(prediction: np.ndarray, target: np.ndarray, width: int, radius: int) -> float:
    """F of one frame's bitmaps."""
    predicted, true = bitmaps.boundary(prediction, width), bitmaps.boundary(target, width)
    num_predicted, num_true = bitmaps.count(predicted), bitmaps.count(true)
    if num_predicted == 0 or num_true == 0:
        return float(num_predicted == num_true)
    # Matches lie on a boundary, so rows beyond both can be left out.
    words = np.flatnonzero(predicted | true)
    rows = slice(words[0] // predicted.shape[1], words[-1] // predicted.shape[1] + 1)
    predicted, true = predicted[rows], true[rows]
    precision = bitmaps.count(predicted & bitmaps.dilate(true, radius)) / num_predicted
    recall = bitmaps.count(true & bitmaps.dilate(predicted, radius)) / num_true
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
