"""Work tells how far it is, gives what it made, and stops when it is told to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from word2mask.apps.web.running import Cancelled, Done, Progress, Snapshot, run
from word2mask.errors import UserError


def test_snapshots_then_the_value() -> None:
    go_on = threading.Event()

    def work(report: Progress, write: Callable[[str], None]) -> str:
        report("track", 3, 10)
        write("A ")
        write("heart")
        assert go_on.wait(20)
        return "made"

    events = run(work, threading.Event())
    assert next(events) == Snapshot("track", 3, 10, "A heart")
    go_on.set()
    assert list(events) == [Done("made")]


def test_stopping_stops_the_work() -> None:
    stopped, ended = threading.Event(), threading.Event()

    def work(report: Progress, write: Callable[[str], None]) -> None:
        try:
            for step in range(10_000):
                report("track", step, 10_000)
                time.sleep(0.01)
        finally:
            ended.set()

    events = run(work, stopped)
    next(events)
    stopped.set()
    with pytest.raises(Cancelled):
        list(events)
    assert ended.is_set()


def test_a_reader_who_leaves_stops_the_work() -> None:
    stopped, ended = threading.Event(), threading.Event()

    def work(report: Progress, write: Callable[[str], None]) -> None:
        try:
            for step in range(10_000):
                write(str(step))
                time.sleep(0.01)
        except Cancelled:
            ended.set()
            raise

    events = run(work, stopped)
    next(events)
    events.close()
    assert stopped.is_set() and ended.is_set()


def test_errors_come_through() -> None:
    def work(report: Progress, write: Callable[[str], None]) -> None:
        raise UserError("no such thing")

    with pytest.raises(UserError, match="no such thing"):
        list(run(work, threading.Event()))
