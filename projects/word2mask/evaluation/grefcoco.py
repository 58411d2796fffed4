"""gRefCOCO: expressions for one object, several, or none. Liu et al., "GRES", CVPR 2023."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from word2mask.data.sources.grefcoco import GRefCOCO as GRefCOCOSource
from word2mask.data.sources.interface import Source
from word2mask.evaluation.protocols import SA2VA_IMAGE, Protocol, presets, sa2va
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
    presets: ClassVar[Mapping[str, Protocol]] = presets(
        {"wording": "own", "segments": "all"}, sa2va=sa2va({"segments": "all"}, SA2VA_IMAGE)
    )

    @classmethod
    def open(cls, root: Path, split: str) -> Source:
        return GRefCOCOSource(root, split, per_expression=True)

    @classmethod
    def fixture(cls, folder: Path, **options: Any) -> Self:
        split = options.pop("split", cls.splits[0])
        GRefCOCOSource.fixture(folder, split=split)
        return cls.build(folder, split, **options)

    @property
    def rules(self) -> str:
        segments = {"all": f"the union of all {SEG} masks", "first": f"the mask of the first {SEG}"}
        return (
            f"one question a sentence, {self.shown_prompt}; {segments[self.switches['segments']]} against the union of "
            "the objects; no target: IoU 1 if no mask has a pixel, else 0 and its area adds to cIoU's union; N-acc = "
            "share of no-target samples without a mask, T-acc = share of the others with one"
        )
