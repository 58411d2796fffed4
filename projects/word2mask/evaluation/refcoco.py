"""RefCOCO, RefCOCO+ and RefCOCOg: one expression, one object. Yu et al., ECCV 2016; Mao et al., CVPR 2016."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from word2mask.data.sources.interface import Source
from word2mask.data.sources.refcoco import RefCOCO as RefCOCOSource
from word2mask.evaluation.protocols import (
    LISA_IMAGE,
    SA2VA_IMAGE,
    UNIPIXEL_IMAGE,
    Protocol,
    lisa,
    presets,
    sa2va,
    unipixel,
)
from word2mask.evaluation.referring import ReferringBenchmark
from word2mask.text.special_tokens import SEG

_QUESTIONS = {"all": "one question a sentence", "first": "one question an object, its first sentence"}


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
    texts_key = "all_sentences"
    presets: ClassVar[Mapping[str, Protocol]] = presets(
        {"wording": "own", "answer": "generated", "texts": "all", "segments": "all"},
        lisa=lisa({"answer": "forced", "texts": "all", "segments": "all"}, LISA_IMAGE),
        sa2va=sa2va({"answer": "generated", "texts": "all", "segments": "all"}, SA2VA_IMAGE),
        unipixel=unipixel({"answer": "generated", "texts": "all", "segments": "first"}, UNIPIXEL_IMAGE),
    )

    @classmethod
    def open(cls, root: Path, split: str) -> Source:
        return RefCOCOSource(root, split, cls.split_by, per_expression=True)

    @classmethod
    def fixture(cls, folder: Path, **options: Any) -> Self:
        split = options.pop("split", cls.splits[0])
        RefCOCOSource.fixture(folder, split=split, split_by=cls.split_by)
        return cls.build(folder, split, **options)

    @property
    def rules(self) -> str:
        asked = _QUESTIONS.get(self.switches["texts"], "one question an object, all of its sentences")
        segments = {"all": f"the union of all {SEG} masks", "first": f"the mask of the first {SEG}"}
        return (
            f"{asked}, {self.shown_prompt}; {segments[self.switches['segments']]} against the object, "
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


class RefCOCOgGoogle(RefCOCO):
    """RefCOCOg with Google's split, whose val shares pictures with its train; it has no test."""

    name = "refcocog_google"
    splits: ClassVar[tuple[str, ...]] = ("val",)
    folder = "ref_seg/refcocog"
    split_by = "google"
