"""The server as a process: slow and silent clients, and an orderly end. Sockets on this machine only."""

from __future__ import annotations

import asyncio
import io
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from PIL import Image
from server_requests import asked, data_url, png
from uvicorn.server import ServerState

from word2mask.apps.server import listening
from word2mask.apps.server.__main__ import main
from word2mask.apps.server.application import application
from word2mask.apps.server.limits import Limits
from word2mask.errors import UserError


@pytest.fixture
def seconds() -> int:
    """That clients have for everything."""
    return 1


def test_clients_that_are_slow(port) -> None:
    with socket.create_connection(("127.0.0.1", port)) as silent, socket.create_connection(("127.0.0.1", port)) as slow:
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        head += b"Content-Length: 99\r\n\r\n{"
        slow.sendall(head)
        silent.sendall(b"GET / HT")
        assert httpx.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=asked("a", png())).status_code == 200
        slow.settimeout(10)
        answer = slow.recv(10_000)
        assert answer.startswith(b"HTTP/1.1 408") and b"slow_body" in answer + slow.recv(10_000)
        silent.settimeout(10)
        assert silent.recv(100) == b""  # closed


def test_a_client_that_goes_is_not_waited_for(port, pretender) -> None:
    pretender.gate.clear()
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=asked("first"), timeout=0.3)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=asked("second"), timeout=0.3)
    time.sleep(1.2)  # two looks at whether a client is there
    pretender.gate.set()
    assert httpx.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=asked("third")).status_code == 200
    assert pretender.batches == [["first"], ["third"]]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the servers of a test put files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def clip() -> str:
    """A video of 50 frames."""
    frames = [Image.new("RGB", (20, 16), (4 * shade, 0, 0)) for shade in range(50)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return data_url(file.getvalue(), "image/gif")


def wait_until(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, f"not so: {what}"
        time.sleep(0.02)


def test_who_leaves_a_stream_ends_it(listen, pretender, temporary) -> None:
    address = f"http://127.0.0.1:{listen(body_seconds=60, streams=1)}"
    files = lambda: [path for path in temporary.rglob("*") if path.is_file()]  # noqa: E731
    numbers = lambda: httpx.get(f"{address}/metrics", timeout=60).text  # noqa: E731

    def streamed(text: str) -> Any:
        body = asked(text, clip(), stream=True)
        return httpx.stream("POST", f"{address}/v1/chat/completions", json=body, timeout=60)

    pretender.frame_seconds = 0.1
    with streamed("the cat") as stream:
        first = stream.iter_lines()  # once it is forgotten, the connection is closed
        assert next(first).startswith("data: ")
        wait_until(lambda: pretender.frames >= 2, "frames are tracked")
        # One that has to wait for the first leaves too, and gives its place in the queue back before its turn.
        with streamed("the dog") as waiting:
            second = waiting.iter_lines()
            assert next(second).startswith("data: ")
            assert 'queue_length{kind="stream"} 1.0' in numbers() and len(files()) == 2
        wait_until(lambda: 'queue_length{kind="stream"} 0.0' in numbers(), "the place in the queue is free")
        wait_until(lambda: len(files()) == 1, "the second video is deleted")
        assert 'running{kind="stream"} 1.0' in numbers() and pretender.frames < 50
    wait_until(lambda: 'running{kind="stream"} 0.0' in numbers(), "nothing is tracked")
    assert 2 <= pretender.frames < 50
    wait_until(lambda: not files(), "the first video is deleted")
    wait_until(lambda: 'completions",status="499"} 2.0' in numbers(), "both are counted as left")
    assert [request.turns[-1].text for request in pretender.requests] == ["the cat"]
    # The one after it isn't kept waiting, and is counted as answered.
    with streamed("the bird") as stream:
        assert list(stream.iter_lines())[-2] == "data: [DONE]"
    assert 'completions",status="200"} 1.0' in numbers() and not files()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "70000"], "--port is 70000"),
        (["--max-frames", "0"], "--max-frames is 0"),
        (["--api-key-file", "nowhere"], "nowhere: can't be read"),
        ([], "no such model folder"),
    ],
)
def test_bad_arguments_get_one_sentence(tmp_path, monkeypatch, capsys, arguments, words) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["gone", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_an_address_that_is_taken(pretender) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port {number}"):
            asyncio.run(listening.listen(application(pretender, "small"), "127.0.0.1", number, Limits()))


class Clock:
    """An event loop whose time only moves when it is told."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.now = self.loop.time()
        self.loop.time = lambda: self.now

    def pass_by(self, seconds: float = 0.0) -> None:
        """Time goes by, and what is due is done."""
        self.now += seconds
        for _ in range(20):
            self.loop.run_until_complete(asyncio.sleep(0))


class Wire(asyncio.Transport):
    """A client's end that only notes what it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.sent, self.is_open = b"", True

    def write(self, data: bytes) -> None:
        self.sent += data

    def close(self) -> None:
        self.is_open = False

    def is_closing(self) -> bool:
        return not self.is_open

    def pause_reading(self) -> None:
        """All is here already."""

    def resume_reading(self) -> None:
        """All is here already."""


GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
def slowly() -> Iterator[tuple[Clock, Wire, listening.PromptConnection, asyncio.Event]]:
    """A connection to an application that answers once it may; 15 s are given for a head."""
    clock, wire, may_answer = Clock(), Wire(), asyncio.Event()

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        await may_answer.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    config = uvicorn.Config(answer, lifespan="off", log_config=None, timeout_keep_alive=listening.HEAD_SECONDS)
    connection = listening.PromptConnection(config, ServerState(), {}, _loop=clock.loop)
    connection.connection_made(wire)
    yield clock, wire, connection, may_answer
    connection.connection_lost(None)
    clock.pass_by(listening.HEAD_SECONDS)
    clock.loop.close()


def test_who_was_just_answered_can_go_on(slowly) -> None:
    clock, wire, connection, may_answer = slowly
    clock.pass_by(1)
    connection.data_received(GET)
    # An answer that takes long, and whose end falls just before 15 s are round again.
    clock.pass_by(28.9)
    assert wire.is_open and wire.sent == b""
    may_answer.set()
    clock.pass_by()
    assert wire.sent.count(b"204 No Content") == 1
    for _ in range(14):
        clock.pass_by(1)
        assert wire.is_open
    connection.data_received(GET)
    clock.pass_by()
    assert wire.sent.count(b"204 No Content") == 2
    clock.pass_by(14.9)
    assert wire.is_open
    clock.pass_by(0.2)
    assert not wire.is_open


def test_a_head_in_parts_has_no_more_time(slowly) -> None:
    clock, wire, connection, may_answer = slowly
    may_answer.set()
    connection.data_received(GET)
    clock.pass_by()
    for place in range(14):
        connection.data_received(GET[place : place + 1])
        clock.pass_by(1)
    assert wire.is_open
    clock.pass_by(1.1)
    assert not wire.is_open and wire.sent.count(b"204 No Content") == 1
