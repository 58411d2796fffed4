"""What a file is by its first bytes, whatever its name says, and by which of FFmpeg's readers it is opened."""

from __future__ import annotations

from pathlib import Path

__all__ = ["container_of_file", "suffix_of", "suffix_of_file"]

#: First bytes of what is taken from strangers. Playlists, vector graphics, PostScript and others that make their reader
#: open something else, or run it, are not among them, and what isn't here is never handed to a reader.
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
#: FFmpeg's name of each container.
CONTAINERS = {".mp4": "mov", ".webm": "matroska", ".avi": "avi", ".gif": "gif"}


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


def container_of_file(path: Path) -> str | None:
    """FFmpeg's name of a file's container, for its ``format`` option; ``None`` where the first bytes don't tell.

    Left to itself, FFmpeg looks at the first megabytes and takes the container that fits best: a video can be made
    that is taken for the description of a stream, whose reader opens what the text names.
    """
    return CONTAINERS.get(suffix_of_file(path) or "")
