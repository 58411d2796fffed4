"""ReasonSeg: questions that describe an object of a picture without naming it.

On disk::

    <folder>/<split>/<picture>.jpg
    <folder>/<split>/<picture>.json        {text: […], is_sentence, shapes: [{label, points: [[x, y], …]}]},
                                           label target or ignore

https://github.com/dvlab-research/LISA
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from word2mask.data import files
from word2mask.data.annotations import load_json, require_folder
from word2mask.data.fixtures import box_polygon, write_picture
from word2mask.data.media import open_image
from word2mask.data.sources.interface import Source, check_split, drawing, left_to_right, record, stack_masks
from word2mask.errors import UserError
from word2mask.ops.masks import contours_to_mask
from word2mask.text.questions import segmentation_answer, segmentation_question
from word2mask.types import Sample, Turn


class ReasonSeg(Source):
    """A picture a record, one of its texts drawn at every read; one ``[SEG]`` for all that is labelled target.

    Shapes with a ``group_id`` are objects of their own: one ``[SEG]`` per group, from left to right. What is labelled
    ``ignore`` is void. ``per_expression``: a text a record; ``extra`` holds besides ``is_sentence`` and ``all_texts``.

    Args:
        folder: where the splits lie.
        split: ``train``, ``val`` or ``test``.
        per_expression: the view for evaluation.
        name: what to call it; the folder's name without.

    Raises:
        UserError: when the folder isn't there or empty, or a file is damaged.
    """

    tasks = ("reason",)

    def __init__(
        self, folder: str | Path, split: str = "train", per_expression: bool = False, name: str | None = None
    ) -> None:
        folder = require_folder(Path(folder), "ReasonSeg's splits")
        self.name = name or folder.name
        self.per_expression = per_expression
        check_split(
            self.name, split, [entry.name for entry in files.list_folder(folder) if files.is_folder(entry)], folder
        )
        self._folder = folder / split
        # Annotations count too: one whose picture is lost is a record that can't be read, not none.
        listed = files.list_folder(self._folder)
        self._pictures = sorted({entry.with_suffix(".jpg") for entry in listed if entry.suffix in (".jpg", ".json")})
        if not any(entry.suffix == ".jpg" for entry in listed):
            raise UserError(f"{self._folder}: no .jpg picture in it")
        self._texts: list[tuple[int, int]] = []
        if per_expression:
            for position, picture in enumerate(self._pictures):
                with record(self.name, picture.stem, picture.with_suffix(".json")):
                    texts = load_json(picture.with_suffix(".json"), dict)["text"]
                    self._texts += [(position, number) for number in range(len(texts))]

    def media_folders(self) -> tuple[Path, ...]:
        return (self._folder,)

    def __len__(self) -> int:
        return len(self._texts if self.per_expression else self._pictures)

    def read(self, index: int, rng: np.random.Generator | None = None) -> Sample:
        rng = drawing(rng, self.per_expression)
        position, number = self._texts[index] if self.per_expression else (index, None)
        picture = self._pictures[position]
        file = picture.with_suffix(".json")
        with record(self.name, picture.stem if number is None else f"{picture.stem}/{number}", file):
            annotation = load_json(file, dict)
            texts = [text.strip() for text in annotation["text"]]
            if not texts:
                raise UserError(f"no text in {file}")
            media = open_image(picture)
            size = media.frames.shape[1:3]
            masks, void = _draw_shapes(annotation["shapes"], *size)
            chosen = int(rng.integers(len(texts))) if number is None else number
            turns = (
                Turn("user", segmentation_question(texts[chosen], rng)),
                Turn("assistant", segmentation_answer(len(masks), rng)),
            )
            extra = {
                "expression": texts[chosen],
                "kind": annotation.get("kind", "sentence" if annotation["is_sentence"] else "phrase"),
                "is_sentence": annotation["is_sentence"],
                "all_texts": texts,
            }
            return Sample(
                source=self.name,
                id=picture.stem if number is None else f"{picture.stem}/{number}",
                task="reason",
                turns=turns,
                media=media,
                masks=stack_masks(masks, size, media.name, self.per_expression),
                void=void[None] if void.any() else None,
                extra=extra if self.per_expression else {},
            )

    def rephrasings(self) -> list[list[int]]:
        """Records of the evaluation view that ask for the same in other words: a picture's texts."""
        groups: dict[int, list[int]] = {}
        for index, (position, _) in enumerate(self._texts):
            groups.setdefault(position, []).append(index)
        return list(groups.values())

    @classmethod
    def fixture(cls, folder: Path, **options: object) -> ReasonSeg:
        size, red, blue = (48, 64), (4, 6, 20, 22), (30, 10, 50, 30)
        texts = {"one": ["Which box would you open first, reading from the left?", "What is warm?"], "two": ["red box"]}
        for name, text in texts.items():
            path = folder / str(options.get("split", "train")) / f"{name}.jpg"
            write_picture(path, size, {"red": red, "blue": blue})
            shapes = [
                {"label": "target", "shape_type": "polygon", "points": _outline(red)},
                {"label": "ignore", "shape_type": "polygon", "points": _outline(blue)},
                {"label": "flag", "shape_type": "polygon", "points": _outline((0, 40, 10, 48))},
            ]
            content = {"text": text, "is_sentence": name == "one", "shapes": shapes}
            path.with_suffix(".json").write_text(json.dumps(content))
        return cls(folder, **options)


def _draw_shapes(shapes: list[dict], height: int, width: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Masks of the targets, from left to right, and the void, bool ``[H,W]``.

    As in LISA's reader, larger shapes are drawn first and later ones cover them; other labels than ``target`` and
    ``ignore`` say nothing.
    """
    drawn = []
    for shape in shapes:
        label = shape["label"].lower()
        if "flag" not in label:
            group = "ignore" if "ignore" in label else f"target {shape.get('group_id')}"
            drawn.append((group, contours_to_mask([shape["points"]], height, width)))
    drawn.sort(key=lambda item: -int(item[1].sum()))
    layers: dict[str, np.ndarray] = {"ignore": np.zeros((height, width), dtype=bool)}
    for group, mask in drawn:
        layers.setdefault(group, np.zeros((height, width), dtype=bool))
        # Objects may overlap one another, but a pixel is either void or target.
        for other in layers:
            if (group == "ignore") != (other == "ignore"):
                layers[other] &= ~mask
        layers[group] |= mask
    void = layers.pop("ignore")
    targets = list(layers.values())
    if not targets:
        raise ValueError("no shape labelled target")
    return [targets[position] for position in left_to_right(targets)], void


def _outline(box: tuple[int, int, int, int]) -> list[list[int]]:
    """A box's corner pixels: labelme's outlines lie on the pixels that they hold."""
    x0, y0, x1, y1 = box
    return np.reshape(box_polygon((x0, y0, x1 - 1, y1 - 1)), (-1, 2)).tolist()
