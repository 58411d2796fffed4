"""Grounded captions (GCG): a description whose phrases have masks. Rasheed et al., "GLaMM", CVPR 2024."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from word2mask.data.sources.grounded_caption import GroundedCaption as GroundedCaptionSource
from word2mask.evaluation.annotated_media import AnnotatedMediaBenchmark
from word2mask.evaluation.interface import Benchmark, Scores, mean
from word2mask.metrics.grounded_caption import (
    Detections,
    average_precision,
    count_recalled,
    iou_matrix,
    match_in_order,
    matched_ious,
)
from word2mask.metrics.similarity import EmbeddingSimilarity
from word2mask.metrics.text import word_overlap
from word2mask.text.questions import CAPTION_QUESTIONS
from word2mask.types import Result, Sample


class CaptionBenchmark(Benchmark):
    """One caption a picture; the masks of its phrases against the masks of the reference's phrases."""

    metrics: ClassVar[dict[str, str]] = {
        "miou": "mIoU",
        "miou_all": "mIoU over all objects",
        "recall": "recall",
        "ap50": "AP50",
    }
    default_title = "Captions that point"
    default_prompt = CAPTION_QUESTIONS[0].format(medium="picture")
    max_new_tokens = 384
    #: Of two phrases.
    similarity: Callable[[str, str], float] = staticmethod(word_overlap)

    @classmethod
    def build(cls, *arguments: Any, text_model: str | None = None, **options: Any) -> Self:
        """As :meth:`Benchmark.build`, and the phrases compared as GLaMM does.

        Args:
            *arguments: of :meth:`Benchmark.build`.
            text_model: folder of ``bert-base-uncased``, by whose vectors phrases are compared; by words without.
            **options: of :meth:`Benchmark.build`.

        Raises:
            UserError: as there, or no text model is in that folder.
        """
        benchmark = super().build(*arguments, **options)
        if text_model:
            benchmark.similarity = EmbeddingSimilarity.load(text_model)
            benchmark.origin["text_model"] = text_model
        return benchmark

    @property
    def rules(self) -> str:
        alike = "words of the phrases alike (F1 ≥ 0.5, where GLaMM compares BERT embeddings)"
        if isinstance(self.similarity, EmbeddingSimilarity):
            alike = f"phrases alike ({self.similarity.description} ≥ 0.5)"
        if self.switches.values.get("recall") == "until_failure":
            alike += ", best IoU first until phrases differ"
        return (
            f"{self.shown_prompt}; a mask a phrase; mIoU: pairs matched greedily, best IoU first, mean over the pairs, "
            "then over pictures, objects without any mask not counted; mIoU over all objects counts them as 0; recall: "
            f"IoU ≥ 0.5 and {alike}; AP50: one "
            "class, equal scores"
        )

    def question(self, sample: Sample) -> str:
        return self.prompt if self.switches.words is None else self.switches.words.phrase

    def score(self, result: Result, sample: Sample) -> Scores:
        targets = _single_frame(sample.masks, sample)
        masks = np.stack([segment.masks for segment in result.segments]) if result.segments else None
        ious = iou_matrix(_single_frame(masks, sample), targets)
        detections = match_in_order(ious)
        recalled = count_recalled(
            ious,
            [segment.phrase for segment in result.segments],
            sample.extra["phrases"],
            similarity=self.similarity,
            stops_at_failure=self.switches.values.get("recall") == "until_failure",
        )
        return {
            "matched": matched_ious(ious),
            "correct": list(detections.correct),
            "recalled": recalled,
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


class GroundedCaption(CaptionBenchmark, AnnotatedMediaBenchmark):
    """On captions of your own or of shapes world, in GranD-f's training format."""

    name = "grounded_caption"
    folder = "grounded_caption"
    reader = GroundedCaptionSource


def _single_frame(masks: np.ndarray | None, sample: Sample) -> np.ndarray:
    """Masks ``[N,1,H,W]`` of a picture as ``[N,H,W]``; none at all as ``[0,H,W]``."""
    if masks is None:
        return np.zeros((0, *sample.media.frames.shape[1:3]), dtype=bool)
    return masks[:, 0]
