"""Frames of a file that doesn't say when each is shown, as AVI doesn't: counted as they come out of the decoder."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

from word2mask.data.av_reader import AVReader
from word2mask.data.pictures import UnreadableMedia, other_size

__all__ = ["CountedReader"]


class CountedReader(AVReader):
    """An encoded video through PyAV whose file numbers frames in the order in which they are stored.

    AVI has no other times. Where frames rest on later ones (B frames of MPEG-4 and H.264, and Xvid's, of which two lie
    in one packet), the order of showing comes out of the decoder alone; so the whole file is decoded once at opening,
    though nothing is made into pixels. A frame is told by the packet that it came in, and packets by where they lie in
    the file; these are the same by every way, so that a jump finds the frame that a full reading does.

    Args, attributes and errors as of :class:`AVReader`; :class:`OSError` also where packets don't say where they lie.
    """

    def _index(self) -> tuple[list[int], list[int]]:
        """The places ``0 … T-1`` for times, and those of the key frames."""
        #: Where a packet lies in the file → its number in the order of decoding.
        self._numbers: dict[int, int] = {}
        #: Number of the packet that a frame came in → the frame's place.
        self._places: dict[int, int] = {}
        #: Place of a key frame → number of its packet, and when that is decoded.
        self._packets: dict[int, tuple[int, int]] = {}
        keys: dict[int, int] = {}
        count, size = 0, None
        for packet in self._container.demux(self._stream):
            if packet.size:
                if packet.pos is None or packet.pos in self._numbers:
                    raise OSError("its packets don't say where they lie")
                self._numbers[packet.pos] = len(self._numbers)
                if packet.is_keyframe and packet.dts is not None:
                    keys[self._numbers[packet.pos]] = packet.dts
            for frame in self._frames_of(packet):
                size = size or (frame.height, frame.width)
                if (frame.height, frame.width) != size:
                    raise UnreadableMedia(other_size(self._path, (frame.height, frame.width), size))
                if frame.pts is None or frame.pts in self._places:
                    raise OSError("its frames can't be told apart")
                self._places[frame.pts] = count
                if frame.key_frame and frame.pts in keys:
                    self._packets[count] = frame.pts, keys[frame.pts]
                count += 1
        if 0 not in self._packets:
            raise OSError("it doesn't begin with a key frame")
        return list(range(count)), sorted(self._packets)

    def _from(self, index: int, earlier: int = 0) -> Iterator[Any]:
        """Decoded frames from the key frame before ``index`` on, each with its place for its time."""
        key = self._keys[max(bisect_right(self._keys, index) - 1 - earlier, 0)]
        number, decoded = self._packets[key]
        self._container.seek(decoded, stream=self._stream)
        has_begun = False
        for packet in self._container.demux(self._stream):
            # A jump may land in front of the key frame, or behind it, and then this way leads nowhere.
            if packet.size and not has_begun:
                landed = self._numbers.get(packet.pos, -1)
                if landed > number:
                    return
                has_begun = landed == number
            if not has_begun:
                continue
            for frame in self._frames_of(packet):
                # Frames that are shown before the key frame and rest on what is before it come broken, or not at all.
                frame.pts = self._places.get(frame.pts)
                if frame.pts is not None and frame.pts >= key:
                    yield frame

    def _frames_of(self, packet: Any) -> list[Any]:
        """The frames that come out when a packet goes in, each with the number of its own packet for its time."""
        # Without content in the midst of a file: a frame that is the one before, shown longer.
        if not packet.size and packet.dts is not None:
            return []
        packet.pts = self._numbers.get(packet.pos) if packet.size else None
        return packet.decode()
