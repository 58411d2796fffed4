"""A file of requests, one JSON object a line: read whole, or refused in one sentence with the line's number.

Each line has an ``id`` (a text or a whole number, once in the file) and either ``text``, a question, or ``turns``, a
conversation: ``[{"role": "user", "text": …}, {"role": "assistant", "text": …}, …]``, the last one the user's. An
edit that names what to change needs neither. Besides, where wanted::

    media        path of a picture, a video or a folder of frames, from the file's own folder
    prompts      regions, shown instead of said: [{"frame": 0, "box": [x1, y1, x2, y2], "points": [[x, y, 1 or 0], …],
                 "mask": path of a picture in black and white, or COCO run lengths}, …], each with at least one of the
                 last three; the text may call them region1, region2 …
    edit         what to do with what was found, as --edit takes it; pictures that it names lie where media do
    edit_as      kind of the edited file: png, jpg, webp, mp4, webm or gif
    generation   how this answer is written, in place of the command's own: max_new_tokens, do_sample, temperature,
                 top_p, top_k, num_beams, seed
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from word2mask.apps.cli.edits import KINDS, question_of_edit
from word2mask.apps.cli.pointing import picture_mask
from word2mask.data.media import open_media
from word2mask.errors import UserError
from word2mask.inference.editing.instruction import Instruction
from word2mask.inference.editing.readings import read_instruction
from word2mask.ops.masks import decode_rle
from word2mask.types import Generation, Request, Turn, VisualPrompt

__all__ = ["Line", "read_requests"]

#: Keys of a line, of a turn and of a prompt, with the types of their values.
_KEYS = {
    "id": (str, int),
    "text": (str,),
    "turns": (list,),
    "media": (str,),
    "prompts": (list,),
    "edit": (str,),
    "edit_as": (str,),
    "generation": (dict,),
}
_TURN = {"role": (str,), "text": (str,)}
_PROMPT = {"frame": (int,), "box": (list,), "points": (list,), "mask": (str, dict)}


@dataclass(frozen=True)
class Line:
    """One line of the file.

    Attributes:
        id: what the answer is found by.
        content: the line.
        folder: where relative paths lead from.
    """

    id: str | int
    content: Mapping[str, Any]
    folder: Path

    @property
    def instruction(self) -> Instruction | None:
        """What to edit, if anything."""
        if "edit" not in self.content:
            return None
        instruction = read_instruction(self.content["edit"])
        if not instruction.effect.picture:
            return instruction
        picture = str(self.folder / instruction.effect.picture)
        return replace(instruction, effect=replace(instruction.effect, picture=picture))

    @property
    def is_of_edit(self) -> bool:
        """Whether nothing is asked but what the edit names."""
        return not {"text", "turns"} & set(self.content)

    def fingerprint(self, settings: Mapping[str, Any]) -> str:
        """Changes when the request does, or the settings with which it is answered."""
        text = json.dumps([self.content, settings], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def request(self, generation: Generation) -> Request:
        """The request, its media opened; without turns where an edit is for what is shown, and nothing has to be asked.

        Args:
            generation: how answers are written where the line doesn't say.

        Raises:
            UserError: a file that isn't there or can't be read, or values that don't go.
        """
        content = self.content
        if "text" in content and not content["text"].strip():
            raise UserError("the question is empty; say what to find or ask")
        if "media" in content and not content["media"].strip():
            raise UserError("media is empty; give the path of a picture or video, or leave it out")
        media = open_media(self.folder / content["media"]) if "media" in content else None
        if self.is_of_edit:
            question = question_of_edit(self.instruction, media, has_region=bool(content.get("prompts")))
        else:
            question = content.get("text", "")
        turns = content.get("turns") or ([{"role": "user", "text": question}] if question else [])
        return Request(
            turns=tuple(Turn(turn["role"], turn["text"]) for turn in turns),
            media=media,
            prompts=tuple(self._prompt(entry) for entry in content.get("prompts", ())),
            generation=_generation(content.get("generation", {}), generation),
        )

    def _prompt(self, entry: Mapping[str, Any]) -> VisualPrompt:
        box, points, mask = entry.get("box"), entry.get("points", []), entry.get("mask")
        numbers = [*(box or []), *(value for point in points if isinstance(point, list) for value in point)]
        if not all(isinstance(point, list) for point in points) or not all(_is_number(value) for value in numbers):
            raise UserError(
                f"prompt {json.dumps(entry)[:80]}: expected a box [x1, y1, x2, y2] and points [[x, y, 1], …]"
            )
        return VisualPrompt(
            frame=entry.get("frame", 0),
            box=None if box is None else tuple(box),
            points=tuple(tuple(point) for point in points),
            mask=None if mask is None else self._mask(mask),
        )

    def _mask(self, mask: str | Mapping[str, Any]) -> np.ndarray:
        if isinstance(mask, str):
            return picture_mask(self.folder / mask)
        try:
            return decode_rle(mask)
        except (ValueError, TypeError) as error:
            raise UserError(f"mask of a prompt: {error}; give COCO run lengths or the path of a picture") from error


def read_requests(path: Path) -> list[Line]:
    """Every request of a file.

    Raises:
        UserError: it isn't there, or a line isn't a request.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UserError(f"{path}: can't be read ({reason}); give a file with a JSON object a line") from error
    lines: dict[str, Line] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        content = _content(line, where)
        if str(content["id"]) in lines:
            raise UserError(f"{where}: the id {content['id']!r} is there twice; every request needs its own")
        lines[str(content["id"])] = Line(content["id"], content, path.parent)
    if not lines:
        raise UserError(f"{path}: no request in it; give a JSON object a line, each with an id and a text")
    return list(lines.values())


