"""Questions about marked regions of a picture, in the format of Osprey-724K.

On disk::

    <annotations>.json          [{file_name, height, width, annotation: [{segmentation}], conversations | description}]
    <image_folder>/<file_name>

``description`` (or ``descriptions``) is a text, or a list with one text per region, ``"<region1>: A red box."``. The
fields of the five files are those that ``osprey/datasets/osprey_724k.py`` of https://github.com/CircleRadon/Osprey
(deb0e57) and ``sa2va_data_06_vp.py`` of bytedance/Sa2VA (9832e1a) read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from word2mask.data.fixtures import box_polygon, write_picture
from word2mask.data.media import open_image
from word2mask.data.sources.annotated_media import AnnotatedPictures
from word2mask.data.sources.interface import drawing, record, stack_masks
from word2mask.data.sources.llava import turns_of
from word2mask.ops.masks import segmentation_to_mask
from word2mask.text.questions import SHORT_ANSWER, region_question
from word2mask.types import Sample, Turn


class Osprey(AnnotatedPictures):
    """A picture with its regions a record; each is a visual prompt, named ``region1``, ``region2`` … in the text.

    Reads all files of Osprey-724K: ``osprey_conversation``, ``osprey_detail_description``, ``osprey_short_form``,
    ``osprey_part_level`` and ``osprey_lvis_positive_negative``. A record without a question and its answer is left
    out, as the authors do.

    ``per_expression``: a question with its answer a record, without the turns before it but with all the regions;
    ``extra`` holds besides ``answer``.

    Args:
        annotations: the JSON file.
        image_folder: where the pictures lie; one folder, or several that are looked through in order.
        per_expression: the view for evaluation.
        name: what to call it; the file's name without.
        short_answers: every question also asks for a word or phrase, as published for ``osprey_short_form`` (Osprey's
            authors ask so in ``osprey_part_level`` too, Sa2VA's don't).

    Raises:
        UserError: when the file or a folder is missing or damaged.
    """

    tasks = ("region",)
    id_key = None

    def __init__(
        self,
        annotations: str | Path,
        image_folder: str | Path | Sequence[str | Path],
        per_expression: bool = False,
        name: str | None = None,
        short_answers: bool = False,
    ) -> None:
        self.short_answers = short_answers
        super().__init__(annotations, image_folder, per_expression, name)

    def read(self, index: int, rng: np.random.Generator | None = None) -> Sample:
        rng = drawing(rng, self.per_expression)
        entry, number, record_id = self._locate(index)
        with record(self.name, record_id, self._file):
            if not entry["annotation"]:
                raise ValueError("no region in 'annotation'")
            # COCO_train2014_000000000009.jpg is 000000000009.jpg in the folders of COCO 2017.
            media = open_image(self._media_path(entry["file_name"], entry["file_name"].rpartition("_")[2]))
            regions = [
                segmentation_to_mask(region["segmentation"], entry["height"], entry["width"])
                for region in entry["annotation"]
            ]
            turns, extra = self._turns(entry, rng), {}
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

    def _usable_positions(self) -> list[int]:
        return [
            position
            for position, entry in enumerate(self._records)
            if not (isinstance(entry, dict) and _has_no_answer(entry.get("conversations")))
        ]

    def _count_questions(self, entry: Any) -> int:
        return len(self._turns(entry, np.random.default_rng(0))) // 2

    def _turns(self, entry: dict[str, Any], rng: np.random.Generator) -> tuple[Turn, ...]:
        """The record's own conversation, or a question with each description."""
        turns = _conversation(entry, rng)
        if not self.short_answers:
            return turns
        return tuple(Turn(turn.role, f"{turn.text} {SHORT_ANSWER}") if turn.role == "user" else turn for turn in turns)

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


def _conversation(entry: dict[str, Any], rng: np.random.Generator) -> tuple[Turn, ...]:
    """The record's own conversation, or a question with each description."""
    if "conversations" in entry:
        return tuple(Turn(turn.role, _unmark(turn.text)) for turn in turns_of(entry)[0])
    descriptions = entry["description"] if "description" in entry else entry["descriptions"]
    if isinstance(descriptions, str):
        descriptions = [descriptions]
    if not 0 < len(descriptions) <= len(entry["annotation"]):
        raise ValueError(f"{len(descriptions)} descriptions for {len(entry['annotation'])} regions")
    turns: list[Turn] = []
    for number, description in enumerate(descriptions, start=1):
        text = re.sub(r"^(<[^>]*>|region\s?\d+)\s*:\s*", "", description.strip())
        turns += [Turn("user", region_question(f"region{number}", rng)), Turn("assistant", _unmark(text))]
    return tuple(turns)


def _has_no_answer(conversation: Any) -> bool:
    return isinstance(conversation, list) and len(conversation) < 2


def _unmark(text: str) -> str:
    """``<region1>`` as ``region1``, which the encoder names the regions; no angle bracket stays, as published."""
    return text.replace("<", "").replace(">", "")


def _kind(entry: dict[str, Any], number: int) -> str:
    """The kind of a question: of its message, or of its region, or of the record."""
    if "conversations" in entry:
        return turns_of(entry, number)[1]["kind"]
    return entry["annotation"][number].get("kind", entry.get("kind", ""))
