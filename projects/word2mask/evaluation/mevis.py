"""MeViS: expressions of motion in videos. Ding et al., ICCV 2023, https://github.com/henghuiding/MeViS."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from word2mask.data.sources.interface import Source
from word2mask.data.sources.mevis import MeViS as MeViSSource
from word2mask.evaluation.interface import Benchmark, Scores, mean, union_of_segments, union_of_targets
from word2mask.metrics.jf import j_and_f
from word2mask.text.special_tokens import SEG
from word2mask.types import Result, Sample


class MeViS(Benchmark):
    """J and F of every expression over all frames of its video, then the mean over expressions."""

    name = "mevis"
    splits: ClassVar[tuple[str, ...]] = ("valid_u", "valid", "train")
    folder = "video_seg/mevis"
    metrics: ClassVar[dict[str, str]] = {"j&f": "J&F", "j": "J", "f": "F"}
    default_title = "Objects in motion"
    default_prompt = "Please segment {} in this video."

    @classmethod
    def open(cls, root: Path, split: str) -> Source:
        return MeViSSource(root / split, per_expression=True)

    @property
    def rules(self) -> str:
        return (
            f"one question an expression, {self.shown_prompt}; the union of all {SEG} masks against the union of "
            "the objects on every frame; J = mean IoU, F = boundary F with a tolerance of 0.008 of the diagonal, "
            "two empty masks score 1; mean over frames, then over expressions"
        )

    def score(self, result: Result, sample: Sample) -> Scores:
        j, f, _ = j_and_f(union_of_segments(result, sample), union_of_targets(sample), sample.void)
        return {"j": j, "f": f, "num_segments": len(result.segments)}

    def summarise(self, scores: Sequence[Scores]) -> dict[str, float]:
        if not scores:
            return {}
        j, f = mean([one["j"] for one in scores]) * 100, mean([one["f"] for one in scores]) * 100
        return {"j&f": (j + f) / 2, "j": j, "f": f}
