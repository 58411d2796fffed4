"""Intersection over union of referring segmentation: cIoU, gIoU, no-target accuracy, precision at thresholds.

Sources of the rules:
    * cIoU = sum of intersections / sum of unions, gIoU = mean of the samples' IoU (Liu et al., "GRES", CVPR 2023,
      section 3.3, https://arxiv.org/abs/2306.00968).
    * No-target samples as in the evaluator published with it (henghuiding/ReLA, commit 3ca9551,
      ``gres_model/evaluation/refer_evaluation.py``): nothing predicted gives IoU 1 and adds nothing to cIoU; anything
      predicted gives IoU 0 and adds its area to the union. N-acc = no-target samples recognised, T-acc = targeted
      samples that got a mask, Pr@t = targeted samples with IoU ≥ t.
    * Void pixels as in LISA's validation (dvlab-research/LISA, commit 3cb2d43, ``intersectionAndUnionGPU``): they count
      nowhere, and a sample whose target is all void has none. LISA adds 1e-5 to a sample's union, which we don't.

The same rules give the usual cIoU and gIoU of RefCOCO, where no sample is without target.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pycocotools import mask as coco

from word2mask.metrics.sums import Accumulator, ExactSum
from word2mask.ops.masks import pack_rle

#: Thresholds of Pr@ in the papers on RefCOCO and gRefCOCO.
PRECISION_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)

#: Run lengths as in COCO, ``{"size": [H, W], "counts": str | bytes | list[int]}``.
RLE = Mapping[str, Any]


@dataclass(frozen=True)
class PixelCounts:
    """What a sample's scores need to know of its masks.

    Attributes:
        intersection: pixels in both masks, outside of void.
        union: pixels in either.
        prediction: pixels of the prediction.
        target: pixels of the target.
    """

    intersection: int
    union: int
    prediction: int
    target: int


def count_pixels(prediction: np.ndarray, target: np.ndarray, void: np.ndarray | None = None) -> PixelCounts:
    """Exact counts of two masks.

    Args:
        prediction: bool ``[...]``, any shape, e.g. ``[H,W]`` or ``[T,H,W]``.
        target: bool, the same shape.
        void: bool, the same shape, true where nothing counts; ``None`` where nothing is void.

    Raises:
        ValueError: if the shapes differ.

    >>> count_pixels(np.array([[1, 1, 0]], bool), np.array([[0, 1, 1]], bool))
    PixelCounts(intersection=1, union=3, prediction=2, target=2)
    """
    if prediction.shape != target.shape:
        raise ValueError(f"prediction {prediction.shape} and target {target.shape} must have one shape")
    predicted, true = prediction.astype(bool, copy=False), target.astype(bool, copy=False)
    if void is not None:
        if void.shape != target.shape:
            raise ValueError(f"void {void.shape} and target {target.shape} must have one shape")
        seen = ~void.astype(bool, copy=False)
        predicted, true = predicted & seen, true & seen
    intersection = int(np.count_nonzero(predicted & true))
    num_predicted, num_true = int(np.count_nonzero(predicted)), int(np.count_nonzero(true))
    return PixelCounts(intersection, num_predicted + num_true - intersection, num_predicted, num_true)


def count_pixels_of_rles(prediction: RLE | None, target: RLE | None, void: RLE | None = None) -> PixelCounts:
    """:func:`count_pixels` of run lengths, without decoding them.

    Args:
        prediction: of one picture; ``None`` for an empty mask.
        target: of the same size; ``None`` for an empty mask.
        void: of the same size, true where nothing counts; ``None`` where nothing is void.

    Raises:
        ValueError: if the sizes differ, or the run lengths don't cover the picture.
    """
    given = {"prediction": prediction, "target": target, "void": void}
    packed = {name: pack_rle(rle) for name, rle in given.items() if rle is not None}
    sizes = {name: tuple(rle["size"]) for name, rle in packed.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError("the masks must have one size, got " + ", ".join(f"{k} {v}" for k, v in sizes.items()))

    def seen(*names: str) -> int:
        """Pixels in all the masks named, outside of void."""
        if any(name not in packed for name in names):
            return 0
        pixels = _area(*(packed[name] for name in names))
        return pixels - _area(*(packed[name] for name in names), packed["void"]) if "void" in packed else pixels

    intersection, num_predicted, num_true = seen("prediction", "target"), seen("prediction"), seen("target")
    return PixelCounts(intersection, num_predicted + num_true - intersection, num_predicted, num_true)


def intersection_and_union(
    prediction: np.ndarray, target: np.ndarray, void: np.ndarray | None = None
) -> tuple[int, int]:
    """``(intersection, union)`` of :func:`count_pixels`.

    >>> intersection_and_union(np.array([[1, 1, 0]], bool), np.array([[0, 1, 1]], bool))
    (1, 3)
    """
    counts = count_pixels(prediction, target, void)
    return counts.intersection, counts.union


def iou(intersection: int, union: int) -> float:
    """Intersection over union; 1 where both masks are empty."""
    return intersection / union if union else 1.0


@dataclass
class IoUAccumulator(Accumulator):
    """Sums over samples, in any order and in any number of parts, of a size that doesn't grow with their number.

    Attributes:
        intersection: pixels in both masks, over all samples.
        union: pixels in either mask, over all samples.
        targeted_ious: IoU of the samples that have a target.
        num_reached: threshold of Pr@ → samples with a target whose IoU reaches it.
        num_targeted_answered: samples with a target for which something was predicted.
        num_untargeted: samples without target.
        num_untargeted_recognised: samples without target for which nothing was predicted.
    """

    intersection: int = 0
    union: int = 0
    targeted_ious: ExactSum = field(default_factory=ExactSum)
    num_reached: Counter[float] = field(default_factory=Counter)
    num_targeted_answered: int = 0
    num_untargeted: int = 0
    num_untargeted_recognised: int = 0

    def add(self, prediction: np.ndarray, target: np.ndarray, void: np.ndarray | None = None) -> float:
        """Adds one sample, bool ``[H,W]`` or ``[T,H,W]``; returns its IoU."""
        return self._add(count_pixels(prediction, target, void))

    def add_rles(self, prediction: RLE | None, target: RLE | None, void: RLE | None = None) -> float:
        """Adds one sample by run lengths (see :func:`count_pixels_of_rles`); returns its IoU."""
        return self._add(count_pixels_of_rles(prediction, target, void))

    def _add(self, counts: PixelCounts) -> float:
        return self.add_counts(counts.intersection, counts.union, counts.target > 0, counts.prediction > 0)

    def add_counts(self, intersection: int, union: int, has_target: bool, has_prediction: bool) -> float:
        """Adds one sample by its pixel counts; returns its IoU."""
        self.intersection += int(intersection)
        self.union += int(union)
        value = iou(intersection, union)
        if has_target:
            self.targeted_ious = self.targeted_ious + ExactSum.of([value])
            self.num_reached.update(threshold for threshold in PRECISION_THRESHOLDS if value >= threshold)
            self.num_targeted_answered += bool(has_prediction)
        else:
            self.num_untargeted += 1
            self.num_untargeted_recognised += not has_prediction
        return value

    def __len__(self) -> int:
        """Number of samples added."""
        return self.targeted_ious.count + self.num_untargeted

    def summary(self) -> dict[str, float]:
        """The metrics in percent.

        Returns:
            ``ciou`` and ``giou``; ``pr@0.5`` … ``pr@0.9`` and ``t_acc`` where there are samples with a target;
            ``n_acc`` where there are samples without. Empty without samples.
        """
        if not len(self):
            return {}
        ious = self.targeted_ious + ExactSum.of([1.0] * self.num_untargeted_recognised)
        result = {
            "ciou": 100.0 * iou(self.intersection, self.union),
            "giou": ious.total(100) / len(self),
        }
        if self.num_untargeted:
            result["n_acc"] = 100.0 * self.num_untargeted_recognised / self.num_untargeted
        num_targeted = self.targeted_ious.count
        if num_targeted:
            result["t_acc"] = 100.0 * self.num_targeted_answered / num_targeted
            for threshold in PRECISION_THRESHOLDS:
                result[f"pr@{threshold:.1f}"] = 100.0 * self.num_reached[threshold] / num_targeted
        return result


def _area(*packed: dict[str, Any]) -> int:
    """Pixels in all of several compressed masks of one size."""
    return int(coco.area(packed[0] if len(packed) == 1 else coco.merge(list(packed), intersect=True)))
