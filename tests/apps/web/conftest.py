"""A session whose answers are known, for everything of the page that isn't the model."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from word2mask.inference.answer import Answer
from word2mask.types import Media, Request, Segment, Turn

TEXT = "The left half and the moon."


class KnownSession:
    """Answers every question with two objects: the left half, and a moon that isn't there.

    Attributes:
        requests: as they came.
        hold: set to let tracking end; until then it goes on reporting.
        error: raised instead of an answer.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.hold: threading.Event | None = None
        self.error: BaseException | None = None
        self.model = SimpleNamespace(segmenter=SimpleNamespace(tracks=True))

    def answer(self, frames: int, size: tuple[int, int]) -> Answer:
        left = np.zeros((frames, *size), bool)
        left[:, :, : size[1] // 2] = True
        return Answer(
            TEXT,
            TEXT,
            [
                Segment("The left half", (0, 13), left, np.full(frames, 0.9, np.float32)),
                Segment("the moon", (18, 26), np.zeros_like(left), np.zeros(frames, np.float32)),
            ],
            size,
            frames,
        )

    def stream(self, request: Request, progress: Any = None) -> Iterator[str | Answer]:
        self.requests.append(request)
        progress("answer", 0, 1)
        if self.error is not None:
            raise self.error
        yield TEXT[:9]
        yield TEXT[9:]
        media = request.media
        is_array = isinstance(media, Media)
        frames = len(media.frames) if is_array else len(media)
        size = tuple(media.frames.shape[1:3]) if is_array else media.size
        done = 0
        while self.hold is not None and not self.hold.wait(0.05):
            progress("track", done := done + 1, 10_000)
        yield self.answer(frames, size)

    def ask(self, request: Request, progress: Any = None) -> Answer:
        *_, last = self.stream(request, progress or (lambda *step: None))
        return last

    def converse(self, media: Any = None, keep_bytes: int = 0) -> KnownConversation:
        return KnownConversation(self, media)


class KnownConversation:
    """Several turns with it."""

    def __init__(self, session: KnownSession, media: Any) -> None:
        self.session, self.media, self.turns = session, media, ()

    def stream(
        self, text: str, prompts: Sequence[Any] = (), generation: Any = None, progress: Any = None
    ) -> Iterator[str | Answer]:
        asked = (*self.turns, Turn("user", text))
        for piece in self.session.stream(Request(asked, self.media, prompts=tuple(prompts)), progress):
            if isinstance(piece, Answer):
                self.turns = (*asked, Turn("assistant", piece.raw_text))
            yield piece


@pytest.fixture
def known_session() -> KnownSession:
    return KnownSession()
