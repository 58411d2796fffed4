"""ReasonVOS: questions that need reasoning to find an object of a video. Bai et al., "VideoLISA", NeurIPS 2024."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from word2mask.data.sources.interface import Source
from word2mask.data.sources.reason_vos import ReasonVOS as ReasonVOSSource
from word2mask.evaluation.protocols import Protocol, presets
from word2mask.evaluation.referring_videos import ReferringVideoBenchmark


class ReasonVOS(ReferringVideoBenchmark):
    """As showlab/VideoLISA (0273d32, ``evaluation/reason_vos/eval_reason_vos.py``) scores it.

    Of several expressions of a video with one object id, that counts the last; here each counts.
    """

    name = "reason_vos"
    splits: ClassVar[tuple[str, ...]] = ("test",)
    folder = "ReasonVOS"
    default_title = "Reasoning about videos"
    source_class = ReasonVOSSource
    presets: ClassVar[Mapping[str, Protocol]] = presets({"wording": "own", "answer": "generated", "segments": "all"})

    @classmethod
    def open(cls, root: Path, split: str) -> Source:
        return ReasonVOSSource(root, per_expression=True)

    @property
    def frames_scored(self) -> str:
        return "every frame that has a mask file"
