"""Short answers to questions about a picture or a video, in the JSON formats of LLaVA and Chat-UniVi: exact match."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from word2mask.data.sources.interface import Source
from word2mask.data.sources.llava import LLaVA
from word2mask.data.sources.video_chat import VideoChat
from word2mask.evaluation.annotated_media import AnnotatedMediaBenchmark
from word2mask.evaluation.interface import Scores, mean
from word2mask.metrics.text import exact_match
from word2mask.types import Result, Sample


class ExactMatchBenchmark(AnnotatedMediaBenchmark):
    """Asks a question in the dataset's own words and compares the answer with the reference."""

    metrics: ClassVar[dict[str, str]] = {"exact": "exact match"}

    @property
    def rules(self) -> str:
        return (
            "each question by itself, in the dataset's words; right if the answer equals the reference, but for case, "
            "punctuation, articles and number words"
        )

    def question(self, sample: Sample) -> str:
        return sample.extra["expression"]

    def score(self, result: Result, sample: Sample) -> Scores:
        reference = sample.extra["answer"]
        return {"exact": exact_match(result.text, reference), "reference": reference}

    def summarise(self, scores: Sequence[Scores]) -> dict[str, float]:
        return {"exact": 100 * mean([float(one["exact"]) for one in scores])} if scores else {}


class ImageChat(ExactMatchBenchmark):
    """Questions about pictures."""

    name = "image_chat"
    default_title = "Questions about pictures"
    folder = "llava"
    reader = LLaVA


class VideoQuestions(ExactMatchBenchmark):
    """Questions about videos; the session chooses the frames that the model sees."""

    name = "video_chat"
    default_title = "Questions about videos"
    folder = "video_chat"
    reader = VideoChat

    @classmethod
    def open(cls, root: Path, split: str, annotations: str = "{split}.json", videos: str = "videos") -> Source:
        """Paths below ``root``; ``{split}`` is replaced."""
        return super().open(root, split, annotations, videos)
