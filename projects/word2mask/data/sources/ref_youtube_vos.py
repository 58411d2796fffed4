"""Ref-YouTube-VOS: expressions for one object of a YouTube-VOS video each, written for the whole video.

On disk::

    <folder>/{train,valid,test}/JPEGImages/<video>/<frame>.jpg
    <folder>/meta_expressions/{train,valid,test}/meta_expressions.json
    <folder>/train/Annotations/<video>/<frame>.png, or <folder>/mask_dict.pkl     valid and test have no masks

The layout is that of the challenge, as https://github.com/wjn922/ReferFormer (06fc218) documents and reads it, and of
Sa2VA's training data (``video_datas/rvos``), which has ``mask_dict.pkl`` and no ``Annotations``. ``meta.json``, the
objects' categories, isn't needed.
"""

from __future__ import annotations

import json
from pathlib import Path

from word2mask.data.annotations import load_json
from word2mask.data.fixtures import moving_boxes, write_frames, write_indices
from word2mask.data.sources.indexed_videos import IndexedVideos


class RefYouTubeVOS(IndexedVideos):
    """A video a record, or an expression: see :class:`~word2mask.data.sources.indexed_videos.IndexedVideos`.

    ``valid`` and ``test`` are there for a submission (``per_expression`` alone): a sample has its question and no
    answer, no masks, and no ``no_target`` in ``extra``; the challenge wants
    ``Annotations/<video_id>/<expression_id>/<frame name>.png``, 0 and 255. The challenge's file of ``valid`` lists the
    videos of ``test`` too; where the file of ``test`` lies beside it, they are left out (ReferFormer's
    ``inference_ytvos.py``: 202 videos stay).
    """

    unlabelled = ("valid", "test")

    def _select(self, videos: dict[str, dict], meta: Path) -> dict[str, dict]:
        file = meta / "test" / "meta_expressions.json"
        if self.split != "valid" or not file.exists():
            return videos
        test = load_json(file, dict).get("videos", {})
        return {video_id: video for video_id, video in videos.items() if video_id not in test}

    @classmethod
    def fixture(cls, folder: Path, **options: object) -> RefYouTubeVOS:
        size, boxes = (32, 48), moving_boxes(6)
        first = {
            "0": {"exp": "a red box moving to the right", "obj_id": "1"},
            "1": {"exp": "a blue box that comes later", "obj_id": "2"},
        }
        lengths = {"003234408d": 6, "0043f083b5": 3}
        train = {
            "003234408d": {"expressions": first, "frames": [f"{t:05d}" for t in range(6)]},
            "0043f083b5": {"expressions": {"0": first["0"]}, "frames": [f"{t:05d}" for t in range(3)]},
        }
        for video, length in lengths.items():
            write_frames(folder / "train" / "JPEGImages" / video, size, boxes[:length])
            for t, frame in enumerate(boxes[:length]):
                numbered = [(1 if colour == "red" else 2, box) for colour, box in frame.items()]
                write_indices(folder / "train" / "Annotations" / video / f"{t:05d}.png", size, numbered)
        objects = {"1": {"category": "box", "frames": []}, "2": {"category": "box", "frames": []}}
        (folder / "train" / "meta.json").write_text(
            json.dumps({"videos": {video: {"objects": objects} for video in train}})
        )
        # Without obj_id: where the object is, the challenge's server alone knows.
        asked = {"expressions": {"0": {"exp": "a red box"}}, "frames": ["00000", "00001"]}
        for split, videos in (("valid", ("152fe4902a", "19904980af")), ("test", ("19904980af",))):
            for video in videos:
                write_frames(folder / split / "JPEGImages" / video, size, boxes[:2])
            file = folder / "meta_expressions" / split / "meta_expressions.json"
            file.parent.mkdir(parents=True)
            file.write_text(json.dumps({"videos": dict.fromkeys(videos, asked)}))
        file = folder / "meta_expressions" / "train" / "meta_expressions.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps({"videos": train}))
        return cls(folder, **options)
