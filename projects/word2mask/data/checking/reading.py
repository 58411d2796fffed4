"""All records of all parts, in several processes; the result doesn't depend on how many there are."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice

import cv2
import torch

from word2mask.data.checking.findings import finding
from word2mask.data.checking.lengths import LengthMeter
from word2mask.data.checking.records import Part, RecordCheck, check_record

logger = logging.getLogger(__name__)

#: ``(number of the part in the list, index, pass)``.
Task = tuple[int, int, int]
Progress = Callable[[int, int], None]
#: Records that a process takes at a time.
CHUNK = 16


def evenly_spaced(count: int, limit: int | None) -> list[int]:
    """``limit`` of the indices below ``count``, evenly spaced from the first on; all of them without a limit.

    >>> evenly_spaced(10, 4)
    [0, 2, 5, 7]
    """
    if limit is None or limit >= count:
        return list(range(count))
    return [position * count // limit for position in range(limit)]


def check_records(
    parts: Sequence[Part],
    meter: LengthMeter | None = None,
    workers: int = 1,
    limit: int | None = None,
    passes: int = 1,
    progress: Progress | None = None,
) -> list[RecordCheck]:
    """Reads every record.

    Args:
        parts: what to read.
        meter: measures conversations; ``None`` where that can't be done.
        workers: processes; 1 reads in this one.
        limit: at most that many records a part, evenly spaced.
        passes: how often each training record is read, each time with other expressions and frames.
        progress: called with (records read, records to read).

    Returns:
        one check a record and pass: part by part, in the order of the records.
    """
    tasks = [
        (number, index, passing)
        for number, part in enumerate(parts)
        for passing in range(passes if part.role == "training" else 1)
        for index in evenly_spaced(len(part.source), limit)
    ]
    done: dict[Task, RecordCheck] = {}
    results = _here(parts, meter, tasks) if workers == 1 else _in_processes(parts, meter, tasks, workers)
    for task, check in results:
        done[task] = check
        if progress is not None:
            progress(len(done), len(tasks))
    return [done[task] for task in tasks]


def _here(
    parts: Sequence[Part], meter: LengthMeter | None, tasks: Sequence[Task]
) -> Iterator[tuple[Task, RecordCheck]]:
    for task in tasks:
        yield task, _check(parts, meter, task)


def _in_processes(
    parts: Sequence[Part], meter: LengthMeter | None, tasks: Sequence[Task], workers: int
) -> Iterator[tuple[Task, RecordCheck]]:
    """A file that crashes a decoder takes the process with it: such a record is found and named, the others go on."""
    chunks = iter([tasks[start : start + CHUNK] for start in range(0, len(tasks), CHUNK)])
    pending: dict[Future, Sequence[Task]] = {}
    # A process forked while OpenCV has threads would wait for theirs for ever.
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    pool = _pool(parts, meter, workers)
    try:
        while True:
            suspects: list[Task] = []
            # No more at once than keeps everybody busy, so that a crash leaves few suspects.
            for chunk in islice(chunks, 2 * workers - len(pending)):
                try:
                    pending[pool.submit(_check_chunk, chunk)] = chunk
                except BrokenProcessPool:
                    suspects += chunk
            if not pending and not suspects:
                return
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                chunk = pending.pop(future)
                try:
                    yield from zip(chunk, future.result(), strict=True)
                except BrokenProcessPool:
                    suspects += chunk
            if suspects:
                suspects += [task for chunk in pending.values() for task in chunk]
                pending.clear()
                pool.shutdown(wait=True, cancel_futures=True)
                yield from _one_by_one(parts, meter, suspects)
                pool = _pool(parts, meter, workers)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        cv2.setNumThreads(threads)


def _one_by_one(
    parts: Sequence[Part], meter: LengthMeter | None, tasks: Sequence[Task]
) -> Iterator[tuple[Task, RecordCheck]]:
    pool = _pool(parts, meter, 1)
    try:
        for task in tasks:
            try:
                (check,) = pool.submit(_check_chunk, [task]).result()
            except BrokenProcessPool:
                pool.shutdown(wait=True)
                pool = _pool(parts, meter, 1)
                number, index, passing = task
                label = parts[number].label
                message = "the process that read it was killed: a decoder crashed, or memory ran out"
                logger.warning("%s, record %d: %s", label, index, message)
                check = RecordCheck(label, index, passing, None, (finding(label, None, index, "defect", message),))
            yield task, check
    finally:
        pool.shutdown(wait=True)


def _pool(parts: Sequence[Part], meter: LengthMeter | None, workers: int) -> ProcessPoolExecutor:
    # Forked processes share the annotations; where there is no fork, each gets a copy.
    method = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
    return ProcessPoolExecutor(workers, multiprocessing.get_context(method), _begin, (parts, meter))


_parts: Sequence[Part] = ()
_meter: LengthMeter | None = None


def _begin(parts: Sequence[Part], meter: LengthMeter | None) -> None:
    """In a new process: what it reads, and that it is one of several."""
    global _parts, _meter
    _parts, _meter = parts, meter
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def _check_chunk(tasks: Sequence[Task]) -> list[RecordCheck]:
    return [_check(_parts, _meter, task) for task in tasks]


def _check(parts: Sequence[Part], meter: LengthMeter | None, task: Task) -> RecordCheck:
    number, index, passing = task
    return check_record(parts[number], index, passing, meter)
