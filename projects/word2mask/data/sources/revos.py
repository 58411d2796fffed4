"""ReVOS: expressions that name objects of a video, ask for them by reasoning, or fit nothing in it.

On disk, as in the package of Sa2VA's training data (``video_datas/revos``) and as its authors give it::

    <folder>/<source>/…/<video>/<frame>.jpg      or below <folder>/JPEGImages; a video is called TAO/…, UVO/…
    <folder>/meta_expressions_<split>_.json      {videos: {video: {frames: […], height, width,
                                                  expressions: {id: {exp, obj_id: […], anno_id: […], type_id}}}}}
    <folder>/mask_dict.json                      {anno_id: [run lengths | null, one a frame]}, of all splits
    <folder>/mask_dict_foreground.json           {video: {masks_rle: [run lengths, one a frame]}}, of all splits

https://github.com/cilinyan/ReVOS-api; what ``type_id`` and the foreground mean is from ``tools/eval_revos.py`` of
https://github.com/cilinyan/VISA (ec158fd), which calls 2 "nan" and scores types 0 and 1 alone. That ``anno_id`` is
empty where nothing fits is what the readers of Sa2VA (bytedance/Sa2VA, 9832e1a) and UniPixel (PolyU-ChenLab/UniPixel,
5c8e941) provide for.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from word2mask.data.annotations import load_json, require_folder
from word2mask.data.fixtures import box_track, moving_boxes, write_frames
from word2mask.data.media import VideoFile
from word2mask.data.sources.interface import check_split
from word2mask.data.sources.referring_videos import TrackedVideos, track_masks
from word2mask.errors import UserError
from word2mask.ops.masks import box_to_mask, encode_rle, union

#: By ``type_id``.
KINDS = ("referring", "reasoning", "hallucination")


class ReVOS(TrackedVideos):
    """A video a record, or an expression: see :class:`~word2mask.data.sources.referring_videos.ReferringVideos`.

    ``per_expression``: ``kind`` is one of :data:`KINDS`; ``extra`` holds besides ``type_id`` and ``foreground_area``,
    int64 ``[T]``: how many pixels of each frame belong to any annotated object of the video. The published robustness
    of a frame is 1 minus the wrongly predicted pixels over these, 0 at least. Where there is no
    ``mask_dict_foreground.json``, it is counted as VISA's ``tools/generate_foreground_mask.py`` makes that file: over
    the objects of all expressions of the video.

    Args:
        folder: e.g. ``video_datas/revos``.
        split: ``train`` or ``valid``.
        frames_per_sample: frames drawn for a training sample.
        expressions_per_sample: most turns of a training sample.
        per_expression: the view for evaluation.
        name: what to call it; the folder's name without.

    Raises:
        UserError: when a file or folder is missing or damaged, or has no expression of the split.
    """

    def __init__(
        self,
        folder: str | Path,
        split: str = "train",
        frames_per_sample: int = 5,
        expressions_per_sample: int = 5,
        per_expression: bool = False,
        name: str | None = None,
    ) -> None:
        folder = require_folder(Path(folder), "ReVOS, with meta_expressions_train_.json and mask_dict.json")
        name = name or folder.resolve().name
        prefix, suffix = "meta_expressions_", "_.json"
        found = [path.name[len(prefix) : -len(suffix)] for path in folder.glob(f"{prefix}?*{suffix}")]
        check_split(name, split, found, folder)
        frames_folder = folder / "JPEGImages"
        super().__init__(
            frames_folder if frames_folder.is_dir() else folder,
            folder / f"{prefix}{split}{suffix}",
            folder / "mask_dict.json",
            frames_per_sample,
            expressions_per_sample,
            per_expression,
            name,
        )
        self._foreground_file = folder / "mask_dict_foreground.json"
        self._foreground: dict[str, dict] | None = None
        if per_expression and self._foreground_file.exists():
            self._foreground = load_json(self._foreground_file, dict)
        # A video has some tens of expressions: its foreground is counted once.
        self._areas: dict[str, np.ndarray] = {}

    def _describe(self, video_id: str, expression_id: str, file: VideoFile) -> dict[str, Any]:
        type_id = self._videos[video_id]["expressions"][expression_id]["type_id"]
        if type_id not in range(len(KINDS)):
            raise UserError(f"type_id {type_id!r} in {self._file}; expected 0 … {len(KINDS) - 1}: {', '.join(KINDS)}")
        if video_id not in self._areas:
            self._areas[video_id] = self._count_foreground(video_id, file)
        return {"type_id": type_id, "kind": KINDS[type_id], "foreground_area": self._areas[video_id]}

    def _count_foreground(self, video_id: str, file: VideoFile) -> np.ndarray:
        frames = np.arange(len(file))
        if self._foreground is None:
            expressions = self._videos[video_id]["expressions"].values()
            objects = {str(number): number for expression in expressions for number in expression["anno_id"]}
            foreground = self._mask(list(objects.values()), frames, file)
        else:
            entry = self._foreground.get(video_id)
            if not isinstance(entry, dict):
                raise UserError(f"no video {video_id} in {self._foreground_file}; the two files don't belong together")
            what = f"the foreground of {video_id} in {self._foreground_file}"
            foreground = track_masks(entry.get("masks_rle"), frames, file, what)
        return np.zeros(len(file), dtype=np.int64) if foreground is None else foreground.sum(axis=(1, 2))

    @classmethod
    def fixture(cls, folder: Path, **options: object) -> ReVOS:
        size, boxes = (32, 48), moving_boxes(6)
        expressions = {
            "0": {"exp": "the red box", "obj_id": [0], "anno_id": [0], "type_id": 0},
            "1": {"exp": "Which of them comes later?", "obj_id": [1], "anno_id": [1], "type_id": 1},
            "2": {"exp": "the green box", "obj_id": [], "anno_id": [], "type_id": 2},
        }
        frames = write_frames(folder / "TAO" / "frames" / "first", size, boxes)
        write_frames(folder / "UVO" / "all" / "second", size, boxes[:3])
        only_red = {"0": {"exp": "the box", "obj_id": [0], "anno_id": [2], "type_id": 0}}
        sides = {"height": size[0], "width": size[1]}
        videos = {
            "TAO/frames/first": {"vid_id": 0, **sides, "frames": frames, "expressions": expressions},
            "UVO/all/second": {"vid_id": 1, **sides, "frames": frames[:3], "expressions": only_red},
        }
        red, blue = box_track(boxes, "red", size), box_track(boxes, "blue", size)
        together = [union((box_to_mask(box, *size) for box in frame.values()), *size) for frame in boxes]
        foreground = {
            "TAO/frames/first": {"masks_rle": [encode_rle(mask) for mask in together], "foreground_ratio": []},
            "UVO/all/second": {"masks_rle": red[:3], "foreground_ratio": []},
        }
        for split in ("train", "valid"):
            (folder / f"meta_expressions_{split}_.json").write_text(json.dumps({"videos": videos}))
        (folder / "mask_dict.json").write_text(json.dumps({"0": red, "1": blue, "2": red[:3]}))
        (folder / "mask_dict_foreground.json").write_text(json.dumps(foreground))
        return cls(folder, **options)
