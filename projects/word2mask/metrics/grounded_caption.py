"""Grounded captions: do the masks of a caption's phrases cover the objects that the reference caption grounds?

Protocol of GLaMM (Rasheed et al., CVPR 2024, https://arxiv.org/abs/2311.03356; mbzuai-oryx/groundingLMM, commit
e74865f, ``eval/gcg/evaluate.py``):
    * mIoU: masks are paired greedily, best IoU first, one to one; the image's value is the mean over the pairs with
      IoU > 0 (0 without any), and the mean over images is reported. **Objects that no mask touches don't lower it**, so
      :func:`matched_ious` also serves the stricter mean over all reference objects (``miou_all`` of the benchmark).
    * Recall: share of the reference objects that have a partner with IoU ≥ 0.5 and a similar phrase.
    * AP50: COCO's average precision at IoU 0.5 with one class and every score 1.
    * METEOR and CIDEr of the caption itself: :mod:`word2mask.metrics.captions`.
GLaMM compares phrases by BERT embeddings (:mod:`word2mask.metrics.similarity`), and stops its loop at the first pair
that fails; here the similarity is an argument (word overlap by default, which needs no downloaded model), and a pair
that fails is passed over unless ``stops_at_failure``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools import mask as coco

from word2mask.metrics.iou import RLE
from word2mask.metrics.text import word_overlap
from word2mask.ops.masks import pack_rle

#: COCO's limit of detections an image counts (``Params.maxDets``).
MAX_DETECTIONS = 100


def iou_matrix(predictions: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """IoU of every prediction with every target.

    Args:
        predictions: bool ``[P,H,W]``.
        targets: bool ``[N,H,W]``.

    Returns:
        float64 ``[P,N]``; 0 where both masks are empty, since an empty mask finds nothing.
    """
    if predictions.shape[1:] != targets.shape[1:]:
        raise ValueError(f"predictions {predictions.shape} and targets {targets.shape} must share height and width")
    # float32 would count exactly up to 2^24 pixels only; for the few masks of a caption float64 is as fast.
    num_pixels = int(np.prod(targets.shape[1:]))
    flat_predictions = predictions.reshape(len(predictions), num_pixels).astype(np.float64)
    flat_targets = targets.reshape(len(targets), num_pixels).astype(np.float64)
    intersection = flat_predictions @ flat_targets.T
    union = flat_predictions.sum(1)[:, None] + flat_targets.sum(1)[None, :] - intersection
    return intersection / np.maximum(union, 1)


def iou_matrix_of_rles(predictions: Sequence[RLE], targets: Sequence[RLE]) -> np.ndarray:
    """:func:`iou_matrix` of run lengths of one size, without decoding them.

    Raises:
        ValueError: if the sizes differ, or run lengths don't cover the picture.
    """
    packed = [[pack_rle(rle) for rle in rles] for rles in (predictions, targets)]
    sizes = {tuple(rle["size"]) for rles in packed for rle in rles}
    if len(sizes) > 1:
        raise ValueError(f"the masks of a picture must have one size, got {sorted(sizes)}")
    if not predictions or not targets:
        return np.zeros((len(predictions), len(targets)))
    return np.asarray(coco.iou(*packed, [0] * len(targets)), dtype=np.float64)


def match_greedily(ious: np.ndarray) -> list[tuple[int, int]]:
    """Pairs (row, column) with IoU > 0, best first, each row and column at most once."""
    remaining, pairs = ious.copy(), []
    while remaining.size and remaining.max() > 0:
        row, column = (int(index) for index in np.unravel_index(remaining.argmax(), remaining.shape))
        pairs.append((row, column))
        remaining[row, :] = 0
        remaining[:, column] = 0
    return pairs


def matched_ious(ious: np.ndarray) -> list[float]:
    """IoUs of the greedily matched pairs, best first. Takes ``[P,N]``."""
    return [float(ious[pair]) for pair in match_greedily(ious)]


def count_recalled(
    ious: np.ndarray,
    phrases: Sequence[str],
    target_phrases: Sequence[str],
    iou_threshold: float = 0.5,
    similarity: Callable[[str, str], float] = word_overlap,
    similarity_threshold: float = 0.5,
    stops_at_failure: bool = False,
) -> int:
    """How many of the N targets have a partner that overlaps enough and is called alike; best IoU first, one to one.

    Args:
        ious: float ``[P,N]``.
        phrases: ``[P]`` what the answer calls each mask.
        target_phrases: ``[N]`` what the reference calls each object.
        iou_threshold: least IoU of a partner.
        similarity: of two phrases, 1 where they are alike.
        similarity_threshold: least similarity of a partner.
        stops_at_failure: GLaMM's rule: once the best pair left is called differently, no other pair counts.

    Raises:
        ValueError: if there isn't one phrase a mask.
    """
    if ious.shape != (len(phrases), len(target_phrases)):
        raise ValueError(f"ious {ious.shape} but {len(phrases)} phrases and {len(target_phrases)} target phrases")
    # By target, as GLaMM has it, which decides among equal ones.
    remaining, recalled = ious.T.copy(), 0
    while remaining.size:
        target, row = (int(index) for index in np.unravel_index(remaining.argmax(), remaining.shape))
        if remaining[target, row] <= 0 or remaining[target, row] < iou_threshold:
            break
        if similarity(target_phrases[target], phrases[row]) >= similarity_threshold:
            recalled += 1
            remaining[target, :] = 0
            remaining[:, row] = 0
        elif stops_at_failure:
            break
        else:
            remaining[target, row] = 0
    return recalled


@dataclass(frozen=True)
class Detections:
    """The predictions of one image, for average precision.

    Attributes:
        correct: ``[P]`` whether each prediction found an object, in the order predicted.
        num_targets: N.
    """

    correct: tuple[bool, ...]
    num_targets: int


def match_in_order(ious: np.ndarray, iou_threshold: float = 0.5) -> Detections:
    """COCO's matching with equal scores: each prediction in turn takes the best target that is still free.

    Args:
        ious: float ``[P,N]``.
        iou_threshold: least IoU of a match.
    """
    free = np.ones(ious.shape[1], dtype=bool)
    correct = []
    for row in ious[:MAX_DETECTIONS]:
        candidates = np.flatnonzero(free & (row >= iou_threshold))
        if len(candidates):
            # The last of several equal ones, as COCO's loop has it.
            best = candidates[len(candidates) - 1 - np.argmax(row[candidates][::-1])]
            free[best] = False
        correct.append(bool(len(candidates)))
    return Detections(tuple(correct), ious.shape[1])


def average_precision(images: Sequence[Detections]) -> float:
    """COCO's average precision (101 recall points, precision made monotonous), in 0…1.

    Scores are equal, so predictions rank in the order of images and, inside an image, of the caption.

    Returns:
        0 where there is no target.
    """
    num_targets = sum(image.num_targets for image in images)
    correct = np.array([value for image in images for value in image.correct], dtype=np.float64)
    if num_targets == 0 or len(correct) == 0:
        return 0.0
    found = np.cumsum(correct)
    recall = found / num_targets
    precision = found / np.arange(1, len(correct) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    positions = np.searchsorted(recall, np.linspace(0, 1, 101), side="left")
    return float(np.append(precision, 0.0)[np.minimum(positions, len(precision))].mean())
