"""Ref-DAVIS17: expressions for one object of a DAVIS 2017 video each, by four annotators.

On disk::

    <folder>/{train,valid}/JPEGImages/<video>/<frame>.jpg
    <folder>/{train,valid}/Annotations/<video>/<frame>.png, or <folder>/{train,valid}/mask_dict.pkl
    <folder>/meta_expressions/{train,valid}/meta_expressions.json

The layout is what ``tools/data/convert_davis_to_ytvos.py`` of https://github.com/wjn922/ReferFormer (06fc218) makes,
with DAVIS's unsupervised annotations, and that of Sa2VA's data (``video_datas/davis17``), which has
``valid/mask_dict.pkl``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from word2mask.data.fixtures import moving_boxes, write_frames, write_indices
from word2mask.data.media import VideoFile
from word2mask.data.sources.indexed_videos import VOID, IndexedVideos, object_of
from word2mask.errors import UserError

#: Two people, each once for the first frame and once for the whole video (convert_davis_to_ytvos.py), in this order.
NUM_ANNOTATORS = 4


class RefDAVIS(IndexedVideos):
    """A video a record, or an expression: see :class:`~word2mask.data.sources.indexed_videos.IndexedVideos`.

    ``per_expression``: ``extra`` holds besides what the official protocol needs (ReferFormer's ``inference_davis.py``
    and ``eval_davis.py``), which merges the objects of a video into one picture of indices for each annotator, scores
    each of the four as DAVIS does, and takes the mean: ``annotator`` 0 … 3, ``object_id``, and ``object_ids``, those
    of all objects of the video that are asked for. The void of the annotations is the sample's.
    """

    def __init__(
        self,
        folder: str | Path,
        split: str = "valid",
        frames_per_sample: int = 5,
        expressions_per_sample: int = 5,
        per_expression: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(folder, split, frames_per_sample, expressions_per_sample, per_expression, name)

    def _describe(self, video_id: str, expression_id: str, file: VideoFile) -> dict[str, Any]:
        objects: dict[int, list[str]] = {}
        for key, expression in self._videos[video_id]["expressions"].items():
            objects.setdefault(object_of(expression), []).append(key)
        for number, keys in objects.items():
            if len(keys) != NUM_ANNOTATORS:
                raise UserError(
                    f"object {number} has {len(keys)} expressions in {self._file}; "
                    f"expected one of each of the {NUM_ANNOTATORS} annotators"
                )
        number = object_of(self._videos[video_id]["expressions"][expression_id])
        return {
            "annotator": objects[number].index(expression_id),
            "object_id": number,
            "object_ids": sorted(objects),
        }

    @classmethod
    def fixture(cls, folder: Path, **options: object) -> RefDAVIS:
        size, boxes = (32, 48), moving_boxes(6)
        red = ["a red box", "a red box moving to the right", "the upper box", "the box that moves"]
        blue = ["a blue box", "a blue box that comes later", "the lower box", "the box that stands still"]
        asked = [{"exp": text, "obj_id": "1"} for text in red] + [{"exp": text, "obj_id": "2"} for text in blue]
        videos = {}
        for video, length, count in (("bike-packing", 6, 8), ("blackswan", 2, 4)):
            frames = write_frames(folder / "valid" / "JPEGImages" / video, size, boxes[:length])
            expressions = {str(number): expression for number, expression in enumerate(asked[:count])}
            videos[video] = {"expressions": expressions, "frames": frames}
            for frame, found in zip(frames, boxes, strict=False):
                numbered = [(1 if colour == "red" else 2, box) for colour, box in found.items()]
                # The last row is void in the first video.
                void = [(VOID, (0, 31, 48, 32))] if video == "bike-packing" else []
                write_indices(folder / "valid" / "Annotations" / video / f"{frame}.png", size, numbered + void)
        file = folder / "meta_expressions" / "valid" / "meta_expressions.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps({"videos": videos}))
        return cls(folder, **options)
