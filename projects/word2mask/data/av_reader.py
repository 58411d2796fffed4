"""Frames of an encoded video through PyAV: only what is asked for becomes pixels, and little else is decoded."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from word2mask.data import files
from word2mask.data.first_bytes import container_of_file
from word2mask.data.pictures import NotAVideo, UnreadableMedia, broken_frame, not_a_video, other_size
from word2mask.data.said_sizes import said_size

__all__ = ["AVReader", "check_one_size"]

#: So many frames behind the last one asked for are decoded whole, for they are often asked for next and may rest on it.
AHEAD = 16
#: A key frame so many frames further on is worth the jump.
WORTH_A_JUMP = 8
#: Formats (FFmpeg's names) without an index: a jump lands at the packet that is decoded at that time, be it a key frame
#: or not.
SOUGHT_BY_DECODING = ("mpegts", "mpeg")
#: Formats that number packets and don't say when they are shown: another time where frames come out of turn.
TOLD_BY_DECODING = ("avi",)
#: Endings of files whose index says when frames are shown and how far out of turn they come.
INDEXED = (".mp4", ".m4v", ".mov")

#: A video whose last frame is so many seconds, and such a share of its length, before its end is cut short.
MISSING_SECONDS, MISSING_SHARE = 0.3, 0.1


class AVReader:
    """An encoded video through PyAV, which goes on where it stands, and jumps to key frames where that is shorter.

    On the way to a frame, those on which no other rests (most B frames of H.264 and H.265) are left out. Frames are
    told by when they are shown and not by counting, so that they are the same by every way. Those that the file says
    to turn for showing, as phones record them, come upright.

    Args:
        path: the file.

    Attributes:
        num_frames: T.
        size: ``(H, W)``, upright.
        fps: frames a second, if the file says.

    Raises:
        NotAVideo: when no container of a video is found in it, as of one whose index was cut off.
        UnreadableMedia: when it is cut short.
        OSError: when its first frame can't be decoded, is to be turned by another angle than a right one, or when it
            doesn't say when each frame is shown: another decoder may read it.
    """

    def __init__(self, path: Path) -> None:
        import av

        self._path, self._error = path, av.FFmpegError
        #: Place of a key frame → where to jump for it, if that isn't when it is shown.
        self._sought: dict[int, int] = {}
        try:
            self._container = _opened(path)
        except av.InvalidDataError as error:
            raise NotAVideo(not_a_video(path)) from error
        except av.FFmpegError as error:
            raise OSError(f"PyAV can't open it ({error})") from error
        try:
            self._stream = self._stream_of_frames()
            self._stream.codec_context.thread_count = 1  # the caller has threads; and frames come without delay
            self._times, self._keys = self._index()
            self._needed: set[int] = set(self._times[:AHEAD])
            #: Frames from where the decoder stands, and the place of the last one that came.
            self._coming, self._place = self._from(0), -1
            first = next(frame for frame in self._coming if frame.pts == self._times[0])
        except (av.FFmpegError, StopIteration) as error:
            raise OSError(f"PyAV can't decode it ({error})") from error
        self._turn = _turn_of(first)
        self._place = 0
        #: Decoded already, until it is asked for or passed: often it is asked for at once.
        self._first: Any = first
        self.num_frames = len(self._times)
        self.size = self._pixels(first).shape[:2]
        self.fps = float(self._stream.average_rate or 0) or None

    def read(self, indices: list[int]) -> np.ndarray:
        """uint8 RGB ``[k,H,W,3]``."""
        frames = list(self.walk(indices))
        for frame in frames:
            if frame.shape[:2] != self.size:
                raise UnreadableMedia(other_size(self._path, frame.shape, self.size))
        return np.stack(frames)

    def walk(self, indices: list[int]) -> Iterator[np.ndarray]:
        """The frames one after another, uint8 RGB ``[H,W,3]``; indices are sorted and distinct."""
        if not indices:
            return
        self._needed = {self._times[index] for index in indices}
        self._needed |= set(self._times[indices[-1] + 1 :][:AHEAD])
        for index in indices:
            yield self._reach(index)

    def _index(self) -> tuple[list[int], list[int]]:
        """When each frame is shown, in the file's own unit, and the places of the key frames; nothing is decoded."""
        stream = self._stream
        packets = [
            (packet.pts, packet.dts, packet.is_keyframe, packet.is_corrupt)
            for packet in self._container.demux(stream)
            if packet.size and not packet.is_discard
        ]
        times = sorted(time for time, *_ in packets if time is not None)
        self._check_length(stream, times, bool(packets) and packets[-1][3])
        if not times or len(set(times)) < len(packets):
            raise OSError("it doesn't say when each frame is shown")
        if self._container.format.name in TOLD_BY_DECODING and stream.codec_context.has_b_frames:
            raise OSError("it says when each frame is decoded, and not when it is shown")
        place = {time: index for index, time in enumerate(times)}
        keys = sorted(place[time] for time, _, is_key, _ in packets if is_key)
        if self._container.format.name in SOUGHT_BY_DECODING:
            self._sought = {
                place[time]: decoded for time, decoded, is_key, _ in packets if is_key and decoded is not None
            }
        if not keys or keys[0] != 0:
            raise OSError("it doesn't begin with a key frame")
        return times, keys

    def _stream_of_frames(self) -> Any:
        """The file's video.

        Raises:
            NotAVideo: there is none in it.
        """
        stream = self._container.streams.best("video")
        if stream is not None:
            return stream
        others = self._others()
        # The index of an mp4 stands at its end; without it FFmpeg takes the frames for data of an unknown kind, or
        # finds nothing at all.
        if others in ("data", "nothing"):
            raise NotAVideo(not_a_video(self._path))
        raise NotAVideo(f"{self._path}: no video in it, only {others}; give a file with frames to show")

    def _others(self) -> str:
        """What else the file holds."""
        return " and ".join(sorted({stream.type or "data" for stream in self._container.streams})) or "nothing"

    def _check_length(self, stream: Any, times: list[int], is_torn: bool) -> None:
        """Raise UnreadableMedia where the frames end long before the file says, or lie beyond its end.

        AVI, Matroska and ASF say how many bytes they have. An MP4 whose index stands at its end can't be opened when it
        is cut; with the index in front it says where the last frame lies. Matroska and WebM say how long they were: in
        a tag of the track, or for the whole, which is the track's where it is the only one. AVI says how many frames it
        numbers, and how long each is, so that one is seen to be torn at the end of the file.
        """
        said_bytes = said_size(self._path) if self._path.is_file() else None
        if said_bytes is not None and said_bytes > files.size_of(self._path):
            raise UnreadableMedia(
                f"{self._path}: cut short: it says that it has {said_bytes} bytes, and has "
                f"{files.size_of(self._path)}; copy the file again from its source"
            )
        if not times or stream.time_base is None:
            return
        name, entries = self._container.format.name, stream.index_entries
        beyond = name.startswith("mov") and entries and entries[-1].pos + entries[-1].size > files.size_of(self._path)
        if beyond or (name == "avi" and is_torn):
            raise UnreadableMedia(
                f"{self._path}: cut short: its last frame isn't whole; copy the file again from its source"
            )
        said = _seconds(stream.metadata.get("DURATION", ""))
        if name == "avi" and stream.frames:
            said = float(stream.frames * stream.time_base)
        elif said is None and len(self._container.streams) == 1 and self._container.duration:
            said = self._container.duration / 1e6
        if said is None:
            return
        end, begin = (float(times[place] * stream.time_base) for place in (-1, 0))
        usual = float(1 / stream.average_rate) if stream.average_rate else said
        missing = said - end - ((end - begin) / (len(times) - 1) if len(times) > 1 else usual)
        if missing > max(MISSING_SECONDS, MISSING_SHARE * said):
            raise UnreadableMedia(
                f"{self._path}: cut short: it says that it is {said:.2f} s long, and its frames end at {end:.2f} s; "
                "copy the file again from its source"
            )

    def _key_before(self, index: int) -> int:
        return self._keys[bisect_right(self._keys, index) - 1]

    def _from(self, index: int, earlier: int = 0) -> Iterator[Any]:
        """Decoded frames from the key frame before ``index`` on, or from one that is some key frames earlier."""
        key = self._keys[max(bisect_right(self._keys, index) - 1 - earlier, 0)]
        self._container.seek(self._sought.get(key, self._times[key]), stream=self._stream)
        for packet in self._container.demux(self._stream):
            self._stream.codec_context.skip_frame = "DEFAULT" if packet.pts in self._needed else "NONREF"
            yield from packet.decode()

    def _reach(self, index: int) -> np.ndarray:
        time = self._times[index]
        first, self._first = self._first, None
        try:
            if index == 0 and first is not None:
                return self._pixels(first)
            goes_on = self._place < index and self._key_before(index) - self._place <= WORTH_A_JUMP
            # What was left out when it passed is met on a second way, from the key frame; where a jump without an index
            # landed behind it, on a third, and where many frames lie in one place to land at, from the beginning.
            for earlier in (None, 0, 1, len(self._keys)):
                if earlier is not None or not goes_on:
                    self._coming = self._from(index, earlier or 0)
                for frame in self._coming:
                    if frame.pts is None or frame.pts < time:
                        continue
                    self._place = bisect_right(self._times, frame.pts) - 1
                    if frame.pts == time:
                        return self._pixels(frame)
                    break
        except (self._error, OSError) as error:
            raise UnreadableMedia(broken_frame(self._path, index, error)) from error
        raise UnreadableMedia(broken_frame(self._path, index, EOFError("it is not where the file says")))

    def _pixels(self, frame: Any) -> np.ndarray:
        """A decoded frame, uint8 RGB ``[H,W,3]``, upright."""
        # One thread: with more, a process that is forked later hangs when it lets go of the frame.
        pixels = frame.to_ndarray(format="rgb24", threads=1)
        return pixels if self._turn is None else np.ascontiguousarray(self._turn(pixels))


