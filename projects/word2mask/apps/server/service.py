"""What all routes share: the model's worker, the uploads, and how a route waits for an answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from fastapi import Request as HTTPRequest
from starlette.concurrency import run_in_threadpool

from word2mask.apps.server.asking import Question, Reader, extension_of, was_cut
from word2mask.apps.server.counters import Counters
from word2mask.apps.server.limits import Limits
from word2mask.apps.server.material import Budget
from word2mask.apps.server.pointing import shown
from word2mask.apps.server.problems import Problem, as_problem
from word2mask.apps.server.uploads import Store
from word2mask.apps.server.worker import Cancelled, Event, Kind, Task, Worker
from word2mask.errors import UserError
from word2mask.inference.session import Session
from word2mask.types import Result

__all__ = ["Answered", "Mailbox", "Service"]

#: Seconds between two looks at whether a client is still there.
LOOK = 0.5


@dataclass(frozen=True)
class Answered:
    """An answer, ready to be sent.

    Attributes:
        text: its words.
        masks: :func:`word2mask.apps.server.asking.extension_of` it.
        finish_reason: ``"stop"`` or ``"length"``.
    """

    text: str
    masks: dict[str, Any]
    finish_reason: str


class Mailbox:
    """Where the worker's thread puts what happens to a task, for a coroutine to take.

    Args:
        service: whose worker it is.
        question: what is asked; put away when the last event has come.
        kind: how it is worked on.
        seconds: it may take.
        notice: called in the event loop with progress, which isn't kept.
    """

    def __init__(
        self,
        service: Service,
        question: Question,
        kind: Kind,
        seconds: float,
        notice: Callable[[str, int, int], None] | None = None,
    ) -> None:
        self._service, self._question, self._notice = service, question, notice
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        request = question.request
        work = request if request.turns[-1].text.strip() else shown(request)
        self.task = Task(kind, work, self._tell, seconds)

    def submit(self) -> None:
        """Queues the task; puts the question away where there is no room."""
        try:
            self._service.worker.submit(self.task)
        except BaseException:
            self._question.close()
            raise

    async def next(self) -> Event:
        """A piece of text, the answer (:class:`Answered`), or a :class:`Problem`."""
        event = await self._events.get()
        if event.name == "error":
            return Event("error", self._service.problem(event.value))
        if event.name == "result":
            result, is_cut = event.value
            return Event("result", await run_in_threadpool(_answered, result, is_cut))
        return event

    def _tell(self, event: Event) -> None:
        """In the worker's thread."""
        if event.name == "progress":
            if self._notice is not None:
                self._loop.call_soon_threadsafe(self._notice, *event.value)
            return
        if event.name in ("result", "error"):
            self._question.close()
        if event.name == "result":
            # Counted here, as a tokenizer isn't made for two threads.
            limit = self._question.request.max_new_tokens
            try:
                event = Event("result", (event.value, was_cut(self._service.session, event.value, limit)))
            except Exception as error:  # noqa: BLE001 - told to the one who asked; the worker goes on
                event = Event("error", error)
        self._loop.call_soon_threadsafe(self._events.put_nowait, event)


def _answered(result: Result, is_cut: bool) -> Answered:
    return Answered(result.text, extension_of(result), "length" if is_cut else "stop")


class Service:
    """The server's parts.

    Args:
        session: with the model; used by the worker alone from here on.
        name: of the model, as clients see it.
        limits: of what is taken.
    """

    def __init__(self, session: Session, name: str, limits: Limits) -> None:
        self.session, self.name, self.limits = session, name, limits
        self.counters = Counters()
        self.store = Store(limits)
        self.reader = Reader(self.store, limits, Budget(limits.memory_bytes))
        self.worker = Worker(session, limits, self.counters)
        self.started = int(time.time())

    @asynccontextmanager
    async def running(self, seconds: float) -> AsyncIterator[None]:
        """While the server runs; afterwards the worker ends what it is at, and every file is deleted."""

        async def expire() -> None:
            while True:
                await asyncio.sleep(min(30, self.limits.keep_seconds))
                await run_in_threadpool(self.store.expire)

        expiry = asyncio.create_task(expire())
        try:
            yield
        finally:
            expiry.cancel()
            with suppress(asyncio.CancelledError):
                await expiry
            await run_in_threadpool(self.worker.close, seconds)
            self.store.close()

    def problem(self, error: BaseException) -> Problem:
        """What an exception of the worker means for the one who asked."""
        if isinstance(error, Cancelled):
            return Problem(499, "the request was cancelled", "cancelled")
        if isinstance(error, UserError):
            return Problem(400, self.store.conceal(str(error)))
        return as_problem(error)

    def check_model(self, name: str | None) -> None:
        """Raises a :class:`Problem` where another model is asked for."""
        if name and name != self.name:
            raise Problem(404, f"there is no model of this name; this server has {self.name!r}", "no_model", "model")

    async def answer(self, question: Question, request: HTTPRequest) -> Answered:
        """Waits for an answer, as long as the client does.

        Raises:
            Problem: whatever was in the way.
        """
        is_long = question.material is not None and question.material.is_video
        is_shown = not question.request.turns[-1].text.strip()
        mailbox = Mailbox(self, question, "video" if is_long or is_shown else "answer", self.limits.seconds)
        mailbox.submit()
        waiting = asyncio.ensure_future(mailbox.next())
        try:
            while not waiting.done():
                await asyncio.wait([waiting], timeout=LOOK)
                if not waiting.done() and await request.is_disconnected():
                    raise Problem(499, "the client has gone", "cancelled")
        finally:
            if not waiting.done():
                mailbox.task.cancel()
                waiting.cancel()
        event = waiting.result()
        if event.name == "error":
            raise event.value
        return event.value
