"""Annotation: how busy the client keeps a service, and what an object costs beside the model's own time.

    python benchmarks/annotation.py [--requests 8000] [--videos 16] [--write benchmarks/annotation.md]

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

import cv2  # noqa: E402
import numpy as np  # noqa: E402

from word2mask.annotate.answers import SCHEMAS  # noqa: E402
from word2mask.annotate.client import ChatClient, user_message  # noqa: E402
from word2mask.annotate.engines.local import run_local  # noqa: E402
from word2mask.annotate.inputs.sav import find_sav, write_masklets  # noqa: E402
from word2mask.annotate.limits import RateLimit, TokenBudget  # noqa: E402
from word2mask.annotate.preparing import prepare  # noqa: E402
from word2mask.annotate.records import VideoReference  # noqa: E402
from word2mask.annotate.settings import Endpoint, Limits, Settings  # noqa: E402
from word2mask.annotate.store import Store  # noqa: E402
from word2mask.data.media import VideoFile  # noqa: E402
from word2mask.data.sources.ref_sav import STEP  # noqa: E402

PLACES, DELAY = 64, 0.05
#: Other work on the machine only ever adds to what is measured; so the least of several rounds counts.
ROUNDS = 3
SIZE, FRAMES, RATE, OBJECTS = (720, 1280), 120, 24, 4


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
            if process.poll() is not None:
                raise RuntimeError(f"the service ended with {process.returncode} before it began")
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


def pink_noise(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A picture whose detail falls with its fineness as that of photographs does: uint8 RGB ``[height,width,3]``."""
    fineness = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    weight = 1 / np.maximum(fineness, 1 / max(height, width))
    layers = [np.fft.ifft2(np.fft.fft2(rng.normal(size=(height, width))) * weight).real for _ in range(3)]
    values = np.stack([layer / layer.std() for layer in layers], axis=-1)
    # Photographs are mostly grey: what the colours have in common is most of it.
    return np.clip(120 + 40 * values.mean(axis=-1, keepdims=True) + 15 * values, 0, 255).astype(np.uint8)


def ellipse(number: int, frame: int) -> tuple[tuple[int, int], tuple[int, int], int]:
    """Centre, half axes and angle of an object."""
    return (180 + 300 * number + frame, 360 + round(40 * np.sin(frame / 9 + number))), (100, 150), 15 * number


def write_videos(folder: Path, count: int) -> None:
    """H.264 videos as cameras and x264's defaults make them, of a background that moves with ellipses before it."""
    import av

    rng = np.random.default_rng(0)
    height, width = SIZE
    background = pink_noise(height + FRAMES, width + 2 * FRAMES, rng)
    for number in range(count):
        with av.open(str(folder / f"v{number:04}.mp4"), "w") as file:
            stream = file.add_stream("libx264", rate=RATE, options={"crf": "23"})
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for frame in range(FRAMES):
                picture = background[frame : frame + height, 2 * frame : 2 * frame + width].copy()
                for place in range(OBJECTS):
                    colour = (40 + 50 * place, 200 - 40 * place, 90 + 9 * number)
                    cv2.ellipse(picture, *ellipse(place, frame), 0, 360, colour, -1)
                file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            file.mux(stream.encode())
        tracks = []
        for place in range(OBJECTS):
            masks = [np.zeros(SIZE, np.uint8) for _ in range(0, FRAMES, STEP)]
            for index, mask in enumerate(masks):
                cv2.ellipse(mask, *ellipse(place, STEP * index), 0, 360, 1, -1)
            tracks.append([mask.astype(bool) for mask in masks])
        write_masklets(folder / f"v{number:04}_manual.json", f"v{number:04}", tracks, FRAMES, "manual")


def decode_all(path: Path, wanted: set[int]) -> None:
    """The floor: what any program on top of PyAV does that decodes frame after frame and keeps those it wants."""
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for index, frame in enumerate(container.decode(stream)):
            if index in wanted:
                frame.to_ndarray(format="rgb24", threads=1)
            if index == max(wanted):
                break


