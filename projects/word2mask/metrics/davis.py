"""The official protocol of DAVIS 2017: all objects of a sequence in one label map, then means over objects.

As in davisvideochallenge/davis2017-evaluation, commit ac7c43f (``davis2017/evaluation.py``). Two tasks:

``unsupervised``
    every frame; pixels labelled 255 count nowhere; predicted objects are paired with true ones so that J&F is highest,
    whatever their numbers. The default of the toolkit, and what referring segmentation on Ref-DAVIS17 reports since
    ReferFormer (wjn922/ReferFormer, commit 06fc218, ``eval_davis.py``): once for each of the four annotators, whose
    expressions name every object, and then the mean (:class:`DavisAccumulator`).
``semi-supervised``
    without the first and the last frame, where the first is given; pixels labelled 255 count as background; object k of
    the prediction is object k.

The per-expression protocol, one object against one mask, is :func:`word2mask.metrics.jf.j_and_f`.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy.optimize import linear_sum_assignment

from word2mask.errors import UserError
from word2mask.metrics.jf import frame_scores
from word2mask.metrics.sums import Accumulator, ExactSum

#: The label of pixels that were not annotated.
VOID_LABEL = 255
#: The most predicted objects that the unsupervised task admits.
MAX_PROPOSALS = 20
#: A pixel belongs to an object from this score on, as in ReferFormer's ``inference_davis.py``.
SCORE_THRESHOLD = 0.5
#: A frame counts for the recall when its score is above this.
RECALL_THRESHOLD = 0.5
#: The decay compares the first with the last of this many parts of a sequence.
DECAY_PARTS = 4

Task = Literal["unsupervised", "semi-supervised"]


def merge_objects(scores: np.ndarray) -> np.ndarray:
    """One label map of the masks of several objects: each pixel goes to the object with the highest score.

    Args:
        scores: ``[N,T,H,W]``: probabilities in 0…1, or bool masks; N is 254 at most.

    Returns:
        uint8 ``[T,H,W]``: 0 where no score reaches 0.5, else 1 + the object's index; the first of equal ones.

    Raises:
        ValueError: if there are no objects, or more than labels.
    """
    if scores.ndim != 4 or not 0 < len(scores) < VOID_LABEL:
        raise ValueError(f"expected the scores of 1 to {VOID_LABEL - 1} objects, [N,T,H,W], got {list(scores.shape)}")
    best = np.zeros(scores.shape[1:], dtype=scores.dtype)
    labels = np.zeros(scores.shape[1:], dtype=np.uint8)
    for index, score in enumerate(scores):
        is_better = (score >= SCORE_THRESHOLD) & (score > best)
        labels[is_better] = index + 1
        best[is_better] = score[is_better]
    return labels


@dataclass(frozen=True)
class Statistics:
    """Of the scores of one object's frames.

    Attributes:
        mean: of all frames.
        recall: share of the frames above 0.5.
        decay: mean of the first quarter minus mean of the last.
    """

    mean: float
    recall: float
    decay: float

    @classmethod
    def of(cls, values: np.ndarray) -> Statistics:
        """Of float64 ``[T]``. Neighbouring quarters share a frame, as in the toolkit.

        The toolkit holds frame numbers in 8 bits, so its decay of more than 256 frames is of other frames; DAVIS has
        104 at most.
        """
        ends = (np.round(np.linspace(1, len(values), DECAY_PARTS + 1) + 1e-10) - 1).astype(int)
        first, last = values[: ends[1] + 1], values[ends[-2] : ends[-1] + 1]
        return cls(float(values.mean()), float((values > RECALL_THRESHOLD).mean()), float(first.mean() - last.mean()))


def sequence_scores(
    prediction: np.ndarray, target: np.ndarray, task: Task = "unsupervised"
) -> list[tuple[np.ndarray, np.ndarray]]:
    """J and F of every object of a sequence, frame by frame.

    Args:
        prediction: labels ``[T,H,W]``, uint8: 0 for nothing, k for object k.
        target: the same, with 255 where nothing was annotated. The objects are those of the first frame, as in the
            toolkit.
        task: which of the two.

    Returns:
        for each true object float64 ``(j, f)``, ``[T]`` each, or ``[T - 2]`` in the semi-supervised task.

    Raises:
        ValueError: the shapes differ.
        UserError: more predicted objects than the task admits, no true one, or too few frames.
    """
    if prediction.shape != target.shape or prediction.ndim != 3:
        raise ValueError(f"prediction {prediction.shape} and target {target.shape} must be one [T,H,W]")
    void = target == VOID_LABEL
    num_true = int(np.where(void[0], 0, target[0]).max()) if len(target) else 0
    if not num_true:
        raise UserError("the first frame's annotation holds no object; DAVIS's protocol takes the objects from there")
    if task == "semi-supervised":
        if len(target) < 3:
            raise UserError(f"{len(target)} frames, but the semi-supervised task leaves out the first and the last")
        prediction, target, void = prediction[1:-1], target[1:-1], np.zeros_like(void[1:-1])
    num_predicted = int(prediction.max())
    limit = num_true if task == "semi-supervised" else MAX_PROPOSALS
    if num_predicted > limit:
        raise UserError(f"a predicted label is {num_predicted}, but the {task} task admits {limit} objects here")

    predicted = [prediction == label for label in range(1, max(num_predicted, num_true) + 1)]
    true = [target == label for label in range(1, num_true + 1)]
    if task == "semi-supervised":
        return [frame_scores(one, other) for one, other in zip(predicted, true, strict=True)]
    scores = [[frame_scores(one, other, void) for other in true] for one in predicted]
    quality = [[(np.mean(j) + np.mean(f)) / 2 for j, f in row] for row in scores]
    rows, columns = linear_sum_assignment(np.array(quality), maximize=True)
    by_object = dict(zip(columns.tolist(), rows.tolist(), strict=True))
    return [scores[by_object[index]][index] for index in range(num_true)]


@dataclass
class _Sums(Accumulator):
    """Sums over the objects of one annotator."""

    j_mean: ExactSum = field(default_factory=ExactSum)
    j_recall: ExactSum = field(default_factory=ExactSum)
    j_decay: ExactSum = field(default_factory=ExactSum)
    f_mean: ExactSum = field(default_factory=ExactSum)
    f_recall: ExactSum = field(default_factory=ExactSum)
    f_decay: ExactSum = field(default_factory=ExactSum)


@dataclass
class DavisAccumulator(Accumulator):
    """The toolkit's means over objects for each annotator, and the mean over annotators.

    Attributes:
        annotators: sums of each annotator's results; one where there is a single set of results.
    """

    annotators: _ByAnnotator = field(default_factory=lambda: _ByAnnotator())

    def add(
        self, prediction: np.ndarray, target: np.ndarray, task: Task = "unsupervised", annotator: Hashable = 0
    ) -> list[tuple[float, float]]:
        """Adds a sequence, labels ``[T,H,W]`` (see :func:`sequence_scores`); returns the mean J and F of its objects.

        Args:
            prediction: labels of the objects as this annotator's expressions found them (:func:`merge_objects`).
            target: true labels.
            task: which of the two.
            annotator: who wrote the expressions.
        """
        means = []
        for j_values, f_values in sequence_scores(prediction, target, task):
            j, f = Statistics.of(j_values), Statistics.of(f_values)
            values = (j.mean, j.recall, j.decay, f.mean, f.recall, f.decay)
            part = _Sums(*(ExactSum.of([value]) for value in values))
            self.annotators = self.annotators + _ByAnnotator({annotator: part})
            means.append((j.mean, f.mean))
        return means

    def __len__(self) -> int:
        """Number of objects added, those of every annotator counted."""
        return sum(sums.j_mean.count for sums in self.annotators.values())

    def summary(self) -> dict[str, float]:
        """``j&f``, ``j``, ``j_recall``, ``j_decay``, ``f``, ``f_recall``, ``f_decay`` in percent; empty without any."""
        if not len(self):
            return {}
        names = ("j_mean", "j_recall", "j_decay", "f_mean", "f_recall", "f_decay")
        means = {
            name: ExactSum.of([getattr(sums, name).mean() for sums in self.annotators.values()]).mean(100)
            for name in names
        }
        j, f = means.pop("j_mean"), means.pop("f_mean")
        return {
            "j&f": (j + f) / 2,
            "j": j,
            "j_recall": means["j_recall"],
            "j_decay": means["j_decay"],
            "f": f,
            "f_recall": means["f_recall"],
            "f_decay": means["f_decay"],
        }


class _ByAnnotator(dict[Hashable, _Sums]):
    """Sums by annotator, which can be added."""

    def __add__(self, other: _ByAnnotator) -> _ByAnnotator:
        result = _ByAnnotator(self)
        for annotator, sums in other.items():
            result[annotator] = result[annotator].merge(sums) if annotator in result else sums
        return result