def _turn_of(frame: Any) -> Callable[[np.ndarray], np.ndarray] | None:
    """How a frame's pixels come to lie as it is to be shown; ``None`` where they lie so.

    A display matrix (ISO/IEC 14496-12, 8.3.2) takes a pixel's column and row to ``(a·column + c·row, b·column +
    d·row)``, in the order ``a b u c d v x y w``, 16.16 fixed point: right angles and mirrors have but 0 and ±1 there.

    Raises:
        OSError: it is to be turned by another angle, or stretched.
    """
    from av.sidedata.sidedata import Type

    told = frame.side_data.get(Type.DISPLAYMATRIX)
    if told is None:
        return None
    linear = np.frombuffer(bytes(told), np.int32)[[0, 1, 3, 4]] / (1 << 16)
    a, b, c, d = np.rint(linear).astype(int).tolist()
    if np.abs(linear - (a, b, c, d)).max() > 1e-3 or {abs(a), abs(d)} | {abs(b), abs(c)} != {0, 1} or abs(a) != abs(d):
        raise OSError("its frames are to be turned by an angle that isn't a right one")
    if (a, d) == (1, 1):
        return None
    across, down = (c, b) if a == 0 else (a, d)
    axes = (1, 0, 2) if a == 0 else (0, 1, 2)
    return lambda pixels: pixels.transpose(axes)[::down, ::across]


