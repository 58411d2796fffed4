"""Mapillary Vistas 2.0: pictures of streets, every pixel of a class.

On disk::

    <folder>/config_v2.0.json                           {labels: [{name, readable, evaluate}]}, in the order of indices
    <folder>/<split>/v2.0/labels/<picture>.png          indexed
    <folder>/<split>/images/<picture>.jpg

https://www.mapillary.com/dataset/vistas
"""

from __future__ import annotations

import json
from pathlib import Path

from word2mask.data.annotations import load_json
from word2mask.data.fixtures import write_indices, write_picture
from word2mask.data.sources.semantic_pictures import LabelPictures
from word2mask.errors import UserError


class Mapillary(LabelPictures):
    """A picture a record: see :class:`~word2mask.data.sources.semantic_pictures.LabelPictures`.

    Class names are the ``readable`` ones of the data set's own file, in lower case; those that it doesn't evaluate
    ("unlabeled") are void. LISA asks for them too.

    Args:
        folder: where ``config_v2.0.json`` and the splits lie.
        split: ``training`` or ``validation``.
        classes_per_sample: most turns of a training sample.
        negatives: how often a question asks for a class that isn't in the picture, 0…1.
        per_expression: the view for evaluation.
        name: what to call it; the folder's name without.

    Raises:
        UserError: when a file or folder is missing or damaged.
    """

    what = "Mapillary Vistas"

    def __init__(
        self,
        folder: str | Path,
        split: str = "training",
        classes_per_sample: int = 3,
        negatives: float = 0.0,
        per_expression: bool = False,
        name: str | None = None,
    ) -> None:
        folder = Path(folder)
        file = folder / "config_v2.0.json"
        try:
            labels = [(label["readable"].lower(), bool(label["evaluate"])) for label in load_json(file, dict)["labels"]]
        except (KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{file}: expected labels, each with readable and evaluate, but {error}; get the file of {self.what} "
                "2.0 again"
            ) from error
        super().__init__(
            folder / split / "v2.0" / "labels",
            folder / split / "images",
            {index: class_name for index, (class_name, is_evaluated) in enumerate(labels) if is_evaluated},
            void=[index for index, (_, is_evaluated) in enumerate(labels) if not is_evaluated],
            name=name or folder.name,
            classes_per_sample=classes_per_sample,
            negatives=negatives,
            per_expression=per_expression,
        )

    @classmethod
    def fixture(cls, folder: Path, **options: object) -> Mapillary:
        size, red, blue = (48, 64), (4, 6, 20, 22), (30, 10, 50, 30)
        split = str(options.get("split", "training"))
        names = ("construction--flat--road", "object--vehicle--car", "nature--sky", "void--unlabeled")
        labels = [
            {
                "color": [number, number, number],
                "instances": number == 1,
                "readable": name.rpartition("--")[2].capitalize(),
                "name": name,
                "evaluate": number != 3,
            }
            for number, name in enumerate(names)
        ]
        for number in (0, 1):
            write_picture(folder / split / "images" / f"street_{number}.jpg", size, {"red": red, "blue": blue})
            boxes = [(0, (0, 0, 64, 48)), (1, red), (3, blue), (2, (0, 0, 64, 3 * number))]
            write_indices(folder / split / "v2.0" / "labels" / f"street_{number}.png", size, boxes)
        (folder / "config_v2.0.json").write_text(json.dumps({"version": 2.0, "labels": labels}))
        return cls(folder, **options)
