"""Annotation: how busy the client keeps a service, and what an object costs beside the model's own time.

    python benchmarks/annotation.py [--requests 4000] [--objects 60] [--write benchmarks/annotation.md]

The service is the scripted one (annotate/scripted_service.py) in a process of its own: 64 places, 50 ms an answer. How
busy it is, it measures itself: seconds worked by all places, of the seconds that there were.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "projects"))

import numpy as np  # noqa: E402

from word2mask.annotate.answers import SCHEMAS  # noqa: E402
from word2mask.annotate.client import ChatClient, user_message  # noqa: E402
from word2mask.annotate.engines.local import run_local  # noqa: E402
from word2mask.annotate.inputs.sav import find_sav, write_masklets  # noqa: E402
from word2mask.annotate.limits import RateLimit, TokenBudget  # noqa: E402
from word2mask.annotate.preparing import prepare  # noqa: E402
from word2mask.annotate.settings import Endpoint, Limits, Settings  # noqa: E402
from word2mask.annotate.store import Store  # noqa: E402
from word2mask.data.sources.video_chat import write_mp4  # noqa: E402
from word2mask.ops.masks import box_to_mask  # noqa: E402

PLACES, DELAY = 64, 0.05
SIZE, FRAMES, OBJECTS = (720, 1280), 48, 3


@contextmanager
def service(delay: float) -> Iterator[str]:
    """The scripted service in a process of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "word2mask.annotate.scripted_service"]
    command += ["--port", str(port), "--delay", str(delay), "--capacity", str(PLACES)]
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(REPOSITORY / "projects")})
    try:
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait()


def report(url: str) -> dict:
    """What the service has seen."""
    with urllib.request.urlopen(url.removesuffix("/v1") + "/report") as answer:
        return json.load(answer)


def keep_busy(url: str, requests: int, concurrency: int) -> dict[str, float]:
    """Share of the service's places that were busy, and the client's CPU milliseconds a request."""
    limits = Limits(concurrency=concurrency)

    async def run() -> None:
        budget = TokenBudget(None)
        client = ChatClient(Endpoint(url, "m"), limits, asyncio.Semaphore(concurrency), RateLimit(None), budget)
        waiting = iter(range(requests))

        async def work() -> None:
            for number in waiting:
                await client.complete([user_message(f"question {number}")], {"max_tokens": 64}, SCHEMAS["scene"])

        await asyncio.gather(*(work() for _ in range(concurrency)))
        await client.close()

    before, cpu, start = report(url)["busy_seconds"], time.process_time(), time.perf_counter()
    asyncio.run(run())
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    worked = report(url)["busy_seconds"] - before
    return {
        "busy": worked / (PLACES * wall),
        # The service's own delays grow when the machine is busy; this counts its promise alone.
        "rate": requests * DELAY / (PLACES * wall),
        "cpu": 1000 * cpu / requests,
    }


def write_videos(folder: Path, count: int) -> None:
    """Videos of noise with moving boxes: pictures that are dear to encode."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (90, 160, 3), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    for number in range(count):
        frames = np.stack([np.roll(noise, 4 * frame + number, axis=1) for frame in range(FRAMES)])
        write_mp4(folder / f"v{number:04}.mp4", frames, fps=24)
        tracks = [
            [box_to_mask((100 + 300 * n + 4 * t, 200, 340 + 300 * n + 4 * t, 480), *SIZE) for t in range(FRAMES // 4)]
            for n in range(OBJECTS)
        ]
        write_masklets(folder / f"v{number:04}_manual.json", f"v{number:04}", tracks, FRAMES, "manual")


def overhead(url: str, objects: int) -> dict[str, float]:
    """CPU milliseconds an object: pictures, and all else; and milliseconds an object when all is answered already."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        videos = -(-objects // OBJECTS)
        write_videos(folder, videos)
        references = find_sav(folder)
        settings = Settings(Endpoint(url, "sees"), Endpoint(url, "reads"))
        count = videos * OBJECTS
        cpu = time.process_time()
        for reference in references:
            prepare(reference, folder, settings)
        pictures = time.process_time() - cpu
        cpu = time.process_time()
        run_local(references, folder, settings, Store(folder / "store"))
        whole = time.process_time() - cpu
        start = time.perf_counter()
        run_local(references, folder, settings, Store(folder / "store"))
        again = time.perf_counter() - start
        files = [path.stat().st_size for path in (folder / "store").rglob("*.json")]
        usage = {"files": len(files) / count, "bytes": sum(files) / count}
    per = 1000 / count
    return {"pictures": pictures * per, "rest": (whole - pictures) * per, "again": again * per, **usage}


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--objects", type=int, default=60)
    parser.add_argument("--write", type=Path, help="page to write")
    arguments = parser.parse_args()
    with service(DELAY) as url:
        keep_busy(url, 200, PLACES)
        busy = {concurrency: keep_busy(url, arguments.requests, concurrency) for concurrency in (64, 96)}
    with service(0.0) as url:
        cost = overhead(url, arguments.objects)
    page = render(busy, cost, arguments)
    sys.stdout.write(page)
    if arguments.write:
        arguments.write.write_text(page, encoding="utf-8")


def render(busy: dict[int, dict[str, float]], cost: dict[str, float], arguments: argparse.Namespace) -> str:
    """The page."""
    load, asked = os.getloadavg()[0], f"{arguments.requests} short questions"
    shape = f"{SIZE[1]} × {SIZE[0]} (five calls, eleven pictures, {OBJECTS} objects a video)"
    place = f"{platform.system()}, {os.cpu_count()} cores shared with other work (load {load:.1f} at the end)"
    pictures_head = "pictures: decode, draw, JPEG | requests, answers, store"
    rows = "\n".join(
        f"| {concurrency} | {found['busy']:.0%} | {found['rate']:.0%} | {found['cpu']:.2f} |"
        for concurrency, found in busy.items()
    )
    total = cost["pictures"] + cost["rest"]
    return f"""# Annotation: the client, and what an object costs

`python benchmarks/annotation.py --requests {arguments.requests} --objects {arguments.objects}`

A service with {PLACES} places that answers in {1000 * DELAY:.0f} ms, {asked}. Asked for: 90 % busy.

| requests in flight | places busy, as the service measures | of the rate that is possible | client's CPU ms a request |
|---|---|---|---|
{rows}

CPU milliseconds an object of a video of {shape}. Asked for: 20.

| {pictures_head} | together | ms an object in a run that finds all answers |
|---|---|---|---|
| {cost["pictures"]:.1f} | {cost["rest"]:.1f} | {total:.1f} | {cost["again"]:.2f} |

The store keeps {cost["files"]:.1f} files and {cost["bytes"] / 1000:.1f} kB an object.

Setting: {place}, client and service on the same cores.
"""


if __name__ == "__main__":
    main()
