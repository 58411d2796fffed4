"""Chat with a model behind the OpenAI-compatible protocol: many requests at once, patient with a service in trouble.

Knows nothing of stages or of what is asked. Trouble that passes (429, 5xx, a connection that breaks, an answer that
takes too long) is waited out; a request that the service refuses raises :class:`Refused`; what would go wrong for every
request (a wrong key, no such model, nobody there) stops the run with one sentence.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

import aiohttp
import orjson

from word2mask.annotate.limits import RateLimit, TokenBudget
from word2mask.annotate.settings import STRUCTURES, Endpoint, Limits
from word2mask.errors import UserError

__all__ = ["ChatClient", "ChatModel", "Completion", "Refused", "ServiceDown", "user_message"]

logger = logging.getLogger(__name__)

#: HTTP states that pass: time-outs, "too early", "too many", and trouble inside.
PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
TOO_MANY = "HTTP 429"
#: HTTP states that every request would meet.
FATAL = {401: "the key is wrong or missing", 403: "the key may not use it", 404: "no such URL or model"}


#: HTTP states by which services say that they don't know a field of a request.
UNKNOWN_FIELD = frozenset({400, 422, 501})


class Refused(Exception):
    """The service won't answer this request, however often it is asked.

    Args:
        message: the service's own words.
        status: of HTTP.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ServiceDown(UserError):
    """A service that doesn't answer."""


@dataclass(frozen=True)
class Completion:
    """An answer.

    Attributes:
        text: what the model wrote.
        prompt_tokens: that it read.
        completion_tokens: that it wrote.
    """

    text: str
    prompt_tokens: int
    completion_tokens: int


class ChatModel(Protocol):
    """Answers conversations."""

    @property
    def name(self) -> str:
        """The model's name, which is part of every key."""

    @property
    def identity(self) -> list[Any]:
        """What its answers depend on of itself, for keys: the name, how they are held to their form, other fields."""

    async def complete(
        self, messages: Sequence[dict[str, Any]], generation: dict[str, Any], schema: dict[str, Any] | None
    ) -> Completion:
        """Answers one conversation.

        Args:
            messages: in the protocol's own form.
            generation: ``max_tokens``, ``temperature``, ``seed``.
            schema: JSON schema that the answer should follow.

        Raises:
            Refused: this request won't be answered.
            UserError: no request will.
        """

    async def close(self) -> None:
        """Lets go of connections or weights."""


def user_message(text: str, pictures: Sequence[str] = ()) -> dict[str, Any]:
    """What a user says: pictures (``data:`` URLs) first, then words."""
    if not pictures:
        return {"role": "user", "content": text}
    parts = [{"type": "image_url", "image_url": {"url": picture}} for picture in pictures]
    return {"role": "user", "content": [*parts, {"type": "text", "text": text}]}


