"""From a benchmark and something that answers to numbers: in batches, over ranks, and again from where it was killed.

Samples are cut into batches once, by position alone. A batch is answered as a whole or not at all, by whichever rank
and in whichever run; so the records, and with them the numbers, don't depend on how many ranks there are or on
interruptions.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from word2mask.errors import UserError
from word2mask.evaluation.interface import Answerer, Benchmark, mask_shape, media_of
from word2mask.evaluation.records import Record, RecordFolder, completed, encode_segments, failures
from word2mask.types import Request, Result, Sample

logger = logging.getLogger(__name__)

#: What may go wrong with one request (bad media, memory, a sequence too long); anything else is a defect and stops.
ANSWER_ERRORS = (UserError, ValueError, RuntimeError, IndexError, MemoryError)
#: Called after every batch: label, samples done, samples that this rank will see, headline metric, its value so far;
#: an empty name and NaN where nothing is scored.
Progress = Callable[[str, int, int, str, float], None]
#: Every rank's value, in order of rank, on every rank; ``engine.distributed.gather_objects`` where there are several.
Gather = Callable[[Any], list[Any]]


@dataclass(frozen=True)
class Ranks:
    """This process among those that share the work.

    Attributes:
        rank: of this process.
        count: of all processes.
        gather: exchange between them.
    """

    rank: int = 0
    count: int = 1
    gather: Gather = field(default=lambda value: [value])


@dataclass(frozen=True)
class Score:
    """The numbers of one benchmark, with what they rest on.

    Attributes:
        benchmark: what was evaluated.
        metrics: key → percent.
        kinds: kind of question → (samples, metrics), where the dataset names kinds.
        count: number of samples.
        failures: ``{"id", "message"}`` of every sample that could not be answered; each is scored as an empty answer.
        seconds: spent by the slowest rank in this run, resumed samples not counted.
        note: what was left out and why; empty where nothing was.
        records: of every sample, in order.
    """

    benchmark: Benchmark
    metrics: dict[str, float]
    kinds: dict[str, tuple[int, dict[str, float]]]
    count: int
    failures: list[dict[str, str]]
    seconds: float
    records: Sequence[Record]
    note: str = ""


def evaluate(
    benchmark: Benchmark,
    answerer: Answerer,
    folder: Path,
    identity: dict[str, Any],
    *,
    batch_size: int = 16,
    max_failures: int = 10,
    fresh: bool = False,
    ranks: Ranks | None = None,
    progress: Progress | None = None,
) -> Score:
    """Answers every sample of a benchmark that isn't answered yet, and adds up the scores.

    Args:
        benchmark: what to evaluate.
        answerer: answers the requests.
        folder: where the records of this benchmark go.
        identity: what names the model, e.g. its checkpoint's hash; records of another one are refused.
        batch_size: requests answered together.
        max_failures: stop when more samples than this could not be answered.
        fresh: drop records of an earlier run.
        ranks: the processes that share the work; alone by default.
        progress: called on the first rank after every batch of its own.

    Returns:
        the same score on every rank.

    Raises:
        UserError: a sample can't be read, the folder can't be written or holds another run's records, or too many
            samples could not be answered.
    """
    ranks = ranks or Ranks()
    if batch_size < 1:
        raise UserError(f"the batch size must be 1 or more, got {batch_size}")
    store = RecordFolder(folder, ranks.rank)
    if fresh:
        # Every process, for machines may each have a disk of their own.
        store.clear()
    ranks.gather(None)
    store.open({**identity, "benchmark": benchmark.label, "protocol": benchmark.protocol, "origin": benchmark.origin})
    done = {position: record for position, record in store.load().items() if record.failure is None}
    known = set().union(*ranks.gather(set(done)))
    batches = [
        list(range(start, min(start + batch_size, len(benchmark)))) for start in range(0, len(benchmark), batch_size)
    ]
    open_batches = [batch for batch in batches if not known.issuperset(batch)]
    if known:
        logger.info("%s: %d of %d samples are already answered", benchmark.label, len(known), len(benchmark))
    if open_batches and ranks.rank == 0:
        store.drop_completed()
    mine = open_batches[ranks.rank :: ranks.count]
    for position in [position for batch in open_batches for position in batch]:
        done.pop(position, None)

    started = time.perf_counter()
    meter = _Meter(benchmark, progress if ranks.rank == 0 else None, done, sum(map(len, mine)))
    with _reading_ahead(benchmark, mine) as samples:
        for batch, read in samples:
            records = _answer_batch(benchmark, answerer, batch, read)
            store.append(records)
            done.update((record.position, record) for record in records)
            meter.advance()
            _stop_at_too_many_failures(benchmark, done, max_failures)
    seconds = time.perf_counter() - started

    merged: dict[int, Record] = {}
    gathered = ranks.gather((done, seconds))
    for part, _ in gathered:
        merged.update(part)
    missing = [position for position in range(len(benchmark)) if position not in merged]
    if missing:
        raise RuntimeError(f"{benchmark.label}: no record of samples {missing[:5]} … after all ranks finished")
    ordered = _complete(benchmark, [merged[position] for position in range(len(benchmark))], store, ranks)
    scores = [record.scores for record in ordered]
    final, note = ranks.gather(benchmark.finish(scores) if ranks.rank == 0 else None)[0]
    metrics = {**benchmark.summarise(scores), **final}
    return Score(
        benchmark=benchmark,
        metrics={key: metrics[key] for key in benchmark.metrics if key in metrics},
        kinds=by_kind(benchmark, ordered),
        count=len(ordered),
        failures=failures(ordered),
        seconds=max(part_seconds for _, part_seconds in gathered),
        records=ordered,
        note=note,
    )


def _complete(benchmark: Benchmark, records: list[Record], store: RecordFolder, ranks: Ranks) -> list[Record]:
    """The records with the scores that need several samples' answers, each rank's share of them joined."""
    kept = ranks.gather(store.load_completed())[0]
    if kept is None:
        kept = {}
        for share in ranks.gather(benchmark.complete(records, ranks.rank, ranks.count)):
            kept.update(share)
        if kept and ranks.rank == 0:
            store.write_completed(kept)
    return completed(records, kept)


def by_kind(benchmark: Benchmark, records: Sequence[Record]) -> dict[str, tuple[int, dict[str, float]]]:
    """Number of samples and metrics of each kind of question, by name; empty where the dataset names no kinds."""
    kinds: dict[str, list[Record]] = {}
    for record in records:
        if record.kind:
            kinds.setdefault(record.kind, []).append(record)
    return {
        kind: (len(group), benchmark.summarise([record.scores for record in group]))
        for kind, group in sorted(kinds.items())
    }


def empty_result(sample: Sample) -> Result:
    """The answer of a model that says nothing; what a failure is scored as."""
    if media_of(sample) is None:
        return Result("", "", [], None, 0)
    frames, height, width = mask_shape(sample)
    return Result("", "", [], (height, width), frames)


class _Meter:
    """Reports the running score, at most twice a second so that long benchmarks aren't slowed by it."""

    def __init__(self, benchmark: Benchmark, progress: Progress | None, done: dict[int, Record], remaining: int):
        self._benchmark = benchmark
        # What this rank will have seen in the end; the other ranks' new answers come together only then.
        self._total = len(done) + remaining
        self._progress = progress
        self._done = done
        self._reported = -1.0

    def advance(self) -> None:
        if self._progress is None:
            return
        now = time.perf_counter()
        if len(self._done) < self._total and now - self._reported < 0.5:
            return
        self._reported = now
        key, name = next(iter(self._benchmark.metrics.items()))
        if self._benchmark.is_scored:
            value = self._benchmark.summarise([record.scores for record in self._done.values()]).get(key, 0.0)
        else:
            name, value = "", math.nan
        self._progress(self._benchmark.label, len(self._done), self._total, name, value)


