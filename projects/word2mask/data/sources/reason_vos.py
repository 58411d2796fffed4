"""ReasonVOS: questions and descriptions that need reasoning to find an object of a video; for evaluation.

On disk::

    <folder>/JPEGImages/<video>/<frame>.jpg
    <folder>/Annotations/<source>_<video>_<obj_id>/<frame>.png       not 0 where the object is
    <folder>/meta_expressions.json      {videos: {video: {source, is_sent, expressions: {id: {exp_text, obj_id}}}}}

https://github.com/showlab/VideoLISA: ``BENCHMARK.md``, ``benchmark_check.py`` and ``evaluation/reason_vos`` (066497e).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from word2mask.data import files
from word2mask.data.annotations import require_folder
from word2mask.data.fixtures import moving_boxes, write_frames, write_indices
from word2mask.data.media import VideoFile
from word2mask.data.sources.indexed_videos import read_indices
from word2mask.data.sources.interface import record
from word2mask.data.sources.referring_videos import Annotations, ReferringVideos, load_described
from word2mask.errors import UserError


class ReasonVOS(ReferringVideos):
    """A video a record, or an expression: see :class:`~word2mask.data.sources.referring_videos.ReferringVideos`.

    The published evaluation looks at the frames that have a mask file; on the others everything is void.
    ``per_expression``: ``kind`` is ``"sentence"`` or ``"phrase"``; ``extra`` holds besides ``is_sentence``, and
    ``scored_frames``, indices of the frames with a mask file.

    Args:
        folder: where ``meta_expressions.json`` lies.
        frames_per_sample: frames drawn for a training sample.
        expressions_per_sample: most turns of a training sample.
        per_expression: the view for evaluation.
        name: what to call it; the folder's name without.

    Raises:
        UserError: when a file or folder is missing or damaged, or there is no expression at all.
    """

    def __init__(
        self,
        folder: str | Path,
        frames_per_sample: int = 5,
        expressions_per_sample: int = 5,
        per_expression: bool = False,
        name: str | None = None,
    ) -> None:
        folder = require_folder(Path(folder), "ReasonVOS, with meta_expressions.json")
        name = name or folder.resolve().name
        file = folder / "meta_expressions.json"
        read: dict[str, dict] = {}
        for video_id, video in load_described(file).items():
            with record(name, video_id, file):
                kind = "sentence" if video["is_sent"] else "phrase"
                expressions = {
                    key: {"exp": expression["exp_text"], "obj_id": str(expression["obj_id"]), "kind": kind}
                    for key, expression in video["expressions"].items()
                }
                read[video_id] = {"source": video["source"], "expressions": expressions}
        self._annotation_folder = require_folder(folder / "Annotations", "a folder of masks for each object")
        frames_folder = require_folder(folder / "JPEGImages", "a folder of frames for each video")
        super().__init__(name, file, read, frames_folder, frames_per_sample, expressions_per_sample, per_expression)

    def media_folders(self) -> tuple[Path, ...]:
        return (self._media_folder, self._annotation_folder)

    def _open(self, video_id: str) -> VideoFile:
        return VideoFile(self._media_folder / video_id, self._frame_files(video_id))

    def _frame_files(self, video_id: str) -> list[str]:
        """All frames of the folder, sorted as text, as the published code takes them."""
        folder = require_folder(self._media_folder / video_id, "the frames of a video")
        return sorted(path.name for path in files.list_folder(folder) if path.suffix == ".jpg")

    def _frame_names(self, video_id: str, file: VideoFile) -> list[str]:
        return [Path(name).stem for name in self._frame_files(video_id)]

    def _describe(self, video_id: str, expression_id: str, file: VideoFile) -> dict[str, Any]:
        folder, names = self._masks_of(video_id, expression_id), self._frame_names(video_id, file)
        scored = [index for index, name in enumerate(names) if files.is_file(folder / f"{name}.png")]
        if not scored:
            raise UserError(f"{folder}: no mask of any frame of {file.name}")
        is_sentence = self._videos[video_id]["expressions"][expression_id]["kind"] == "sentence"
        return {"is_sentence": is_sentence, "scored_frames": scored}

    def _annotations(
        self, video_id: str, expression_ids: Sequence[str], frames: np.ndarray, file: VideoFile
    ) -> Annotations:
        names = self._frame_names(video_id, file)
        found: list[np.ndarray | None] = []
        void = np.zeros((len(frames), *file.size), dtype=bool)
        for expression_id in expression_ids:
            folder = self._masks_of(video_id, expression_id)
            masks = np.zeros((len(frames), *file.size), dtype=bool)
            for place, frame in enumerate(frames):
                path = folder / f"{names[frame]}.png"
                if files.is_file(path):
                    masks[place] = read_indices(path, file.size) != 0
                else:
                    void[place] = True
            found.append(masks)
        return found, void if void.any() else None

    def _masks_of(self, video_id: str, expression_id: str) -> Path:
        """The folder of an expression's masks; the source's name stands in it as in the file, or in lower case."""
        video = self._videos[video_id]
        number = video["expressions"][expression_id]["obj_id"]
        folders = [
            self._annotation_folder / f"{source}_{video_id}_{number}"
            for source in (video["source"], video["source"].lower())
        ]
        return next((folder for folder in folders if files.is_folder(folder)), None) or require_folder(
            folders[0], "the masks of an object"
        )

    @classmethod
    def fixture(cls, folder: Path, **options: object) -> ReasonVOS:
        size, boxes = (32, 48), moving_boxes(6)
        first = {
            "0": {"exp_text": "Which of the two stays on its way?", "obj_id": 0},
            "1": {"exp_text": "What comes later?", "obj_id": 1},
        }
        videos = {}
        for video, source, length, shown in (("one", "MOSE", 6, first), ("two", "VIPSeg", 3, {"0": first["0"]})):
            frames = write_frames(folder / "JPEGImages" / video, size, boxes[:length])
            for key, colour in zip(shown, ("red", "blue"), strict=False):
                # Of the first video, every second frame has a mask.
                for name, frame in list(zip(frames, boxes, strict=False))[:: 2 if video == "one" else 1]:
                    box = [(255, frame[colour])] if colour in frame else []
                    place = folder / "Annotations" / f"{source.lower()}_{video}_{key}"
                    write_indices(place / f"{name}.png", size, box)
            videos[video] = {"source": source, "frames": frames, "is_sent": video == "one", "expressions": shown}
        (folder / "meta_expressions.json").write_text(json.dumps({"videos": videos}))
        return cls(folder, **options)
