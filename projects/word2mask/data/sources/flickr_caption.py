"""Flickr30k's captions with masks: GLaMM's Flickr30k-GCG.

On disk::

    <annotations>.json          {images: [{id, file_name, height, width, caption}],
                                 annotations: [{id, image_id, bbox: [x, y, w, h], area, tokens_positive: [[start, end],
                                 …], sam_mask: run lengths, ignore?}]}
    <image_folder>/<file_name>

``flickr_mergedGT_GCG_{train,val}.json`` of https://github.com/mbzuai-oryx/groundingLMM (e74865f,
``GranDf_gcg_ds.py``): every caption of a picture is an entry of ``images``, so files repeat.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from word2mask.data.annotations import load_json
from word2mask.data.fixtures import write_picture
from word2mask.data.sources.captioned_pictures import CaptionedPictures, Phrase, check_span
from word2mask.errors import UserError
from word2mask.ops.masks import box_to_mask, encode_rle

#: As the published readers have it (``GranDf_gcg_ds.py``): shorter captions and smaller pictures are left out.
MIN_WORDS = 3
MIN_SIDE = 32


class FlickrCaption(CaptionedPictures):
    """A caption a record: see :class:`~word2mask.data.sources.captioned_pictures.CaptionedPictures`.

    As published, an annotation counts unless it is to be ignored, has no area or lies outside of the picture, and
    stands for the first of its places in the caption; captions of fewer than :data:`MIN_WORDS` words and pictures with
    a side under :data:`MIN_SIDE` pixels are left out.
    """

    def _load(self) -> list[Any]:
        content = load_json(self._file, dict)
        try:
            images = {image["id"]: image | {"annotations": []} for image in content["images"]}
            for annotation in content["annotations"]:
                images[annotation["image_id"]]["annotations"].append(annotation)
        except (KeyError, TypeError) as error:
            what = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise UserError(
                f"{self.name}: {self._file} is not a file of captions with annotations: {what}; expected images with "
                "ids, and annotations each with the image_id of one"
            ) from error
        return list(images.values())

    def _phrases(self, entry: Any) -> list[Phrase]:
        caption, width, height = entry["caption"], int(entry["width"]), int(entry["height"])
        if len(caption.split(" ")) < MIN_WORDS or min(width, height) < MIN_SIDE:
            return []
        phrases = []
        for annotation in entry["annotations"]:
            x, y, wide, high = annotation["bbox"]
            is_within = min(x + wide, width) > max(x, 0) and min(y + high, height) > max(y, 0)
            if annotation.get("ignore") or annotation["area"] <= 0 or wide < 1 or high < 1 or not is_within:
                continue
            start, stop = annotation["tokens_positive"][0]
            what = f"of annotation {annotation['id']}"
            phrases.append(Phrase(*check_span(what, start, stop, len(caption)), (annotation["sam_mask"],)))
        return phrases

    @classmethod
    def fixture(cls, folder: Path, **options: object) -> FlickrCaption:
        size, red, blue, green = (48, 64), (4, 6, 20, 22), (30, 10, 50, 30), (8, 8, 40, 40)
        pictures = folder / "Flickr30K"
        write_picture(pictures / "1000092795.jpg", size, {"red": red, "blue": blue})
        write_picture(pictures / "10002456.jpg", size, {"green": green})
        sides = {"height": size[0], "width": size[1]}
        images = [
            {"id": 0, "file_name": "1000092795.jpg", **sides, "caption": "A red box is left of a blue box ."},
            {"id": 1, "file_name": "10002456.jpg", **sides, "caption": "Two halves of a box ."},
            {"id": 2, "file_name": "10002456.jpg", **sides, "caption": "A box"},
        ]
        annotations = [
            _fixture_annotation(0, 0, blue, [[21, 31]], size),
            _fixture_annotation(1, 0, red, [[0, 9], [28, 31]], size),
            _fixture_annotation(2, 0, red, [[28, 31]], size) | {"ignore": True},
            _fixture_annotation(3, 1, (8, 8, 24, 40), [[0, 10]], size),
            _fixture_annotation(4, 1, (20, 8, 40, 40), [[0, 10]], size),
            _fixture_annotation(5, 2, green, [[0, 5]], size),
        ]
        file = folder / "flickr_mergedGT_GCG_train.json"
        file.write_text(json.dumps({"images": images, "annotations": annotations}))
        return cls(file, pictures, **options)


def _fixture_annotation(
    number: int, image: int, box: tuple[int, int, int, int], places: list[list[int]], size: tuple[int, int]
) -> dict[str, Any]:
    x0, y0, x1, y1 = box
    return {
        "id": number,
        "image_id": image,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": (x1 - x0) * (y1 - y0),
        "tokens_positive": places,
        "sam_mask": encode_rle(box_to_mask(box, *size)),
    }
