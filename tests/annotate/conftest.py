"""What the tests of annotation share: a scripted service in a thread of its own, and small videos in SA-V's layout."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("aiohttp", reason="annotation needs the extra annotate")
pytest.importorskip("jsonschema", reason="annotation needs the extra annotate")

from aiohttp import web

from word2mask.annotate.records import VideoReference
from word2mask.annotate.scripted_service import Script, application
from word2mask.annotate.settings import Endpoint, Limits, Settings
from word2mask.data.sources.video_chat import write_mp4
from word2mask.ops.masks import box_to_mask, encode_rle


class Service:
    """A scripted service that runs.

    Attributes:
        script: what it does and has seen.
        url: of its protocol.
    """

    def __init__(self, script: Script, port: int) -> None:
        self.script = script
        self.url = f"http://127.0.0.1:{port}/v1"


@contextmanager
def serving(handler: Callable[[], tuple[Script, web.Application]]) -> Iterator[Service]:
    """Runs a service in a thread, on a free port."""
    started, stop = threading.Event(), {}

    def run() -> None:
        async def serve() -> None:
            script, service = handler()
            runner = web.AppRunner(service, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            stop.update(event=asyncio.Event(), loop=asyncio.get_running_loop())
            stop["service"] = Service(script, site._server.sockets[0].getsockname()[1])
            started.set()
            await stop["event"].wait()
            await runner.cleanup()

        asyncio.run(serve())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert started.wait(10)
    yield stop["service"]
    stop["loop"].call_soon_threadsafe(stop["event"].set)
    thread.join(10)


@pytest.fixture
def start_service() -> Iterator[Callable[..., Service]]:
    """Starts scripted services; arguments are those of :class:`Script`."""
    open_services = []

    def start(**options: object) -> Service:
        def handler() -> tuple[Script, web.Application]:
            script = Script(**options)
            return script, application(script)

        context = serving(handler)
        open_services.append(context)
        return context.__enter__()

    yield start
    for context in open_services:
        context.__exit__(None, None, None)


@pytest.fixture
def settings_for() -> Callable[..., Settings]:
    """Makes the settings of a run against a service."""
    return _settings_for


@pytest.fixture
def make_sav() -> Callable[..., list[VideoReference]]:
    """Writes videos of 9 frames, 3 of them annotated, with boxes of random colours; in SA-V's layout."""
    return _make_sav


def _settings_for(url: str, **options: object) -> Settings:
    """Impatient enough for tests."""
    limits = options.pop("limits", Limits(concurrency=16, timeout=5, attempts=30, backoff=0.01, longest_backoff=0.05))
    return Settings(Endpoint(url, "seeing"), Endpoint(url, "reading"), limits, **{"frames": 3, **options})


def _make_sav(
    folder: Path, num_videos: int, objects: int = 2, size: tuple[int, int] = (48, 64)
) -> list[VideoReference]:
    rng = np.random.default_rng(num_videos)
    references = []
    for number in range(num_videos):
        stem = f"sav_{number:06}"
        place = folder / "sav_train" / "sav_000"
        place.mkdir(parents=True, exist_ok=True)
        boxes = [(4 + 28 * n, 8, 24 + 28 * n, 30) for n in range(objects)]
        frames = np.full((9, *size, 3), rng.integers(0, 255, 3), dtype=np.uint8)
        for x0, y0, x1, y1 in boxes:
            frames[:, y0:y1, x0:x1] = rng.integers(0, 255, 3)
        write_mp4(place / f"{stem}.mp4", frames, fps=24)
        rles = [encode_rle(box_to_mask(box, *size)) for box in boxes]
        (place / f"{stem}_manual.json").write_text(json.dumps({"video_id": stem, "masklet": [rles] * 3}))
        base = f"sav_train/sav_000/{stem}"
        references.append(VideoReference(stem, f"{base}.mp4", f"{base}_manual.json"))
    return references


@pytest.fixture
def serve_once() -> Iterator[Callable[[Callable], str]]:
    """Starts a service of one function for every chat request; gives its URL."""
    open_services = []

    def start(function: Callable) -> str:
        def handler() -> tuple[Script, web.Application]:
            service = web.Application()
            service.router.add_post("/v1/chat/completions", function)
            return Script(), service

        context = serving(handler)
        open_services.append(context)
        return context.__enter__().url

    yield start
    for context in open_services:
        context.__exit__(None, None, None)
