"""MeViS: expressions, mostly of motion, for one object or several of a video.

On disk::

    <folder>/JPEGImages/<video>/<frame>.jpg
    <folder>/meta_expressions.json         {videos: {video: {frames: […], expressions: {id: {exp, anno_id: […]}}}}}
    <folder>/mask_dict.json                {anno_id: [run lengths | null, one a frame]}

https://github.com/henghuiding/MeViS
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from word2mask.data.annotations import load_json, require_folder
from word2mask.data.fixtures import Box, write_picture
from word2mask.data.media import VideoFile
from word2mask.data.sources.interface import Source, draw, drawing, record
from word2mask.errors import UserError
from word2mask.ops.frames import random_frames
from word2mask.ops.masks import box_to_mask, decode_rle, encode_rle, union
from word2mask.text.questions import segmentation_answer, video_segmentation_question
from word2mask.types import Sample, Turn


class MeViS(Source):
    """A video a record; up to ``expressions_per_sample`` expressions as turns of one conversation, on the same frames.

    Each answer has one ``[SEG]``; the objects of an expression are OR-ed, as published. ``per_expression``: an
    expression a record; ``media`` is ``None``, ``extra["video"]`` opens the frames, masks are ``[1,T,H,W]`` for all T,
    and ``extra`` holds besides ``video_id``, ``expression_id``, ``frame_names``.

    Args:
        folder: a split's folder, e.g. ``mevis/train``.
        frames_per_sample: frames drawn for a training sample.
        expressions_per_sample: most turns of a training sample.
        per_expression: the view for evaluation.
        name: what to call it; the parent folder's name without.

    Raises:
        UserError: when a file or folder is missing or damaged, or there is no expression at all.
    """

    tasks = ("video_refer",)

    def __init__(
        self,
        folder: str | Path,
        frames_per_sample: int = 5,
        expressions_per_sample: int = 5,
        per_expression: bool = False,
        name: str | None = None,
    ) -> None:
        folder = Path(folder)
        self.name = name or folder.resolve().parent.name
        self.per_expression = per_expression
        self.frames_per_sample = frames_per_sample
        self.expressions_per_sample = expressions_per_sample
        self._frames_folder = require_folder(folder / "JPEGImages", "a folder of frames for each video")
        self._file = folder / "meta_expressions.json"
        self._mask_file = folder / "mask_dict.json"
        self._masks: dict[str, list] = load_json(self._mask_file, dict)
        meta = load_json(self._file, dict)
        if not isinstance(meta.get("videos"), dict):
            raise UserError(f"{self._file}: not MeViS expressions: no object 'videos'")
        self._videos: dict[str, dict] = {}
        self._expressions: list[tuple[str, str]] = []
        for video_id, video in meta["videos"].items():
            with record(self.name, video_id, self._file):
                ids = list(video["expressions"])
                if ids and not video["frames"]:
                    raise UserError(f"a video with no frames in {self._file}")
            if ids:
                self._videos[video_id] = video
                self._expressions += [(video_id, expression_id) for expression_id in ids]
        if not self._expressions:
            raise UserError(f"{self._file}: no expression in it; check that it is the file of this split")
        self._video_ids = list(self._videos)

    def __len__(self) -> int:
        return len(self._expressions if self.per_expression else self._video_ids)

    def read(self, index: int, rng: np.random.Generator | None = None) -> Sample:
        rng = drawing(rng, self.per_expression)
        if self.per_expression:
            return self._read_expression(*self._expressions[index], rng)
        video_id = self._video_ids[index]
        video = self._videos[video_id]
        with record(self.name, video_id, self._file):
            file = self._open(video_id)
            frames = random_frames(len(file), self.frames_per_sample, rng)
            chosen = draw(list(video["expressions"].values()), self.expressions_per_sample, rng)
            turns: list[Turn] = []
            for expression in chosen:
                turns += _turns(expression["exp"], rng)
            masks = np.stack([self._mask(expression, frames, file.size) for expression in chosen])
            return Sample(self.name, video_id, "video_refer", tuple(turns), file.media(frames), masks)

    def _read_expression(self, video_id: str, expression_id: str, rng: np.random.Generator) -> Sample:
        record_id = f"{video_id}/{expression_id}"
        with record(self.name, record_id, self._file):
            video = self._videos[video_id]
            expression = video["expressions"][expression_id]
            file = self._open(video_id)
            extra = {
                "video": file,
                "expression": expression["exp"].strip(),
                "kind": expression.get("kind", ""),
                "video_id": video_id,
                "expression_id": expression_id,
                "frame_names": list(video["frames"]),
            }
            masks = self._mask(expression, np.arange(len(file)), file.size)[None]
            turns = _turns(expression["exp"], rng)
            return Sample(self.name, record_id, "video_refer", turns, None, masks, extra=extra)

    def _open(self, video_id: str) -> VideoFile:
        names = [f"{frame}.jpg" for frame in self._videos[video_id]["frames"]]
        return VideoFile(self._frames_folder / video_id, names)

    def _mask(self, expression: dict[str, Any], frames: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """The union of an expression's objects on some frames: bool ``[k,H,W]``."""
        tracks = []
        for annotation_id in expression["anno_id"]:
            if str(annotation_id) not in self._masks:
                raise UserError(f"no object {annotation_id} in {self._mask_file}; the two files don't belong together")
            tracks.append(self._masks[str(annotation_id)])
        masks = [
            union((decode_rle(track[frame]) for track in tracks if track[frame] is not None), *size) for frame in frames
        ]
        return np.stack(masks)

    @classmethod
    def fixture(cls, folder: Path, **options: object) -> MeViS:
        size, folder = (32, 48), folder / "train"
        frames = [f"{number:05d}" for number in range(6)]
        tracks: dict[str, list[Box | None]] = {
            # Red moves to the right by 4 pixels a frame; blue is absent from the first two frames.
            "0": [(2 + 4 * t, 4, 12 + 4 * t, 14) for t in range(6)],
            "1": [None if t < 2 else (20, 18, 40, 30) for t in range(6)],
        }
        expressions = {
            "0": {"exp": "the red box moving to the right", "obj_id": [0], "anno_id": [0]},
            "1": {"exp": "both boxes", "obj_id": [0, 1], "anno_id": [0, 1]},
        }
        for video in ("first", "second"):
            for t, frame in enumerate(frames):
                boxes = {"red": tracks["0"][t]} | ({"blue": tracks["1"][t]} if tracks["1"][t] else {})
                write_picture(folder / "JPEGImages" / video / f"{frame}.jpg", size, boxes)
        videos = {
            "first": {"frames": frames, "vid_id": 0, "expressions": expressions},
            "second": {"frames": frames[:3], "vid_id": 1, "expressions": {"0": expressions["0"]}},
        }
        masks = {
            key: [None if box is None else encode_rle(box_to_mask(box, *size)) for box in track]
            for key, track in tracks.items()
        }
        (folder / "meta_expressions.json").write_text(json.dumps({"videos": videos}))
        (folder / "mask_dict.json").write_text(json.dumps(masks))
        return cls(folder, **options)


def _turns(expression: str, rng: np.random.Generator) -> tuple[Turn, ...]:
    question = video_segmentation_question(expression.strip().rstrip("."), rng)
    return Turn("user", question), Turn("assistant", segmentation_answer(1, rng))
