"""When: time spans in words, English and Chinese, and the frames that they mean in a given video.

How a time is read: "second three", "the third second" and 第三秒 are the third second, from 2.0 to 3.0; "2 s", "0:02"
and 2秒 are the moment 2.0; alone, a moment lasts as long as the last digit that is written ("at 0:02" ends at 0:03).
Frames count from 0, as everywhere here, and both ends of "frames 10-20" belong to it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from word2mask.errors import UserError

__all__ = ["TimeSpan"]

#: How far a frame's time may lie off a limit and still count as on it: times of files are rounded to a millisecond.
ROUNDING = 1e-3


@dataclass(frozen=True)
class TimeSpan:
    """A time span as it was said; what it means depends on the video.

    Attributes:
        words: as the user said it.
        unit: of ``start`` and ``stop``: ``"seconds"``, ``"frames"``, or ``"share"`` of the whole, 0…1.
        start: where it begins; counted back from the end where it is negative.
        stop: where it ends, exclusive; ``None`` is the end.

    Raises:
        UserError: it ends before it begins.
    """

    words: str
    unit: Literal["seconds", "frames", "share"]
    start: float = 0.0
    stop: float | None = None

    def __post_init__(self) -> None:
        if self.stop is not None and self.stop <= self.start:
            raise UserError(f'the time span "{self.words}" ends before it begins; say the earlier time first')

    def frames(self, times: np.ndarray | None, num_frames: int, duration: float | None, name: str) -> range:
        """The frames that it means, at least one.

        Args:
            times: seconds ``[T]`` at which each frame appears; ``None`` where nobody knows.
            num_frames: T.
            duration: seconds, of the whole.
            name: what to call the video in a message.

        Raises:
            UserError: it lies outside of the video, wholly or in part; or it is in seconds and the video doesn't say
                when its frames appear.
        """
        if self.unit == "frames":
            found = self._by_frame(num_frames, name)
        elif self.unit == "share":
            found = range(round(self.start * num_frames), round((self.stop or 1.0) * num_frames))
        else:
            found = self._by_second(times, duration, name)
        if not found:
            raise UserError(
                f'{name}: no frame begins in the time span "{self.words}"; the video has {num_frames} frames'
                f"{'' if duration is None else f' in {duration:.2f} s'}, so give a longer one"
            )
        return found

    def _by_frame(self, num_frames: int, name: str) -> range:
        stop = num_frames if self.stop is None else int(self.stop)
        start = int(self.start) if self.start >= 0 else num_frames + int(self.start)
        if start < 0 or start >= num_frames or stop > num_frames:
            raise UserError(
                f'{name}: the time span "{self.words}" lies outside of the video, which has the frames 0 to '
                f"{num_frames - 1}"
            )
        return range(start, stop)

    def _by_second(self, times: np.ndarray | None, duration: float | None, name: str) -> range:
        if times is None or duration is None:
            raise UserError(
                f'{name}: the time span "{self.words}" is in seconds, but these frames don\'t say how many there are '
                "in a second; give fps, or say which frames"
            )
        start = self.start if self.start >= 0 else duration + self.start
        # A player shows the length in whole seconds: up to there, the end is the end.
        last = math.ceil(duration - ROUNDING)
        if start < -ROUNDING or start >= duration - ROUNDING or (self.stop or 0) > last + ROUNDING:
            raise UserError(
                f'{name}: the time span "{self.words}" lies outside of the video, which is {duration:.2f} s long'
            )
        first = int(np.searchsorted(times, start - ROUNDING))
        return range(first, len(times) if self.stop is None else int(np.searchsorted(times, self.stop - ROUNDING)))