def _content(line: str, where: str) -> dict[str, Any]:
    """A line's content, checked as far as that goes without opening files."""
    try:
        content = json.loads(line)
    except ValueError as error:
        raise UserError(f"{where}: not JSON ({error}); give one JSON object a line") from error
    _check(content, _KEYS, where)
    asked = {"text", "turns"} & set(content)
    if "id" not in content or len(asked) > 1 or not (asked or "edit" in content):
        raise UserError(f"{where}: expected an id, and either text or turns, got {', '.join(content) or 'nothing'}")
    _check_edit(content, where)
    for turn in content.get("turns", ()):
        _check(turn, _TURN, f"{where}, turns")
    roles = [turn.get("role") for turn in content.get("turns", ()) if "text" in turn]
    if "turns" in content and (
        len(roles) != len(content["turns"])
        or len(roles) % 2 == 0
        or roles != [("user", "assistant")[place % 2] for place in range(len(roles))]
    ):
        raise UserError(
            f"{where}, turns: expected user and assistant in turn, each with a text, the last one the user's"
        )
    for entry in content.get("prompts", ()):
        _check(entry, _PROMPT, f"{where}, prompts")
    known = {field.name: None for field in fields(Generation)}
    unknown = sorted(set(content.get("generation", ())) - set(known))
    if unknown:
        raise UserError(f"{where}, generation: no setting {unknown[0]!r}; there are {', '.join(known)}")
    return content


def _check_edit(content: Mapping[str, Any], where: str) -> None:
    """Raise UserError unless the edit, if there is one, is understood and has something to change."""
    kinds = [kind for kind in KINDS if kind != "frames"]
    if "edit" not in content:
        if "edit_as" in content:
            raise UserError(f"{where}: edit_as without edit; say what to edit, or leave it out")
        return
    if "media" not in content:
        raise UserError(f"{where}: edit without media; give the picture or video to edit")
    if content.get("edit_as", kinds[0]) not in kinds:
        raise UserError(
            f"{where}: edit_as is {json.dumps(content['edit_as'])[:40]}; expected one of {', '.join(kinds)}"
        )
    try:
        read_instruction(content["edit"])
    except UserError as error:
        raise UserError(f"{where}, edit: {error}") from error


def _check(content: Any, keys: Mapping[str, tuple[type, ...]], where: str) -> None:
    """Raise UserError unless it is an object with no other keys than these, and values of their types."""
    if not isinstance(content, dict):
        raise UserError(f"{where}: expected a JSON object, got {json.dumps(content)[:40]}")
    for key, value in content.items():
        if key not in keys:
            raise UserError(f"{where}: no key {key!r}; there are {', '.join(keys)}")
        if not isinstance(value, keys[key]) or isinstance(value, bool):
            raise UserError(f"{where}: {key} is {json.dumps(value)[:40]}; expected {_names(keys[key])}")


def _names(kinds: tuple[type, ...]) -> str:
    names = {str: "a text", int: "a whole number", list: "a list", dict: "an object"}
    return " or ".join(names[kind] for kind in kinds)


def _generation(own: Mapping[str, Any], usual: Generation) -> Generation:
    """The usual settings with a line's own."""
    for name, value in own.items():
        if name == "do_sample":
            is_good, expected = isinstance(value, bool), "true or false"
        elif name in ("temperature", "top_p"):
            is_good, expected = _is_number(value), "a number"
        else:
            is_whole = isinstance(value, int) and not isinstance(value, bool)
            is_good, expected = is_whole or (name == "seed" and value is None), "a whole number"
        if not is_good:
            raise UserError(f"generation: {name} is {json.dumps(value)[:40]}; expected {expected}")
    return replace(usual, **own)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
