"""The page's and the server's programs as one starts and stops them, with a tiny model."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import torch

from word2mask.mllms.internvl import InternVL
from word2mask.models.folder import save_grounded
from word2mask.models.grounded import GroundedMLLM
from word2mask.segmenters.sam2 import SAM2Segmenter

Start = Callable[..., tuple[subprocess.Popen[bytes], str]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model") / "small one"
    save_grounded(GroundedMLLM(InternVL.tiny(), SAM2Segmenter.tiny()), folder)
    return folder


@pytest.fixture
def start(repository: Path, model: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts a program at a free port: ``start("tools/app.py", says)`` gives it and its address."""
    running = []

    def begin(name: str, says: str) -> tuple[subprocess.Popen[bytes], str]:
        log = tmp_path / "log"
        (tmp_path / "temporary").mkdir()
        with log.open("w") as file:
            program = subprocess.Popen(
                [sys.executable, str(repository / name), str(model), "--port", "0"],
                stderr=file,
                cwd=tmp_path,
                env=os.environ | {"TMPDIR": str(tmp_path / "temporary")},
            )
        running.append(program)
        while (found := re.search(says + r" (http://\S+)", log.read_text())) is None:
            assert program.poll() is None, log.read_text()
            time.sleep(0.1)
        return program, found[1].rstrip("/")

    yield begin
    for program in running:
        program.kill()
        program.wait()


def test_the_server(start: Start, tmp_path: Path) -> None:
    program, address = start("tools/serve.py", "listening at")
    assert httpx.get(f"{address}/healthz").json() == {"status": "ok"}
    assert httpx.get(f"{address}/v1/models").json()["data"][0]["id"] == "small one"
    asked = {"messages": [{"role": "user", "content": "a secret question"}], "max_tokens": 3}
    answer = httpx.post(f"{address}/v1/chat/completions", json=asked, timeout=120)
    assert answer.status_code == 200 and answer.json()["choices"][0]["finish_reason"] == "length"
    program.send_signal(signal.SIGTERM)
    # Uvicorn hands the signal on when all is done.
    assert program.wait(60) in (0, -signal.SIGTERM)
    assert list((tmp_path / "temporary").glob("word2mask-*")) == []
    log = (tmp_path / "log").read_text()
    assert "POST /v1/chat/completions 200" in log and "secret" not in log


def test_the_page(start: Start, tmp_path: Path) -> None:
    program, address = start("tools/app.py", "the page is at")
    text = httpx.get(address, timeout=60).text
    assert "word2mask" in text and "small one" in text and "Words that point at pixels" in text
    program.send_signal(signal.SIGINT)
    # Gradio closes its server itself where it waits; anywhere else the program says that it was interrupted.
    assert program.wait(60) in (0, 130)
    assert list((tmp_path / "temporary").glob("word2mask-*")) == []
