"""Frames on demand, from memory, a file or a live source, and which of them the language model sees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from word2mask.data.media import VideoFile
from word2mask.errors import UserError
from word2mask.ops.frames import first_frames, uniform_frames
from word2mask.types import Media

__all__ = [
    "Frames",
    "KeyFrameChoice",
    "LiveVideo",
    "View",
    "check_key_frame_choice",
    "choose_key_frames",
    "look",
    "with_prompted",
]

#: ``"uniform"`` or ``"first"``, a number n for every n-th frame, or the frames themselves.
KeyFrameChoice = Literal["uniform", "first"] | int | Sequence[int]


class LiveVideo:
    """Frames that arrive one by one, from a camera or a decoder of one's own; how many isn't known.

    It can be asked about once, as it passes once. The language model sees the first k frames that arrive, k being the
    session's ``key_frames``; the answer is written when they are there, and frames that come later are followed as they
    come. No more than these k frames and the present one are kept.

    Args:
        frames: uint8 RGB ``[H,W,3]`` each, all of one size.
        name: what to call it in a message.
    """

    def __init__(self, frames: Iterable[np.ndarray], name: str = "live video") -> None:
        self.name = name
        self._frames: Iterator[np.ndarray] | None = iter(frames)

    def start(self) -> Iterator[np.ndarray]:
        """The frames, once.

        Raises:
            UserError: they were taken before.
        """
        if self._frames is None:
            raise UserError(f"{self.name}: a live video passes once and was asked about before; open it again")
        frames, self._frames = self._frames, None
        return frames


class Frames:
    """Frames of a picture or video by their number.

    Attributes:
        name: for messages.
        size: ``(H, W)``.
        num_frames: T; of a live video, those that came so far.
        is_live: whether more may come.
        is_stored: whether any frame can be had at any time; of a live video only those that weren't dropped.
    """

    def __init__(self, media: Media | VideoFile | LiveVideo) -> None:
        self.name = media.name
        self.is_live = isinstance(media, LiveVideo)
        self.is_stored = not self.is_live
        self._media = media
        self._held: dict[int, np.ndarray] = {}
        if isinstance(media, LiveVideo):
            self._arriving = media.start()
            self.num_frames = 0
            self.size: tuple[int, int] = (0, 0)
            self._arrive()
        elif isinstance(media, VideoFile):
            self.num_frames, self.size = len(media), media.size
        else:
            self.num_frames = len(media.frames)
            if self.num_frames:
                self._check(media.frames[0], 0)
            self.size = tuple(media.frames.shape[1:3])
        if not self.num_frames:
            raise UserError(f"{self.name or 'video'}: no frames; give a video with at least one")

    def has(self, index: int) -> bool:
        """Whether there is such a frame; waits for it where frames arrive live."""
        while self.is_live and index >= self.num_frames:
            if not self._arrive():
                self.is_live = False
        return index < self.num_frames

    def read(self, indices: Sequence[int]) -> np.ndarray:
        """uint8 ``[k,H,W,3]``; of a live video only frames not dropped yet."""
        if isinstance(self._media, LiveVideo):
            return np.stack([self._held[index] for index in indices if self.has(index)])
        if isinstance(self._media, VideoFile):
            return self._media.read(indices)
        return self._media.frames[list(indices)]

    def drop(self, before: int, since: int = 0) -> None:
        """Forgets the live frames before this one, from frame ``since`` on."""
        for index in [index for index in self._held if since <= index < before]:
            del self._held[index]

    def _arrive(self) -> bool:
        """Takes the next live frame, if there is one."""
        frame = next(self._arriving, None)
        if frame is None:
            return False
        self._check(frame, self.num_frames)
        if self.num_frames and frame.shape[:2] != self.size:
            raise UserError(
                f"{self.name}: frame {self.num_frames} is {list(frame.shape[:2])} (height, width), those before it "
                f"{list(self.size)}; all frames of a video must have one size"
            )
        self.size = (int(frame.shape[0]), int(frame.shape[1]))
        self._held[self.num_frames] = frame
        self.num_frames += 1
        return True

    def _check(self, frame: np.ndarray, index: int) -> None:
        if not (isinstance(frame, np.ndarray) and frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3):
            got = f"{frame.dtype} {list(frame.shape)}" if isinstance(frame, np.ndarray) else type(frame).__name__
            raise UserError(f"{self.name or 'media'}: frame {index} is {got}; expected uint8 RGB [H,W,3]")
        if 0 in frame.shape:
            raise UserError(f"{self.name or 'media'}: frame {index} has no pixels, {list(frame.shape)}; give another")


@dataclass
class View:
    """What is looked at.

    Attributes:
        source: all frames.
        indices: the frames that the language model sees, ascending.
        seen: these frames.
    """

    source: Frames
    indices: tuple[int, ...]
    seen: Media


def look(
    media: Media | VideoFile | LiveVideo,
    choice: KeyFrameChoice,
    count: int,
    tracks: bool,
    prompted: Sequence[int] = (),
) -> View:
    """The frames that the language model sees, and access to all others.

    Args:
        media: what the user asks about.
        choice: which frames.
        count: how many, where ``choice`` doesn't say.
        tracks: whether objects can be followed through a video.
        prompted: frames that the user points at something on, which must be among them.

    Raises:
        UserError: no frames, or more than one that nothing can follow; a frame that isn't there.
    """
    source = Frames(media)
    if not tracks and source.has(1):
        number = "several" if source.is_live else source.num_frames
        raise UserError(
            f"{source.name or 'video'}: {number} frames, but this model's segmenter has no memory to "
            "follow objects with; give a picture, one frame at a time, or, to a question, let them be followed by "
            'their masks (procedure "masks")'
        )
    _check_prompted(source, prompted, count)
    if isinstance(media, Media) and media.kind == "image":
        return View(source, (0,), media)
    if source.is_live:
        source.has(count - 1)
        indices = tuple(range(min(count, source.num_frames)))
    else:
        indices = choose_key_frames(choice, count, source.num_frames, source.name)
        indices = with_prompted(indices, prompted, choice in ("uniform", "first"))
    return View(source, indices, Media("video", source.read(indices), indices, source.name))


def _check_prompted(source: Frames, prompted: Sequence[int], count: int) -> None:
    """Raises UserError where a prompted frame isn't there, or won't be among those that the language model sees."""
    for frame in prompted:
        if source.is_live and frame >= count:
            raise UserError(
                f"{source.name}: a visual prompt is on frame {frame} of a live video, of which the language model sees "
                f"the first {count} frames; point on one of these, or raise key_frames"
            )
        if not source.has(frame):
            number = "1 frame" if source.num_frames == 1 else f"{source.num_frames} frames"
            raise UserError(
                f"{source.name or 'media'}: a visual prompt is on frame {frame}, but there are {number}; they count "
                "from 0"
            )


def with_prompted(indices: Sequence[int], prompted: Sequence[int], keeps_count: bool) -> tuple[int, ...]:
    """Key frames with the prompted ones among them, ascending.

    Args:
        indices: key frames.
        prompted: frames that must be among them.
        keeps_count: whether each takes the place of the nearest other one, as long as there is any, so that the
            language model sees as many frames as without prompts.

    >>> with_prompted((0, 4, 8), [5, 8], True), with_prompted((0, 4, 8), [5], False)
    ((0, 5, 8), (0, 4, 5, 8))
    """
    others = [index for index in indices if index not in prompted]
    if keeps_count:
        for frame in sorted(set(prompted) - set(indices)):
            if others:
                others.remove(min(others, key=lambda index: abs(index - frame)))
    return tuple(sorted({*others, *prompted}))


def check_key_frame_choice(choice: KeyFrameChoice) -> None:
    """Raises UserError unless it is one of the choices."""
    if choice in ("uniform", "first"):
        return
    is_number = isinstance(choice, int) and not isinstance(choice, bool)
    if is_number and choice >= 1:
        return
    is_list = isinstance(choice, Sequence) and not isinstance(choice, str) and len(choice) > 0
    if is_list and all(isinstance(index, int) and index >= 0 for index in choice):
        return
    raise UserError(
        f'key_frame_choice must be "uniform" or "first", a number n for every n-th frame, or a list of frames counted '
        f"from 0, got {choice!r}"
    )


def choose_key_frames(choice: KeyFrameChoice, count: int, num_frames: int, name: str = "") -> tuple[int, ...]:
    """The key frames of a video, ascending.

    >>> choose_key_frames("uniform", 3, 9), choose_key_frames("first", 3, 9), choose_key_frames(4, 3, 10)
    ((0, 4, 8), (0, 1, 2), (0, 4, 8))
    >>> choose_key_frames([7, 2, 7], 3, 9)
    (2, 7)

    Raises:
        UserError: a frame outside of the video.
    """
    if choice == "uniform":
        return tuple(uniform_frames(num_frames, count).tolist())
    if choice == "first":
        return tuple(first_frames(num_frames, count).tolist())
    if isinstance(choice, int):
        return tuple(range(0, num_frames, choice))
    chosen = sorted({int(index) for index in choice})  # type: ignore[arg-type]
    outside = [index for index in chosen if index >= num_frames]
    if outside:
        raise UserError(
            f"{name or 'video'}: key frame {outside[0]} lies outside of a video of {num_frames} frames, which "
            "count from 0"
        )
    return tuple(chosen)
