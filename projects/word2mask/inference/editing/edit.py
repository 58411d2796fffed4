"""The way in: a picture or video and an instruction in words become an edited file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from word2mask.data.media import VideoFile
from word2mask.errors import UserError
from word2mask.inference.editing.editor import BuiltInEditor, Editor
from word2mask.inference.editing.instruction import Instruction
from word2mask.inference.editing.output import Target
from word2mask.inference.editing.readings import read_instruction
from word2mask.inference.editing.soft_masks import MAX_REACH, SoftMasks, SteadyMasks
from word2mask.inference.editing.timeline import Timeline, timeline_of
from word2mask.text.expressions import says_nothing_is_there
from word2mask.text.questions import SEGMENTATION_QUESTIONS
from word2mask.types import Media, Request, Result, Turn

__all__ = ["Edited", "edit", "doubt_notes", "question_for", "refuse_unread", "unsure_notes"]

#: Called with (stage, done, total); stages are those of a session, then ``"edit"``.
Progress = Callable[[str, int, int], None]

QUESTION = SEGMENTATION_QUESTIONS[1]
#: A score below this is told.
SURE = 0.75
#: Frames decoded at a time, and how much of what was decoded is kept for an editor that looks back and ahead: removal
#: looks at 13 places of the video for each frame.
CHUNK = 8
KEPT_CHUNKS = 14
KEPT_BYTES = 384 * 1024 * 1024


class Answers(Protocol):
    """What answers questions with masks: a :class:`word2mask.inference.session.Session`."""

    def ask(self, request: Request, progress: Progress | None = None) -> Result: ...


@runtime_checkable
class Reader(Protocol):
    """What can tell which words it can't read, as a session does."""

    def unread(self, text: str) -> tuple[str, ...]: ...

    def doubtful(self, text: str) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class Edited:
    """What was made.

    Attributes:
        path: the file, or the folder of frames.
        instruction: as it was understood.
        result: the answer whose masks were taken.
        frames: the frames that were to be changed, of the whole.
        notes: what is different from the source besides, in sentences (an odd size padded, sound left out).
    """

    path: Path
    instruction: Instruction
    result: Result
    frames: range
    notes: tuple[str, ...] = ()


def edit(
    session: Answers,
    media: Media | VideoFile,
    instruction: str | Instruction,
    out: str | Path,
    *,
    result: Result | None = None,
    is_answered: bool = False,
    editor: Editor | None = None,
    fps: float | None = None,
    progress: Progress | None = None,
) -> Edited:
    """Finds what an instruction names, changes it for the time that it names, and writes the whole.

    Args:
        session: is asked for the masks of what the instruction names.
        media: a picture, or a video (:func:`word2mask.data.media.open_media`).
        instruction: in English or Chinese, e.g. ``"turn the dog into ink-wash style in second three"``; or one that was
            read before.
        out: ``.mp4``, ``.webm``, ``.gif`` or the name of a folder (PNG of each frame) for a video; ``.png``, ``.jpg``
            or ``.webp`` for a picture. It appears when it is complete.
        result: an answer about ``media``, whose masks are taken when the instruction names nothing ("blur it").
        is_answered: whether ``result`` is the answer to :func:`question_for` what the instruction names, so that the
            session isn't asked again.
        editor: what changes the frames; the built-in effects without.
        fps: frames a second where the media doesn't say (a folder of frames, frames in memory).
        progress: called with (stage, done, total).

    Raises:
        UserError: an instruction that isn't understood, a time span outside of the video, a thing that isn't there or
            is named in words that the model can't read, or a file that can't be written; nothing is left under ``out``
            then.
    """
    if isinstance(instruction, str):
        instruction = read_instruction(instruction)
    is_video = not (isinstance(media, Media) and media.kind == "image")
    target = Target(Path(out), is_video, has_alpha=instruction.effect.name == "cutout")
    if media.name and target.path.exists() and Path(media.name).exists() and target.path.samefile(media.name):
        raise UserError(f"{target.path} is what is to be edited, and would be lost; give another name to write")
    if fps is not None and not fps > 0:
        raise UserError(f"fps is {fps}; expected more than 0")
    timeline, frames = timeline_of(media, fps), _Frames(media)
    span = _span(instruction, timeline, frames, is_video)
    if not instruction.what and result is None:
        raise UserError(
            'the instruction doesn\'t say what to change; name it ("blur the red car"), or give an answer whose masks '
            "are to be taken"
        )
    editor = editor or BuiltInEditor()
    # Before the model works, which may take minutes.
    told = editor.notes(instruction) if isinstance(editor, BuiltInEditor) else ()
    if result is None or (instruction.what and not is_answered):
        result = _ask(session, media, instruction, is_video, progress)
    masks = _found(result, frames, span, instruction, timeline)
    changed = editor.edit(frames, masks, span, instruction)
    whole = _all_frames(frames, changed, span, target.has_alpha, progress)
    source = media.path if isinstance(media, VideoFile) and media.path.is_file() else None
    doubts = (*doubt_notes(session, instruction.what), *unsure_notes(result, instruction.what))
    notes = (*told, *doubts, *target.write(whole, timeline, source))
    if is_video and not timeline.is_said:
        notes = (
            f"{frames.name} doesn't say how many frames there are in a second; {timeline.fps:g} were taken",
            *notes,
        )
    return Edited(target.path, instruction, result, span, notes)


