"""Files that strangers send: whether they are one thing only, and how large a video is, before any is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from word2mask.data.first_bytes import container_of_file
from word2mask.data.pictures import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from word2mask.errors import UserError

__all__ = ["Extent", "is_picture", "video_extent"]


@dataclass(frozen=True)
class Extent:
    """How large a video is.

    Attributes:
        num_frames: counted up to a limit, and one more where there are more.
        height: of a frame, in pixels.
        width: likewise.
    """

    num_frames: int
    height: int
    width: int


def video_extent(path: Path, most_frames: int) -> Extent:
    """Frames and size of a video (or an animated GIF) from its container, with nothing decoded and nothing kept.

    Args:
        path: of a file with the first bytes of a video.
        most_frames: after so many, counting ends.

    Raises:
        UserError: it isn't what its first bytes say, FFmpeg would take it for something else, or there is no video in
            it.
    """
    import av

    expected = container_of_file(path)
    if expected is None:
        raise UserError(f"{path}: not a video by its first bytes; give one of {' '.join(VIDEO_SUFFIXES)}")
    try:
        # Left to FFmpeg's guess, and refused before it is opened where that is another one: some who read the file
        # later have nothing but their guess.
        with av.open(str(path), options={"format_whitelist": expected}) as container:
            stream = container.streams.best("video")
            if stream is None:
                raise ValueError("no video in it")
            count = 0
            for packet in container.demux(stream):
                count += bool(packet.size and not packet.is_discard)
                if count > most_frames:
                    break
            return Extent(count, stream.codec_context.height, stream.codec_context.width)
    except (av.FFmpegError, ValueError) as error:
        raise UserError(
            f"{path}: a damaged video, or none in it ({type(error).__name__}); save it again in another program"
        ) from error


def is_picture(suffix: str) -> bool:
    """Whether a suffix of :func:`suffix_of` is a still picture's; a GIF may be either.

    >>> is_picture(".webp"), is_picture(".gif")
    (True, False)
    """
    return suffix in IMAGE_SUFFIXES
