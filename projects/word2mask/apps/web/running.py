"""Work that tells how far it is and that can be stopped, as a stream of snapshots that a page can show."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

__all__ = ["Cancelled", "Done", "Progress", "Snapshot", "run"]

#: Seconds between two snapshots.
INTERVAL = 0.12

Progress = Callable[[str, int, int], None]


class Cancelled(Exception):
    """The visitor stopped it, or left. Raised inside the work at its next report."""


@dataclass(frozen=True)
class Snapshot:
    """How far the work is: ``done`` of ``total`` in a stage, and the answer's text so far."""

    stage: str = ""
    done: int = 0
    total: int = 0
    text: str = ""


@dataclass(frozen=True)
class Done:
    """What the work gave."""

    value: Any


def run(work: Callable[[Progress, Callable[[str], None]], Any], stopped: threading.Event) -> Iterator[Snapshot | Done]:
    """Does work in a thread of its own and tells about it.

    Args:
        work: called with a progress callback and with one that takes pieces of text; both raise :class:`Cancelled`
            once ``stopped`` is set.
        stopped: set from anywhere to stop the work; it is also set when the reader goes away.

    Yields:
        snapshots while the work goes on, each time something has changed, and :class:`Done` at the end.

    Raises:
        Cancelled: it was stopped.
        BaseException: whatever the work raised.
    """
    state = _State(stopped)

    def working() -> None:
        try:
            state.value = work(state.report, state.write)
        except BaseException as error:  # noqa: BLE001 - carried to the reader, which raises it
            state.error = error
        finally:
            state.finished.set()

    thread = threading.Thread(target=working, name="word2mask-work", daemon=True)
    thread.start()
    try:
        shown = Snapshot()
        while not state.finished.wait(INTERVAL):
            if state.snapshot != shown:
                shown = state.snapshot
                yield shown
        if state.error is not None:
            raise state.error
        yield Done(state.value)
    finally:
        stopped.set()
        thread.join()


class _State:
    """What the thread of the work and its reader share."""

    def __init__(self, stopped: threading.Event) -> None:
        self.snapshot = Snapshot()
        self.finished = threading.Event()
        self.value: Any = None
        self.error: BaseException | None = None
        self._stopped = stopped

    def report(self, stage: str, done: int, total: int) -> None:
        self._check()
        self.snapshot = replace(self.snapshot, stage=stage, done=done, total=total)

    def write(self, piece: str) -> None:
        self._check()
        self.snapshot = replace(self.snapshot, text=self.snapshot.text + piece)

    def _check(self) -> None:
        if self._stopped.is_set():
            raise Cancelled
