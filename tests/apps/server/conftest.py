"""A server with a session that only pretends, so that tests can say when it answers and what."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from word2mask.apps.server import listening
from word2mask.apps.server.application import application
from word2mask.apps.server.limits import Limits
from word2mask.errors import UserError
from word2mask.types import Media, Request, Result, Segment

# pytest imports by path, so that files beside a test are found only where they are looked for.
sys.path.insert(0, str(Path(__file__).parent))


class Pretender:
    """Answers "you said …" with a mask over the upper half of every frame.

    Attributes:
        batches: texts of the last turns, batch by batch.
        requests: all requests.
        gate: answers wait until it is set.
        frames: how many frames of a video were tracked.
        frame_seconds: that each of them takes.
    """

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.requests: list[Request] = []
        self.gate = threading.Event()
        self.gate.set()
        self.frames = 0
        self.frame_seconds = 0.0
        self.model = SimpleNamespace(mllm=SimpleNamespace(tokenizer=SimpleNamespace(encode=_words)))

    def batch(self, requests: list[Request], progress: Callable[..., None]) -> list[Result]:
        progress("answer", 0, len(requests))
        self.batches.append([request.turns[-1].text for request in requests])
        assert self.gate.wait(20)
        return [self._result(request) for request in requests]

    def stream(self, request: Request, progress: Callable[..., None]) -> Iterator[str | Result]:
        progress("answer", 0, 1)
        result = self._result(request)
        for word in result.text.split(" ")[:-1]:
            progress("answer", 0, 1)
            yield word + " "
        for frame in range(result.num_frames if result.num_frames > 1 else 0):
            progress("track", frame + 1, result.num_frames)
            self.frames += 1
            time.sleep(self.frame_seconds)
        yield result

    def _result(self, request: Request) -> Result:
        self.requests.append(request)
        text = request.turns[-1].text
        if "forbidden" in text:
            raise UserError("this text is forbidden; say something else")
        if "defect" in text:
            raise KeyError(text)
        if request.media is None:
            return Result(f"you said {text}", f"you said {text}", [], None, 0)
        is_picture = isinstance(request.media, Media)
        height, width = request.media.frames.shape[1:3] if is_picture else request.media.size
        count = 1 if is_picture else len(request.media)
        masks = np.zeros((count, height, width), dtype=bool)
        masks[:, : height // 2] = True
        segment = Segment(text, (9, 9 + len(text)), masks, np.full(count, 0.75, dtype=np.float32))
        return Result(f"you said {text}", f"you said <p>{text}</p>[SEG]", [segment], (height, width), count)


def _words(text: str, add_special_tokens: bool) -> list[str]:
    return text.split()


@pytest.fixture
def pretender() -> Pretender:
    return Pretender()


@pytest.fixture
def serve(pretender: Pretender) -> Iterator[Callable[..., TestClient]]:
    """Starts a server: ``serve(key=None, **limits)``."""
    running: list[TestClient] = []

    def start(key: str | None = None, session: Any = pretender, **limits: int) -> TestClient:
        gate = application(session, "small", Limits(**limits), key)
        client = TestClient(gate, raise_server_exceptions=False)
        client.__enter__()
        running.append(client)
        return client

    yield start
    pretender.gate.set()
    for client in running:
        client.__exit__(None, None, None)


@pytest.fixture
def seconds() -> int:
    """That clients have for everything."""
    return 30


@pytest.fixture
def listen(pretender: Pretender, seconds: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., int]]:
    """Starts servers at ports of this machine: ``listen(key=None, session=…, **limits)`` gives a port."""
    monkeypatch.setattr(listening, "HEAD_SECONDS", seconds)
    running = []

    def start(key: str | None = None, session: Any = pretender, **limits: int) -> int:
        bound = socket.create_server(("127.0.0.1", 0))
        own = Limits(**{"body_seconds": seconds, **limits})
        server = listening.configured(application(session, "small", own, key), own)
        thread = threading.Thread(target=asyncio.run, args=(server.serve(sockets=[bound]),))
        thread.start()
        running.append((server, thread, bound))
        while not server.started:
            time.sleep(0.02)
        return bound.getsockname()[1]

    yield start
    pretender.gate.set()
    for server, _, _ in running:
        server.should_exit = True
    for _, thread, bound in running:
        thread.join(20)
        bound.close()
        assert not thread.is_alive()


@pytest.fixture
def port(listen: Callable[..., int]) -> int:
    """A server at a port of this machine."""
    return listen()
