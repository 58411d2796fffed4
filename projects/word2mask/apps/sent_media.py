"""Files that strangers send: what they are by their first bytes, and how large a video is, before any is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from word2mask.data.pictures import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from word2mask.errors import UserError

__all__ = ["Extent", "is_picture", "suffix_of", "suffix_of_file", "video_extent"]

#: First bytes of what is taken. Playlists, vector graphics, PostScript and others that make their reader open something
#: else, or run it, are not among them, and what isn't here is never handed to a reader.
SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": ".png",
    b"\xff\xd8\xff": ".jpg",
    b"GIF87a": ".gif",
    b"GIF89a": ".gif",
    b"BM": ".bmp",
    b"II*\x00": ".tif",
    b"MM\x00*": ".tif",
    b"\x1aE\xdf\xa3": ".webm",
}
#: The boxes that an MP4 or a MOV may begin with.
BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
#: Bytes that tell.
START = 12
#: FFmpeg's name of each container. Named, so that FFmpeg doesn't look for another one in the same bytes.
CONTAINERS = {".mp4": "mov", ".webm": "matroska", ".avi": "avi", ".gif": "gif"}


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


def suffix_of(start: bytes) -> str | None:
    """The suffix that a file's first bytes stand for, whatever its name says.

    >>> suffix_of(b"GIF89a" + bytes(6)), suffix_of(bytes(4) + b"ftypisom"), suffix_of(b"#EXTM3U") is None
    ('.gif', '.mp4', True)
    """
    for signature, suffix in SIGNATURES.items():
        if start.startswith(signature):
            return suffix
    if start.startswith(b"RIFF"):
        return {b"WEBP": ".webp", b"AVI ": ".avi"}.get(start[8:12])
    return ".mp4" if start[4:8] in BOXES else None


def suffix_of_file(path: Path) -> str | None:
    """:func:`suffix_of` the file's first bytes."""
    with path.open("rb") as file:
        return suffix_of(file.read(START))


def video_extent(path: Path, most_frames: int) -> Extent:
    """Frames and size of a video (or an animated GIF) from its container, with nothing decoded and nothing kept.

    Args:
        path: of a file with the first bytes of a video.
        most_frames: after so many, counting ends.

    Raises:
        UserError: it isn't what its first bytes say, or there is no video in it.
    """
    import av

    container_name = CONTAINERS.get(suffix_of_file(path) or "")
    if container_name is None:
        raise UserError(f"{path}: not a video by its first bytes; give one of {' '.join(VIDEO_SUFFIXES)}")
    try:
        with av.open(str(path), format=container_name) as container:
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
