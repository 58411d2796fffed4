"""The server as a process: slow and silent clients, and an orderly end. Sockets on this machine only."""

from __future__ import annotations

import asyncio
import socket
import time

import httpx
import pytest
from server_requests import asked, png

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
