"""lmms-eval's messages → a request, and its generation settings → limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from word2mask.data.media import VideoFile, open_media
from word2mask.errors import UserError
from word2mask.types import Media, Request, Turn

#: Where a task sets none (as lmms-eval's own models have it).
MAX_NEW_TOKENS = 128


def to_request(messages: Sequence[Mapping[str, Any]], max_new_tokens: int, where: str) -> Request:
    """The request of a conversation as ``doc_to_messages`` gives it.

    Args:
        messages: ``{"role", "content": [{"type": "text", "text"} | {"type": "image" | "video", "url"}]}``; texts of a
            message are put together line by line, a system message before the first question.
        max_new_tokens: upper limit of the answer's length.
        where: the task and its record, for messages.

    Raises:
        UserError: several pictures or videos, sound, a part of a video, or a medium that can't be read.
    """
    turns: list[Turn] = []
    media: list[Media | VideoFile] = []
    system = ""
    for message in messages:
        texts = []
        for content in message["content"]:
            if content["type"] == "text":
                texts.append(content["text"].strip())
            else:
                media.append(_open(content, where))
        text = "\n".join(filter(None, texts))
        if message["role"] == "system":
            system = text
        else:
            turns.append(Turn("assistant" if message["role"] == "assistant" else "user", text))
    if len(media) > 1:
        raise UserError(f"{where}: {len(media)} pictures or videos in one conversation; word2mask looks at one")
    if system and turns:
        turns[0] = Turn(turns[0].role, f"{system}\n{turns[0].text}".strip())
    return Request(tuple(turns), media[0] if media else None, max_new_tokens=max_new_tokens)


def cut(answer: str, until: str | Sequence[str] | None) -> str:
    """An answer up to the first of the strings that end it.

    >>> cut("B. Because", ["\\n", "."])
    'B'
    """
    ends = [until] if isinstance(until, str) else list(until or [])
    places = [answer.find(end) for end in ends if end and end in answer]
    return (answer[: min(places)] if places else answer).strip()


def _open(content: Mapping[str, Any], where: str) -> Media | VideoFile:
    """A picture or video, from memory or from a file."""
    kind, given = content["type"], content.get("url")
    if kind not in ("image", "video"):
        raise UserError(f"{where}: a message holds {kind}; word2mask reads text, pictures and videos")
    if content.get("start_time") is not None or content.get("end_time") is not None:
        raise UserError(f"{where}: a part of a video is asked about; cut it out first, word2mask reads whole ones")
    if isinstance(given, str | Path):
        return open_media(given)
    items = list(given) if isinstance(given, list | tuple) else [given]
    pictures = [one for one in items if isinstance(one, Image.Image)]
    if not pictures or len(pictures) != len(items):
        raise UserError(f"{where}: {kind} is given as {type(given).__name__}; expected a path or a PIL picture")
    frames = [np.asarray(one.convert("RGB")) for one in pictures]
    if len({frame.shape for frame in frames}) > 1:
        raise UserError(f"{where}: the frames of a video are of several sizes")
    return Media("video" if kind == "video" else "image", np.stack(frames), tuple(range(len(frames))), where)
