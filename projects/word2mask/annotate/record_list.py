"""Records of many videos, read when they are looked at and not held: memory doesn't grow with what was written.

Of a million videos the texts alone are tens of gigabytes. What comes after the engines (filters, decisions, checks, the
dataset) goes through the records one after another, as often as it must.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import overload

from word2mask.annotate.records import VideoRecord, VideoReference
from word2mask.annotate.store import Store
from word2mask.errors import UserError

__all__ = ["Records", "StoredRecords", "changed", "in_order"]


class Records(Sequence[VideoRecord]):
    """Records in the order of their videos.

    Args:
        references: the videos.
        make: gives the record of the video at a place; called whenever it is looked at.

    Attributes:
        references: the videos.
    """

    def __init__(self, references: Sequence[VideoReference], make: Callable[[int], VideoRecord]) -> None:
        self.references = references
        self._make = make

    def __len__(self) -> int:
        return len(self.references)

    @overload
    def __getitem__(self, place: int) -> VideoRecord: ...

    @overload
    def __getitem__(self, place: slice) -> list[VideoRecord]: ...

    def __getitem__(self, place: int | slice) -> VideoRecord | list[VideoRecord]:
        places = range(len(self))[place]
        return self._make(places) if isinstance(places, int) else [self._make(number) for number in places]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]


class StoredRecords(Records):
    """Records that a run left in its store.

    Args:
        references: the videos.
        keys: under which their records are kept.
        store: of the run.

    Attributes:
        keys: under which the records are kept.
    """

    def __init__(self, references: Sequence[VideoReference], keys: Sequence[str], store: Store) -> None:
        super().__init__(references, self._read)
        self.keys, self._store = keys, store

    def _read(self, place: int) -> VideoRecord:
        kept = self._store.get(self.keys[place])
        if kept is None:
            raise UserError(
                f"{self._store.folder}: the record of {self.references[place].video_id} is gone; run again, and leave "
                "the store as it is meanwhile"
            )
        return VideoRecord.from_json(kept)


def changed(records: Sequence[VideoRecord], change: Callable[[VideoRecord], VideoRecord]) -> Records:
    """The same videos' records, each changed when it is looked at."""
    return Records(_references(records), lambda place: change(records[place]))


def in_order(records: Sequence[VideoRecord]) -> Iterator[VideoRecord]:
    """One record after another, in the order of their references."""
    references = _references(records)
    for place in sorted(range(len(references)), key=references.__getitem__):
        yield records[place]


def _references(records: Sequence[VideoRecord]) -> Sequence[VideoReference]:
    return records.references if isinstance(records, Records) else [record.reference for record in records]
