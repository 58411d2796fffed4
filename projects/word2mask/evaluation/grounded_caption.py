"""Grounded captions (GCG): a description whose phrases have masks. Rasheed et al., "GLaMM", CVPR 2024."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from word2mask.data.sources.grounded_caption import GroundedCaption as GroundedCaptionSource
from word2mask.evaluation.annotated_media import AnnotatedMediaBenchmark
from word2mask.evaluation.interface import Scores, mean
from word2mask.metrics.grounded_caption import (
    Detections,
    average_precision,
    count_recalled,
    iou_matrix,
    match_in_order,
    matched_ious,
)
from word2mask.text.questions import CAPTION_QUESTIONS
from word2mask.types import Result, Sample


class GroundedCaption(AnnotatedMediaBenchmark):
    """One caption a picture; the masks of its phrases against the masks of the reference's phrases."""

    name = "grounded_caption"
    folder = "grounded_caption"
    reader = GroundedCaptionSource
    metrics: ClassVar[dict[str, str]] = {
        "miou": "mIoU",
        "miou_all": "mIoU over all objects",
        "recall": "recall",
        "ap50": "AP50",
    }
    default_title = "Captions that point"
    default_prompt = CAPTION_QUESTIONS[0].format(medium="picture")
    max_new_tokens = 384

    @property
    def rules(self) -> str:
        return (
            f"{self.shown_prompt}; a mask a phrase; mIoU: pairs matched greedily, best IoU first, mean over the pairs, "
            "then over pictures, objects without any mask not counted; mIoU over all objects counts them as 0; recall: "
            "IoU ≥ 0.5 and words of the phrases alike (F1 ≥ 0.5, where GLaMM compares BERT embeddings); AP50: one "
            "class, equal scores"
        )

    def question(self, sample: Sample) -> str:
        return self.prompt

    def score(self, result: Result, sample: Sample) -> Scores:
        targets = _single_frame(sample.masks, sample)
        masks = np.stack([segment.masks for segment in result.segments]) if result.segments else None
        ious = iou_matrix(_single_frame(masks, sample), targets)
        detections = match_in_order(ious)
        phrases = [segment.phrase for segment in result.segments]
        return {
            "matched": matched_ious(ious),
            "correct": list(detections.correct),
            "recalled": count_recalled(ious, phrases, sample.extra["phrases"]),
            "num_targets": len(targets),
            "num_segments": len(result.segments),
        }

    def summarise(self, scores: Sequence[Scores]) -> dict[str, float]:
        if not scores:
            return {}
        num_targets = sum(one["num_targets"] for one in scores)
        all_matched = [value for one in scores for value in one["matched"]]
        images = [Detections(tuple(one["correct"]), one["num_targets"]) for one in scores]
        return {
            "miou": 100 * mean([mean(one["matched"]) for one in scores]),
            "miou_all": 100 * mean([*all_matched, *[0.0] * (num_targets - len(all_matched))]),
            "recall": 100 * sum(one["recalled"] for one in scores) / max(num_targets, 1),
            "ap50": 100 * average_precision(images),
        }


def _single_frame(masks: np.ndarray | None, sample: Sample) -> np.ndarray:
    """Masks ``[N,1,H,W]`` of a picture as ``[N,H,W]``; none at all as ``[0,H,W]``."""
    if masks is None:
        return np.zeros((0, *sample.media.frames.shape[1:3]), dtype=bool)
    return masks[:, 0]
