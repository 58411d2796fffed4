"""The socket: uvicorn, with a limit on how long a connection may stay without a request."""

from __future__ import annotations

import logging
import socket
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
    """A connection that is closed when a request's head doesn't come in time; uvicorn itself waits for ever."""

    def connection_made(self, transport: Any) -> None:
        """Starts the clock."""
        super().connection_made(transport)
        self._watch()

    def _watch(self) -> None:
        self.loop.call_later(HEAD_SECONDS, self._look, self.cycle)

    def _look(self, seen: Any) -> None:
        if self.transport.is_closing():
            return
        if self.cycle is seen and (seen is None or seen.response_complete):
            self.transport.close()
        else:
            self._watch()


async def listen(gate: Gate, host: str, port: int, limits: Limits) -> None:
    """Answers until SIGINT or SIGTERM; then takes nothing new and finishes what it is at.

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
    return uvicorn.Server(config)