class _Frames(Sequence[np.ndarray]):
    """All frames, decoded as they are asked for; the latest chunks are kept, up to :data:`KEPT_BYTES`."""

    def __init__(self, media: Media | VideoFile) -> None:
        self.name = media.name or ("picture" if isinstance(media, Media) and media.kind == "image" else "video")
        self._media = media
        self._count = len(media.frames) if isinstance(media, Media) else len(media)
        if not self._count:
            raise UserError(f"{self.name}: no frames; give a video with at least one")
        height, width = media.frames.shape[1:3] if isinstance(media, Media) else media.size
        self.size: tuple[int, int] = (int(height), int(width))
        kept = max(2, min(KEPT_CHUNKS, KEPT_BYTES // (CHUNK * height * width * 3)))
        self._chunk = lru_cache(maxsize=int(kept))(self._read)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, frame: int) -> np.ndarray:  # type: ignore[override]
        """uint8 RGB ``[H,W,3]``."""
        if not 0 <= frame < self._count:
            raise IndexError(f"frame {frame} of {self._count}")
        if isinstance(self._media, Media):
            return self._media.frames[frame]
        return self._chunk(frame // CHUNK)[frame % CHUNK]

    def _read(self, chunk: int) -> np.ndarray:
        assert isinstance(self._media, VideoFile)
        return self._media.read(range(chunk * CHUNK, min((chunk + 1) * CHUNK, self._count)))


class _Inverted(Sequence[np.ndarray]):
    """Everything but the thing."""

    def __init__(self, masks: Sequence[np.ndarray]) -> None:
        self._masks = masks

    def __len__(self) -> int:
        return len(self._masks)

    def __getitem__(self, frame: int) -> np.ndarray:  # type: ignore[override]
        return 1 - self._masks[frame]


def _span(instruction: Instruction, timeline: Timeline, frames: _Frames, is_video: bool) -> range:
    """The frames that the instruction is about."""
    if instruction.when is None:
        return range(len(frames))
    if not is_video:
        raise UserError(
            f'{frames.name} is a picture, but the instruction names a time, "{instruction.when.words}"; leave it out'
        )
    times, duration = (timeline.times, timeline.duration) if timeline.is_said else (None, None)
    return instruction.when.frames(times, len(frames), duration, frames.name)


def _ask(
    session: Answers, media: Media | VideoFile, instruction: Instruction, is_video: bool, progress: Progress | None
) -> Result:
    """The answer with the masks of what the instruction names."""
    refuse_unread(session, instruction.what)
    question = question_for(instruction.what, is_video)
    return session.ask(Request((Turn("user", question),), media), progress)


def question_for(what: str, is_video: bool) -> str:
    """How the masks of what an instruction names are asked for, in one of the wordings of training."""
    return QUESTION.format(what, medium="video" if is_video else "picture")


def refuse_unread(session: object, words: str) -> None:
    """Stops before something else is edited than what was named in words that the model can't read.

    Args:
        session: whose words it knows; one that can't tell is taken at its word.
        words: that name a thing.

    Raises:
        UserError: there are such words.
    """
    unread = session.unread(words) if isinstance(session, Reader) else ()
    if unread:
        said = ", ".join(f'"{word}"' for word in unread)
        raise UserError(
            f'"{words}" was asked for, but this model can\'t read {said}: its vocabulary has no piece of it, and '
            "what it would find could be anything; nothing was written. Say it in words, or a language, that it was "
            'trained with, or point at the thing with a box or a click and edit "it"'
        )


def doubt_notes(session: object, words: str) -> tuple[str, ...]:
    """What to tell of words that name a thing and that the model may not have learned."""
    doubtful = session.doubtful(words) if isinstance(session, Reader) else ()
    if not doubtful:
        return ()
    said = ", ".join(f'"{word}"' for word in doubtful)
    return (
        f"{said} {'are no words' if len(doubtful) > 1 else 'is no word'} of this model's small vocabulary, and it may "
        "not have learned what that means; look whether what was found is what was meant",
    )


def unsure_notes(result: Result, words: str) -> tuple[str, ...]:
    """What to tell of a thing that was found, where the model itself isn't sure of it: a word that it never learned
    may look known, and what it finds then is a guess.

    Args:
        result: whose segments are that thing.
        words: that name it; none where what was found before is taken.
    """
    confidence = max((segment.confidence for segment in result.segments if segment.is_found), default=1.0)
    if not words or confidence >= SURE:
        return ()
    return (
        f'the model gives "{words}" a score of {confidence:.2f} only, of 1; look whether what was found is what was '
        "meant",
    )


def _found(
    result: Result, frames: _Frames, span: range, instruction: Instruction, timeline: Timeline
) -> Sequence[np.ndarray]:
    """Soft masks of all that the answer points at, together.

    Raises:
        UserError: it points at nothing, or at nothing in the time span.
    """
    what = f'"{instruction.what}"' if instruction.what else "what was asked for"
    if (result.num_frames, result.original_size) != (len(frames), frames.size) and result.segments:
        raise UserError(
            f"{frames.name}: {len(frames)} frames of {list(frames.size)} (height, width), but the answer is about "
            f"{result.num_frames} of {list(result.original_size or ())}; give what was asked about"
        )
    seen = [segment.found_on for segment in result.segments]
    anywhere = np.any(seen, axis=0) if seen else np.zeros(len(frames), dtype=bool)
    if not anywhere.any() or says_nothing_is_there(result.text):
        raise UserError(f'{frames.name}: {what} wasn\'t found, nothing was written; the model said "{result.text}"')
    if not anywhere[span.start : span.stop].any():
        first, last = np.flatnonzero(anywhere)[[0, -1]].tolist()
        said = instruction.when.words if instruction.when else ""
        raise UserError(
            f'{frames.name}: {what} isn\'t there in the time span "{said}" (frames {span.start} to {span.stop - 1}), '
            f"nothing was written; it was found between frame {first} ({timeline.times[first]:.2f} s) and frame {last} "
            f"({timeline.times[last]:.2f} s)"
        )

    def mask(frame: int) -> np.ndarray:
        together = np.zeros(frames.size, dtype=bool)
        for segment, found in zip(result.segments, seen, strict=True):
            if found[frame]:
                together |= segment.masks[frame]
        return together

    # What is removed must be covered on each frame as it is there; an average over time would leave fast parts.
    reach = 0 if instruction.effect.name == "remove" else MAX_REACH
    soft = SoftMasks(mask, len(frames), frames.size, reach=reach)
    if instruction.effect.name == "outline":
        soft = SteadyMasks(mask, len(frames), frames.size)
    return _Inverted(soft) if instruction.is_inverted else soft


def _all_frames(
    frames: _Frames, changed: Iterator[np.ndarray], span: range, has_alpha: bool, progress: Progress | None
) -> Iterator[np.ndarray]:
    """Every frame in order, those of the span as they were changed."""
    for index in range(len(frames)):
        if progress is not None:
            progress("edit", index, len(frames))
        frame = next(changed) if index in span else frames[index]
        if has_alpha and frame.shape[2] == 3:
            frame = np.dstack([frame, np.full(frame.shape[:2], 255, np.uint8)])
        yield frame
    if progress is not None:
        progress("edit", len(frames), len(frames))
