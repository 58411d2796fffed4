"""Files of a data set, wherever they lie: on disk as they are, or in tar shards with an index.

A folder with an ``index.tsv`` is a *shard folder*: it stands for the folder that was packed into it. A path within it
names a member, ``shards/a/b.jpg`` the member ``a/b.jpg``, and is read from its shard by offset, without unpacking. What
does lie on disk under a path comes first. Lookups search the sorted index where it is (memory-mapped, shared by all
processes), so that opening a shard folder of millions of members takes no time. Knows nothing of pictures; writing is
:mod:`word2mask.data.shards`.
"""

from __future__ import annotations

import io
import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import BinaryIO

from word2mask.errors import UserError

#: One line a member, sorted by the bytes of its name: name, shard, offset, size, sha256, with tabs between.
INDEX = "index.tsv"


@dataclass(frozen=True)
class Member:
    """A file within a shard.

    Attributes:
        name: within the folder that was packed, with ``/``.
        shard: file name of the tar.
        offset: of the file's first byte in the tar.
        size: in bytes.
        sha256: of its content, 64 hexadecimal digits.
    """

    name: str
    shard: str
    offset: int
    size: int
    sha256: str

    def line(self) -> str:
        """As in the index."""
        return f"{self.name}\t{self.shard}\t{self.offset}\t{self.size}\t{self.sha256}\n"


def parse_member(line: bytes, file: Path) -> Member:
    """A line of the index.

    Raises:
        UserError: it isn't one.
    """
    try:
        name, shard, offset, size, digest = line.decode("utf-8").split("\t")
        return Member(name, shard, int(offset), int(size), digest)
    except ValueError as error:
        raise UserError(
            f"{file}: a damaged line {line[:80]!r}; write the shards again (tools/shard_dataset.py)"
        ) from error


class ShardFolder:
    """The members of a shard folder, looked up by name.

    Args:
        folder: with an ``index.tsv``.

    Raises:
        UserError: the index is empty.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / INDEX
        with self._file.open("rb") as file:
            try:
                self._lines = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except ValueError as error:
                raise UserError(f"{self._file}: empty; write the shards again (tools/shard_dataset.py)") from error

    def __iter__(self) -> Iterator[Member]:
        """All members by name."""
        return self._from(0)

    def find(self, name: str) -> Member | None:
        """The member of a name."""
        for member in self._from(self._first(name.encode())):
            return member if member.name == name else None
        return None

    def has_folder(self, name: str) -> bool:
        """Whether members lie below a folder of this name; ``""`` is the whole."""
        return name == "" or next(iter(self.children(name)), None) is not None

    def children(self, name: str) -> Iterator[str]:
        """Names of the files and folders directly in a folder, each once."""
        prefix = f"{name}/" if name else ""
        place = self._first(prefix.encode())
        while (member := next(self._from(place), None)) is not None and member.name.startswith(prefix):
            child, slash, _ = member.name[len(prefix) :].partition("/")
            yield child
            # Behind everything in a folder: "0" follows "/".
            place = self._first(f"{prefix}{child}{'0' if slash else chr(0)}".encode())

    def _from(self, place: int) -> Iterator[Member]:
        """Members from a place in the file on, which is the beginning of a line."""
        while place < len(self._lines):
            end = self._lines.find(b"\n", place)
            end = end if end >= 0 else len(self._lines)
            yield parse_member(self._lines[place:end], self._file)
            place = end + 1

    def _first(self, key: bytes) -> int:
        """Where the first line begins whose name isn't before ``key``."""
        low, high = 0, len(self._lines)
        while low < high:
            start = self._lines.rfind(b"\n", low, (low + high) // 2) + 1 or low
            end = self._lines.find(b"\n", start)
            end = end if end >= 0 else len(self._lines)
            if self._lines[start:end].partition(b"\t")[0] < key:
                low = end + 1
            else:
                high = start
        return low


#: Parent of a path that isn't on disk → its shard folder and the parent's name within; only those that were found.
_PARENTS: dict[str, tuple[ShardFolder, str]] = {}


@cache
def shard_folder(folder: str) -> ShardFolder:
    """The shard folder at a path that has an index."""
    return ShardFolder(Path(folder))


def _locate(path: Path) -> tuple[ShardFolder, str] | None:
    """The shard folder that a path leads into, and the name within it (``""`` for the folder itself)."""
    normal = os.path.normpath(path)
    parent, name = os.path.split(normal)
    if parent in _PARENTS:
        folder, above = _PARENTS[parent]
        return folder, f"{above}/{name}" if above else name
    place = Path(normal)
    for ancestor in (place, *place.parents):
        if (ancestor / INDEX).is_file():
            found = shard_folder(str(ancestor)), place.relative_to(ancestor).as_posix()
            if place == ancestor:
                return found[0], ""
            above = found[1].rpartition("/")[0]
            _PARENTS[parent] = found[0], above
            return found
    return None


def find(path: Path) -> tuple[ShardFolder, Member] | None:
    """The member that a path names, when nothing lies there on disk."""
    place = _locate(path)
    member = place[0].find(place[1]) if place and place[1] else None
    return (place[0], member) if place and member else None


def is_file(path: Path) -> bool:
    """Whether there is a file."""
    return path.is_file() or find(path) is not None


def is_folder(path: Path) -> bool:
    """Whether there is a folder."""
    if path.is_dir():
        return True
    place = _locate(path)
    return place is not None and place[0].has_folder(place[1])


def exists(path: Path) -> bool:
    """Whether there is a file or folder."""
    return path.exists() or is_file(path) or is_folder(path)


def list_folder(path: Path) -> list[Path]:
    """What lies in a folder, in no particular order."""
    if path.is_dir() and not (path / INDEX).is_file():
        return list(path.iterdir())
    place = _locate(path)
    return [path / name for name in place[0].children(place[1])] if place else []


def size_of(path: Path) -> int:
    """Bytes of a file that is there."""
    found = None if path.is_file() else find(path)
    return found[1].size if found else path.stat().st_size


def read_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises:
        FileNotFoundError: there is none.
        OSError: its shard is missing or shorter than the index says.
    """
    found = None if path.is_file() else find(path)
    if found is None:
        return path.read_bytes()
    folder, member = found
    content = _shard(str(folder.folder / member.shard)).read(member.offset, member.size)
    if len(content) != member.size:
        raise OSError(f"{folder.folder / member.shard} ends before {member.name}")
    return content


def open_file(path: Path) -> BinaryIO:
    """A file to read from; of a member, its bytes in memory."""
    return path.open("rb") if path.is_file() else io.BytesIO(read_bytes(path))


def ffmpeg_name(path: Path) -> str:
    """What FFmpeg opens a file by; of a member, a part of its shard (FFmpeg's protocol ``subfile``)."""
    found = None if path.exists() else find(path)
    if found is None:
        return str(path)
    folder, member = found
    shard = os.path.abspath(folder.folder / member.shard)
    return f"subfile,,start,{member.offset},end,{member.offset + member.size},,:{shard}"


class _Shard:
    """An open tar, closed when it is forgotten; forked processes may share it, as reads by offset move nothing."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDONLY)

    def read(self, offset: int, size: int) -> bytes:
        """So many bytes from an offset on; fewer at the end of the file."""
        parts: list[bytes] = []
        while size and (part := os.pread(self._descriptor, size, offset)):
            parts.append(part)
            offset, size = offset + len(part), size - len(part)
        return b"".join(parts)

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)


_shard = lru_cache(maxsize=64)(_Shard)
