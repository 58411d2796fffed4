"""The page's and the server's programs as one starts and stops them, with a tiny model."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch

from word2mask.inference.render import save_video
from word2mask.mllms.internvl import InternVL
from word2mask.models.folder import save_grounded
from word2mask.models.grounded import GroundedMLLM
from word2mask.segmenters.sam2 import SAM2Segmenter

Start = Callable[..., tuple[subprocess.Popen[bytes], str]]
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)


def film(path: Path, frames: int) -> Path:
    """A video of noise, so that a segmenter finds something or other in it."""
    noise = np.random.default_rng(0).integers(0, 255, (frames, 48, 64, 3), dtype=np.uint8)
    save_video(list(noise), path)
    return path


def wait_until(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < end, f"not so: {what}"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model") / "small one"
    save_grounded(GroundedMLLM(InternVL.tiny(), SAM2Segmenter.tiny()), folder)
    return folder


@pytest.fixture
def begin(repository: Path, model: Path, tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Starts a program at a free port; its files and its log lie in the test's folder."""
    running = []
    # A page that another test had in this process has set where its own uploads lie.
    environment = {key: value for key, value in os.environ.items() if key != "GRADIO_TEMP_DIR"}

    def run(name: str) -> subprocess.Popen[bytes]:
        (tmp_path / "temporary").mkdir()
        with (tmp_path / "log").open("w") as file:
            program = subprocess.Popen(
                [sys.executable, str(repository / name), str(model), "--port", "0"],
                stderr=file,
                cwd=tmp_path,
                env=environment | {"TMPDIR": str(tmp_path / "temporary")},
            )
        running.append(program)
        return program

    yield run
    for program in running:
        program.kill()
        program.wait()


@pytest.fixture
def start(begin: Callable[[str], subprocess.Popen[bytes]], tmp_path: Path) -> Start:
    """Waits until it serves: ``start("tools/app.py", says)`` gives a program and its address."""

    def run(name: str, says: str) -> tuple[subprocess.Popen[bytes], str]:
        program, log = begin(name), tmp_path / "log"
        while (found := re.search(says + r" (http://\S+)", log.read_text())) is None:
            assert program.poll() is None, log.read_text()
            time.sleep(0.1)
        return program, found[1].rstrip("/")

    return run


def test_the_server(start: Start, tmp_path: Path) -> None:
    program, address = start("tools/serve.py", "listening at")
    assert httpx.get(f"{address}/healthz").json() == {"status": "ok"}
    assert httpx.get(f"{address}/v1/models").json()["data"][0]["id"] == "small one"
    asked = {"messages": [{"role": "user", "content": "a secret question"}], "max_tokens": 3}
    answer = httpx.post(f"{address}/v1/chat/completions", json=asked, timeout=120)
    assert answer.status_code == 200 and answer.json()["choices"][0]["finish_reason"] == "length"
    program.send_signal(signal.SIGTERM)
    assert program.wait(60) == 0
    assert list((tmp_path / "temporary").glob("word2mask-*")) == []
    log = (tmp_path / "log").read_text()
    assert "POST /v1/chat/completions 200" in log and "secret" not in log


def test_the_server_is_told_to_end_while_it_works(start: Start, tmp_path: Path) -> None:
    program, address = start("tools/serve.py", "listening at")
    long, short = (film(tmp_path / f"{frames}.mp4", frames) for frames in (1_500, 20))
    pointed = {"prompts": '[{"frame": 0, "box": [8, 8, 40, 40]}]'}

    def post(route: str, path: Path) -> httpx.Response:
        return httpx.post(f"{address}{route}", files={"file": path.read_bytes()}, data=pointed, timeout=120)

    job = post("/v1/videos", long).json()["id"]
    tracked = lambda: httpx.get(f"{address}/v1/videos/{job}", timeout=60).json()["stage"] == "track"  # noqa: E731
    wait_until(tracked, "the job runs")
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(post, "/v1/segment", short)
        numbers = lambda: httpx.get(f"{address}/metrics", timeout=60).text  # noqa: E731
        wait_until(lambda: 'queue_length{kind="video"} 1.0' in numbers(), "a request waits for its end")
        program.send_signal(signal.SIGTERM)
        answer = asked.result()
    assert answer.status_code == 200 and answer.json()["word2mask"]["num_frames"] == 20
    assert program.wait(60) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{address}/healthz")
    assert list((tmp_path / "temporary").glob("word2mask-*")) == []
    assert "Traceback" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize("name", ["tools/serve.py", "tools/app.py"])
def test_who_is_told_to_end_while_a_model_is_loaded_ends(
    name: str, begin: Callable[[str], subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    """The first process of a container gets no signal that it has no answer to."""
    program = begin(name)

    def listens() -> bool:
        caught = re.search(r"SigCgt:\s+(\w+)", Path(f"/proc/{program.pid}/status").read_text())
        return caught is not None and bool(int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)

    wait_until(listens, "it has said what SIGTERM means")
    program.send_signal(signal.SIGTERM)
    assert program.wait(60) == 0
    log = (tmp_path / "log").read_text()
    assert "http://" not in log and "Traceback" not in log


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_the_page(end: signal.Signals, start: Start, tmp_path: Path) -> None:
    program, address = start("tools/app.py", "the page is at")
    text = httpx.get(address, timeout=60).text
    assert "word2mask" in text and "small one" in text and "Words that point at pixels" in text
    program.send_signal(end)
    assert program.wait(60) == (130 if end is signal.SIGINT else 0)
    assert list((tmp_path / "temporary").glob("word2mask-*")) == []


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="no Chromium on the PATH")
def test_the_page_is_told_to_end_while_it_works(start: Start, tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright isn't installed (extra dev)")
    program, address = start("tools/app.py", "the page is at")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(60_000)
        page.goto(address, wait_until="domcontentloaded")
        page.wait_for_selector(".w2m-example")
        page.locator("#w2m-upload input[type=file]").set_input_files(film(tmp_path / "long.mp4", 900))
        page.wait_for_selector(".w2m-canvas img")
        page.locator(".w2m-canvas").click()
        page.wait_for_selector(".w2m-canvas g.on")
        page.locator("#w2m-mask").click()
        page.get_by_text("of 900 frames").wait_for()
        assert list((tmp_path / "temporary").glob("word2mask-*")) != []
        program.send_signal(signal.SIGTERM)
        assert program.wait(30) == 0
        browser.close()
    assert list((tmp_path / "temporary").glob("word2mask-*")) == []
    assert "Traceback" not in (tmp_path / "log").read_text()
