"""What a visitor may bring: how large, how long, how many; and messages that show no path of the server."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from word2mask.apps.sent_media import Extent, is_picture, video_extent
from word2mask.data.first_bytes import suffix_of_file
from word2mask.data.media import VideoFile, open_media
from word2mask.data.pictures import IMAGE_SUFFIXES, VIDEO_SUFFIXES, image_size
from word2mask.errors import UserError
from word2mask.types import Media

__all__ = ["Limits", "checked_media", "checked_text", "said_without_paths", "shown_name"]

#: Characters of a file's name that a page shows.
LONGEST_NAME = 60


@dataclass(frozen=True)
class Limits:
    """Bounds on what visitors can ask of the server.

    Attributes:
        megabytes: of an uploaded file.
        stored_megabytes: of all visitors' files together, uploads and what is made for them.
        megapixels: of a picture.
        frame_megapixels: of a video's frame.
        frames: of a video; 1 takes pictures only.
        characters: of a question.
        turns: questions about one picture or video.
        regions: marked for one question.
        waiting: visitors in the queue; the next one is told to come back.
    """

    megabytes: int = 200
    stored_megabytes: int = 4000
    megapixels: float = 24.0
    frame_megapixels: float = 2.3
    frames: int = 900
    characters: int = 2000
    turns: int = 24
    regions: int = 8
    waiting: int = 32

    @property
    def only_pictures(self) -> bool:
        """Whether videos are refused, whatever their length."""
        return self.frames == 1


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
        _check_content(name, path)
        if is_picture(suffix):
            _check_pixels(name, image_size(path), limits.megapixels, "scale it down")
        else:
            _check_video(name, video_extent(path, limits.frames), limits)
        media = open_media(path)
        return Media(media.kind, media.frames, media.frame_indices, name) if isinstance(media, Media) else media
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


def _check_content(name: str, path: Path) -> None:
    """What a file says by its first bytes has to be what it says by its name."""
    found, kind = suffix_of_file(path), "picture" if is_picture(path.suffix.lower()) else "video"
    if found is None or is_picture(found) != (kind == "picture"):
        suffixes = IMAGE_SUFFIXES if kind == "picture" else VIDEO_SUFFIXES
        raise UserError(f"{name}: not a {kind} that can be read, by its first bytes; give one of {' '.join(suffixes)}")


def _check_video(name: str, extent: Extent, limits: Limits) -> None:
    """Before anything is decoded."""
    if limits.only_pictures and extent.num_frames > 1:
        raise UserError(f"{name}: a video, and this page looks at pictures only; give a picture")
    # A GIF may be a still.
    megapixels = limits.frame_megapixels if extent.num_frames > 1 else limits.megapixels
    _check_pixels(name, (extent.height, extent.width), megapixels, "scale it down")
    if extent.num_frames > limits.frames:
        raise UserError(f"{name}: more than {limits.frames} frames, which is what this page takes; cut a shorter piece")


def _check_pixels(name: str, size: tuple[int, ...], megapixels: float, remedy: str) -> None:
    height, width = size
    if height * width > megapixels * 10**6:
        raise UserError(f"{name}: {width} × {height} pixels, this page takes {megapixels:g} megapixels; {remedy}")
