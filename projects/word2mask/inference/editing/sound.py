"""The sound of a video, carried over to an edited one: as it is where the new file may hold it, else encoded anew."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import av

__all__ = ["Sound"]

#: Codecs that each container holds, by FFmpeg's names.
HELD = {"mp4": {"aac", "mp3", "ac3", "eac3", "alac", "opus"}, "webm": {"opus", "vorbis"}}
#: What is encoded where the source's codec isn't held.
ENCODED = {"mp4": "aac", "webm": "libopus"}


class Sound:
    """The sound tracks of a file on their way into another one, a little at a time.

    Args:
        source: the file.
        container: the new file, open for writing, with no packet written yet.
        form: ``"mp4"`` or ``"webm"``.
        begin: seconds into the source at which its first frame appears.
    """

    def __init__(self, source: Path, container: av.container.OutputContainer, form: str, begin: float) -> None:
        import av

        self._container, self._begin = container, begin
        self._input = av.open(str(source))
        self._tracks: dict[int, tuple[Any, bool]] = {}
        self.notes: list[str] = []
        for stream in self._input.streams.audio:
            codec = stream.codec_context.name
            if codec in HELD[form]:
                self._tracks[stream.index] = container.add_stream_from_template(stream), True
            else:
                track = container.add_stream(ENCODED[form], rate=48000)
                track.codec_context.layout = stream.codec_context.layout
                self._tracks[stream.index] = track, False
                self.notes.append(f"the sound was encoded anew, from {codec} to {ENCODED[form]}")
        self._packets = self._encoded()
        self._waiting: Any = None

    @property
    def is_there(self) -> bool:
        """Whether there is any."""
        return bool(self._tracks)

    def write_until(self, seconds: float | None) -> None:
        """Writes all packets up to a time; ``None`` writes the rest."""
        while self._tracks:
            packet = self._waiting or next(self._packets, None)
            self._waiting = None
            if packet is None:
                return
            if seconds is not None and packet.dts is not None and float(packet.dts * packet.time_base) > seconds:
                self._waiting = packet
                return
            self._container.mux(packet)

    def close(self) -> None:
        """Lets go of the source."""
        self._input.close()

    def _encoded(self) -> Iterator[Any]:
        """The packets of all tracks for the new file, in the order of the source."""
        if not self._tracks:
            return
        streams = [self._input.streams[index] for index in self._tracks]
        for packet in self._input.demux(streams):
            track, is_copied = self._tracks[packet.stream.index]
            if is_copied:
                if packet.dts is None:  # the end's mark
                    continue
                shift = round(self._begin / packet.time_base)
                packet.pts = None if packet.pts is None else packet.pts - shift
                packet.dts -= shift
                packet.stream = track
                yield packet
                continue
            for frame in packet.decode():
                if frame.pts is not None:
                    frame.pts -= round(Fraction(self._begin).limit_denominator(10**6) / frame.time_base)
                yield from track.encode(frame)
        for track, is_copied in self._tracks.values():
            if not is_copied:
                yield from track.encode(None)
