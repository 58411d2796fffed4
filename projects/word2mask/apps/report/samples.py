"""Which samples a page shows, and everything it shows of them, read again from records and benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from word2mask.errors import UserError
from word2mask.evaluation.interface import Benchmark, media_of
from word2mask.evaluation.names import benchmarks, folder_of
from word2mask.evaluation.records import Record, RecordFolder, completed, decode_segments
from word2mask.types import Media, Sample


@dataclass(frozen=True)
class Shown:
    """One sample of the page.

    Attributes:
        why: ``"random"``, ``"best"``, ``"worst"``, ``"gained"`` or ``"lost"``.
        record: the model's answer.
        sample: read again.
        score: of this sample, 0…100.
        twin: the other run's answer to the same question, or ``None``.
        twin_score: of that answer, 0…100.
    """

    why: str
    record: Record
    sample: Sample
    score: float
    twin: Record | None
    twin_score: float


def rebuild(entry: Mapping[str, Any]) -> Benchmark:
    """The benchmark of an entry of results.json, on the same data.

    Raises:
        UserError: the benchmark or its data are no longer there.
    """
    known = benchmarks()
    if entry["benchmark"] not in known:
        raise UserError(f"no benchmark is called {entry['benchmark']!r}; it was evaluated by another version")
    return known[entry["benchmark"]].build(**entry["origin"])


def records_of(run: Path, entry: Mapping[str, Any]) -> list[Record]:
    """The records of a benchmark in a run's folder, in order.

    Raises:
        UserError: some are missing.
    """
    folder = run / folder_of(entry["label"])
    store = RecordFolder(folder)
    records = store.load()
    if len(records) != entry["count"]:
        raise UserError(f"{folder} holds {len(records)} records of {entry['count']}; evaluate again")
    return completed([records[position] for position in range(entry["count"])], store.load_completed() or {})


def choose(
    benchmark: Benchmark,
    records: Sequence[Record],
    twin: Sequence[Record] | None,
    count: int,
    seed: int,
) -> list[Shown]:
    """``count`` samples at random (one of each kind of question first), then the best and worst among the others.

    Args:
        benchmark: reads the samples again.
        records: of all samples.
        twin: of another run on the same samples, or ``None``.
        count: at random; half as many best and half as many worst follow.
        seed: of the choice.

    Raises:
        UserError: the data have changed since they were evaluated.
    """
    scores = [benchmark.sample_score(record.scores) for record in records]
    order = [int(position) for position in np.random.default_rng(seed).permutation(len(records))]
    kinds = [record.kind for record in records]
    drawn = _varied(order, kinds, count)
    others = sorted((position for position in order if position not in drawn), key=lambda position: scores[position])
    half = min(count // 2, len(others) // 2) if benchmark.is_scored else 0
    # "Among" the best and worst: from the outer quarters, so that not all are of one kind, nor of one picture.
    outer = max(len(others) // 4, half)
    best, worst = (
        _apart(benchmark, _varied(group, kinds, len(group)), half) for group in (others[::-1][:outer], others[:outer])
    )
    groups = (("random", drawn), ("best", best), ("worst", worst))
    return [_shown(benchmark, records, twin, position, why) for why, positions in groups for position in positions]


def choose_changed(
    benchmark: Benchmark, records: Sequence[Record], twin: Sequence[Record], gains: Sequence[float], count: int
) -> list[Shown]:
    """``count`` samples in which the first run is furthest ahead of the other, and as many in which it is behind.

    Args:
        benchmark: reads the samples again.
        records: of all samples, in the first run.
        twin: of the other run.
        gains: score of the first run minus the other's, sample by sample.
        count: of each group.
    """
    order = sorted(range(len(records)), key=lambda position: gains[position])
    lost = [position for position in order[:count] if gains[position] < 0]
    gained = [position for position in order[::-1][:count] if gains[position] > 0]
    groups = (("gained", gained), ("lost", lost))
    return [_shown(benchmark, records, twin, position, why) for why, positions in groups for position in positions]


def _shown(
    benchmark: Benchmark, records: Sequence[Record], twin: Sequence[Record] | None, position: int, why: str
) -> Shown:
    return Shown(
        why,
        records[position],
        _sample(benchmark, records[position]),
        benchmark.sample_score(records[position].scores),
        twin[position] if twin else None,
        benchmark.sample_score(twin[position].scores) if twin else 0.0,
    )


def _sample(benchmark: Benchmark, record: Record) -> Sample:
    """The sample of a record, which must still be what was asked."""
    sample = benchmark.sample(record.position)
    if f"{sample.source}[{sample.id}]" != record.id or benchmark.question(sample) != record.question:
        raise UserError(
            f"{benchmark.label}: sample {record.position} isn't {record.id} with its question any more; "
            "the data or the questions have changed since, so evaluate again"
        )
    return sample


def _varied(positions: Sequence[int], kinds: Sequence[str | None], count: int) -> list[int]:
    """The first ``count`` positions, after sorting by how often their kind has come before."""
    seen: dict[str | None, int] = {}
    turns = []
    for place, position in enumerate(positions):
        turns.append((seen.get(kinds[position], 0), place, position))
        seen[kinds[position]] = seen.get(kinds[position], 0) + 1
    return [position for _, _, position in sorted(turns)[:count]]


def _apart(benchmark: Benchmark, positions: Sequence[int], count: int) -> list[int]:
    """The first ``count`` positions, those about a picture or video that was there before only where others run out."""
    first: list[int] = []
    again: list[int] = []
    seen: set[str] = set()
    for position in positions:
        name = getattr(media_of(benchmark.sample(position)), "name", "")
        (again if name and name in seen else first).append(position)
        seen.add(name)
        if len(first) == count:
            break
    return (first + again)[:count]


def frames_of(sample: Sample, indices: Sequence[int]) -> list[np.ndarray]:
    """Frames uint8 RGB ``[H,W,3]`` of a sample's picture or video."""
    media = media_of(sample)
    if media is None:
        return []
    frames = media.frames[list(indices)] if isinstance(media, Media) else media.read(indices)
    return list(frames)


def num_frames_of(sample: Sample) -> int:
    """T of a sample's media; 0 without."""
    media = media_of(sample)
    if media is None:
        return 0
    return len(media.frames) if isinstance(media, Media) else len(media)


def masks_of(record: Record | None) -> np.ndarray | None:
    """A record's masks, bool ``[N,T,H,W]``; ``None`` without."""
    return decode_segments(record) if record is not None else None
