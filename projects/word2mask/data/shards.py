"""A folder of files into tar shards with an index, in WebDataset's layout; :mod:`word2mask.data.files` reads them.

Members are sorted by name and keep the path that they have in the folder. Files that belong together by WebDataset's
rule (one path up to the first dot of the file's name) lie side by side in one shard. Tars hold no times and no owners:
the same folder gives the same bytes.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from word2mask.data.files import INDEX, Member, ShardFolder, parse_member
from word2mask.errors import UserError

__all__ = [
    "Plan",
    "Shard",
    "damaged",
    "finish",
    "is_complete",
    "is_written",
    "plan_shards",
    "total_size",
    "write_shard",
]

#: A tar's unit, and the two empty ones at its end.
BLOCK, END = tarfile.BLOCKSIZE, 2 * tarfile.BLOCKSIZE
CHUNK = 2**20


@dataclass(frozen=True)
class Shard:
    """One tar to write.

    Attributes:
        name: ``shard-000000.tar``.
        files: ``(name, size)`` of its members.
    """

    name: str
    files: tuple[tuple[str, int], ...]

    @property
    def size(self) -> int:
        """Bytes of its members."""
        return sum(size for _, size in self.files)


@dataclass(frozen=True)
class Plan:
    """What is to be written.

    Attributes:
        folder: where the files lie.
        out: where the shards go.
        shards: in order.
    """

    folder: Path
    out: Path
    shards: tuple[Shard, ...]


def plan_shards(folder: Path, out: Path, shard_size: int) -> Plan:
    """Every file below a folder, shared out to shards.

    Args:
        folder: what is packed; files behind links are packed as files.
        out: where the shards go.
        shard_size: bytes from which on a shard is full.

    Raises:
        UserError: no such folder or no file in it, it is a shard folder itself, a name that the index can't hold, or
            other shards lie in ``out``.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder to pack")
    if (folder / INDEX).is_file():
        raise UserError(f"{folder}: holds shards already ({INDEX}); give the folder that they were made of")
    if out.resolve() == folder.resolve() or folder.resolve() in out.resolve().parents:
        raise UserError(f"{out}: lies within {folder}, so that the shards would be packed too; choose another --out")
    found = sorted(_files(folder), key=lambda item: item[0].encode())
    if not found:
        raise UserError(f"{folder}: no file in it")
    groups: list[list[tuple[str, int]]] = [[]]
    filled, key = 0, ""
    for name, size in found:
        if filled >= shard_size and _key(name) != key:
            groups.append([])
            filled = 0
        groups[-1].append((name, size))
        filled, key = filled + size, _key(name)
    shards = tuple(Shard(f"shard-{number:06d}.tar", tuple(group)) for number, group in enumerate(groups))
    strange = [path.name for path in out.glob("shard-*.tar") if path.name not in {shard.name for shard in shards}]
    if strange:
        raise UserError(
            f"{out}: holds shards of something else ({sorted(strange)[0]}); empty it or choose another --out"
        )
    return Plan(folder, out, shards)


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    """``(name, size)`` of every file below a folder."""
    for place, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        for name in names:
            path = Path(place, name)
            inner = path.relative_to(folder).as_posix()
            if {"\t", "\n", "\r"} & set(inner) or not _is_utf8(inner):
                raise UserError(
                    f"{path!r}: a name with a tab, a line break or bytes that aren't UTF-8; rename the file"
                )
            try:
                yield inner, path.stat().st_size
            except OSError as error:
                raise UserError(f"{path}: can't be read ({error.strerror}); mend or remove it") from error


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _key(name: str) -> str:
    """What WebDataset puts into one sample: the path up to the first dot of the file's name."""
    folder, slash, file = name.rpartition("/")
    return folder + slash + file.partition(".")[0]


def _record_of(out: Path, shard: Shard) -> Path:
    """Where the members of a shard that is written stand until the index does."""
    return out / f".{shard.name}.tsv"


def _members(path: Path) -> list[Member]:
    return [parse_member(line, path) for line in path.read_bytes().splitlines()]


