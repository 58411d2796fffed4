"""The socket: uvicorn, with a limit on how long a connection may stay without a request."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from word2mask.apps.server.gate import Gate
from word2mask.apps.server.limits import Limits
from word2mask.errors import UserError

__all__ = ["configured", "listen"]

logger = logging.getLogger("word2mask.server")

#: Seconds in which a connection has to bring its next request's head, and is kept open after an answer.
HEAD_SECONDS = 15
#: Connections for each request that may wait: those who only ask how far a job is need one too.
CONNECTIONS_EACH = 4


class PromptConnection(H11Protocol):
    """A connection that is closed when a request's head doesn't come in time; uvicorn itself waits for ever.

    The time runs from the connection's start, and anew from the end of each answer, however long that took: who has
    just been answered can go on.
    """

    _clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Starts the clock."""
        super().connection_made(transport)
        self._start_clock()

    def on_response_complete(self) -> None:
        """Starts it anew."""
        self._start_clock()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops it; it would hold what was received."""
        self._stop_clock()
        super().connection_lost(exc)

    def _start_clock(self) -> None:
        self._stop_clock()
        self._clock = self.loop.call_later(HEAD_SECONDS, self._look)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()

    def _look(self) -> None:
        """Closes the connection, unless a request is being answered."""
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


class _Server(uvicorn.Server):
    """Ends what nobody can fetch any more before it waits for those who are being answered."""

    def __init__(self, config: uvicorn.Config, closing: Callable[[], None]) -> None:
        super().__init__(config)
        self._closing = closing

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn does it."""
        self._closing()
        await super().shutdown(sockets)


async def listen(gate: Gate, host: str, port: int, limits: Limits) -> None:
    """Answers until SIGINT or SIGTERM; then takes nothing new, ends jobs and finishes what else it is at.

    Raises:
        UserError: the address is taken or isn't this machine's.
    """
    try:
        bound = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=1024
        )
    except OSError as error:
        raise UserError(
            f"can't listen at {host} port {port} ({error.strerror or error}); give another --port or --host"
        ) from None
    with bound:
        # The port, where 0 took a free one.
        shown = f"[{host}]" if ":" in host else host
        logger.info("listening at http://%s:%d", shown, bound.getsockname()[1])
        await configured(gate, limits).serve(sockets=[bound])


def configured(gate: Gate, limits: Limits) -> uvicorn.Server:
    """uvicorn with our settings; ``should_exit`` ends it as a signal does."""
    config = uvicorn.Config(
        gate,
        http=PromptConnection,
        ws="none",
        lifespan="on",
        # The gate logs each request, without its contents.
        access_log=False,
        log_config=None,
        server_header=False,
        limit_concurrency=CONNECTIONS_EACH * limits.waiting,
        timeout_keep_alive=HEAD_SECONDS,
        timeout_graceful_shutdown=limits.seconds,
    )
    return _Server(config, gate.closing)
