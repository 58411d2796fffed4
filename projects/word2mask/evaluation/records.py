"""What is kept of every sample: a line of JSON each, appended batch by batch, read again when a killed run resumes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from word2mask.errors import UserError
from word2mask.ops.masks import decode_rle, encode_rle
from word2mask.types import Result


@dataclass(frozen=True)
class Record:
    """One evaluated sample.

    Attributes:
        position: among the benchmark's evaluated samples.
        id: ``"source[id]"``.
        question: as asked.
        answer: raw answer of the model, special tokens included; empty after a failure.
        scores: what the benchmark's ``score`` returned.
        kind: kind of question, where the dataset says it.
        phrases: ``[N]`` phrase of each segment.
        masks: ``[N]`` lists of T run lengths in COCO's compressed form.
        failure: the error's words where the sample could not be answered; it is scored as an empty answer.
    """

    position: int
    id: str
    question: str
    answer: str
    scores: dict[str, Any]
    kind: str | None = None
    phrases: tuple[str, ...] = ()
    masks: tuple[tuple[dict[str, Any], ...], ...] = ()
    failure: str | None = None

    def to_line(self) -> str:
        """One line of JSON with its line end."""
        fields = {key: value for key, value in asdict(self).items() if value not in (None, ())}
        return json.dumps(fields, ensure_ascii=False) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Record:
        """The record of a line that :meth:`to_line` wrote."""
        fields = json.loads(line)
        fields["phrases"] = tuple(fields.get("phrases", ()))
        fields["masks"] = tuple(tuple(masks) for masks in fields.get("masks", ()))
        return cls(**fields)


def encode_segments(result: Result) -> tuple[tuple[dict[str, Any], ...], ...]:
    """Run lengths ``[N][T]`` of a result's masks."""
    return tuple(tuple(encode_rle(mask) for mask in segment.masks) for segment in result.segments)


def decode_segments(record: Record) -> np.ndarray | None:
    """A record's masks, bool ``[N,T,H,W]``; ``None`` where there are none."""
    if not record.masks:
        return None
    return np.stack([np.stack([decode_rle(rle) for rle in masks]) for masks in record.masks])


class RecordFolder:
    """The records of one benchmark, one file a rank; complete lines only.

    Args:
        folder: made where it isn't.
        rank: whose file to append to.
    """

    HEADER = "run.json"
    COMPLETED = "completed.json"

    def __init__(self, folder: Path, rank: int = 0):
        self.folder = folder
        self.path = folder / f"records.rank{rank}.jsonl"

    def open(self, header: dict[str, Any]) -> None:
        """Makes the folder, and checks that what lies there belongs to the same run.

        Args:
            header: what must be equal for a resumed run to mean the same: checkpoint, protocol, number of samples.

        Raises:
            UserError: the folder can't be written, or holds records of another run.
        """
        path = self.folder / self.HEADER
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                partial = self.folder / f"{self.HEADER}.{self.path.stem}.partial"
                partial.write_text(json.dumps(header, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
                partial.replace(path)
        except OSError as error:
            raise UserError(f"{self.folder} can't be written ({error.strerror}); give another --out") from error
        there = json.loads(path.read_text(encoding="utf-8"))
        different = sorted(key for key in header if there.get(key) != header[key])
        if different:
            key = different[0]
            raise UserError(
                f"{self.folder} holds records of another run ({key}: {there.get(key)!r} there, {header[key]!r} now); "
                "give another --out, or --fresh to start over"
            )

    def clear(self) -> None:
        """Removes records and header."""
        for path in [*self.folder.glob("records.rank*.jsonl"), self.folder / self.HEADER]:
            path.unlink(missing_ok=True)
        self.drop_completed()

    def drop_completed(self) -> None:
        """Removes what :meth:`write_completed` wrote: other answers came."""
        (self.folder / self.COMPLETED).unlink(missing_ok=True)

    def write_completed(self, scores: dict[int, dict[str, Any]]) -> None:
        """Keeps scores that needed several samples' answers, by position, for :meth:`load_completed`."""
        partial = self.folder / f"{self.COMPLETED}.partial"
        partial.write_text(json.dumps(scores), encoding="utf-8")
        partial.replace(self.folder / self.COMPLETED)

    def load_completed(self) -> dict[int, dict[str, Any]] | None:
        """What :meth:`write_completed` kept; ``None`` where it isn't there."""
        path = self.folder / self.COMPLETED
        if not path.is_file():
            return None
        return {int(position): scores for position, scores in json.loads(path.read_text(encoding="utf-8")).items()}

    def load(self) -> dict[int, Record]:
        """Every complete record of all ranks' files by its position; an answer rather than an earlier failure.

        Scores are those of each answer by itself, as it was written; see :func:`completed`.
        """
        records: dict[int, Record] = {}
        for path in sorted(self.folder.glob("records.rank*.jsonl")):
            for line in path.read_bytes().split(b"\n")[:-1]:
                try:
                    record = Record.from_line(line.decode("utf-8"))
                except (ValueError, TypeError):
                    # A line cut by a kill: its sample is answered again.
                    continue
                if record.failure is None or record.position not in records:
                    records[record.position] = record
        return records

    def append(self, records: Sequence[Record]) -> None:
        """Adds records in one write; first ends a line that a kill has cut."""
        torn = False
        if self.path.exists() and self.path.stat().st_size:
            with self.path.open("rb") as file:
                file.seek(-1, 2)
                torn = file.read(1) != b"\n"
        text = "\n" * torn + "".join(record.to_line() for record in records)
        with self.path.open("ab") as file:
            file.write(text.encode("utf-8"))


def completed(records: Sequence[Record], scores: dict[int, dict[str, Any]]) -> list[Record]:
    """Records with scores that needed several samples' answers, by position."""
    return [
        replace(record, scores={**record.scores, **scores[record.position]}) if record.position in scores else record
        for record in records
    ]


def failures(records: Iterable[Record]) -> list[dict[str, str]]:
    """Name and words of every failure."""
    return [{"id": record.id, "message": record.failure} for record in records if record.failure is not None]