def is_written(plan: Plan, shard: Shard) -> bool:
    """Whether an earlier run has written a shard whole.

    Raises:
        UserError: it has, of other files.
    """
    record = _record_of(plan.out, shard)
    path = plan.out / shard.name
    if not record.is_file() or not path.is_file():
        return False
    members = _members(record)
    if tuple((member.name, member.size) for member in members) != shard.files:
        raise UserError(
            f"{path}: written of other files than {plan.folder} holds now, or with another --shard-size; empty "
            f"{plan.out} or choose another --out"
        )
    last = members[-1]
    return path.stat().st_size == last.offset + -(-last.size // BLOCK) * BLOCK + END


def write_shard(plan: Plan, shard: Shard, progress: Callable[[int], None] = lambda size: None) -> None:
    """Write one shard; it gets its name when it is whole and on disk.

    Args:
        plan: where from and where to.
        shard: one of the plan's.
        progress: called with the bytes of every file that is done.

    Raises:
        UserError: a file has changed since the plan was made, or can't be read.
    """
    path = plan.out / shard.name
    unfinished = plan.out / f".{shard.name}.part"
    members = []
    with unfinished.open("wb") as tar:
        for name, size in shard.files:
            header = tarfile.TarInfo(name)
            header.size, header.mode = size, 0o644
            tar.write(header.tobuf(tarfile.PAX_FORMAT, "utf-8"))
            offset = tar.tell()
            digest = hashlib.sha256()
            try:
                with (plan.folder / name).open("rb") as file:
                    while chunk := file.read(CHUNK):
                        digest.update(chunk)
                        tar.write(chunk)
            except OSError as error:
                raise UserError(f"{plan.folder / name}: can't be read or written ({error.strerror})") from error
            if tar.tell() - offset != size:
                raise UserError(f"{plan.folder / name}: has changed while it was packed; run the command again")
            tar.write(bytes(-size % BLOCK))
            members.append(Member(name, shard.name, offset, size, digest.hexdigest()))
            progress(size)
        tar.write(bytes(END))
        _flush(tar.fileno(), tar.flush)
    os.replace(unfinished, path)
    _write_whole(_record_of(plan.out, shard), "".join(member.line() for member in members))


def finish(plan: Plan) -> int:
    """Write the index of all shards, which makes the folder readable; the number of its members."""
    records = [_record_of(plan.out, shard) for shard in plan.shards]
    lines = [record.read_text(encoding="utf-8") for record in records]
    _write_whole(plan.out / INDEX, "".join(lines))
    for record in records:
        record.unlink()
    return sum(text.count("\n") for text in lines)


def is_complete(plan: Plan) -> bool:
    """Whether the folder holds an index already.

    Raises:
        UserError: of other files.
    """
    if not (plan.out / INDEX).is_file():
        return False
    planned = [(name, shard.name, size) for shard in plan.shards for name, size in shard.files]
    if [(member.name, member.shard, member.size) for member in ShardFolder(plan.out)] != planned:
        raise UserError(
            f"{plan.out}: holds shards of other files than {plan.folder} holds now, or of another --shard-size; "
            "empty it or choose another --out"
        )
    return True


def damaged(folder: Path, progress: Callable[[int], None] = lambda size: None) -> list[str]:
    """Names of members whose bytes aren't those that were packed, each with why.

    Args:
        folder: of shards with an index.
        progress: called with the bytes of every member that is read.

    Raises:
        UserError: there is no index.
    """
    if not (folder / INDEX).is_file():
        raise UserError(f"{folder}: no {INDEX} in it; it holds no shards, or they aren't finished")
    problems: list[str] = []
    missing: set[str] = set()
    for member in ShardFolder(folder):
        path = folder / member.shard
        if not path.is_file():
            if member.shard not in missing:
                problems.append(f"{member.shard}: missing")
            missing.add(member.shard)
            continue
        digest, left = hashlib.sha256(), member.size
        with path.open("rb") as file:
            file.seek(member.offset)
            while left and (chunk := file.read(min(left, CHUNK))):
                digest.update(chunk)
                left -= len(chunk)
        if left:
            problems.append(f"{member.name}: {member.shard} ends before it")
        elif digest.hexdigest() != member.sha256:
            problems.append(f"{member.name}: other bytes in {member.shard} than were packed")
        progress(member.size)
    return problems


def total_size(shards: Sequence[Shard]) -> int:
    """Bytes of all members."""
    return sum(shard.size for shard in shards)


def _write_whole(path: Path, text: str) -> None:
    """A text under its name at once or not at all."""
    unfinished = path.with_name(f"{path.name}.part")
    with unfinished.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        _flush(file.fileno(), file.flush)
    os.replace(unfinished, path)


def _flush(descriptor: int, flush: Callable[[], None]) -> None:
    flush()
    os.fsync(descriptor)
