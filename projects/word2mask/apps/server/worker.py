"""The one thread that works with the model: batches what waits together, steps what is streamed, runs what takes long.

Pictures and texts that wait at the same time are answered by one :meth:`Session.batch`. A streamed answer advances a
piece at a time, in turn with the others. A video is answered by itself; while it is tracked, the pictures that have
come meanwhile are answered between two of its frames, so that nobody waits for a film to end.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from word2mask.apps.server.counters import Counters
from word2mask.apps.server.limits import Limits
from word2mask.apps.server.problems import Problem
from word2mask.errors import UserError
from word2mask.inference.session import Session
from word2mask.types import Request, Result

__all__ = ["Cancelled", "Event", "Task", "Worker"]

Kind = Literal["answer", "stream", "video", "job"]

#: Seconds of a moving average that a new measurement makes up a fifth of.
SMOOTHING = 0.2


class Cancelled(Exception):
    """Nobody wants the answer any more."""


@dataclass(frozen=True)
class Event:
    """What happens to a task.

    Attributes:
        name: ``"text"`` (a piece), ``"progress"`` ((stage, done, total)), ``"result"`` or ``"error"`` (an exception).
        value: what belongs to it.
    """

    name: Literal["text", "progress", "result", "error"]
    value: Any


@dataclass(eq=False)
class Task:
    """One question to the model.

    Attributes:
        kind: how it is worked on.
        work: the request, or a function that is called with a session and a progress callback and gives a result.
        tell: called in the worker's thread with every event; must be quick.
        seconds: it may take from its start to its end.
    """

    kind: Kind
    work: Request | Callable[..., Result]
    tell: Callable[[Event], None]
    seconds: float
    _cancelled: threading.Event = field(default_factory=threading.Event)
    _deadline: float = float("inf")

    def cancel(self) -> None:
        """Ends it at the next piece of text or frame; from any thread."""
        self._cancelled.set()

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody cancelled it."""
        return self._cancelled.is_set()

    def start(self) -> None:
        """The clock runs from now on."""
        self._deadline = time.monotonic() + self.seconds

    def check(self) -> None:
        """Raises when it is to end."""
        if self.is_cancelled:
            raise Cancelled
        if time.monotonic() > self._deadline:
            raise Problem(
                503,
                f"the answer took more than {self.seconds:.0f} s; ask for less, or send a job to /v1/videos",
                "too_slow",
            )


