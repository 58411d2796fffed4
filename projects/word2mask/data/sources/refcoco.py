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

from word2mask.data.annotations import CocoInstances, load_pickle, require_folder
from word2mask.data.fixtures import box_polygon, write_picture
from word2mask.data.media import open_image
from word2mask.data.sources.interface import Source, check_split, draw, drawing, record, stack_masks
from word2mask.errors import UserError
from word2mask.ops.masks import box_to_mask, encode_rle
from word2mask.text.questions import segmentation_answer, segmentation_question
from word2mask.types import Sample, Turn


class RefCOCO(Source):
    """A picture a record; up to ``objects_per_sample`` of its objects as turns of one conversation, one sentence each.

    Objects are drawn without replacement and each one's sentence is drawn anew at every read. ``per_expression``: a
    sentence a record; ``extra`` holds besides ``all_sentences``, ``ref_id``, ``ann_id``, ``image_id``.

    Args:
        folder: where ``instances.json`` lies.
        split: ``train``, ``val``, ``testA``, ``testB`` (refcoco, refcoco+) or ``test`` (refcocog).
        split_by: whose splits: ``unc``, or ``umd`` and ``google`` for refcocog.
        image_folder: where the pictures lie; ``<folder>/coco2014/train2014`` without.
        objects_per_sample: most turns of a training sample.
        per_expression: the view for evaluation.
        name: what to call it; the folder's name without.

    Raises:
        UserError: when a file is missing, damaged or unsafe, or has no record of the split.
    """

    tasks = ("refer",)

    def __init__(
        self,
        folder: str | Path,
        split: str = "train",
        split_by: str = "unc",
        image_folder: str | Path | None = None,
        objects_per_sample: int = 5,
        per_expression: bool = False,
        name: str | None = None,
    ) -> None:
        folder = Path(folder)
        self.name = name or folder.name
        self.per_expression = per_expression
        self.objects_per_sample = objects_per_sample
        self._instances = CocoInstances(folder / "instances.json")
        self._file = folder / f"refs({split_by}).p"
        self._image_folder = require_folder(
            Path(image_folder) if image_folder else folder / "coco2014" / "train2014", "the pictures of COCO train2014"
        )
        self._refs = _refs_of_split(load_pickle(self._file), split, self.name, self._file)
        by_image: dict[Any, list[int]] = {}
        for position, ref in enumerate(self._refs):
            by_image.setdefault(ref["image_id"], []).append(position)
        self._images = list(by_image.values())
        self._sentences = [
            (position, number) for position, ref in enumerate(self._refs) for number in range(len(ref["sentences"]))
        ]

    def __len__(self) -> int:
        return len(self._sentences if self.per_expression else self._images)

    def read(self, index: int, rng: np.random.Generator | None = None) -> Sample:
        rng = drawing(rng, self.per_expression)
        if self.per_expression:
            position, number = self._sentences[index]
            chosen = [(self._refs[position], number)]
            record_id = f"{self._refs[position]['ref_id']}/{number}"
        else:
            refs = [self._refs[position] for position in draw(self._images[index], self.objects_per_sample, rng)]
            chosen = [(ref, int(rng.integers(len(ref["sentences"])))) for ref in refs]
            record_id = str(refs[0]["image_id"])
        with record(self.name, record_id, self._file):
            image = self._instances.image(chosen[0][0]["image_id"])
            media = open_image(self._image_folder / image["file_name"])
            masks = [self._instances.mask(ref["ann_id"]) for ref, _ in chosen]
            turns: list[Turn] = []
            for ref, number in chosen:
                question = segmentation_question(clean_expression(ref["sentences"][number]["sent"]), rng)
                turns += [Turn("user", question), Turn("assistant", segmentation_answer(1, rng))]
            return Sample(
                source=self.name,
                id=record_id,
                task="refer",
                turns=tuple(turns),
                media=media,
                masks=stack_masks(masks, media.frames.shape[1:3], media.name),
                extra=_extra(*chosen[0]) if self.per_expression else {},
            )

    @classmethod
    def fixture(cls, folder: Path, **options: object) -> RefCOCO:
        write_fixture_pictures(folder)
        refs = [
            _fixture_ref(1, 11, 1, ["the red box", "Red thing on the left."]),
            _fixture_ref(2, 12, 1, ["blue box"]),
            _fixture_ref(3, 21, 2, ["green box"]),
        ]
        (folder / "refs(unc).p").write_bytes(pickle.dumps(refs, protocol=2))
        return cls(folder, **options)


def clean_expression(text: str) -> str:
    """A sentence as it is asked: lower case, no space around it and no full stop at its end."""
    return text.strip().rstrip(".").strip().lower()


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


def _refs_of_split(refs: Any, split: str, name: str, file: Path) -> list[dict]:
    if not isinstance(refs, list) or not refs or not all(isinstance(ref, dict) for ref in refs):
        raise UserError(f"{file}: expected a list of references, got {type(refs).__name__} {str(refs)[:60]}")
    for position, ref in enumerate(refs):
        with record(name, ref.get("ref_id", f"#{position}"), file):
            missing = {"ref_id", "ann_id", "image_id", "split", "sentences"} - ref.keys()
            if missing or not ref["sentences"]:
                raise UserError(f"the reference in {file} has no {', '.join(sorted(missing)) or 'sentence'}")
    check_split(name, split, sorted({ref["split"] for ref in refs}), file)
    return [ref for ref in refs if ref["split"] == split]


def _extra(ref: dict, number: int) -> dict[str, Any]:
    sentence = ref["sentences"][number]
    return {
        "expression": clean_expression(sentence["sent"]),
        "kind": sentence.get("kind", ref.get("kind", "")),
        "all_sentences": [clean_expression(other["sent"]) for other in ref["sentences"]],
        "ref_id": ref["ref_id"],
        "ann_id": ref["ann_id"],
        "image_id": ref["image_id"],
    }


def _fixture_ref(ref_id: int, ann_id: int, image_id: int, sentences: list[str]) -> dict[str, Any]:
    return {
        "ref_id": ref_id,
        "ann_id": ann_id,
        "image_id": image_id,
        "split": "train",
        "sentences": [{"sent_id": ref_id * 10 + i, "sent": text, "raw": text} for i, text in enumerate(sentences)],
    }
