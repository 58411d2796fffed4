"""An answer as files: words and masks as JSON, masks as pictures, and what was asked about with the masks on it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from word2mask.data.media import VideoFile
from word2mask.errors import UserError
from word2mask.inference.formats.plain import to_json
from word2mask.inference.render import overlay, save_picture, save_video, strip
from word2mask.types import Media, Result

__all__ = ["frames_of", "is_video", "write"]

#: Frames a second of an overlay whose source doesn't say (a folder of frames).
USUAL_RATE = 8.0
#: Frames that the strip of a video shows.
SHOWN = 6


def write(
    folder: Path,
    result: Result,
    media: Media | VideoFile | None,
    question: str = "",
    edited: str | Path | None = None,
) -> None:
    """Writes into a folder that is there::

        answer.json     the answer; for each object its phrase, scores, boxes and masks (COCO run lengths per frame)
        mask_01.png     a picture's masks at its own size; for a video masks_01/00000.png, … for each object
        overlay.png     the picture with its masks; for a video overlay.mp4, and strip.png with a few of its frames
        edited.…        a copy of ``edited``, when it is given

    Frames are read one by one, and a video's masks too.

    Args:
        folder: where to write.
        result: the answer.
        media: what was asked about; without, there is no more than ``answer.json``.
        question: what was asked.
        edited: a picture or video made with this answer.

    Raises:
        UserError: ``media`` has another size or number of frames than the answer.
    """
    name = "" if media is None else media.name
    content = json.dumps(to_json(result, name, question), indent=1, ensure_ascii=False)
    (folder / "answer.json").write_text(content + "\n", encoding="utf-8")
    if edited is not None:
        shutil.copyfile(edited, folder / f"edited{Path(edited).suffix}")
    if media is None:
        return
    _check(result, media)
    drawn = _drawn(folder, result, media)
    if not is_video(media):
        save_picture(next(drawn), folder / "overlay.png")
        return
    places = set(np.linspace(0, result.num_frames - 1, min(SHOWN, result.num_frames)).round().astype(int).tolist())
    shown: list[np.ndarray] = []

    def watched() -> Iterator[np.ndarray]:
        for place, picture in enumerate(drawn):
            if place in places:
                shown.append(picture)
            yield picture

    save_video(watched(), folder / "overlay.mp4", fps=getattr(media, "fps", None) or USUAL_RATE)
    save_picture(strip(shown, SHOWN), folder / "strip.png")


def is_video(media: Media | VideoFile) -> bool:
    """Whether it is a video, be it of one frame."""
    return not isinstance(media, Media) or media.kind == "video"


def frames_of(media: Media | VideoFile) -> Iterator[np.ndarray]:
    """Every frame, uint8 RGB ``[H,W,3]``, in order."""
    return iter(media.frames) if isinstance(media, Media) else media.iterate()


def _check(result: Result, media: Media | VideoFile) -> None:
    """Raise UserError unless the answer is about something like this."""
    if isinstance(media, Media):
        has, size = len(media.frames), tuple(media.frames.shape[1:3])
    else:
        has, size = len(media), tuple(media.size)
    if (has, size) != (result.num_frames, result.original_size):
        raise UserError(
            f"{media.name or 'media'}: {has} frames of {list(size)} (height, width), but the answer is about "
            f"{result.num_frames} of {list(result.original_size or ())}; give what was asked about"
        )


def _drawn(folder: Path, result: Result, media: Media | VideoFile) -> Iterator[np.ndarray]:
    """Every frame with its masks on it, uint8 RGB; the masks are written on the way."""
    labels = [segment.phrase for segment in result.segments]
    if is_video(media):
        for number in range(1, len(labels) + 1):
            (folder / f"masks_{number:02}").mkdir()
    for place, frame in enumerate(frames_of(media)):
        masks = np.zeros((len(labels), *frame.shape[:2]), dtype=bool)
        for number, segment in enumerate(result.segments):
            masks[number] = segment.masks[place]
            file = f"masks_{number + 1:02}/{place:05}.png" if is_video(media) else f"mask_{number + 1:02}.png"
            save_picture(masks[number], folder / file)
        yield overlay(frame, masks, labels)
