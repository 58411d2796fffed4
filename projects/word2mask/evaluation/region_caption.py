"""Region captions on RefCOCOg: what is in the marked region, in the words that people used to refer to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from word2mask.data.sources.refcoco import RefCOCO as RefCOCOSource
from word2mask.evaluation.captions import final_caption_scores
from word2mask.evaluation.interface import Benchmark, SampleSource, Scores, mean
from word2mask.metrics.captions import DESCRIPTION
from word2mask.metrics.text import word_overlap
from word2mask.text.questions import REGION_QUESTIONS
from word2mask.types import Result, Sample, Turn


class _Regions:
    """An object a record: its mask is the region, all of its sentences are references."""

    def __init__(self, source: RefCOCOSource) -> None:
        self.name = source.name
        self._source = source
        self._first = [group[0] for group in source.rephrasings()]

    def __len__(self) -> int:
        return len(self._first)

    def read(self, index: int, rng: np.random.Generator | None = None) -> Sample:
        sample = self._source.read(self._first[index], rng)
        assert sample.masks is not None  # one object a reference, always
        sentences = sample.extra["all_sentences"]
        return replace(
            sample,
            id=str(sample.extra["ref_id"]),
            task="region",
            turns=(Turn("user", REGION_QUESTIONS[0].format("region1")), Turn("assistant", sentences[0])),
            masks=None,
            regions=sample.masks[:, 0],
        )


class RegionCaption(Benchmark):
    """An object of RefCOCOg is a sample; METEOR and CIDEr against all of its sentences.

    Sa2VA's published evaluation (magic-research/Sa2VA, d01bf3f, ``region_cap_refcocog_eval.py``) also takes words such
    as "is" and "shows" out of the answers, wherever they stand; that isn't done here, so there is no such preset.
    """

    name = "region_caption"
    splits: ClassVar[tuple[str, ...]] = ("val", "test")
    folder = "ref_seg/refcocog"
    metrics: ClassVar[dict[str, str]] = {"meteor": "METEOR", "cider": "CIDEr", "words": "word F1"}
    default_title = "Descriptions of marked regions"
    default_prompt = REGION_QUESTIONS[0].format("region1")

    @classmethod
    def open(cls, root: Path, split: str) -> SampleSource:
        return _Regions(RefCOCOSource(root, split, "umd", per_expression=True))

    @classmethod
    def fixture(cls, folder: Path, **options: Any) -> Self:
        split = options.pop("split", cls.splits[0])
        RefCOCOSource.fixture(folder, split=split, split_by="umd")
        return cls.build(folder, split, **options)

    @property
    def rules(self) -> str:
        return (
            f"one question an object, {self.shown_prompt}, with the object's mask as the region; {DESCRIPTION}, "
            "against all sentences of the object, the answer as it is; word F1 = best overlap of words with one of "
            "them, mean over objects"
        )

    def question(self, sample: Sample) -> str:
        return self.prompt

    def score(self, result: Result, sample: Sample) -> Scores:
        references = sample.extra["all_sentences"]
        return {
            "answer": result.text,
            "references": references,
            "words": max(word_overlap(result.text, reference) for reference in references),
        }

    def summarise(self, scores: Sequence[Scores]) -> dict[str, float]:
        return {"words": 100 * mean([one["words"] for one in scores])} if scores else {}

    def finish(self, scores: Sequence[Scores]) -> tuple[dict[str, float], str]:
        return final_caption_scores(scores, "answer", "references")

    @property
    def sample_metric(self) -> str:
        return self.metrics["words"]

    def sample_score(self, scores: Scores) -> float:
        """The overlap of words with the nearest reference, in percent."""
        return 100 * scores["words"]
