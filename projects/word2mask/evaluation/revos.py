"""ReVOS: objects of videos, named or to be found by reasoning. Yan et al., "VISA", ECCV 2024."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from word2mask.data.sources.interface import Source
from word2mask.data.sources.revos import ReVOS as ReVOSSource
from word2mask.evaluation.interface import Scores, mean, union_of_segments, union_of_targets
from word2mask.evaluation.protocols import UNIPIXEL_REVOS, Protocol
from word2mask.evaluation.referring_videos import ReferringVideoBenchmark, video_presets
from word2mask.metrics.revos import accuracy, robustness
from word2mask.types import Result, Sample


class ReVOS(ReferringVideoBenchmark):
    """J, F, accuracy A and robustness R; overall is the mean of the referring and the reasoning expressions.

    Expressions that fit nothing (kind ``hallucination``) are asked, and stand in the table of kinds, but don't enter
    the overall numbers, as in cilinyan/VISA (ec158fd, ``tools/eval_revos.py``).
    """

    name = "revos"
    splits: ClassVar[tuple[str, ...]] = ("valid",)
    folder = "video_datas/revos"
    metrics: ClassVar[dict[str, str]] = {
        "j&f": "J&F",
        "j": "J",
        "f": "F",
        "accuracy": "A",
        "robustness": "R",
    }
    default_title = "Reasoning about objects in videos"
    kinds: ClassVar[tuple[str, ...]] = ("referring", "reasoning")
    source_class = ReVOSSource
    presets: ClassVar[Mapping[str, Protocol]] = video_presets(
        {"average": "kinds"}, {"average": "kinds"}, {"average": "kinds"}, UNIPIXEL_REVOS
    )

    @classmethod
    def open(cls, root: Path, split: str) -> Source:
        return ReVOSSource(root, split, per_expression=True)

    @property
    def rules(self) -> str:
        return (
            f"{super().rules}; A = share of right pixels, R = 1 - wrongly predicted pixels over the pixels of all "
            "annotated objects"
        )

    def score(self, result: Result, sample: Sample) -> Scores:
        prediction = union_of_segments(result, sample, self.switches["segments"])
        target = union_of_targets(sample)
        scores = super().score(result, sample)
        area = sample.extra["foreground_area"]
        return {
            **scores,
            "accuracy": float(accuracy(prediction, target).mean()),
            "robustness": mean([_robustness(prediction[t], target[t], int(area[t])) for t in range(len(target))]),
        }

    def summarise(self, scores: Sequence[Scores]) -> dict[str, float]:
        summary = super().summarise(scores)
        return summary and {
            **summary,
            "accuracy": 100 * self.average(scores, "accuracy"),
            "robustness": 100 * self.average(scores, "robustness"),
        }


def _robustness(prediction: np.ndarray, target: np.ndarray, foreground_area: int) -> float:
    """Of one frame, bool ``[H,W]`` each; of the foreground only its number of pixels is known."""
    foreground = np.zeros((1, *target.shape), dtype=np.int64)
    foreground.flat[0] = foreground_area
    return float(robustness(prediction[None], target[None], foreground)[0])
