"""How many bytes a file has by its own structure: one that has fewer was cut short, wherever the cut is.

AVI, Matroska (WebM) and ASF (WMV) say it near their beginning. MP4 says where each frame lies instead. Streams, and
recordings that were not closed, say nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

__all__ = ["said_size"]

#: Programs differ by this much in what they count into the size of an AVI's parts: their own heads, and a byte that
#: makes them even.
AVI_HEAD = 12
EBML, SEGMENT = b"\x1aE\xdf\xa3", b"\x18S\x80g"
#: GUIDs of ASF's header and of the properties of the file in it (Microsoft, 2004, "Advanced Systems Format", 10.1-2).
ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
#: Bytes of the beginning in which those are looked for.
ASF_START = 1 << 16


def said_size(path: Path) -> int | None:
    """Bytes that the whole file has, as it says; ``None`` where it doesn't say.

    Args:
        path: a file on disk.
    """
    with path.open("rb") as file:
        start = file.read(16)
        if start[:4] == b"RIFF" and start[8:12] == b"AVI ":
            return _riff(file)
        if start[:4] == EBML:
            return _matroska(file)
        if start == ASF_HEADER:
            beginning = file.read(ASF_START)
            place = beginning.find(ASF_PROPERTIES)
            said = int.from_bytes(beginning[place + 40 : place + 48], "little") if place >= 0 else 0
            return said or None
    return None


def _riff(file: BinaryIO) -> int | None:
    """An AVI is a RIFF, or several (OpenDML), one behind the other, each with its size."""
    place, size = 0, file.seek(0, os.SEEK_END)
    while place + 8 <= size:
        file.seek(place)
        head = file.read(8)
        length = int.from_bytes(head[4:], "little")
        if head[:4] != b"RIFF" or not length:
            return None
        place += 8 + length + length % 2
        if place > size:
            return place if place - size > AVI_HEAD else None
    return None


def _matroska(file: BinaryIO) -> int | None:
    """EBML's head, then the segment, which is all the rest."""
    file.seek(len(EBML))
    head = _vint(file)
    if head is None:
        return None
    file.seek(head, os.SEEK_CUR)
    if file.read(len(SEGMENT)) != SEGMENT:
        return None
    length = _vint(file)
    return None if length is None else file.tell() + length


def _vint(file: BinaryIO) -> int | None:
    """A size of EBML (RFC 8794, 4): the first byte's leading zeros say how many more follow; all ones are unknown."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    more = 8 - first[0].bit_length()
    data = file.read(more)
    if len(data) < more:
        return None
    value = int.from_bytes(bytes([first[0] & ((1 << (7 - more)) - 1)]) + data, "big")
    return None if value == (1 << 7 * (more + 1)) - 1 else value
