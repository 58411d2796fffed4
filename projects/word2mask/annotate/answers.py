"""What a model must answer at each stage: JSON schemas, and how an answer is read."""

from __future__ import annotations

import json
import re
from typing import Any

from jsonschema import Draft202012Validator

__all__ = ["SCHEMAS", "InvalidAnswer", "read_answer"]

#: Ends what a model thinks before it answers (Qwen3, DeepSeek-R1), where its service leaves that in the answer.
THOUGHT = "</think>"

_TEXT = {"type": "string", "minLength": 1}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_CAPTION = _object(recognisable={"type": "boolean"}, caption={"type": "string"})

#: By the name of the prompt that asks for it. They are sent along with the question, too.
SCHEMAS: dict[str, dict[str, Any]] = {
    "caption_masked": _CAPTION,
    "caption_crop": _CAPTION,
    "compare": _object(
        verdict={"enum": ["consistent", "inconsistent", "unrecognisable"]},
        reason={"type": "string"},
        description={"type": "string"},
        short={"type": "string"},
    ),
    "scene": _object(description=_TEXT),
    "video": _object(description=_TEXT, short=_TEXT),
}

_VALIDATORS = {name: Draft202012Validator(schema) for name, schema in SCHEMAS.items()}


class InvalidAnswer(Exception):
    """An answer that doesn't follow its schema; the message goes back to the model once."""


def read_answer(name: str, text: str) -> dict[str, Any]:
    """The JSON object of an answer; words, a code fence or a train of thought around it don't matter.

    Args:
        name: of the prompt.
        text: what the model wrote.

    Raises:
        InvalidAnswer: no JSON object, one that doesn't follow the schema, or a consistent verdict without its texts.
    """
    text = text.rpartition(THOUGHT)[2]
    start, end = text.find("{"), text.rfind("}")
    if start >= 0 > end:
        raise InvalidAnswer("its JSON object has no end; answer in fewer words")
    if start < 0 or end < start:
        raise InvalidAnswer("it holds no JSON object")
    try:
        content = json.loads(text[start : end + 1])
    except ValueError as error:
        raise InvalidAnswer(f"it isn't JSON ({error})") from error
    errors = sorted(_VALIDATORS[name].iter_errors(content), key=lambda error: error.json_path)
    if errors:
        raise InvalidAnswer(f"{errors[0].json_path}: {errors[0].message[:200]}")
    content = {key: value.strip() if isinstance(value, str) else value for key, value in content.items()}
    broken = [key for key, value in content.items() if isinstance(value, str) and re.search("[\ud800-\udfff]", value)]
    if broken:
        raise InvalidAnswer(f"$.{broken[0]}: holds half a character (\\ud800 … \\udfff)")
    needed = [] if name != "compare" or content["verdict"] != "consistent" else ["description", "short"]
    needed += ["caption"] if content.get("recognisable") else []
    needed += ["description", "short"] if name == "video" else ["description"] if name == "scene" else []
    empty = [key for key in needed if not content[key]]
    if empty:
        raise InvalidAnswer(f"$.{empty[0]}: is empty")
    return content
