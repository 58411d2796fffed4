"""Intersection over union of referring segmentation: cIoU, gIoU, no-target accuracy, precision at thresholds.

Sources of the rules:
    * cIoU = sum of intersections / sum of unions, gIoU = mean of the samples' IoU (Liu et al., "GRES", CVPR 2023,
      section 3.3, https://arxiv.org/abs/2306.00968).
    * No-target samples as in the evaluator published with it (henghuiding/ReLA, commit 3ca9551,
      ``gres_model/evaluation/refer_evaluation.py``): nothing predicted gives IoU 1 and adds nothing to cIoU; anything
      predicted gives IoU 0 and adds its area to the union. N-acc = no-target samples recognised, T-acc = targeted
      samples that got a mask, Pr@t = targeted samples with IoU ≥ t.

The same rules give the usual cIoU and gIoU of RefCOCO, where no sample is without target.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

#: Thresholds of Pr@ in the papers on RefCOCO and gRefCOCO.
PRECISION_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)


def intersection_and_union(
    prediction: np.ndarray, target: np.ndarray, void: np.ndarray | None = None
) -> tuple[int, int]:
    """Pixels in both masks and pixels in either.

    Args:
        prediction: bool ``[...]``, any shape, e.g. ``[H,W]`` or ``[T,H,W]``.
        target: bool, the same shape.
        void: bool, the same shape, true where nothing counts; ``None`` where nothing is void.

    Returns:
        ``(intersection, union)`` as exact integers.

    Raises:
        ValueError: if the shapes differ.

    >>> intersection_and_union(np.array([[1, 1, 0]], bool), np.array([[0, 1, 1]], bool))
    (1, 3)
    """
    if prediction.shape != target.shape:
        raise ValueError(f"prediction {prediction.shape} and target {target.shape} must have one shape")
    both, either = prediction.astype(bool), target.astype(bool)
    both, either = both & either, both | either
    if void is not None:
        if void.shape != target.shape:
            raise ValueError(f"void {void.shape} and target {target.shape} must have one shape")
        both, either = both & ~void, either & ~void
    return int(np.count_nonzero(both)), int(np.count_nonzero(either))


def iou(intersection: int, union: int) -> float:
    """Intersection over union; 1 where both masks are empty."""
    return intersection / union if union else 1.0


@dataclass
class IoUAccumulator:
    """Sums over samples, in any order and in any number of parts.

    The sums for cIoU are exact integers; the samples' IoUs are kept one by one and added with :func:`math.fsum`. So
    the result is the same bit for bit whichever order or rank the samples came in.

    Attributes:
        intersection: pixels in both masks, over all samples.
        union: pixels in either mask, over all samples.
        targeted_ious: IoU of every sample that has a target.
        num_targeted_answered: samples with a target for which something was predicted.
        num_untargeted: samples without target.
        num_untargeted_recognised: samples without target for which nothing was predicted.
    """

    intersection: int = 0
    union: int = 0
    targeted_ious: list[float] = field(default_factory=list)
    num_targeted_answered: int = 0
    num_untargeted: int = 0
    num_untargeted_recognised: int = 0

    def add(self, prediction: np.ndarray, target: np.ndarray, void: np.ndarray | None = None) -> float:
        """Adds one sample, bool ``[H,W]`` or ``[T,H,W]``; returns its IoU."""
        intersection, union = intersection_and_union(prediction, target, void)
        seen = ~void if void is not None else np.True_
        has_target, has_prediction = bool((target & seen).any()), bool((prediction & seen).any())
        return self.add_counts(intersection, union, has_target, has_prediction)

    def add_counts(self, intersection: int, union: int, has_target: bool, has_prediction: bool) -> float:
        """Adds one sample by its pixel counts; returns its IoU."""
        self.intersection += int(intersection)
        self.union += int(union)
        value = iou(intersection, union)
        if has_target:
            self.targeted_ious.append(value)
            self.num_targeted_answered += bool(has_prediction)
        else:
            self.num_untargeted += 1
            self.num_untargeted_recognised += not has_prediction
        return value

    def merge(self, other: IoUAccumulator) -> IoUAccumulator:
        """The sums of both, as a new accumulator."""
        return IoUAccumulator(
            self.intersection + other.intersection,
            self.union + other.union,
            self.targeted_ious + other.targeted_ious,
            self.num_targeted_answered + other.num_targeted_answered,
            self.num_untargeted + other.num_untargeted,
            self.num_untargeted_recognised + other.num_untargeted_recognised,
        )

    @classmethod
    def merged(cls, parts: Iterable[IoUAccumulator]) -> IoUAccumulator:
        """The sums of all parts, e.g. one a rank."""
        total = cls()
        for part in parts:
            total = total.merge(part)
        return total

    def __len__(self) -> int:
        """Number of samples added."""
        return len(self.targeted_ious) + self.num_untargeted

    def summary(self) -> dict[str, float]:
        """The metrics in percent.

        Returns:
            ``ciou`` and ``giou``; ``pr@0.5`` … ``pr@0.9`` and ``t_acc`` where there are samples with a target;
            ``n_acc`` where there are samples without. Empty without samples.
        """
        if not len(self):
            return {}
        result = {
            "ciou": 100.0 * iou(self.intersection, self.union),
            "giou": 100.0 * math.fsum([*self.targeted_ious, self.num_untargeted_recognised]) / len(self),
        }
        if self.num_untargeted:
            result["n_acc"] = 100.0 * self.num_untargeted_recognised / self.num_untargeted
        if self.targeted_ious:
            num_targeted = len(self.targeted_ious)
            result["t_acc"] = 100.0 * self.num_targeted_answered / num_targeted
            for threshold in PRECISION_THRESHOLDS:
                reached = sum(value >= threshold for value in self.targeted_ious)
                result[f"pr@{threshold:.1f}"] = 100.0 * reached / num_targeted
        return result
