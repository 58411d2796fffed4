"""Conversations about videos in Chat-UniVi's format.

On disk::

    <annotations>.json                     [{id, video, conversations: [{from: human | gpt, value}]}]
    <video_folder>/<video>                 an .mp4 file …, or a folder of frames

https://github.com/PKU-YuanGroup/Chat-UniVi
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from word2mask.data.fixtures import draw_boxes
from word2mask.data.media import VideoFile
from word2mask.data.sources.annotated_media import AnnotatedMedia
from word2mask.data.sources.interface import drawing, record
from word2mask.data.sources.llava import count_questions, turns_of
from word2mask.ops.frames import segment_frames
from word2mask.types import Sample


class VideoChat(AnnotatedMedia):
    """A conversation a record, with one frame drawn from each of ``frames_per_sample`` equal segments of its video.

    ``per_expression``: a question with its answer a record, without the turns before it; ``media`` is ``None`` and
    ``extra`` holds besides ``video`` and ``answer``.

    Args:
        annotations: the JSON file.
        video_folder: where the videos lie.
        frames_per_sample: frames of a training sample.
        per_expression: the view for evaluation.
        name: what to call it; the file's name without.

    Raises:
        UserError: when the file or folder is missing or damaged.
    """

    tasks = ("video_chat",)
    media = "videos"

    def __init__(
        self,
        annotations: str | Path,
        video_folder: str | Path,
        frames_per_sample: int = 5,
        per_expression: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(annotations, video_folder, per_expression, name)
        self.frames_per_sample = frames_per_sample

    def read(self, index: int, rng: np.random.Generator | None = None) -> Sample:
        rng = drawing(rng, self.per_expression)
        entry, number, record_id = self._locate(index)
        with record(self.name, record_id, self._file):
            turns, extra = turns_of(entry, number)
            video = VideoFile(self._media_path(entry["video"]))
            if self.per_expression:
                return Sample(self.name, record_id, "video_chat", turns, extra=extra | {"video": video})
            frames = segment_frames(len(video), self.frames_per_sample, rng)
            return Sample(self.name, record_id, "video_chat", turns, video.media(frames))

    def _count_questions(self, entry: Any) -> int:
        return count_questions(entry)

    @classmethod
    def fixture(cls, folder: Path, **options: object) -> VideoChat:
        (folder / "videos").mkdir(parents=True)
        records = []
        for name, answer in (("a", "To the right."), ("b", "It stands still.")):
            frames = [draw_boxes((64, 128), {"red": (4 + 8 * t * (name == "a"), 6, 24 + 8 * t, 26)}) for t in range(10)]
            write_mp4(folder / "videos" / f"{name}.mp4", np.stack(frames), fps=8)
            conversation = [
                {"from": "human", "value": "<video>\nWhere does the box go?"},
                {"from": "gpt", "value": answer},
            ]
            records.append({"id": name, "video": f"{name}.mp4", "conversations": conversation})
        (folder / "chat.json").write_text(json.dumps(records))
        return cls(folder / "chat.json", folder / "videos", **options)


def write_mp4(path: Path, frames: np.ndarray, fps: float) -> None:
    """Frames uint8 RGB ``[T,H,W,3]`` as an MPEG-4 video.

    Raises:
        OSError: when this OpenCV can't write one.
    """
    height, width = frames.shape[1:3]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), fps, (width, height))
    if not writer.isOpened():
        raise OSError(f"{path}: OpenCV can't write an mp4 video here")
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[:, :, ::-1]))
    writer.release()
