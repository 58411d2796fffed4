"""ReasonSeg: questions that need reasoning to find the object. Lai et al., "LISA", CVPR 2024."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from word2mask.data.sources.interface import Source
from word2mask.data.sources.reason_seg import ReasonSeg as ReasonSegSource
from word2mask.evaluation.interface import MASK_REQUEST
from word2mask.evaluation.referring import ReferringBenchmark
from word2mask.text.special_tokens import SEG


class ReasonSeg(ReferringBenchmark):
    """Every text of every picture is a sample; regions labelled "ignore" don't count."""

    name = "reason_seg"
    splits: ClassVar[tuple[str, ...]] = ("val", "test")
    folder = "ref_seg/ReasonSeg"
    metrics: ClassVar[dict[str, str]] = {"giou": "gIoU", "ciou": "cIoU", "pr@0.5": "Pr@0.5"}
    default_title = "Reasoning"
    max_new_tokens = 96

    @classmethod
    def open(cls, root: Path, split: str) -> Source:
        return ReasonSegSource(root, split, per_expression=True)

    @property
    def rules(self) -> str:
        return (
            f'one question a text, "… {MASK_REQUEST}" after a question, else {self.shown_prompt}; the union of all '
            f"{SEG} masks against the union of the targets; ignored regions count nowhere; gIoU = mean IoU"
        )
