"""MeViS: expressions, mostly of motion, for one object or several of a video; in its second version also for none.

On disk::

    <folder>/JPEGImages/<video>/<frame>.jpg
    <folder>/meta_expressions.json         {videos: {video: {frames: […], expressions: {id: {exp, anno_id: […]}}}}}
    <folder>/mask_dict.json                {anno_id: [run lengths | null, one a frame]}; not of valid and test

The challenges publish the expressions of ``test`` as ``meta_expressions_release.json``.

https://github.com/henghuiding/MeViS
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

from word2mask.data.fixtures import box_track, moving_boxes, write_frames
from word2mask.data.sources.referring_videos import TrackedVideos


class MeViS(TrackedVideos):
    """A video a record, or an expression: see :class:`~word2mask.data.sources.referring_videos.ReferringVideos`.

    ``valid`` and ``test`` are there for a submission (``per_expression`` alone): a sample has its question and no
    answer, no masks, and no ``no_target`` in ``extra``.

    Args:
        folder: a split's folder, e.g. ``mevis/train``.
        frames_per_sample: frames drawn for a training sample.
        expressions_per_sample: most turns of a training sample.
        per_expression: the view for evaluation.
        name: what to call it; the parent folder's name without.

    Raises:
        UserError: when a file or folder is missing or damaged, or there is no expression at all.
    """

    #: Splits that are published without masks.
    unlabelled: ClassVar[tuple[str, ...]] = ("valid", "test")

    def __init__(
        self,
        folder: str | Path,
        frames_per_sample: int = 5,
        expressions_per_sample: int = 5,
        per_expression: bool = False,
        name: str | None = None,
    ) -> None:
        folder = Path(folder)
        file, mask_file = folder / "meta_expressions.json", folder / "mask_dict.json"
        if not file.exists() and (folder / "meta_expressions_release.json").exists():
            file = folder / "meta_expressions_release.json"
        is_unlabelled = folder.resolve().name in self.unlabelled and not mask_file.exists()
        super().__init__(
            folder / "JPEGImages",
            file,
            None if is_unlabelled else mask_file,
            frames_per_sample,
            expressions_per_sample,
            per_expression,
            name or folder.resolve().parent.name,
        )

    @classmethod
    def fixture(cls, folder: Path, **options: object) -> MeViS:
        split = str(options.pop("split", "train"))
        size, folder = (32, 48), folder / split
        boxes = moving_boxes(6)
        expressions = {
            "0": {"exp": "the red box moving to the right", "obj_id": [0], "anno_id": [0]},
            "1": {"exp": "both boxes", "obj_id": [0, 1], "anno_id": [0, 1]},
        }
        frames = write_frames(folder / "JPEGImages" / "first", size, boxes)
        write_frames(folder / "JPEGImages" / "second", size, boxes[:3])
        videos = {
            "first": {"frames": frames, "vid_id": 0, "expressions": expressions},
            "second": {"frames": frames[:3], "vid_id": 1, "expressions": {"0": expressions["0"]}},
        }
        masks = {"0": box_track(boxes, "red", size), "1": box_track(boxes, "blue", size)}
        (folder / "meta_expressions.json").write_text(json.dumps({"videos": videos}))
        if split not in cls.unlabelled:
            (folder / "mask_dict.json").write_text(json.dumps(masks))
        return cls(folder, **options)
