"""RefCOCO, RefCOCO+ and RefCOCOg: one expression, one object. Yu et al., ECCV 2016; Mao et al., CVPR 2016."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from word2mask.data.sources.interface import Source
from word2mask.data.sources.refcoco import RefCOCO as RefCOCOSource
from word2mask.evaluation.referring import ReferringBenchmark
from word2mask.text.special_tokens import SEG


class RefCOCO(ReferringBenchmark):
    """Every sentence of every object is a sample, as in the papers; one question a sentence."""

    name = "refcoco"
    splits: ClassVar[tuple[str, ...]] = ("val", "testA", "testB")
    folder = "ref_seg/refcoco"
    metrics: ClassVar[dict[str, str]] = {
        "ciou": "cIoU",
        "giou": "gIoU",
        "pr@0.5": "Pr@0.5",
        "pr@0.7": "Pr@0.7",
        "pr@0.9": "Pr@0.9",
    }
    split_by: ClassVar[str] = "unc"
    default_title = "Referring expressions"

    @classmethod
    def open(cls, root: Path, split: str) -> Source:
        return RefCOCOSource(root, split, cls.split_by, per_expression=True)

    @property
    def rules(self) -> str:
        return (
            f"one question a sentence, {self.shown_prompt}; the union of all {SEG} masks against the object, "
            "at the picture's own size; cIoU = Σ intersection / Σ union, gIoU = mean IoU; no mask counts as empty"
        )


class RefCOCOPlus(RefCOCO):
    """RefCOCO+, whose expressions say nothing of position."""

    name = "refcoco+"
    folder = "ref_seg/refcoco+"


class RefCOCOg(RefCOCO):
    """RefCOCOg with the UMD splits; longer expressions."""

    name = "refcocog"
    splits: ClassVar[tuple[str, ...]] = ("val", "test")
    folder = "ref_seg/refcocog"
    split_by = "umd"
