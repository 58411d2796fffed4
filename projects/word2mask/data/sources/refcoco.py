"""RefCOCO, RefCOCO+, RefCOCOg: expressions for one object of a picture each.

On disk::

    <folder>/instances.json                pictures and object masks, as COCO's
    <folder>/refs(unc).p                   a pickled list of {ref_id, ann_id, image_id, split, sentences: [{sent}]}
    <folder>/coco2014/train2014/*.jpg

https://github.com/lichengunc/refer
"""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from word2mask.data.annotations import load_pickle
from word2mask.data.fixtures import box_polygon, write_picture
from word2mask.data.sources.interface import record
from word2mask.data.sources.referring_images import ReferringImages, clean_expression
from word2mask.errors import UserError
from word2mask.ops.masks import box_to_mask, encode_rle
from word2mask.text.questions import segmentation_answer, segmentation_question


class RefCOCO(ReferringImages):
    """A picture a record; several of its objects as turns of one conversation, one sentence each.

    ``per_expression``: a sentence a record; ``extra`` holds besides ``all_sentences``, ``ref_id``, ``ann_id`` and
    ``image_id``.
    """

    tasks = ("refer",)
    references = "refs({}).p"

    def _load(self) -> list[dict]:
        refs = load_pickle(self._file)
        if not isinstance(refs, list) or not refs or not all(isinstance(ref, dict) for ref in refs):
            raise UserError(f"{self._file}: expected a list of references, got {type(refs).__name__} {str(refs)[:60]}")
        for position, ref in enumerate(refs):
            with record(self.name, ref.get("ref_id", f"#{position}"), self._file):
                missing = {"ref_id", "ann_id", "image_id", "split", "sentences"} - ref.keys()
                if missing or not ref["sentences"]:
                    raise UserError(f"the reference in {self._file} has no {', '.join(sorted(missing)) or 'sentence'}")
        return refs

    def _exchange(self, ref: dict, expression: str, rng: np.random.Generator) -> tuple[str, str, list[np.ndarray]]:
        question = segmentation_question(expression, rng)
        return question, segmentation_answer(1, rng), [self._instances.mask(ref["ann_id"])]

    def _describe(self, ref: dict, number: int) -> dict[str, Any]:
        sentence = ref["sentences"][number]
        return {
            "expression": clean_expression(sentence["sent"]),
            "kind": sentence.get("kind", ref.get("kind", "")),
            "all_sentences": [clean_expression(other["sent"]) for other in ref["sentences"]],
            "ref_id": ref["ref_id"],
            "ann_id": ref["ann_id"],
            "image_id": ref["image_id"],
        }

    @classmethod
    def fixture(cls, folder: Path, **options: object) -> RefCOCO:
        write_fixture_pictures(folder)
        split, split_by = str(options.get("split", "train")), options.get("split_by", "unc")
        refs = [
            fixture_ref(1, 11, 1, ["the red box", "Red thing on the left."], split),
            fixture_ref(2, 12, 1, ["blue box"], split),
            fixture_ref(3, 21, 2, ["green box"], split),
        ]
        (folder / cls.references.format(split_by)).write_bytes(pickle.dumps(refs, protocol=2))
        return cls(folder, **options)


def write_fixture_pictures(folder: Path) -> None:
    """Two pictures and their ``instances.json``: polygons and run lengths, both kinds that COCO has."""
    size = (48, 64)
    red, blue, green = (4, 6, 20, 22), (30, 10, 50, 30), (8, 8, 40, 40)
    pictures = folder / "coco2014" / "train2014"
    write_picture(pictures / "one.jpg", size, {"red": red, "blue": blue})
    write_picture(pictures / "two.jpg", size, {"green": green})
    images = [
        {"id": number, "file_name": file, "height": size[0], "width": size[1]}
        for number, file in ((1, "one.jpg"), (2, "two.jpg"))
    ]
    green_rle = encode_rle(box_to_mask(green, *size))
    annotations = [
        {"id": 11, "image_id": 1, "category_id": 1, "iscrowd": 0, "segmentation": [box_polygon(red)]},
        {"id": 12, "image_id": 1, "category_id": 1, "iscrowd": 0, "segmentation": [box_polygon(blue)]},
        {"id": 21, "image_id": 2, "category_id": 1, "iscrowd": 1, "segmentation": green_rle},
    ]
    (folder / "instances.json").write_text(json.dumps({"images": images, "annotations": annotations}))


def fixture_ref(ref_id: int, ann_id: int, image_id: int, sentences: list[str], split: str = "train") -> dict[str, Any]:
    """A reference as the pickles hold it."""
    return {
        "ref_id": ref_id,
        "ann_id": ann_id,
        "image_id": image_id,
        "split": split,
        "sentences": [{"sent_id": ref_id * 10 + i, "sent": text, "raw": text} for i, text in enumerate(sentences)],
    }
