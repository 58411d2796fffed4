"""Ref-DAVIS17: objects of DAVIS's videos, each named by four annotators. Khoreva et al., ACCV 2018."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from word2mask.data.sources.interface import Source
from word2mask.data.sources.ref_davis import RefDAVIS as RefDAVISSource
from word2mask.evaluation.interface import Scores, mean, media_of
from word2mask.evaluation.protocols import Protocol
from word2mask.evaluation.records import Record, decode_segments
from word2mask.evaluation.referring_videos import ReferringVideoBenchmark, video_presets
from word2mask.metrics.davis import VOID_LABEL, Statistics, merge_objects, sequence_scores
from word2mask.types import Sample


class RefDAVIS(ReferringVideoBenchmark):
    """J and F by DAVIS's own protocol, or of each expression by itself, as Sa2VA and UniPixel report it.

    By DAVIS's protocol (``objects=together``), the masks for an annotator's expressions are merged into one picture of
    labels a frame, an earlier object over a later one, and scored as DAVIS's unsupervised task does; the numbers are
    means over objects for each annotator, and then over the four (wjn922/ReferFormer, 06fc218, ``inference_davis.py``
    and ``eval_davis.py``; that merges scores where here are masks). An object that isn't in a video's first frame
    doesn't count, as in DAVIS's toolkit.
    """

    name = "ref_davis"
    splits: ClassVar[tuple[str, ...]] = ("valid", "train")
    folder = "video_datas/davis17"
    default_title = "Named objects of videos"
    source_class = RefDAVISSource
    presets: ClassVar[Mapping[str, Protocol]] = video_presets(
        {"objects": "together"}, {"objects": "apart"}, {"objects": "apart"}
    )

    @classmethod
    def open(cls, root: Path, split: str) -> Source:
        return RefDAVISSource(root, split, per_expression=True)

    @property
    def rules(self) -> str:
        if self.switches["objects"] == "apart":
            return super().rules
        return (
            f"one question an expression, {self.shown_prompt}; the masks for each annotator merged into one picture of "
            "labels a frame, scored by DAVIS 2017's unsupervised protocol without void; J = mean IoU, F = boundary F "
            "with a tolerance of 0.008 of the diagonal; mean over frames, then objects, then the four annotators"
        )

    def complete(self, records: Sequence[Record], part: int = 0, parts: int = 1) -> dict[int, Scores]:
        """J and F of each expression's object among the others of its video and annotator.

        Args:
            records: of all samples.
            part: which share of the videos.
            parts: how many shares there are.

        Returns:
            position → ``{"together": [J, F]}``; nothing for an object that the first frame doesn't show.
        """
        if self.switches["objects"] == "apart":
            return {}
        videos: dict[str, list[Record]] = {}
        for record in records:
            videos.setdefault(record.id.rpartition("/")[0], []).append(record)
        found: dict[int, Scores] = {}
        for members in list(videos.values())[part::parts]:
            found.update(self._complete_video(members))
        return found

    def _complete_video(self, records: Sequence[Record]) -> dict[int, Scores]:
        samples = [self.sample(record.position) for record in records]
        numbers = samples[0].extra["object_ids"]
        target = self._labels(samples, numbers)
        found: dict[int, Scores] = {}
        for annotator in sorted({sample.extra["annotator"] for sample in samples}):
            own = [
                (record, numbers.index(sample.extra["object_id"]))
                for record, sample in zip(records, samples, strict=True)
                if sample.extra["annotator"] == annotator
            ]
            masks = np.zeros((len(numbers), *target.shape), dtype=bool)
            for record, place in own:
                segments = decode_segments(record)
                if segments is not None:
                    masks[place] = segments[0] if self.switches["segments"] == "first" else segments.any(axis=0)
            scores = sequence_scores(merge_objects(masks), target)
            for record, place in own:
                if place < len(scores):
                    j, f = (Statistics.of(values).mean for values in scores[place])
                    found[record.position] = {"together": [j, f]}
        return found

    @staticmethod
    def _labels(samples: Sequence[Sample], numbers: Sequence[int]) -> np.ndarray:
        """The true labels of a video, uint8 ``[T,H,W]``: 1 + an object's place among ``numbers``; void is 255."""
        media = media_of(samples[0])
        labels = np.zeros((len(media), *media.size), dtype=np.uint8)
        for sample in samples:
            if sample.masks is not None:
                labels[sample.masks.any(axis=0)] = numbers.index(sample.extra["object_id"]) + 1
        void = next((sample.void for sample in samples if sample.void is not None), None)
        if void is not None:
            labels[void] = VOID_LABEL
        return labels

    def summarise(self, scores: Sequence[Scores]) -> dict[str, float]:
        together = [one["together"] for one in scores if "together" in one]
        if self.switches["objects"] == "apart" or not together:
            # While samples are being answered, the running score is that of each expression by itself.
            return super().summarise(scores)
        # Every annotator names the same objects, so the mean over all is the mean of the four means.
        j, f = (100 * mean([one[place] for one in together]) for place in (0, 1))
        return {"j&f": (j + f) / 2, "j": j, "f": f}

    def sample_score(self, scores: Scores) -> float:
        """J&F of the expression by itself."""
        return 50 * (scores["j"] + scores["f"])
