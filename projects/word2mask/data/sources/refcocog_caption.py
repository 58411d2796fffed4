"""RefCOCOg's expressions woven into captions: GLaMM's RefCOCOg-GCG.

On disk::

    <annotations>.json          [{id: {img_file_name, caption, refs: [{sentence, segmentation: [polygon, …]}]}}]
    <image_folder>/<img_file_name>

``RefCOCOg_GCG_{train,val}.json`` of https://github.com/mbzuai-oryx/groundingLMM (e74865f, ``GranDf_gcg_ds.py``), the
pictures of COCO train2014. The file doesn't say where a sentence stands in the caption.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from word2mask.data.fixtures import box_polygon, write_picture
from word2mask.data.sources.captioned_pictures import CaptionedPictures, Phrase, plain_caption


class RefCOCOgCaption(CaptionedPictures):
    """A picture a record: see :class:`~word2mask.data.sources.captioned_pictures.CaptionedPictures`.

    A sentence's phrase is where it first stands in the caption as whole words, in upper or lower case; one that isn't
    in it is left out. The published readers find parts of words too, and write the whole caption in lower case; here
    it stays as it is.
    """

    def _load(self) -> list[Any]:
        # Records of one key each, which is their id.
        return [
            {"id": next(iter(entry)), **next(iter(entry.values()))} if _is_named(entry) else entry
            for entry in super()._load()
        ]

    def _caption(self, entry: Any) -> str:
        return plain_caption(entry["caption"])

    def _file_name(self, entry: Any) -> str:
        return entry["img_file_name"]

    def _phrases(self, entry: Any) -> list[Phrase]:
        caption, phrases = self._caption(entry), []
        for reference in entry["refs"]:
            sentence = reference["sentence"].strip()
            found = re.search(rf"(?<!\w){re.escape(sentence)}(?!\w)", caption, re.IGNORECASE) if sentence else None
            if found and reference["segmentation"]:
                phrases.append(Phrase(*found.span(), (reference["segmentation"],)))
        return phrases

    @classmethod
    def fixture(cls, folder: Path, **options: object) -> RefCOCOgCaption:
        size, red, blue, green = (48, 64), (4, 6, 20, 22), (30, 10, 50, 30), (8, 8, 40, 40)
        pictures = folder / "coco2014" / "train2014"
        write_picture(pictures / "COCO_train2014_000000000001.jpg", size, {"red": red, "blue": blue})
        write_picture(pictures / "COCO_train2014_000000000002.jpg", size, {"green": green})
        records = [
            {
                "1": {
                    "img_file_name": "COCO_train2014_000000000001.jpg",
                    "caption": '"A red box is left of the blue box."',
                    "refs": [
                        {"sentence": "the blue box", "segmentation": [box_polygon(blue)]},
                        {"sentence": "a red box", "segmentation": [box_polygon(red)]},
                        {"sentence": "a ball", "segmentation": [box_polygon(red)]},
                    ],
                }
            },
            {
                "2": {
                    "img_file_name": "COCO_train2014_000000000002.jpg",
                    "caption": "One green box stands alone.",
                    # Two polygons that share the middle third.
                    "refs": [
                        {
                            "sentence": "one green box",
                            "segmentation": [box_polygon((8, 8, 30, 40)), box_polygon((18, 8, 40, 40))],
                        }
                    ],
                }
            },
        ]
        (folder / "RefCOCOg_GCG_train.json").write_text(json.dumps(records))
        return cls(folder / "RefCOCOg_GCG_train.json", pictures, **options)


def _is_named(entry: Any) -> bool:
    """Whether a record is ``{id: {…}}``."""
    return isinstance(entry, dict) and len(entry) == 1 and isinstance(next(iter(entry.values())), dict)