def overhead(url: str, videos: int) -> dict[str, float]:
    """CPU milliseconds an object by kind of work, and milliseconds an object when all is answered already."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_videos(folder, videos)
        references = find_sav(folder)
        settings = Settings(Endpoint(url, "sees"), Endpoint(url, "reads"))
        count = videos * OBJECTS
        prepare(references[0], folder, settings).draw([])  # what is loaded once in a process

        def draw(reference: VideoReference) -> None:
            prepared = prepare(reference, folder, settings)
            prepared.draw([picture for views in prepared.views for picture in views.pictures])

        def read(reference: VideoReference, shown: list[int]) -> None:
            for _ in VideoFile(folder / reference.video_path).walk(shown):
                pass

        def floor(reference: VideoReference, shown: list[int]) -> None:
            decode_all(folder / reference.video_path, set(shown))

        kinds = {"floor": floor, "decoding": read, "pictures": lambda reference, _: draw(reference)}
        spent: dict[str, float] = {}
        frames = 0
        for number, reference in enumerate(references):
            views = prepare(reference, folder, settings).views
            shown = sorted({STEP * picture.frame for found in views for picture in found.pictures})
            frames += len(shown)
            least = dict.fromkeys(kinds, float("inf"))
            # One after the other, and each in its turn the first: other work on the machine meets all alike.
            for turn in range(ROUNDS):
                first = (number + turn) % len(kinds)
                for kind in [*kinds][first:] + [*kinds][:first]:
                    start = time.process_time()
                    kinds[kind](reference, shown)
                    least[kind] = min(least[kind], time.process_time() - start)
            spent = {kind: spent.get(kind, 0.0) + seconds for kind, seconds in least.items()}
        runs = []
        for turn in range(ROUNDS):
            store = folder / f"store{turn}"
            for number in range(4096):  # made once a store, whatever the number of objects
                (store / f"{number:03x}").mkdir(parents=True)
            start, cpu = time.perf_counter(), time.process_time()
            run_local(references, folder, settings, Store(store))
            runs.append((time.process_time() - cpu, time.perf_counter() - start))
        whole, wall = min(runs)
        start = time.perf_counter()
        run_local(references, folder, settings, Store(store))
        again = time.perf_counter() - start
        files = [path.stat().st_size for path in store.rglob("*.json")]
        video_bytes = sum(path.stat().st_size for path in folder.glob("*.mp4")) / videos
        calls = report(url)["counts"]["answers"] / ROUNDS
    per = 1000 / count
    return {
        **{kind: seconds * per for kind, seconds in spent.items()},
        "whole": whole * per,
        "wall": wall * per,
        "frames": frames / videos,
        "again": again * per,
        "calls": calls / count,
        "files": len(files) / count,
        "bytes": sum(files) / count,
        "megabits": 8 * video_bytes * RATE / FRAMES / 1e6,
    }


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=8000, help="0 leaves that part of the page as it was")
    parser.add_argument("--videos", type=int, default=16, help=f"of {OBJECTS} objects; 0 leaves that part as it was")
    parser.add_argument("--write", type=Path, help="page to write")
    arguments = parser.parse_args()
    old = arguments.write.read_text(encoding="utf-8") if arguments.write and arguments.write.exists() else ""
    # The two parts of the page, each with its own head.
    parts = [f"\n## {part}" for part in old.split("\n## ")[1:]] or ["", ""]
    if arguments.requests:
        with service(DELAY) as url:
            keep_busy(url, 200, PLACES)
            busy: dict[int, list[dict[str, float]]] = {64: [], 96: []}
            for _ in range(ROUNDS):
                for concurrency, rounds in busy.items():
                    rounds.append(keep_busy(url, arguments.requests, concurrency))
        parts[0] = client_part(busy, arguments.requests)
    if arguments.videos:
        with service(0.0) as url:
            parts[1] = object_part(overhead(url, arguments.videos), arguments.videos)
    page = "# Annotation: the client, and what an object costs\n" + "".join(parts)
    sys.stdout.write(page)
    if arguments.write:
        arguments.write.write_text(page, encoding="utf-8")


def setting() -> str:
    """Where this was measured."""
    load = os.getloadavg()[0]
    return f"{platform.system()}, {os.cpu_count()} cores shared with other work (load {load:.1f} at the end)"


def client_part(busy: dict[int, list[dict[str, float]]], requests: int) -> str:
    """How busy the client keeps a service."""
    rows = "\n".join(
        f"| {concurrency} | {spread(rounds, 'busy')} | {spread(rounds, 'rate')} "
        f"| {min(found['cpu'] for found in rounds):.2f} |"
        for concurrency, rounds in busy.items()
    )
    return f"""
