"""GCG: grounded captions on GranD-f's published val and test. Rasheed et al., "GLaMM", CVPR 2024."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from word2mask.data.sources.gcg import GCG as GCGSource
from word2mask.data.sources.interface import Source
from word2mask.evaluation.captions import final_caption_scores
from word2mask.evaluation.grounded_caption import CaptionBenchmark
from word2mask.evaluation.interface import Scores
from word2mask.evaluation.protocols import Protocol, Wording, presets, sa2va
from word2mask.metrics.captions import DESCRIPTION
from word2mask.types import Result, Sample

#: ``sa2va_eval_gcg.py``; the words are GLaMM's. The five spaces are published: a line goes on indented in the code.
SA2VA_CAPTION = Wording(
    "Could you please give me a brief description of the image? Please respond with interleaved     segmentation masks "
    "for the corresponding parts of the answer."
)


class GCG(CaptionBenchmark):
    """The captions are scored too, where METEOR and CIDEr can run."""

    name = "gcg"
    splits: ClassVar[tuple[str, ...]] = ("val", "test")
    folder = "glamm_data"
    metrics: ClassVar[dict[str, str]] = {**CaptionBenchmark.metrics, "meteor": "METEOR", "cider": "CIDEr"}
    presets: ClassVar[Mapping[str, Protocol]] = presets(
        {"wording": "own", "recall": "every"}, sa2va=sa2va({"recall": "until_failure"}, SA2VA_CAPTION)
    )

    @classmethod
    def open(
        cls,
        root: Path,
        split: str,
        annotations: str = "annotations/gcg_val_test",
        pictures: str = "images/grandf/val_test",
    ) -> Source:
        """Folders below ``root``."""
        return GCGSource(root / annotations, root / pictures, split, per_expression=True)

    @classmethod
    def fixture(cls, folder: Path, **options: Any) -> Self:
        GCGSource.fixture(folder)
        split = options.pop("split", cls.splits[0])
        return cls.build(folder, split, annotations=".", pictures="val_test", **options)

    @property
    def rules(self) -> str:
        return f"{super().rules}; {DESCRIPTION}, of the answer without its marks"

    def score(self, result: Result, sample: Sample) -> Scores:
        return {
            **super().score(result, sample),
            "caption": result.text,
            "captions": sample.extra["captions"],
        }

    def finish(self, scores: Sequence[Scores]) -> tuple[dict[str, float], str]:
        return final_caption_scores(scores, "caption", "captions")
