"""GCG: the pictures on which grounded captions are evaluated, with the masks of a caption's phrases (GranD-f).

On disk::

    <folder>/<split>_gcg_coco_caption_gt.json      {images: [{id}], annotations: [{image_id, caption, labels: […]}]}
    <folder>/<split>_gcg_coco_mask_gt.json         {annotations: [{image_id, segmentation}]}, in the order of labels
    <image_folder>/<id>.jpg

``annotations/gcg_val_test`` of GLaMM's data, the pictures ``images/grandf/val_test``;
https://github.com/mbzuai-oryx/groundingLMM (dd7ad1a, ``eval/gcg/evaluate.py``).
"""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np

from word2mask.data.annotations import load_json, require_folder
from word2mask.data.fixtures import box_polygon, write_picture
from word2mask.data.media import open_image
from word2mask.data.sources.captioned_pictures import plain_caption
from word2mask.data.sources.interface import Source, check_split, drawing, record, stack_masks
from word2mask.errors import UserError
from word2mask.ops.masks import box_to_mask, encode_rle, segmentation_to_mask
from word2mask.text.questions import grounded_caption_question, grounded_phrase
from word2mask.types import Sample, Turn

logger = logging.getLogger(__name__)


class GCG(Source):
    """A picture a record: its caption, with a ``[SEG]`` for every mask.

    The files don't say where a label stands in the caption: it is marked where it first stands as whole words after
    the one before it; from the first label that doesn't, the rest follow the caption. A mask without a label has an
    empty phrase; the published evaluation counts such a mask too. A label without a mask can't be compared with
    anything: it is left out, and a warning counts them. ``per_expression``: the same in fixed wording;
    ``extra`` holds besides ``captions``, all of the picture, ``phrases``, one per mask, and ``image_id``;
    ``expression`` is empty.

    Args:
        folder: of the two files.
        image_folder: of the pictures.
        split: ``val`` or ``test``.
        per_expression: the view for evaluation.
        name: what to call it; ``gcg`` without.

    Raises:
        UserError: when a file or folder is missing or damaged, or a picture has no caption or no mask.
    """

    tasks = ("grounded_caption",)

    def __init__(
        self,
        folder: str | Path,
        image_folder: str | Path,
        split: str = "val",
        per_expression: bool = False,
        name: str | None = None,
    ) -> None:
        folder = require_folder(Path(folder), "<split>_gcg_coco_caption_gt.json and <split>_gcg_coco_mask_gt.json")
        self.name = name or "gcg"
        self.per_expression = per_expression
        suffix = "_gcg_coco_caption_gt.json"
        check_split(self.name, split, [path.name[: -len(suffix)] for path in folder.glob(f"?*{suffix}")], folder)
        self._image_folder = require_folder(Path(image_folder), "the pictures of GranD-f's val and test")
        self._file = folder / f"{split}{suffix}"
        self._mask_file = folder / f"{split}_gcg_coco_mask_gt.json"
        captions = load_json(self._file, dict)
        with record(self.name, split, self._file):
            self._ids = [str(image["id"]) for image in captions["images"]]
            self._captions = _by_picture(captions["annotations"])
        with record(self.name, split, self._mask_file):
            self._masks = _by_picture(load_json(self._mask_file, dict)["annotations"])
        with record(self.name, split, self._file):
            surplus = {i: self._unmasked(i) for i in self._ids if self._unmasked(i)}
        if surplus:
            logger.warning(
                "%s: %d labels of %d pictures have no mask in %s and are left out; the first is %r of %s",
                self._file,
                sum(map(len, surplus.values())),
                len(surplus),
                self._mask_file.name,
                next(iter(surplus.values()))[0],
                next(iter(surplus)),
            )

    def _unmasked(self, image_id: str) -> list[str]:
        """The labels behind the last mask of a picture; none where either is missing, which ``read`` reports."""
        if image_id not in self._captions or image_id not in self._masks:
            return []
        return [*map(str, self._captions[image_id][0]["labels"])][len(self._masks[image_id]) :]

    def media_folders(self) -> tuple[Path, ...]:
        return (self._image_folder,)

    def __len__(self) -> int:
        return len(self._ids)

    def read(self, index: int, rng: np.random.Generator | None = None) -> Sample:
        rng = drawing(rng, self.per_expression)
        image_id = self._ids[index]
        with record(self.name, image_id, self._file):
            for found, file in ((self._captions, self._file), (self._masks, self._mask_file)):
                if image_id not in found:
                    raise UserError(f"nothing about this picture in {file}; the two files don't belong together")
            media = open_image(self._image_folder / f"{image_id}.jpg")
            size = media.frames.shape[1:3]
            first = self._captions[image_id][0]
            caption = plain_caption(first["caption"])
            masks = [segmentation_to_mask(one["segmentation"], *size) for one in self._masks[image_id]]
            labels = [*map(str, first["labels"]), *[""] * len(masks)][: len(masks)]
            extra = {
                "expression": "",
                "kind": "",
                "captions": [plain_caption(one["caption"]) for one in self._captions[image_id]],
                "phrases": labels,
                "image_id": image_id,
            }
            return Sample(
                source=self.name,
                id=image_id,
                task=self.tasks[0],
                turns=(Turn("user", grounded_caption_question(rng)), Turn("assistant", _mark(caption, labels))),
                media=media,
                masks=stack_masks(masks, size, media.name, self.per_expression),
                extra=extra if self.per_expression else {},
            )

    @classmethod
    def fixture(cls, folder: Path, **options: object) -> GCG:
        size, red, blue, green = (48, 64), (4, 6, 20, 22), (30, 10, 50, 30), (8, 8, 40, 40)
        pictures = folder / "val_test"
        write_picture(pictures / "sa_1.jpg", size, {"red": red, "blue": blue})
        write_picture(pictures / "sa_2.jpg", size, {"green": green})
        captions = [
            ("sa_1", "A red box is left of a blue box.", ["A red box", "a blue box"]),
            ("sa_2", "Something green stands alone.", ["a box"]),
        ]
        masks = [
            ("sa_1", encode_rle(box_to_mask(red, *size))),
            ("sa_1", [box_polygon(blue)]),
            ("sa_2", encode_rle(box_to_mask(green, *size))),
        ]
        images = [{"id": name, "height": size[0], "width": size[1]} for name, _, _ in captions]
        texts = [
            {"id": number, "image_id": name, "caption": caption, "labels": labels}
            for number, (name, caption, labels) in enumerate(captions, 1)
        ]
        regions = [
            {"id": number, "image_id": name, "category_id": 1, "iscrowd": 0, "segmentation": mask}
            for number, (name, mask) in enumerate(masks, 1)
        ]
        for split in ("val", "test"):
            for kind, content in (("caption", texts), ("mask", regions)):
                file = folder / f"{split}_gcg_coco_{kind}_gt.json"
                file.write_text(json.dumps({"images": images, "annotations": content}))
        return cls(folder, pictures, **options)


def _by_picture(annotations: list[dict]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for annotation in annotations:
        found.setdefault(str(annotation["image_id"]), []).append(annotation)
    return found


def _mark(caption: str, labels: list[str]) -> str:
    """The caption with its labels marked, each with one ``[SEG]``, in the order of the labels."""
    answer, rest = "", caption
    after: list[str] = []
    for label in labels:
        found = re.search(rf"(?<!\w){re.escape(label)}(?!\w)", rest, re.IGNORECASE) if label and not after else None
        if found is None:
            after.append(grounded_phrase(label or "it"))
            continue
        answer += rest[: found.start()] + grounded_phrase(found.group())
        rest = rest[found.end() :]
    return " ".join([answer + rest, *after])
