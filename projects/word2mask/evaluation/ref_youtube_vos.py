"""Ref-YouTube-VOS: expressions for one object of a video. Seo et al., ECCV 2020; scored by the challenge's server."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from word2mask.data.sources.interface import Source
from word2mask.data.sources.ref_youtube_vos import RefYouTubeVOS as RefYouTubeVOSSource
from word2mask.evaluation.referring_videos import ABSENCE_METRICS, ReferringVideoBenchmark


class RefYouTubeVOS(ReferringVideoBenchmark):
    """A zip for the challenge's server; J and F where the masks are published.

    The zip holds ``Annotations/<video>/<expression>/<frame>.png``, as wjn922/ReferFormer (06fc218,
    ``inference_ytvos.py``) makes it.
    """

    name = "ref_youtube_vos"
    splits: ClassVar[tuple[str, ...]] = ("valid", "test", "train")
    folder = "video_datas/rvos"
    metrics: ClassVar[dict[str, str]] = ABSENCE_METRICS
    default_title = "Objects of videos"
    submission = "Annotations"
    source_class = RefYouTubeVOSSource

    @classmethod
    def open(cls, root: Path, split: str) -> Source:
        return RefYouTubeVOSSource(root, split, per_expression=True)
