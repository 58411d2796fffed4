"""Grounded captions in the generic format of GranD-f: a caption, and the masks of some of its phrases.

On disk::

    <annotations>.json          [{file_name, caption, groundings}], where groundings is
                                {phrase: {token_positives: [start, end], rle_masks: […]}}
    <image_folder>/<file_name>

``GranDf_HA_GCG_*.json`` and ``OpenPsgGCG_*.json`` of https://github.com/mbzuai-oryx/groundingLMM (e74865f,
``GranDf_gcg_ds.py``). Positions count in the caption without quotation marks around it. OpenPSG's names hold the folder
of their split (``train2017/000000000009.jpg``): Sa2VA, F-LMM and OMG-LLaVA read them from the folder of COCO 2017
above it; GLaMM's reader, which gives ``train2017`` itself, would name that twice.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from word2mask.data.fixtures import write_picture
from word2mask.data.sources.captioned_pictures import CaptionedPictures, Phrase, check_span, plain_caption
from word2mask.ops.masks import box_to_mask, encode_rle


class GroundedCaption(CaptionedPictures):
    """A picture a record: see :class:`~word2mask.data.sources.captioned_pictures.CaptionedPictures`."""

    id_key = "image_id"

    def _caption(self, entry: Any) -> str:
        return plain_caption(entry["caption"])

    def _phrases(self, entry: Any) -> list[Phrase]:
        length, phrases = len(self._caption(entry)), []
        for text, grounding in entry["groundings"].items():
            positions = grounding["token_positives"]
            if positions and isinstance(positions[0], list):
                positions = positions[0]
            start, stop = (int(position) for position in positions)
            # A closing quotation mark may have belonged to the last phrase.
            stop = min(stop, length) if stop <= len(entry["caption"]) else stop
            if grounding["rle_masks"]:
                phrases.append(Phrase(*check_span(text, start, stop, length), tuple(grounding["rle_masks"])))
        return phrases

    @classmethod
    def fixture(cls, folder: Path, **options: object) -> GroundedCaption:
        size, red, blue, green = (48, 64), (4, 6, 20, 22), (30, 10, 50, 30), (8, 8, 40, 40)
        write_picture(folder / "images" / "one.jpg", size, {"red": red, "blue": blue})
        write_picture(folder / "images" / "two.jpg", size, {"green": green})
        red_rle, blue_rle, green_rle = (encode_rle(box_to_mask(box, *size)) for box in (red, blue, green))
        records = [
            {
                "file_name": "one.jpg",
                "caption": "A red box is left of a blue box.",
                # In no order, and "box" lies within "a blue box".
                "groundings": {
                    "a blue box": {"token_positives": [21, 31], "rle_masks": [blue_rle]},
                    "A red box": {"token_positives": [0, 9], "rle_masks": [red_rle]},
                    "box": {"token_positives": [28, 31], "rle_masks": [blue_rle]},
                },
            },
            {
                "file_name": "two.jpg",
                "caption": "Two halves of a box.",
                "groundings": {"Two halves": {"token_positives": [0, 10], "rle_masks": [green_rle, green_rle]}},
            },
        ]
        (folder / "captions.json").write_text(json.dumps(records))
        return cls(folder / "captions.json", folder / "images", **options)
