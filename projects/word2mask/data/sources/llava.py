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

from word2mask.data.fixtures import write_picture
from word2mask.data.media import open_image
from word2mask.data.sources.annotated_media import AnnotatedPictures
from word2mask.data.sources.interface import record
from word2mask.types import Sample, Turn

#: Where the media stands in a text; the encoder puts it before the first question by itself.
PLACEHOLDERS = ("<image>", "<video>")
_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant"}


class LLaVA(AnnotatedPictures):
    """A conversation a record. ``per_expression``: a question with its answer a record, without the turns before it.

    ``extra`` then holds besides ``answer``, and ``expression`` is the question.
    """

    tasks = ("chat",)

    def read(self, index: int, rng: np.random.Generator | None = None) -> Sample:
        entry, number, record_id = self._locate(index)
        with record(self.name, record_id, self._file):
            turns, extra = turns_of(entry, number)
            media = open_image(self._media_path(entry["image"])) if entry.get("image") else None
            return Sample(self.name, record_id, "chat", turns, media, extra=extra)

    def _size(self, entry: Any) -> tuple[int, int]:
        return int(bool(entry.get("image"))), super()._size(entry)[1]

    def _count_questions(self, entry: Any) -> int:
        return count_questions(entry)

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
    while messages and _ROLES.get(messages[0]["from"]) == "assistant":
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


def count_questions(entry: dict[str, Any]) -> int:
    """How many questions with answers a record holds."""
    return len(turns_of(entry)[0]) // 2


def strip_placeholders(text: str) -> str:
    """The text without ``<image>`` and ``<video>`` and the line break after them."""
    for placeholder in PLACEHOLDERS:
        text = text.replace(placeholder + "\n", "").replace("\n" + placeholder, "").replace(placeholder, "")
    return text.strip()
