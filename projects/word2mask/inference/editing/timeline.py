"""When the frames of a video appear, as its file says it: also where they don't come at one rate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from word2mask.data import files
from word2mask.data.media import VideoFile
from word2mask.types import Media

__all__ = ["UNSAID_RATE", "Timeline", "timeline_of"]

#: Frames a second of a video that doesn't say it.
UNSAID_RATE = 8.0


@dataclass(frozen=True)
class Timeline:
    """When frames appear.

    Attributes:
        times: seconds ``[T]`` after the first frame.
        duration: seconds, until the last frame ends.
        fps: frames a second, on the average.
        is_said: ``False`` where the source doesn't say and the rate is nothing but usual.
        begin: seconds into the file at which the first frame appears; sound may begin earlier.
    """

    times: np.ndarray
    duration: float
    fps: float
    is_said: bool = True
    begin: float = 0.0


def timeline_of(media: Media | VideoFile, fps: float | None = None) -> Timeline:
    """The timeline of a picture or video.

    Args:
        media: whose.
        fps: what the user says, which goes before what the file says.
    """
    count = len(media.frames) if isinstance(media, Media) else len(media)
    if fps is None and isinstance(media, VideoFile):
        if media.path.is_file() and media.path.suffix.lower() != ".gif":
            found = _from_file(media.path, count)
            if found is not None:
                return found
        fps = media.fps
    rate = fps or UNSAID_RATE
    return Timeline(np.arange(count) / rate, count / rate, rate, is_said=fps is not None)


def _from_file(path: Path, count: int) -> Timeline | None:
    """From the times of the packets, with nothing decoded; ``None`` where they don't fit the frames."""
    import av

    with av.open(files.ffmpeg_name(path)) as container:
        if not container.streams.video:
            return None
        stream = container.streams.video[0]
        found = [(packet.pts, packet.duration) for packet in container.demux(stream) if packet.pts is not None]
        unit = stream.time_base
    if len(found) != count or unit is None:
        return None
    stamps = np.array(sorted(stamp for stamp, _ in found), dtype=np.int64)
    if count > 1 and (np.diff(stamps) <= 0).any():
        return None
    times = (stamps - stamps[0]) * float(unit)
    last = max(found)[1] or (round((stamps[-1] - stamps[0]) / (count - 1)) if count > 1 else 0)
    duration = float(times[-1] + float(last or 0) * float(unit)) or 1 / UNSAID_RATE
    return Timeline(times, duration, count / duration, begin=float(stamps[0] * unit))
