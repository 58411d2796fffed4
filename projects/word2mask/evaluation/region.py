"""What is in the marked region? Questions with visual prompts, in Osprey's format (Yuan et al., CVPR 2024)."""

from __future__ import annotations

from word2mask.data.sources.osprey import Osprey
from word2mask.evaluation.chat import ExactMatchBenchmark


class Region(ExactMatchBenchmark):
    """Every question about a region is a sample; all regions of the picture are given."""

    name = "region"
    default_title = "Marked regions"
    folder = "osprey"
    reader = Osprey