class ChatClient:
    """One model of one service. Made and used within one event loop.

    Args:
        endpoint: which.
        limits: of this client; ``attempts``, ``backoff`` and ``timeout`` for each request.
        slots: requests in flight, shared by the clients of a run.
        rate: of requests, shared likewise.
        budget: of tokens, shared likewise.
    """

    def __init__(
        self, endpoint: Endpoint, limits: Limits, slots: asyncio.Semaphore, rate: RateLimit, budget: TokenBudget
    ) -> None:
        self.endpoint = endpoint
        self.limits = limits
        self._slots, self._rate, self._budget = slots, rate, budget
        #: How answers' form is asked for, and whether the service has taken that once.
        self._structure, self._is_taken = endpoint.structure, False
        #: How many requests were answered, and until when the service wants to be left alone by all of them.
        self._answers, self._quiet_until = 0, 0.0
        self._url = f"{endpoint.url.rstrip('/')}/chat/completions"
        key = os.environ.get(endpoint.key_variable, "")
        self._http = aiohttp.ClientSession(
            headers={"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {}),
            timeout=aiohttp.ClientTimeout(total=limits.timeout),
            connector=aiohttp.TCPConnector(limit=0),
        )

    @property
    def name(self) -> str:
        return self.endpoint.model

    @property
    def identity(self) -> list[Any]:
        others = {"extra": dict(self.endpoint.extra), "omit": list(self.endpoint.omit)}
        return [self.name, self.endpoint.structure, *([others] if any(others.values()) else [])]

    async def close(self) -> None:
        await self._http.close()

    async def complete(
        self, messages: Sequence[dict[str, Any]], generation: dict[str, Any], schema: dict[str, Any] | None
    ) -> Completion:
        kept = {name: value for name, value in generation.items() if name not in self.endpoint.omit}
        body = {"model": self.endpoint.model, "messages": list(messages), **kept, **self.endpoint.extra}
        if schema is None:
            return await self._send(body)
        refusal: Refused | None = None
        for structure in STRUCTURES[STRUCTURES.index(self._structure) :]:
            try:
                found = await self._send(body | _response_format(structure, schema))
            except Refused as error:
                # It may be the request's own fault: then no form of it is answered, and the first refusal counts.
                refusal = refusal or error
                if self._is_taken or error.status not in UNKNOWN_FIELD:
                    break
                continue
            if not self._is_taken:
                self._is_taken, self._structure = True, structure
                if structure != self.endpoint.structure:
                    logger.warning(
                        "%s refuses structure = %r (%s); asked with %r instead",
                        self._url,
                        self.endpoint.structure,
                        refusal,
                        structure,
                    )
            return found
        assert refusal is not None
        raise refusal

    async def _send(self, body: dict[str, Any]) -> Completion:
        # Written once for all attempts: eight pictures are a megabyte.
        encoded = orjson.dumps(body)
        trouble, tries, failures, answers = "", 0, 0, self._answers
        while failures < self.limits.attempts:
            async with self._slot():
                self._budget.check()
                await self._rate.wait()
                try:
                    found, trouble, wait = await self._once(encoded)
                except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
                    found, trouble, wait = None, str(error) or type(error).__name__, None
            if found is not None:
                self._answers += 1
                self._budget.add(found.prompt_tokens, found.completion_tokens)
                return found
            # "Too many" is no failure as long as others are answered: it is this request's turn later.
            failures += not (trouble == TOO_MANY and self._answers > answers)
            answers = self._answers
            if failures < self.limits.attempts:
                pause = self._pause(tries, wait)
                tries += 1
                logger.debug("%s: %s; again in %.1f s", self._url, trouble, pause)
                # The slot is free meanwhile.
                await asyncio.sleep(pause)
        raise ServiceDown(
            f"{self._url}: no answer after {self.limits.attempts} attempts ({trouble}); what was answered is kept: "
            "look after the service and run again"
        )

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        """A place among the requests in flight, when the service doesn't want to be left alone by all of them."""
        while True:
            async with self._slots:
                left = self._quiet_until - time.monotonic()
                if left <= 0:
                    yield
                    return
            # Without a place, which others may use for another service; and not all at the same moment.
            await asyncio.sleep(left * random.uniform(1.0, 1.1))

    async def _once(self, body: bytes) -> tuple[Completion | None, str, float | None]:
        """One attempt: the answer, or what was wrong and how long the service wants to be left alone."""
        async with self._http.post(self._url, data=io.BytesIO(body)) as response:
            if response.status in FATAL:
                text = (await response.text(errors="replace"))[:200]
                raise UserError(
                    f"{self._url}: HTTP {response.status}, {FATAL[response.status]} ({text}); check the URL, the "
                    f"model's name {self.endpoint.model!r} and the key in {self.endpoint.key_variable}"
                )
            if response.status in PASSING:
                wait = _retry_after(response.headers.get("Retry-After"))
                if wait is not None and response.status in (429, 503):
                    quiet = time.monotonic() + min(wait, self.limits.longest_backoff)
                    self._quiet_until = max(self._quiet_until, quiet)
                return None, f"HTTP {response.status}", wait
            if response.status >= 400:
                text = (await response.text(errors="replace"))[:300]
                raise Refused(f"HTTP {response.status}: {text}", response.status)
            try:
                content = json.loads(await response.read())
                choice = content["choices"][0]
                usage = content.get("usage") or {}
                text = choice["message"]["content"] or ""
            except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
                return None, f"not an answer of this protocol ({type(error).__name__}: {error})", None
            if not isinstance(text, str):
                return None, f"not an answer of this protocol (content is {type(text).__name__})", None
        # Half a character, which JSON can spell and no file can hold, becomes a question mark.
        text = text.encode("utf-8", "replace").decode("utf-8")
        prompt, completion = (int(usage.get(name) or 0) for name in ("prompt_tokens", "completion_tokens"))
        return Completion(text, prompt, completion), "", None

    def _pause(self, attempt: int, wait: float | None) -> float:
        """Seconds before the next attempt: drawn, growing, and never less than the service asked for."""
        bound = min(self.limits.backoff * 2**attempt, self.limits.longest_backoff)
        drawn = random.uniform(0, bound)
        return drawn if wait is None else min(wait, self.limits.longest_backoff) + drawn * 0.1


def _response_format(structure: str, schema: dict[str, Any]) -> dict[str, Any]:
    """The field that asks for an answer of this form, if any."""
    if structure == "schema":
        form = {"name": "answer", "schema": schema, "strict": True}
        return {"response_format": {"type": "json_schema", "json_schema": form}}
    return {"response_format": {"type": "json_object"}} if structure == "object" else {}


def _retry_after(value: str | None) -> float | None:
    """Seconds of a ``Retry-After``, which is a number or a date (RFC 9110, §10.2.3)."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
