"""Ref-SAV: descriptions of objects of SA-V's videos, long ones written by models and short ones.

On disk, for training (``video_datas`` of Sa2VA's training data; the videos come from SA-V's own site)::

    <annotations>.json       {video: {video_path, anno_path, objects: {number: {formated: "…", short_caps: ["…"]}}}}
    <video_folder>/sav_train/sav_000/sav_000001.mp4              24 frames a second
    <video_folder>/sav_train/sav_000/sav_000001_manual.json      {masklet: [[run lengths, one an object], …]}

``masklet`` has every fourth frame of the video, and ``number`` is an object's place in it. ``video_path`` and
``anno_path`` may name a folder twice (``sav_000/sav_train/sav_000/…``), which SA-V's own archives don't have. For
evaluation (``ref_sav_eval`` of Sa2VA's evaluation data)::

    <folder>/videos/<video>/<frame>.jpg
    <folder>/meta_expressions_valid.json     {videos: {video: {frames: […],
                                              expressions: {id: {exp, anno_id: […], type_id}}}}}
    <folder>/mask_dict.json                  {anno_id: [run lengths | null, one a frame]}

The fields are those that bytedance/Sa2VA reads (9832e1a: ``sa2va_data_03_refvos.py``, ``eval_ref_sav.py``; 2e7edca:
``ReSAM2_Dataset.py`` for ``short_caps``); the annotation of videos is
https://github.com/facebookresearch/sam2/tree/main/sav_dataset.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from word2mask.data import files
from word2mask.data.annotations import load_json, require_folder
from word2mask.data.fixtures import box_track, draw_boxes, moving_boxes, write_frames
from word2mask.data.media import VideoFile
from word2mask.data.sources.interface import draw, record
from word2mask.data.sources.referring_videos import Annotations, ReferringVideos, TrackedVideos, track_masks
from word2mask.data.sources.video_chat import write_mp4
from word2mask.errors import UserError
from word2mask.types import Media

#: By ``type_id`` of the evaluation data.
KINDS = ("long", "short")
#: SA-V is annotated at 6 frames a second, its videos have 24 (sav_dataset/README.md).
STEP = 4


class SAVVideo(VideoFile):
    """The annotated frames of a video of SA-V: every fourth. Indices count these, ``Media.frame_indices`` all."""

    def media(self, indices: Sequence[int] | np.ndarray) -> Media:
        media = super().media(indices)
        return replace(media, frame_indices=tuple(STEP * index for index in media.frame_indices))

    def _open(self) -> Any:
        if self._reader is None:
            self._reader = _EveryFourth(super()._open())
        return self._reader


class RefSAV(ReferringVideos):
    """A video a record, or an expression: see :class:`~word2mask.data.sources.referring_videos.ReferringVideos`.

    Up to ``expressions_per_sample`` objects are drawn, each with one description: of a kind drawn from ``kinds``, of
    those that it has. Only the annotated frames count (:class:`SAVVideo`). ``per_expression``: every description of
    every object is a record; ``kind`` is ``"long"`` or ``"short"``, ``frame_names`` are positions in the video at 24
    frames a second, and ``extra`` holds besides ``object_id``.

    Args:
        annotations: the JSON file.
        video_folder: of SA-V; ``sav_train`` lies in it.
        kinds: which descriptions: ``"long"``, ``"short"`` or both. The published models saw the long ones.
        frames_per_sample: frames drawn for a training sample.
        expressions_per_sample: most turns of a training sample.
        per_expression: the view for evaluation.
        name: what to call it; the file's name without.

    Raises:
        UserError: when the file or folder is missing or damaged, or has no description of these kinds.
    """

    def __init__(
        self,
        annotations: str | Path,
        video_folder: str | Path,
        kinds: Sequence[str] = ("long",),
        frames_per_sample: int = 5,
        expressions_per_sample: int = 5,
        per_expression: bool = False,
        name: str | None = None,
    ) -> None:
        file = Path(annotations)
        name = name or file.stem
        if not kinds or not set(kinds) <= set(KINDS):
            raise UserError(f"{name}: kinds are {' and '.join(KINDS)}, got {', '.join(kinds) or 'none'}")
        videos = {}
        for video_id, video in load_json(file, dict).items():
            with record(name, video_id, file):
                expressions = {
                    key: expression
                    for number, found in video["objects"].items()
                    for key, expression in _descriptions(number, found)
                    if expression["kind"] in kinds
                }
                videos[video_id] = {key: video[key] for key in ("video_path", "anno_path")} | {
                    "expressions": expressions
                }
        folder = require_folder(Path(video_folder), "the videos of SA-V")
        super().__init__(name, file, videos, folder, frames_per_sample, expressions_per_sample, per_expression)

    def _draw(self, video_id: str, rng: np.random.Generator) -> list[str]:
        objects: dict[str, dict[str, list[str]]] = {}
        for key, expression in self._videos[video_id]["expressions"].items():
            objects.setdefault(expression["object"], {}).setdefault(expression["kind"], []).append(key)
        chosen = []
        for kinds in draw(list(objects.values()), self.expressions_per_sample, rng):
            (keys,) = draw(list(kinds.values()), 1, rng)
            chosen += draw(keys, 1, rng)
        return chosen

    def _open(self, video_id: str) -> VideoFile:
        return SAVVideo(self._place(video_id, "video_path"))

    def _frame_names(self, video_id: str, file: VideoFile) -> list[str]:
        return [f"{STEP * index:05d}" for index in range(len(file))]

    def _describe(self, video_id: str, expression_id: str, file: VideoFile) -> dict[str, Any]:
        return {"object_id": int(self._videos[video_id]["expressions"][expression_id]["object"])}

    def _annotations(
        self, video_id: str, expression_ids: Sequence[str], frames: np.ndarray, file: VideoFile
    ) -> Annotations:
        path = self._place(video_id, "anno_path")
        masklet = load_masklet(path, len(file), file.name)
        masks: list[np.ndarray | None] = []
        for expression_id in expression_ids:
            number = int(self._videos[video_id]["expressions"][expression_id]["object"])
            if not 0 <= number < min(map(len, masklet)):
                raise UserError(f"no object {number} in {path}; the two files don't belong together")
            track = [objects[number] for objects in masklet]
            masks.append(track_masks(track, frames, file, f"object {number} in {path}"))
        return masks, None

    def _place(self, video_id: str, key: str) -> Path:
        """Where a video or its annotation lies: as the file says, or without the folder that it names twice."""
        path = Path(self._videos[video_id][key])
        parts = list(path.parts)
        if "sav_train" in parts:
            middle = parts.index("sav_train")
            if 0 < middle < len(parts) - 1 and parts[middle - 1] == parts[middle + 1]:
                del parts[middle - 1]
        given = self._media_folder / path
        return given if files.exists(given) else self._media_folder.joinpath(*parts)

    @classmethod
    def fixture(cls, folder: Path, **options: object) -> RefSAV:
        size, scale = (64, 96), 2
        place = folder / "sam_v_full" / "sav_train" / "sav_000"
        place.mkdir(parents=True)
        videos = {}
        # 22 and 9 frames at 24 a second: 6 and 3 of them are annotated.
        for video_id, num_frames in (("sav_000001", 22), ("sav_000002", 9)):
            boxes = moving_boxes(-(-num_frames // STEP), scale)
            frames = [draw_boxes(size, boxes[t // STEP]) for t in range(num_frames)]
            write_mp4(place / f"{video_id}.mp4", np.stack(frames), fps=24)
            masklet = zip(*(_visible(box_track(boxes, colour, size), size) for colour in ("red", "blue")), strict=True)
            annotation = {
                "video_id": video_id,
                "video_frame_count": float(num_frames),
                "masklet": [list(objects) for objects in masklet],
                "masklet_id": [0, 1],
                "masklet_num": 2,
            }
            (place / f"{video_id}_manual.json").write_text(json.dumps(annotation))
            stem = f"sav_000/sav_train/sav_000/{video_id}"
            red = {"formated": "The object is a red box. It moves to the right.", "short_caps": ["A red box"]}
            blue = {
                "formated": "The object is a blue box below. It comes later.",
                "short_caps": ["A blue box", "A box"],
            }
            objects = {"0": red, "1": blue} if video_id == "sav_000001" else {"0": red}
            paths = {"video_path": f"{stem}.mp4", "anno_path": f"{stem}_manual.json"}
            videos[video_id] = paths | {"objects": objects}
        (folder / "Ref-SAV.json").write_text(json.dumps(videos))
        return cls(folder / "Ref-SAV.json", folder / "sam_v_full", **options)


class RefSAVEvaluation(TrackedVideos):
    """The published evaluation data: see :class:`~word2mask.data.sources.referring_videos.ReferringVideos`.

    ``per_expression``: ``kind`` is ``"long"`` or ``"short"``.

    Args:
        folder: e.g. ``ref_sav_eval``.
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
        folder = Path(folder)
        super().__init__(
            folder / "videos",
            folder / "meta_expressions_valid.json",
            folder / "mask_dict.json",
            frames_per_sample,
            expressions_per_sample,
            per_expression,
            name or folder.resolve().name,
        )

    def _describe(self, video_id: str, expression_id: str, file: VideoFile) -> dict[str, Any]:
        type_id = self._videos[video_id]["expressions"][expression_id]["type_id"]
        if type_id not in range(len(KINDS)):
            raise UserError(f"type_id {type_id!r} in {self._file}; expected 0 (long) or 1 (short)")
        return {"kind": KINDS[type_id]}

    @classmethod
    def fixture(cls, folder: Path, **options: object) -> RefSAVEvaluation:
        size, boxes = (32, 48), moving_boxes(6)
        expressions = {
            "0": {"exp": "The object is a red box. It moves.", "obj_id": [0], "anno_id": [0], "type_id": 0},
            "1": {"exp": "the blue box", "obj_id": [1], "anno_id": [1], "type_id": 1},
        }
        videos = {}
        for video, shown in (("sav_000001", expressions), ("sav_000002", {"0": expressions["0"]})):
            frames = write_frames(folder / "videos" / video, size, boxes)
            videos[video] = {"frames": frames, "height": size[0], "width": size[1], "expressions": shown}
        masks = {"0": box_track(boxes, "red", size), "1": box_track(boxes, "blue", size)}
        (folder / "meta_expressions_valid.json").write_text(json.dumps({"videos": videos}))
        (folder / "mask_dict.json").write_text(json.dumps(masks))
        return cls(folder, **options)


