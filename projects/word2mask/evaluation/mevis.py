"""MeViS: expressions of motion in videos. Ding et al., ICCV 2023, https://github.com/henghuiding/MeViS."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

from word2mask.data.sources.interface import Source
from word2mask.data.sources.mevis import MeViS as MeViSSource
from word2mask.evaluation.referring_videos import ABSENCE_METRICS, ReferringVideoBenchmark


class MeViS(ReferringVideoBenchmark):
    """J and F on ``valid_u``; ``valid`` and ``test`` as a zip for the challenge's server.

    The zip holds ``<video>/<expression>/<frame>.png`` at its top (README, "CodaLab Evaluation Submission Guideline").
    """

    name = "mevis"
    splits: ClassVar[tuple[str, ...]] = ("valid_u", "valid", "test", "train")
    folder = "video_seg/mevis"
    other_folders = ("video_datas/mevis",)
    metrics: ClassVar[dict[str, str]] = ABSENCE_METRICS
    default_title = "Objects in motion"
    submission = ""
    source_class = MeViSSource

    @classmethod
    def open(cls, root: Path, split: str) -> Source:
        return MeViSSource(root / split, per_expression=True)

    @classmethod
    def fixture(cls, folder: Path, **options: Any) -> Self:
        split = options.pop("split", cls.splits[0])
        MeViSSource.fixture(folder, split=split, per_expression=True)
        return cls.build(folder, split, **options)