## The client

`python benchmarks/annotation.py --requests {requests} --videos 0`

A service with {PLACES} places that answers in {1000 * DELAY:.0f} ms, {requests} short questions, {ROUNDS} rounds: the
median, and the range. Asked for: 90 % busy.

| requests in flight | places busy, as the service measures | of the rate that is possible | client's CPU ms a request |
|---|---|---|---|
{rows}

Setting: {setting()}, client and service on the same cores.
"""


def spread(rounds: list[dict[str, float]], name: str) -> str:
    """Median and range of a share."""
    values = sorted(found[name] for found in rounds)
    return f"**{values[len(values) // 2]:.0%}** ({values[0]:.0%} … {values[-1]:.0%})"


def object_part(cost: dict[str, float], videos: int) -> str:
    """What an object costs beside the model's time."""
    endpoint = Endpoint("http://localhost/v1", "m")
    defaults = Settings(endpoint, endpoint)
    video, again = OBJECTS * cost["decoding"], cost["again"]
    clip = f"{SIZE[1]} × {SIZE[0]}, {FRAMES} frames at {RATE} a second, H.264 of {cost['megabits']:.1f} Mbit/s"
    sides = f"3 with a longest side of {defaults.longest_side} pixels and {defaults.frames} of {defaults.frame_side}"
    rows = {
        f"floor: decoding alone, frame after frame (PyAV), {cost['frames']:.0f} of them kept": cost["floor"],
        "decoding alone, as we do it: what nothing kept rests on is left out": cost["decoding"],
        "the same and masks, keys, drawing, JPEG, base64": cost["pictures"],
        "a whole run: the same and requests, answers, store": cost["whole"],
        "**a whole run, over decoding**": cost["whole"] - cost["decoding"],
    }
    table = "\n".join(f"| {name} | {value:.1f} |" for name, value in rows.items())
    return f"""
## An object

`python benchmarks/annotation.py --requests 0 --videos {videos}`

CPU milliseconds of the client's process, all its threads together, beside the models' time. {videos} videos of
{clip} (x264's defaults), {OBJECTS} objects each. An object takes
{cost["calls"]:.1f} calls (the scripted service finds every tenth inconsistent, which saves two) and
{3 + defaults.frames} pictures: {sides}. Asked for: 20.

| an object | CPU ms |
|---|---|
{table}

The first three are measured in turns, video by video; the run follows them. Of {ROUNDS} rounds the least counts, as
other work on the machine only adds. A run takes {cost["wall"]:.1f} ms an object by
the clock, with a service that answers at once and shares the cores.

Decoding is the video's own cost, whatever is done with it: {video:.0f} ms each here, {video * RATE / FRAMES:.0f} ms a
second of video, all its objects together: each frame is decoded once for all. It grows with the video's length. A run
that finds all answers takes {again:.2f} ms an object and decodes nothing. JPEG files are written by the libjpeg-turbo
within OpenCV; those of this clip are half as large again as those of DAVIS's frames.

The store keeps {cost["files"]:.1f} files and {cost["bytes"] / 1000:.1f} kB an object (4096 folders were there before).

Setting: {setting()}, client and service on the same cores.
"""


if __name__ == "__main__":
    main()
