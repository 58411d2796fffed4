"""The gate before every route: key, number of requests, size and slowness, all before anything is parsed.

Plain ASGI: FastAPI reads a body whole before any code of a route sees it.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from word2mask.apps.server.counters import Counters
from word2mask.apps.server.limits import Limits
from word2mask.apps.server.problems import Problem, as_problem, response

__all__ = ["Gate"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

logger = logging.getLogger("word2mask.server")

#: What is open without a key: whether it lives, and how to talk to it.
OPEN = {"/healthz", "/docs", "/openapi.json"}
#: Counted and logged for a client that left before its answer's end, whatever status it got.
LEFT = 499
#: What a multipart body says besides its file.
MULTIPART_MARGIN = 2**20


class Gate:
    """Refuses what is too much, and counts and logs everything else: method, route, status and time, never contents.

    Args:
        inner: the application.
        limits: of bytes, seconds and requests at a time.
        counters: what is counted.
        key: what clients send as ``Authorization: Bearer …``; ``None`` lets everybody in.
        closing: to be called once nothing new is taken, while answers may still be on their way.
    """

    def __init__(
        self,
        inner: Application,
        limits: Limits,
        counters: Counters,
        key: str | None,
        closing: Callable[[], None] = lambda: None,
    ) -> None:
        self.closing = closing
        self._inner, self._limits, self._counters = inner, limits, counters
        self._key = None if key is None else hashlib.sha256(key.encode()).digest()
        self._inside = 0

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._inner(scope, receive, send)
        visit = _Visit(self._limits, receive, send, _most_bytes(scope, self._limits))
        started = time.monotonic()
        try:
            self._admit(scope)
        except Problem as problem:
            self._counters.rejected.labels(problem.code).inc()
            await response(problem)(scope, receive, visit.send)
        else:
            await self._let_in(scope, visit)
        route = getattr(scope.get("route"), "path", "none")
        seconds = time.monotonic() - started
        status = visit.status if visit.is_over else LEFT
        self._counters.requests.labels(route, str(status)).inc()
        self._counters.seconds.labels(route).observe(seconds)
        logger.info("%s %s %d %.3f s", scope["method"], route, status, seconds)

    async def _let_in(self, scope: MutableMapping[str, Any], visit: _Visit) -> None:
        counts = scope["method"] == "POST"
        self._inside += counts
        try:
            await self._inner(scope, visit.receive, visit.send)
        except (_Refused, TimeoutError) as error:
            problem = error.problem if isinstance(error, _Refused) else None
            self._counters.rejected.labels("slow_reader" if problem is None else problem.code).inc()
            if problem is not None and not visit.has_answered:
                answer = response(problem)
                answer.headers["Connection"] = "close"
                await answer(scope, visit.receive, visit.send)
        except Exception as error:  # noqa: BLE001
            # Answered and logged by problems.py; uvicorn would log the message too, which may quote a request.
            if not visit.has_answered:
                await response(as_problem(error))(scope, visit.receive, visit.send)
            elif not visit.is_over:
                # Too late for an answer, and nobody else logs it.
                visit.status, visit.is_over = as_problem(error).status, True
        finally:
            self._inside -= counts

    def _admit(self, scope: MutableMapping[str, Any]) -> None:
        """Raises a :class:`Problem` where a request isn't even read."""
        headers = {name.lower(): value for name, value in scope["headers"]}
        if self._key is not None and scope["path"] not in OPEN:
            scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
            # Digests have one length, so that the time of the comparison says nothing about the key's.
            is_right = hmac.compare_digest(hashlib.sha256(given.strip()).digest(), self._key)
            if scheme.lower() != b"bearer" or not is_right:
                raise Problem(401, "the API key is missing or wrong; send it as Authorization: Bearer KEY", "no_key")
        if scope["method"] == "POST" and self._inside >= self._limits.waiting:
            raise Problem(
                429,
                f"{self._inside} requests are being answered, at most {self._limits.waiting}; try again later",
                "queue_full",
                retry_after=1,
            )
        most = _most_bytes(scope, self._limits)
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > most:
            raise _too_large(most)


class _Refused(Exception):
    """A body that is too large or too slow; travels past the application's own handlers of errors."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class _Visit:
    """One request's two directions, watched."""

    def __init__(self, limits: Limits, receive: Receive, send: Send, most: int) -> None:
        self._receive, self._send, self._most = receive, send, most
        self._seconds = limits.body_seconds
        self._deadline = time.monotonic() + limits.body_seconds
        self._bytes, self._has_body = 0, False
        self._refused: _Refused | None = None
        self.status, self.has_answered, self.is_over = LEFT, False, False

    async def receive(self) -> Message:
        """The body's next part; of a refused body, what a client says that has gone."""
        if self._has_body:
            return await self._receive()
        try:
            async with asyncio.timeout(self._deadline - time.monotonic()):
                message = await self._receive()
        except TimeoutError:
            raise self._refuse(
                Problem(408, f"the body didn't arrive within {self._seconds} s; send it faster", "slow_body")
            ) from None
        if message["type"] == "http.request":
            self._bytes += len(message.get("body", b""))
            if self._bytes > self._most:
                raise self._refuse(_too_large(self._most))
        self._has_body = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    def _refuse(self, problem: Problem) -> _Refused:
        self._refused = _Refused(problem)
        return self._refused

    async def send(self, message: Message) -> None:
        """Passes a part of the answer on; a client that doesn't take it in time is given up."""
        if message["type"] == "http.response.start":
            if self._refused is not None and message["status"] != self._refused.problem.status:
                # FastAPI turned the refusal into an answer of its own.
                raise self._refused
            self.status, self.has_answered = message["status"], True
            # A browser shows what an answer says it is, and nothing else.
            message = {**message, "headers": [*message.get("headers", []), (b"x-content-type-options", b"nosniff")]}
        async with asyncio.timeout(self._seconds):
            await self._send(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self.is_over = True


def _most_bytes(scope: MutableMapping[str, Any], limits: Limits) -> int:
    """A body in parts holds a file as it is; JSON is held in memory whole."""
    kind = next((value for name, value in scope["headers"] if name.lower() == b"content-type"), b"")
    in_parts = kind.lower().startswith(b"multipart/form-data")
    return limits.file_bytes + MULTIPART_MARGIN if in_parts else limits.body_bytes


def _too_large(most: int) -> Problem:
    return Problem(413, f"the body is larger than {most} bytes; send less, or upload to /v1/files", "body_too_large")