class Worker:
    """A thread with a session.

    Args:
        session: used by this thread alone.
        limits: of a batch, of streams and of what waits.
        counters: what is counted.
    """

    def __init__(self, session: Session, limits: Limits, counters: Counters) -> None:
        self._session, self._limits, self._counters = session, limits, counters
        self._waiting: dict[Kind, deque[Task]] = {
            "answer": deque(),
            "stream": deque(),
            "video": deque(),
            "job": deque(),
        }
        self._streams: deque[tuple[Task, Iterator[str | Result]]] = deque()
        self._changed = threading.Condition()
        self._takes_jobs, self._is_closing = True, False
        self._long: Task | None = None
        self._second_each = 0.0
        self._is_advancing = False
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    def submit(self, task: Task) -> None:
        """Queues a task.

        Raises:
            Problem: too many wait, or the server is shutting down.
        """
        most = self._limits.jobs if task.kind == "job" else self._limits.waiting
        with self._changed:
            if self._is_closing or (task.kind == "job" and not self._takes_jobs):
                raise Problem(503, "the server is shutting down; try again later", "closing", retry_after=5)
            queue = self._waiting[task.kind]
            if len(queue) >= most:
                self._drop_cancelled()
            if len(queue) >= most:
                self._counters.rejected.labels("queue_full").inc()
                wait = max(1, round(len(queue) * self._second_each))
                raise Problem(
                    429, f"{len(queue)} requests wait, at most {most}; try again later", "queue_full", None, wait
                )
            queue.append(task)
            self._count()
            self._changed.notify()

    def end_jobs(self) -> None:
        """Cancels every job, and takes no more: those who have to wait for the answer to a request come first."""
        with self._changed:
            self._takes_jobs = False
            jobs = list(self._waiting["job"])
            if self._long is not None and self._long.kind == "job":
                jobs.append(self._long)
            for task in jobs:
                task.cancel()
            self._drop_cancelled()
            self._count()

    def close(self, seconds: float) -> None:
        """Ends all jobs, finishes what else runs and waits; what still runs after ``seconds`` is cancelled."""
        self.end_jobs()
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join(seconds)
        if self._thread.is_alive():
            with self._changed:
                rest = [task for queue in self._waiting.values() for task in queue]
                rest += [task for task, _ in self._streams] + ([self._long] if self._long else [])
            for task in rest:
                task.cancel()
            self._thread.join(seconds)

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs; it never ends by itself."""
        return self._thread.is_alive()

    # -- in the thread ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._is_closing and not self._streams and not any(self._waiting.values()):
                    self._changed.wait()
                if self._is_closing and not self._streams and not any(self._waiting.values()):
                    return
            was_idle = not self._streams
            self._answer_some(wait=was_idle)
            self._advance_streams()
            # Short questions first: a long one lets them in between its frames, but not before its first.
            if not self._waiting["answer"] and not self._streams:
                self._run_long()

    def _take(self, kind: Kind, most: int) -> list[Task]:
        """Tasks off a queue, those left out that nobody waits for."""
        with self._changed:
            self._drop_cancelled()
            queue = self._waiting[kind]
            taken = [queue.popleft() for _ in range(min(most, len(queue)))]
            self._count()
        for task in taken:
            task.start()
        return taken

    def _drop_cancelled(self) -> None:
        """Takes off every queue what nobody waits for; while a film is tracked, its own may be left alone for long.

        Called with the lock held.
        """
        for queue in self._waiting.values():
            for task in [task for task in queue if task.is_cancelled]:
                queue.remove(task)
                task.tell(Event("error", Cancelled()))

    def _answer_some(self, wait: bool) -> None:
        """One batch of what waits."""
        if not self._waiting["answer"]:
            return
        if wait:
            end = time.monotonic() + self._limits.batch_milliseconds / 1000
            with self._changed:
                while len(self._waiting["answer"]) < self._limits.batch and not self._is_closing:
                    left = end - time.monotonic()
                    if left <= 0 or not self._changed.wait(left):
                        break
        tasks = self._take("answer", self._limits.batch)
        if not tasks:
            return
        self._counters.batches.observe(len(tasks))
        self._counters.running.labels("answer").set(len(tasks))
        started = time.monotonic()
        try:
            self._answer(tasks)
        finally:
            self._counters.running.labels("answer").set(0)
            each = (time.monotonic() - started) / len(tasks)
            self._second_each += SMOOTHING * (each - self._second_each) if self._second_each else each

    def _answer(self, tasks: list[Task]) -> None:
        """A batch; where one of several is no good, each by itself, so that the others don't suffer."""

        def check(*_: object) -> None:
            if all(task.is_cancelled for task in tasks):
                raise Cancelled
            if len(tasks) == 1:
                tasks[0].check()

        try:
            results = self._session.batch([task.work for task in tasks], check)
        except Exception as error:  # noqa: BLE001 - told to the one who asked, who logs it
            if len(tasks) > 1 and not isinstance(error, Cancelled):
                for task in tasks:
                    self._answer([task])
                return
            for task in tasks:
                task.tell(Event("error", error))
            return
        for task, result in zip(tasks, results, strict=True):
            task.tell(Event("result", result))

    def _advance_streams(self) -> None:
        """Every streamed answer by one piece; not from within one of them, where the last to come would end first."""
        if self._is_advancing:
            return
        self._is_advancing = True
        try:
            self._advance()
        finally:
            self._is_advancing = False

    def _advance(self) -> None:
        for task in self._take("stream", self._limits.streams - len(self._streams)):
            self._streams.append((task, self._session.stream(task.work, self._between(task))))
        self._counters.running.labels("stream").set(len(self._streams))
        for _ in range(len(self._streams)):
            task, pieces = self._streams.popleft()
            try:
                task.check()
                piece = next(pieces)
            except Exception as error:  # noqa: BLE001 - told to the one who asked, who logs it
                _end(pieces)
                task.tell(Event("error", error))
                continue
            if isinstance(piece, str):
                task.tell(Event("text", piece))
                self._streams.append((task, pieces))
            else:
                _end(pieces)
                task.tell(Event("result", piece))
        self._counters.running.labels("stream").set(len(self._streams))

    def _run_long(self) -> None:
        """One video, from the queue of those who wait for it before that of jobs."""
        for kind in ("video", "job"):
            for task in self._take(kind, 1):
                with self._changed:
                    self._long = task
                    if kind == "job" and not self._takes_jobs:
                        task.cancel()
                self._counters.running.labels(kind).set(1)
                try:
                    task.tell(Event("result", self._long_result(task)))
                except Exception as error:  # noqa: BLE001 - told to the one who asked, who logs it
                    task.tell(Event("error", error))
                finally:
                    self._long = None
                    self._counters.running.labels(kind).set(0)
                return

    def _long_result(self, task: Task) -> Result:
        progress = self._between(task)
        progress("answer", 0, 1)
        if not isinstance(task.work, Request):
            return task.work(self._session, progress)
        # Streamed, so that it can be cancelled between two words and not only between two frames.
        pieces = self._session.stream(task.work, progress)
        try:
            for piece in pieces:
                if not isinstance(piece, str):
                    return piece
                task.check()
                self._let_others_in()
        finally:
            _end(pieces)
        raise UserError("the model gave no answer; ask in other words")

    def _between(self, task: Task) -> Callable[[str, int, int], None]:
        """The progress callback of a task that takes long: ends it where it must, lets short questions in."""

        def progress(stage: str, done: int, total: int) -> None:
            task.check()
            task.tell(Event("progress", (stage, done, total)))
            self._let_others_in()
            task.check()

        return progress

    def _let_others_in(self) -> None:
        with self._changed:
            self._drop_cancelled()
            self._count()
        self._answer_some(wait=False)
        self._advance_streams()

    def _count(self) -> None:
        for kind, queue in self._waiting.items():
            self._counters.waiting.labels(kind).set(len(queue))


def _end(pieces: Iterator[str | Result]) -> None:
    """Closes a generator, so that what it holds is free now."""
    close = getattr(pieces, "close", None)
    if close is not None:
        close()
