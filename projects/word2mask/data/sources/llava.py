"""Conversations about pictures in LLaVA's format; text only where a record has no picture.

On disk::

    <annotations>.json                     [{id, image?, conversations: [{from: human | gpt, value}]}]
    <image_folder>/<image>

https://github.com/haotian-liu/LLaVA
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from word2mask.data.annotations import load_json, require_folder
from word2mask.data.fixtures import write_picture
from word2mask.data.media import open_image
from word2mask.data.sources.interface import Source, record
from word2mask.types import Sample, Turn

#: Where the media stands in a text; the encoder puts it before the first question by itself.
PLACEHOLDERS = ("<image>", "<video>")
_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant"}


class LLaVA(Source):
    """A conversation a record. ``per_expression``: a question with its answer a record, without the turns before it.

    ``extra`` then holds besides ``answer``, and ``expression`` is the question.

    Args:
        annotations: the JSON file.
        image_folder: where the pictures lie.
        per_expression: the view for evaluation.
        name: what to call it; the file's name without.

    Raises:
        UserError: when the file or folder is missing or damaged.
    """

    tasks = ("chat",)

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
        self._questions = list_questions(self._records, self.name, self._file) if per_expression else []

    def __len__(self) -> int:
        return len(self._questions if self.per_expression else self._records)

    def read(self, index: int, rng: np.random.Generator | None = None) -> Sample:
        position, number = self._questions[index] if self.per_expression else (index, None)
        entry = self._records[position]
        record_id = name_record(entry, position, number)
        with record(self.name, record_id, self._file):
            turns, extra = turns_of(entry, number)
            media = open_image(self._image_folder / entry["image"]) if entry.get("image") else None
            return Sample(self.name, record_id, "chat", turns, media, extra=extra)

    @classmethod
    def fixture(cls, folder: Path, **options: object) -> LLaVA:
        write_picture(folder / "images" / "one.jpg", (48, 64), {"red": (4, 6, 20, 22)})
        records = [
            {
                "id": "a",
                "image": "one.jpg",
                "conversations": [
                    {"from": "human", "value": "<image>\nWhat colour is the box?"},
                    {"from": "gpt", "value": "Red."},
                    {"from": "human", "value": "How many boxes are there?"},
                    {"from": "gpt", "value": "One."},
                ],
            },
            {
                "id": "b",
                "conversations": [{"from": "human", "value": "Say hello."}, {"from": "gpt", "value": "Hello."}],
            },
        ]
        (folder / "chat.json").write_text(json.dumps(records))
        return cls(folder / "chat.json", folder / "images", **options)


def turns_of(entry: dict[str, Any], question: int | None = None) -> tuple[tuple[Turn, ...], dict[str, Any]]:
    """The turns of a record, or only those of its ``question``-th pair, and then ``extra`` for evaluation.

    Raises:
        ValueError: when human and gpt don't take turns, or an answer is missing.
    """
    messages = list(entry["conversations"])
    if messages and _ROLES.get(messages[0]["from"]) == "assistant":
        # A few published records begin with an answer to nothing.
        messages = messages[1:]
    turns = tuple(Turn(_ROLES[message["from"]], strip_placeholders(message["value"])) for message in messages)
    if not turns or len(turns) % 2 or any(turn.role != ("user", "assistant")[i % 2] for i, turn in enumerate(turns)):
        raise ValueError(f"human and gpt must take turns, got {[message['from'] for message in messages]}")
    if question is None:
        return turns, {}
    asked, answered = turns[2 * question : 2 * question + 2]
    kind = messages[2 * question].get("kind", entry.get("kind", ""))
    return (asked, answered), {"expression": asked.text, "answer": answered.text, "kind": kind}


def list_questions(records: list[dict], name: str, file: Path) -> list[tuple[int, int]]:
    """``(record, number of the pair)`` of every question."""
    questions = []
    for position, entry in enumerate(records):
        with record(name, name_record(entry, position, None), file):
            questions += [(position, number) for number in range(len(turns_of(entry)[0]) // 2)]
    return questions


def name_record(entry: Any, position: int, question: int | None) -> str:
    """The record's own id, or its position where it has none."""
    name = str(entry.get("id", position)) if isinstance(entry, dict) else str(position)
    return name if question is None else f"{name}/{question}"


def strip_placeholders(text: str) -> str:
    """The text without ``<image>`` and ``<video>`` and the line break after them."""
    for placeholder in PLACEHOLDERS:
        text = text.replace(placeholder + "\n", "").replace("\n" + placeholder, "").replace(placeholder, "")
    return text.strip()
