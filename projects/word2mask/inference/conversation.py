"""A conversation about one picture or video: nothing that was read, seen or encoded is read, seen or encoded again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from word2mask.data.encode import Encoder
from word2mask.data.media import VideoFile
from word2mask.errors import UserError
from word2mask.inference.answer import Answer
from word2mask.inference.frames import View
from word2mask.inference.jobs import Job
from word2mask.inference.session import Session
from word2mask.inference.tracking import FeatureStore, Progress, silent
from word2mask.mllms.interface import Kept, MediaProcessor, PreparedMedia
from word2mask.types import Generation, Media, Request, Turn, VisualPrompt

__all__ = ["Conversation"]


class Conversation:
    """Several turns about the same media; each answer is what :meth:`Session.ask` gives for the whole conversation.

    Between turns the language model keeps its visual tokens, keys and values, and the segmenter the features of the key
    frames and, up to a limit, of the other frames of a video. What was pointed at in earlier turns is still there:
    regions are numbered through, so that the first of the second turn may be "region3".

    Args:
        session: who answers.
        media: what it is about, or ``None``. A live video can't be: it passes once.
        keep_bytes: limit of the encoded frames of a video, key frames aside.
    """

    def __init__(self, session: Session, media: Media | VideoFile | None = None, keep_bytes: int = 1 << 30) -> None:
        if media is not None and not isinstance(media, (Media, VideoFile)):
            raise UserError(
                f"a conversation about {type(media).__name__}: give a picture or a video that can be read again, as "
                "word2mask.data.media.open_media does"
            )
        self.session = session
        self.media = media
        self._keep_bytes = keep_bytes
        self._turns: list[Turn] = []
        self._prompts: list[tuple[VisualPrompt, ...]] = []
        self._view: View | None = None
        self._viewed: list[int] = []
        self._forget()
        own = session.encoder
        self._encoder = Encoder(
            _Remembering(own.media_processor), _RememberingFrames(own.frame_processor), own.max_length
        )

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The user's and the model's, in turn; the model's as written, markup included."""
        return tuple(self._turns)

    @property
    def prompts(self) -> tuple[VisualPrompt, ...]:
        """What was pointed at so far, in order."""
        return tuple(prompt for own in self._prompts for prompt in own)

    def ask(
        self,
        text: str,
        prompts: Sequence[VisualPrompt] = (),
        generation: Generation | None = None,
        on_text: Callable[[str], None] | None = None,
        progress: Progress | None = None,
    ) -> Answer:
        """The next turn.

        Args:
            text: what the user says.
            prompts: what the user points at besides.
            generation: how the answer is written.
            on_text: called with each piece of the answer.
            progress: see :data:`word2mask.inference.tracking.Progress`.

        Returns:
            The answer. What ``on_text`` or ``progress`` raises reaches the caller, and the turn didn't take place.

        Raises:
            UserError: an empty text, or a conversation that is too long; :meth:`undo` a turn, or start another one.
        """
        for piece in self.stream(text, prompts, generation, progress):
            if isinstance(piece, Answer):
                return piece
            if on_text is not None:
                on_text(piece)
        raise AssertionError("a stream ends with its answer")

    def stream(
        self,
        text: str,
        prompts: Sequence[VisualPrompt] = (),
        generation: Generation | None = None,
        progress: Progress | None = None,
    ) -> Iterator[str | Answer]:
        """The next turn, piece by piece; it counts when the answer, which comes last, was given.

        Args:
            text: as in :meth:`ask`.
            prompts: likewise.
            generation: likewise.
            progress: likewise.
        """
        report = progress or silent
        report("answer", 0, 1)
        job = self._job(Turn("user", text), tuple(prompts), generation)
        for piece in self.session.stream_job(job, report):
            if isinstance(piece, Answer):
                self._turns += [Turn("user", text), Turn("assistant", piece.raw_text)]
                self._prompts.append(tuple(prompts))
            yield piece

    def undo(self) -> None:
        """Takes the last question and its answer back.

        Raises:
            UserError: there is none.
        """
        if not self._turns:
            raise UserError("there is no turn to undo; the conversation has just begun")
        del self._turns[-2:]
        self._prompts.pop()

    def _job(self, turn: Turn, prompts: tuple[VisualPrompt, ...], generation: Generation | None) -> Job:
        every = (*self.prompts, *prompts)
        request = Request((*self._turns, turn), self.media, prompts=every, generation=generation)
        prompted = [prompt.frame for prompt in every]
        if self.media is not None and (self._view is None or prompted != self._viewed):
            view = self.session.view(request)
            if self._view is None or view.indices != self._view.indices:
                self._forget()
                self._view = view
            self._viewed = prompted
        name = f"turn {len(self._turns) // 2 + 1} of the conversation"
        job = self.session.prepare(request, name, self._view, self._encoder, self._store)
        job.kept = self._kept
        return job

    def _forget(self) -> None:
        """Starts again with nothing kept."""
        self._kept = Kept()
        self._store = FeatureStore(self._keep_bytes)


class _Remembering:
    """The language model's preprocessing, which prepares the conversation's media once.

    Args:
        processor: whose work it is.
    """

    def __init__(self, processor: MediaProcessor) -> None:
        self._processor = processor
        self.tokenizer, self.template = processor.tokenizer, processor.template
        self.context_token = processor.context_token
        self._media: Media | None = None
        self._prepared: PreparedMedia | None = None

    def prepare_media(self, media: Media) -> Any:
        """Tensors and placeholder of a picture or video."""
        if media is not self._media or self._prepared is None:
            self._media, self._prepared = media, self._processor.prepare_media(media)
        return self._prepared

    def __getattr__(self, name: str) -> Any:
        return getattr(self._processor, name)


class _RememberingFrames:
    """The segmenter's preprocessing, likewise.

    Args:
        processor: whose work it is.
    """

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        self._frames: np.ndarray | None = None
        self._prepared: torch.Tensor | None = None

    def prepare_frames(self, frames: np.ndarray) -> torch.Tensor:
        """uint8 ``[T,H,W,3]`` → float32 ``[T,3,S,S]``."""
        if frames is not self._frames or self._prepared is None:
            self._frames, self._prepared = frames, self._processor.prepare_frames(frames)
        return self._prepared