class _EveryFourth:
    """Every fourth frame of what another reader gives."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self.num_frames = -(-reader.num_frames // STEP)
        self.size = reader.size
        self.fps = None if reader.fps is None else reader.fps / STEP

    def read(self, indices: list[int]) -> np.ndarray:
        return self._reader.read([STEP * index for index in indices])


def load_masklet(path: Path, num_frames: int, video: str) -> list[list[Any]]:
    """The masks of a file of SA-V, ``[T][N]`` run lengths; nothing of them is read yet.

    Args:
        path: the file.
        num_frames: annotated frames T of the video.
        video: its name, for the message.

    Raises:
        UserError: it isn't there, isn't such a file, or belongs to another video.
    """
    masklet = load_json(path, dict).get("masklet")
    if not isinstance(masklet, list) or len(masklet) != num_frames:
        length = f"{len(masklet)} frames" if isinstance(masklet, list) else type(masklet).__name__
        raise UserError(
            f"{path}: expected the masks ('masklet') of {num_frames} frames, every {STEP}th of {video}, got {length}"
        )
    return masklet


def _descriptions(number: str, found: dict) -> list[tuple[str, dict]]:
    """The descriptions of an object by the ids that they get here: ``0/long``, ``0/short/0`` …"""
    described = []
    if "formated" in found:
        described.append((f"{number}/long", {"exp": found["formated"], "object": number, "kind": "long"}))
    for position, text in enumerate(found.get("short_caps") or []):
        described.append((f"{number}/short/{position}", {"exp": text, "object": number, "kind": "short"}))
    return described


def _visible(track: list[dict[str, Any] | None], size: tuple[int, int]) -> list[dict[str, Any]]:
    """SA-V gives an object that isn't seen the run lengths of an empty mask."""
    empty = {"size": list(size), "counts": [size[0] * size[1]]}
    return [empty if mask is None else mask for mask in track]
