"""What PACO-LVIS and PASCAL-Part share: parts of objects, and objects, in one file in COCO's format."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from word2mask.data.annotations import CocoInstances, require_folder
from word2mask.data.sources.interface import record
from word2mask.data.sources.referring_images import CHARACTERS_PER_EXPRESSION
from word2mask.data.sources.semantic_pictures import Labels, SemanticPictures
from word2mask.errors import UserError
from word2mask.ops.masks import box_to_mask, encode_rle, union
from word2mask.text.questions import named_class, named_part
from word2mask.types import Media

#: Between an object and its part in the name of a category.
SEPARATOR = ":"


class PartPictures(SemanticPictures):
    """A picture with annotations a record: see :class:`~word2mask.data.sources.semantic_pictures.SemanticPictures`.

    On disk::

        <annotations>                   {images: [{id, file_name, height, width}], categories: [{id, name}],
                                        annotations: [{id, image_id, category_id, segmentation}]}
        <image_folder>/<file_name>

    A category is an object, or a part as ``object:part``, which is asked for as "the cat ear" or "the ear of the cat".
    Names are taken from the file, without LVIS's qualifiers ("car_(automobile)" is "car") and underscores. The mask of
    a class is that of all its annotations in the picture; LISA takes one of them, as if the others weren't there.
    ``extra["kind"]`` is ``"object"`` or ``"part"``.

    Args:
        annotations: the file.
        image_folder: where the pictures lie.
        classes_per_sample: most turns of a training sample.
        negatives: how often a question asks for a class that isn't in the picture, 0…1.
        per_expression: the view for evaluation.
        name: what to call it; the data set's ``usual_name`` without.

    Raises:
        UserError: when the file or the folder is missing or damaged, or nothing is annotated.
    """

    usual_name: str

    def __init__(
        self,
        annotations: str | Path,
        image_folder: str | Path,
        classes_per_sample: int = 3,
        negatives: float = 0.0,
        per_expression: bool = False,
        name: str | None = None,
    ) -> None:
        name = name or self.usual_name
        self._file = Path(annotations)
        self._instances = CocoInstances(self._file)
        self._image_folder = require_folder(Path(image_folder), f"the pictures of {self._file.name}")
        self._names = {}
        for category_id, category in self._instances.categories.items():
            with record(name, f"category {category_id}", self._file):
                self._names[category_id] = clean_name(category["name"])
        present: dict[Any, dict[str, list[Any]]] = {}
        for annotation_id, annotation in self._instances.annotations.items():
            with record(name, f"annotation {annotation_id}", self._file):
                class_name = self._name_of(annotation["category_id"])
                present.setdefault(annotation["image_id"], {}).setdefault(class_name, []).append(annotation_id)
        if not present:
            raise UserError(f"{self._file}: nothing is annotated in it; get the file again from its source")
        self._present: list[tuple[Any, dict[str, list[Any]]]] = list(present.items())
        super().__init__(name, classes_per_sample, negatives, per_expression)

    def media_folders(self) -> tuple[Path, ...]:
        return (self._image_folder,)

    def sizes(self) -> np.ndarray:
        sizes = super().sizes()
        if not self.per_expression:
            turns = [min(len(classes), self.classes_per_sample) for _, classes in self._present]
            sizes[:, 1] = np.asarray(turns) * CHARACTERS_PER_EXPRESSION
        return sizes

    def _num_pictures(self) -> int:
        return len(self._present)

    def _picture_id(self, position: int) -> str:
        return str(self._present[position][0])

    def _picture(self, position: int) -> Path:
        return self._image_folder / self._instances.image(self._present[position][0])["file_name"]

    def _annotation(self, position: int) -> Path:
        return self._file

    def _classes(self, position: int) -> Sequence[str]:
        return list(self._present[position][1])

    def _labels(self, position: int, media: Media) -> Labels:
        image_id, present = self._present[position]
        height, width = media.frames.shape[1:3]
        return Labels(
            present, self._absent(self._instances.image(image_id), present), partial(self._draw, height, width)
        )

    def _draw(self, height: int, width: int, annotation_ids: Sequence[Any]) -> np.ndarray:
        return union((self._instances.mask(number) for number in annotation_ids), height, width)

    def _phrase(self, class_name: str, rng: np.random.Generator) -> str:
        whole, _, part = class_name.partition(SEPARATOR)
        return named_part(whole, part, rng) if part else named_class(whole)

    def _kind(self, class_name: str) -> str:
        return "part" if SEPARATOR in class_name else "object"

    def _name_of(self, category_id: Any) -> str:
        if category_id not in self._names:
            raise ValueError(f"no category {category_id} in it")
        return self._names[category_id]

    @abstractmethod
    def _absent(self, image: dict[str, Any], present: Mapping[str, Sequence[Any]]) -> list[str]:
        """Classes that aren't in a picture for certain."""


def clean_name(category: str) -> str:
    """``"car_(automobile):steering_wheel"`` → ``"car:steering wheel"``.

    Raises:
        ValueError: when it is neither an object nor an object and its part.
    """
    names = [name.split("_(")[0].replace("_", " ").strip().lower() for name in category.split(SEPARATOR)]
    if len(names) > 2 or not all(names):
        raise ValueError(f"expected a category 'object' or 'object{SEPARATOR}part', got '{category}'")
    return SEPARATOR.join(names)


def write_fixture_annotations(
    path: Path,
    categories: Sequence[str],
    images: Sequence[dict[str, Any]],
    annotations: Sequence[tuple[int, str, tuple[int, int, int, int]]],
) -> None:
    """The file for boxes: of each the picture's id, the category and ``(x0, y0, x1, y1)``, as run lengths."""
    sizes = {image["id"]: (image["height"], image["width"]) for image in images}
    content = {
        "images": list(images),
        "categories": [{"id": number, "name": name} for number, name in enumerate(categories, start=1)],
        "annotations": [
            {
                "id": number,
                "image_id": image_id,
                "category_id": categories.index(category) + 1,
                "segmentation": encode_rle(box_to_mask(box, *sizes[image_id])),
                "iscrowd": 0,
            }
            for number, (image_id, category, box) in enumerate(annotations)
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