def _opened(path: Path) -> Any:
    """The file's container. Where an index says all, FFmpeg needn't decode a frame to know it: half of the time."""
    import av

    name = files.ffmpeg_name(path)
    # Named where it is known, so that FFmpeg doesn't find another one in the same bytes, and open what that names.
    container = container_of_file(path) if path.is_file() else None
    if path.suffix.lower() in INDEXED:
        # A ValueError: it isn't of the kind that its name says.
        with suppress(ValueError):
            return av.open(name, format=container, stream_options=[{"skip_frame": "all"}] * 8)
    return av.open(name, format=container)


def check_one_size(path: Path) -> None:
    """Looks at the key frames of a file whose frames another decoder would make equal in size in silence.

    Raises:
        UnreadableMedia: they are of several sizes.
    """
    try:
        import av
    except ImportError:
        return
    first: tuple[int, int] | None = None
    # What can't be opened or decoded is for the other decoder to say.
    with suppress(av.FFmpegError), av.open(files.ffmpeg_name(path)) as container:
        stream = container.streams.best("video")
        if stream is None:
            return
        stream.codec_context.skip_frame = "NONKEY"
        stream.codec_context.thread_count = 1
        for frame in container.decode(stream):
            size = (int(frame.height), int(frame.width))
            first = first or size
            if size != first:
                raise UnreadableMedia(other_size(path, size, first))


def _seconds(clock: str) -> float | None:
    """``"00:01:02.5"`` in seconds, or ``None``."""
    match = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", clock)
    return None if match is None else 3600 * int(match[1]) + 60 * int(match[2]) + float(match[3])
