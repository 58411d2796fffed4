"""A short video with sound, written as users bring them, and a session that answers with given masks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from word2mask.types import Request, Result, Segment

RATE, SOUND_RATE = 8, 44100
RED = (200, 40, 30)


@dataclass
class Clip:
    """Twelve frames of 64 × 48 at 8 a second, with a red square that moves over a smooth wall, and a tone of 440 Hz.

    Attributes:
        path: of the file.
        frames: uint8 ``[12,48,64,3]``, as they were before they were encoded.
        masks: bool ``[12,48,64]`` of the square.
    """

    path: Path
    frames: np.ndarray
    masks: np.ndarray


@dataclass
class FixedSession:
    """Answers each question with the same masks, and remembers what was asked."""

    segments: list[Segment]
    num_frames: int
    size: tuple[int, int]
    text: str = "Sure, it is the square."
    asked: list[str] = field(default_factory=list)

    def ask(self, request: Request, progress: Any = None) -> Result:
        self.asked.append(request.turns[-1].text)
        return Result(self.text, self.text, self.segments, self.size, self.num_frames)


def answering(masks: Any, scores: np.ndarray | None = None) -> FixedSession:
    """A session whose answer has one object."""
    count, height, width = masks.shape
    scores = np.ones(count, np.float32) if scores is None else scores
    return FixedSession([Segment("the square", None, masks, scores)], count, (height, width))


def tone(seconds: float) -> Iterable[av.AudioFrame]:
    """A sine of 440 Hz in pieces."""
    wave = np.sin(2 * np.pi * 440 * np.arange(round(seconds * SOUND_RATE)) / SOUND_RATE).astype(np.float32) / 2
    for start in range(0, len(wave), 1024):
        piece = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], format="fltp", layout="mono")
        piece.rate, piece.pts = SOUND_RATE, start
        yield piece


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    rows, columns = np.mgrid[:48, :64]
    wall = np.stack([60 + columns, 90 + rows, 200 - columns], axis=2).astype(np.uint8)
    frames, masks = np.repeat(wall[None], 12, axis=0), np.zeros((12, 48, 64), dtype=bool)
    for index in range(12):
        masks[index, 14:34, 6 + 2 * index : 26 + 2 * index] = True
    frames[masks] = RED
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=RATE, options={"crf": "12"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream("aac", rate=SOUND_RATE, layout="mono")
        for frame in frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(video.encode(None))
        for piece in tone(1.5):
            container.mux(sound.encode(piece))
        container.mux(sound.encode(None))
    return Clip(path, frames, masks)


@pytest.fixture
def session(clip: Clip) -> FixedSession:
    return answering(clip.masks)


@pytest.fixture
def session_of() -> Any:
    """Makes a session out of masks."""
    return answering
