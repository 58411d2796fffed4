"""Questions about marked regions of a picture, in the format of Osprey-724K.

On disk::

    <annotations>.json          [{file_name, height, width, annotation: [{segmentation}], conversations | description}]
    <image_folder>/<file_name>

``description`` is a text, or a list with one text per region. https://github.com/CircleRadon/Osprey
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from word2mask.data.annotations import load_json, require_folder
from word2mask.data.fixtures import box_polygon, write_picture
from word2mask.data.media import open_image
from word2mask.data.sources.interface import Source, drawing, record, stack_masks
from word2mask.data.sources.llava import turns_of
from word2mask.ops.masks import segmentation_to_mask
from word2mask.text.questions import region_question
from word2mask.types import Sample, Turn


class Osprey(Source):
    """A picture with its regions a record; each is a visual prompt, named ``region1``, ``region2`` … in the text.

    ``per_expression``: a question with its answer a record, without the turns before it but with all the regions;
    ``extra`` holds besides ``answer``.

    Args:
        annotations: the JSON file.
        image_folder: where the pictures lie.
        per_expression: the view for evaluation.
        name: what to call it; the file's name without.

    Raises:
        UserError: when the file or folder is missing or damaged.
    """

    tasks = ("region",)

    def __init__(
        self,
        annotations: str | Path,
        image_folder: str | Path,
        per_expression: bool = False,
        name: str | None = None,
    ) -> None:
        self._file = Path(annotations)
        self._image_folder = require_folder(Path(image_folder), f"the pictures of {self._file.name}")
        self.name = name or self._file.stem
        self.per_expression = per_expression
        self._records = load_json(self._file, list)
        self._questions: list[tuple[int, int]] = []
        if per_expression:
            for position, entry in enumerate(self._records):
                with record(self.name, position, self._file):
                    count = len(_turns(entry, np.random.default_rng(0))) // 2
                    self._questions += [(position, number) for number in range(count)]

    def __len__(self) -> int:
        return len(self._questions if self.per_expression else self._records)

    def read(self, index: int, rng: np.random.Generator | None = None) -> Sample:
        rng = drawing(rng, self.per_expression)
        position, number = self._questions[index] if self.per_expression else (index, None)
        entry = self._records[position]
        record_id = str(position) if number is None else f"{position}/{number}"
        with record(self.name, record_id, self._file):
            if not entry["annotation"]:
                raise ValueError("no region in 'annotation'")
            media = open_image(self._image_folder / entry["file_name"])
            regions = [
                segmentation_to_mask(region["segmentation"], entry["height"], entry["width"])
                for region in entry["annotation"]
            ]
            turns, extra = _turns(entry, rng), {}
            if number is not None:
                turns = turns[2 * number : 2 * number + 2]
                extra = {"expression": turns[0].text, "answer": turns[1].text, "kind": _kind(entry, number)}
            return Sample(
                source=self.name,
                id=record_id,
                task="region",
                turns=turns,
                media=media,
                regions=stack_masks(regions, media.frames.shape[1:3], media.name)[:, 0],
                extra=extra,
            )

    @classmethod
    def fixture(cls, folder: Path, **options: object) -> Osprey:
        size, red, blue = (48, 64), (4, 6, 20, 22), (30, 10, 50, 30)
        write_picture(folder / "images" / "one.jpg", size, {"red": red, "blue": blue})
        regions = [{"segmentation": [box_polygon(box)]} for box in (red, blue)]
        common = {"file_name": "one.jpg", "height": size[0], "width": size[1]}
        conversation = [
            {"from": "human", "value": "<image>\nWhat colour is <region2>?"},
            {"from": "gpt", "value": "<region2> is blue."},
        ]
        records = [
            common | {"annotation": regions, "conversations": conversation},
            common | {"annotation": regions, "description": ["<region1>: A red box.", "A blue box."]},
        ]
        (folder / "regions.json").write_text(json.dumps(records))
        return cls(folder / "regions.json", folder / "images", **options)


def _turns(entry: dict[str, Any], rng: np.random.Generator) -> tuple[Turn, ...]:
    """The record's own conversation, or a question with each description."""
    if "conversations" in entry:
        return tuple(Turn(turn.role, _unmark(turn.text)) for turn in turns_of(entry)[0])
    descriptions = entry["description"]
    if isinstance(descriptions, str):
        descriptions = [descriptions]
    if not 0 < len(descriptions) <= len(entry["annotation"]):
        raise ValueError(f"{len(descriptions)} descriptions for {len(entry['annotation'])} regions")
    turns: list[Turn] = []
    for number, description in enumerate(descriptions, start=1):
        text = re.sub(rf"^<?region{number}>?\s*:\s*", "", description.strip())
        turns += [Turn("user", region_question(f"region{number}", rng)), Turn("assistant", _unmark(text))]
    return tuple(turns)


def _unmark(text: str) -> str:
    """``<region1>`` as ``region1``; the encoder names the regions so."""
    return re.sub(r"<(region\d+)>", r"\1", text)


def _kind(entry: dict[str, Any], number: int) -> str:
    """The kind of a question: of its message, or of its region, or of the record."""
    if "conversations" in entry:
        return turns_of(entry, number)[1]["kind"]
    return entry["annotation"][number].get("kind", entry.get("kind", ""))
