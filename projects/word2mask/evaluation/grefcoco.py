"""gRefCOCO: expressions for one object, several, or none. Liu et al., "GRES", CVPR 2023."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from word2mask.data.sources.grefcoco import GRefCOCO as GRefCOCOSource
from word2mask.data.sources.interface import Source
from word2mask.evaluation.referring import ReferringBenchmark
from word2mask.text.special_tokens import SEG


class GRefCOCO(ReferringBenchmark):
    """Every sentence is a sample; where nothing fits, the right answer has no mask."""

    name = "grefcoco"
    splits: ClassVar[tuple[str, ...]] = ("val", "testA", "testB")
    folder = "ref_seg/grefcoco"
    metrics: ClassVar[dict[str, str]] = {
        "giou": "gIoU",
        "ciou": "cIoU",
        "n_acc": "N-acc",
        "t_acc": "T-acc",
        "pr@0.7": "Pr@0.7",
    }
    default_title = "Several objects, or none"
    # One [SEG] an object: room for more of them than a single object needs.
    max_new_tokens = 96

    @classmethod
    def open(cls, root: Path, split: str) -> Source:
        return GRefCOCOSource(root, split, per_expression=True)

    @property
    def rules(self) -> str:
        return (
            f"one question a sentence, {self.shown_prompt}; the union of all {SEG} masks against the union of the "
            "objects; no target: IoU 1 if no mask has a pixel, else 0 and its area adds to cIoU's union; N-acc = "
            "share of no-target samples without a mask, T-acc = share of the others with one"
        )