@contextmanager
def _reading_ahead(
    benchmark: Benchmark, batches: Sequence[Sequence[int]]
) -> Iterator[Iterator[tuple[Sequence[int], list[Sample]]]]:
    """Reads the next batch's media in a thread while a batch is answered."""
    with ThreadPoolExecutor(max_workers=1) as pool:

        def iterate() -> Iterator[tuple[Sequence[int], list[Sample]]]:
            upcoming: Future | None = None
            for number, batch in enumerate(batches):
                current = upcoming or pool.submit(_read, benchmark, batch)
                samples = current.result()
                upcoming = pool.submit(_read, benchmark, batches[number + 1]) if number + 1 < len(batches) else None
                yield batch, samples

        yield iterate()


def _read(benchmark: Benchmark, positions: Sequence[int]) -> list[Sample]:
    return [benchmark.sample(position) for position in positions]


def _answer_batch(
    benchmark: Benchmark, answerer: Answerer, positions: Sequence[int], samples: Sequence[Sample]
) -> list[Record]:
    """Records of one batch. Where the batch fails as a whole, its samples are asked one by one, to name the culprit."""
    requests = [benchmark.request(sample) for sample in samples]
    answers = _ask_together(answerer, requests) or [_ask_alone(answerer, request) for request in requests]
    return [
        _record(benchmark, position, sample, request, answer)
        for position, sample, request, answer in zip(positions, samples, requests, answers, strict=True)
    ]


def _ask_together(answerer: Answerer, requests: Sequence[Request]) -> list[Result] | None:
    try:
        results = list(answerer.batch(requests))
    except ANSWER_ERRORS as error:
        trace = not isinstance(error, UserError)
        logger.warning("a batch of %d failed (%s); asking one by one", len(requests), error, exc_info=trace)
        return None
    if len(results) != len(requests):
        raise RuntimeError(f"{len(requests)} requests got {len(results)} results")
    return results


def _ask_alone(answerer: Answerer, request: Request) -> Result | str:
    try:
        return answerer.batch([request])[0]
    except ANSWER_ERRORS as error:
        return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"


def _record(benchmark: Benchmark, position: int, sample: Sample, request: Request, answer: Result | str) -> Record:
    failure = answer if isinstance(answer, str) else None
    result = empty_result(sample) if isinstance(answer, str) else answer
    return Record(
        position=position,
        id=f"{sample.source}[{sample.id}]",
        question=request.turns[-1].text,
        answer=result.raw_text,
        scores=benchmark.score(result, sample),
        kind=sample.extra.get("kind") or None,
        phrases=tuple(segment.phrase for segment in result.segments),
        masks=encode_segments(result),
        failure=failure,
    )


def _stop_at_too_many_failures(benchmark: Benchmark, done: dict[int, Record], limit: int) -> None:
    failed = failures(done.values())
    if len(failed) > limit:
        raise UserError(
            f"{benchmark.label}: {len(failed)} samples could not be answered, more than --max-failures {limit}; "
            f"the first is {failed[0]['id']}: {failed[0]['message']}"
        )
