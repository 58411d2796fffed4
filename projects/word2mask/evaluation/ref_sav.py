"""Ref-SAV: long and short descriptions of objects of SA-V's videos. Yuan et al., "Sa2VA", arXiv:2501.04001."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from word2mask.data.sources.interface import Source
from word2mask.data.sources.ref_sav import KINDS, RefSAVEvaluation
from word2mask.evaluation.protocols import UNIPIXEL_DESCRIPTION, Protocol
from word2mask.evaluation.referring_videos import ReferringVideoBenchmark, video_presets


class RefSAV(ReferringVideoBenchmark):
    """The published average is that of the long and of the short descriptions, though there are seven times more long.

    UniPixel reports the mean over all of them: its numbers and Sa2VA's are different quantities.
    """

    name = "ref_sav"
    splits: ClassVar[tuple[str, ...]] = ("valid",)
    folder = "ref_sav_eval"
    default_title = "Described objects"
    kinds: ClassVar[tuple[str, ...]] = KINDS
    source_class = RefSAVEvaluation
    presets: ClassVar[Mapping[str, Protocol]] = video_presets(
        {"average": "kinds"}, {"average": "kinds"}, {"average": "expressions"}, UNIPIXEL_DESCRIPTION
    )

    @classmethod
    def open(cls, root: Path, split: str) -> Source:
        return RefSAVEvaluation(root, per_expression=True)
