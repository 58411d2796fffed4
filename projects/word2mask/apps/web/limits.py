"""What a visitor may bring: how large, how long, how many; and messages that show no path of the server."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from word2mask.data.media import VideoFile, open_media
from word2mask.data.pictures import IMAGE_SUFFIXES, VIDEO_SUFFIXES, image_size
from word2mask.errors import UserError
from word2mask.types import Media

__all__ = ["Limits", "checked_media", "checked_text", "said_without_paths", "shown_name"]

#: Characters of a file's name that a page shows.
LONGEST_NAME = 60


@dataclass(frozen=True)
class Limits:
    """Bounds on what one visitor can ask of the server.

    Attributes:
        megabytes: of an uploaded file.
        megapixels: of a picture.
        frame_megapixels: of a video's frame.
        frames: of a video.
        characters: of a question.
        turns: questions about one picture or video.
        regions: marked for one question.
        waiting: visitors in the queue; the next one is told to come back.
    """

    megabytes: int = 200
    megapixels: float = 24.0
    frame_megapixels: float = 2.3
    frames: int = 900
    characters: int = 2000
    turns: int = 24
    regions: int = 8
    waiting: int = 32


def checked_media(path: str | Path, name: str, limits: Limits) -> Media | VideoFile:
    """An uploaded file as a picture or a video; sizes are looked at before anything is decoded.

    Args:
        path: of the file.
        name: as the visitor called it, for messages.
        limits: of this server.

    Raises:
        UserError: neither a picture nor a video, damaged, or over a limit; the message names ``name`` alone.
    """
    path, name = Path(path), shown_name(name)
    try:
        suffix = path.suffix.lower()
        if suffix not in IMAGE_SUFFIXES + VIDEO_SUFFIXES:
            raise UserError(
                f"{name}: not a picture or a video by its name; give one of {' '.join(IMAGE_SUFFIXES + VIDEO_SUFFIXES)}"
            )
        if path.stat().st_size > limits.megabytes * 10**6:
            raise UserError(f"{name}: larger than {limits.megabytes} MB; give a shorter or smaller one")
        if suffix in IMAGE_SUFFIXES:
            _check_pixels(name, image_size(path), limits.megapixels, "scale it down")
        media = open_media(path)
        if isinstance(media, Media):
            _check_pixels(name, media.frames.shape[1:3], limits.megapixels, "scale it down")
            return Media(media.kind, media.frames, media.frame_indices, name)
        _check_pixels(name, media.size, limits.frame_megapixels, "scale the video down")
        if len(media) > limits.frames:
            raise UserError(f"{name}: {len(media)} frames, this page takes {limits.frames}; cut a shorter piece")
        return media
    except UserError as error:
        raise UserError(said_without_paths(str(error), {str(path): name})) from None


def checked_text(text: str, limits: Limits) -> str:
    """A question without spaces around it.

    Raises:
        UserError: empty, or too long.
    """
    text = text.strip()
    if not text:
        raise UserError("the question is empty; say what to find or ask, e.g. “Please segment the red circle.”")
    if len(text) > limits.characters:
        raise UserError(f"the question has {len(text)} characters, this page takes {limits.characters}; shorten it")
    return text


def shown_name(name: str) -> str:
    """The last part of a file's name, printable and not too long.

    >>> shown_name("../../etc/a\\nb.png")
    'a b.png'
    """
    last = re.split(r"[/\\]", name)[-1]
    last = " ".join("".join(character if character.isprintable() else " " for character in last).split())
    return (last if len(last) <= LONGEST_NAME else f"{last[: LONGEST_NAME - 9]}…{last[-8:]}") or "upload"


def said_without_paths(message: str, names: dict[str, str]) -> str:
    """A message in which known paths are called by their names, and others by their last part.

    >>> said_without_paths("/srv/x/1.png: damaged", {"/srv/x/1.png": "cat.png"})
    'cat.png: damaged'
    >>> said_without_paths("can't write /srv/x/out.mp4", {})
    "can't write out.mp4"
    """
    for path, name in names.items():
        message = message.replace(path, name)
    return re.sub(r"(?<![\w:.~/])(?:/[\w.+-]+)+/([\w.+-]+)", r"\1", message)


def _check_pixels(name: str, size: tuple[int, ...], megapixels: float, remedy: str) -> None:
    height, width = size
    if height * width > megapixels * 10**6:
        raise UserError(f"{name}: {width} × {height} pixels, this page takes {megapixels:g} megapixels; {remedy}")
