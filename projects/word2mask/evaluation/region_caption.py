"""Region captions on RefCOCOg: what is in the marked region, in the words that people used to refer to it."""

from __future__ import annotations

import re
import typing
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from word2mask.data.sources.refcoco import RefCOCO as RefCOCOSource
from word2mask.evaluation.captions import final_caption_scores
from word2mask.evaluation.interface import Benchmark, SampleSource, Scores, mean
from word2mask.evaluation.protocols import Protocol, Wording, presets, sa2va
from word2mask.metrics.captions import DESCRIPTION
from word2mask.metrics.text import word_overlap
from word2mask.text.questions import REGION_QUESTIONS
from word2mask.text.special_tokens import SEG
from word2mask.types import Result, Sample, Turn

#: Sa2VA's first version, magic-research/Sa2VA, commit d01bf3f, ``region_cap_refcocog_eval.py``.
SA2VA_REGION = Wording("Please give me a short description of the region in the picture marked by region1.")
#: What that cuts out of an answer, one after the other, wherever it stands: also out of "this" and "fish".
_CUT = (
    *("<s>", "\n", "region1", "Region1", "The region marked by", "The region marked as", "The region marked"),
    *("is", "shows", ":"),
)


def published_words(answer: str) -> str:
    """An answer as Sa2VA's evaluation of region captions scores it.

    >>> published_words("Region1 shows <p>a dish</p> [SEG]: it is white.")
    'a dh it white.'
    """
    for words in _CUT:
        answer = answer.replace(words, "")
    answer = re.sub("<.*?>", "", answer).replace(SEG, "")
    return " ".join(answer.split()).strip("'").strip()


_ASKED = {
    "all": ("one question an object", "all sentences of the object"),
    "one": ("one question a sentence", "that sentence of the object"),
}
_CLEANED = {"none": "the answer as it is", "published": 'the answer without "is", "shows" and the like'}


class _Regions:
    """A sentence a record: the mask of its object is the region."""

    def __init__(self, source: RefCOCOSource) -> None:
        self.name = source.name
        self._source = source

    def __len__(self) -> int:
        return len(self._source)

    def rephrasings(self) -> Sequence[Sequence[int]]:
        """The records of each object."""
        return self._source.rephrasings()

    def read(self, index: int, rng: np.random.Generator | None = None) -> Sample:
        sample = self._source.read(index, rng)
        assert sample.masks is not None  # one object a reference, always
        return replace(
            sample,
            task="region",
            turns=(
                Turn("user", REGION_QUESTIONS[0].format("region1")),
                Turn("assistant", sample.extra["expression"]),
            ),
            masks=None,
            regions=sample.masks[:, 0],
        )


class RegionCaption(Benchmark):
    """Words for an object of RefCOCOg; METEOR and CIDEr.

    ``strict``: an object is a sample, and all of its sentences are references. ``sa2va``: the file that it reads
    (``finetune_refcocog_val_with_mask.json``, of MDETR's annotations) has a picture a sentence, so that a sentence is a
    sample and its only reference; and some words are taken out of the answers (:func:`published_words`).
    """

    name = "region_caption"
    splits: ClassVar[tuple[str, ...]] = ("val", "test")
    folder = "ref_seg/refcocog"
    metrics: ClassVar[dict[str, str]] = {"meteor": "METEOR", "cider": "CIDEr", "words": "word F1"}
    default_title = "Descriptions of marked regions"
    default_prompt = REGION_QUESTIONS[0].format("region1")
    presets: ClassVar[Mapping[str, Protocol]] = presets(
        {"wording": "own", "references": "all", "cleaning": "none"},
        sa2va=sa2va(
            {"references": "one", "cleaning": "published"}, SA2VA_REGION, source="magic-research/Sa2VA d01bf3f"
        ),
    )

    @classmethod
    def open(cls, root: Path, split: str) -> SampleSource:
        return _Regions(RefCOCOSource(root, split, "umd", per_expression=True))

    @classmethod
    def fixture(cls, folder: Path, **options: Any) -> Self:
        split = options.pop("split", cls.splits[0])
        RefCOCOSource.fixture(folder, split=split, split_by="umd")
        return cls.build(folder, split, **options)

    def _usable(self) -> Sequence[int]:
        if self.switches["references"] == "one":
            return range(len(self.source))
        return [group[0] for group in typing.cast(Any, self.source).rephrasings()]

    @property
    def rules(self) -> str:
        asked, against = _ASKED[self.switches["references"]]
        return (
            f"{asked}, {self.shown_prompt}, with the object's mask as the region; {DESCRIPTION}, "
            f"against {against}, {_CLEANED[self.switches['cleaning']]}; word F1 = best overlap of words with one of "
            "them, mean over samples"
        )

    def question(self, sample: Sample) -> str:
        return self.prompt if self.switches.words is None else self.switches.words.phrase

    def sample(self, position: int) -> Sample:
        sample = super().sample(position)
        return replace(sample, id=str(sample.extra["ref_id"])) if self.switches["references"] == "all" else sample

    def score(self, result: Result, sample: Sample) -> Scores:
        references = [sample.extra["expression"]]
        if self.switches["references"] == "all":
            references = sample.extra["all_sentences"]
        answer = published_words(result.raw_text) if self.switches["cleaning"] == "published" else result.text
        return {
            "answer": answer,
            "references": references,
            "words": max(word_overlap(answer, reference) for reference in references),
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
