"""What is in the marked region? Questions with visual prompts, in Osprey's format (Yuan et al., CVPR 2024)."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from word2mask.data.sources.interface import Source
from word2mask.data.sources.osprey import Osprey
from word2mask.evaluation.chat import ExactMatchBenchmark


class Region(ExactMatchBenchmark):
    """Every question about a region is a sample; all regions of the picture are given."""

    name = "region"
    default_title = "Marked regions"
    splits: ClassVar[tuple[str, ...]] = ("val", "test")
    folder = "osprey"

    @classmethod
    def open(cls, root: Path, split: str, annotations: str = "{split}.json", pictures: str = "images") -> Source:
        """Paths below ``root``; ``{split}`` is replaced."""
        return Osprey(
            root / annotations.replace("{split}", split),
            root / pictures.replace("{split}", split),
            per_expression=True,
        )
