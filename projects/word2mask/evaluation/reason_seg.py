"""ReasonSeg: questions that need reasoning to find the object. Lai et al., "LISA", CVPR 2024."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from word2mask.data.sources.interface import Source
from word2mask.data.sources.reason_seg import ReasonSeg as ReasonSegSource
from word2mask.evaluation.interface import MASK_REQUEST
from word2mask.evaluation.protocols import LISA_IMAGE, UNIPIXEL_IMAGE, Protocol, lisa, presets, unipixel
from word2mask.evaluation.referring import ReferringBenchmark
from word2mask.text.special_tokens import SEG

_QUESTIONS = {"all": "one question a text", "first": "one question a picture, its first text"}


class ReasonSeg(ReferringBenchmark):
    """Every text of every picture is a sample; regions labelled "ignore" don't count.

    The kinds ``phrase`` and ``sentence`` are the papers' short and long queries.
    """

    name = "reason_seg"
    splits: ClassVar[tuple[str, ...]] = ("val", "test")
    folder = "ref_seg/ReasonSeg"
    other_folders = ("reason_seg/ReasonSeg",)
    metrics: ClassVar[dict[str, str]] = {"giou": "gIoU", "ciou": "cIoU", "pr@0.5": "Pr@0.5"}
    default_title = "Reasoning"
    max_new_tokens = 96
    # UniPixel paints ignored shapes with -1 into an unsigned array, which makes them 0 (unipixel/dataset/utils.py).
    presets: ClassVar[Mapping[str, Protocol]] = presets(
        {"wording": "own", "answer": "generated", "texts": "all", "segments": "all", "ignored": "excluded"},
        lisa=lisa({"answer": "forced", "texts": "first", "segments": "all", "ignored": "excluded"}, LISA_IMAGE),
        unipixel=unipixel(
            {"answer": "generated", "texts": "all", "segments": "first", "ignored": "background"}, UNIPIXEL_IMAGE
        ),
    )

    @classmethod
    def open(cls, root: Path, split: str) -> Source:
        return ReasonSegSource(root, split, per_expression=True)

    @classmethod
    def fixture(cls, folder: Path, **options: Any) -> Self:
        split = options.pop("split", cls.splits[0])
        ReasonSegSource.fixture(folder, split=split)
        return cls.build(folder, split, **options)

    @property
    def rules(self) -> str:
        asked = _QUESTIONS.get(self.switches["texts"], "one question a picture, all of its texts")
        words = self.switches.words
        after = MASK_REQUEST if words is None else words.sentence.replace("{}", "").strip()
        which = "a question" if words is None else "a sentence"
        segments = {"all": f"the union of all {SEG} masks", "first": f"the mask of the first {SEG}"}
        ignored = {"excluded": "ignored regions count nowhere", "background": "ignored regions count as background"}
        return (
            f'{asked}, "… {after}" after {which}, else {self.shown_prompt}; {segments[self.switches["segments"]]} '
            f"against the union of the targets; {ignored[self.switches['ignored']]}; gIoU = mean IoU"
        )
