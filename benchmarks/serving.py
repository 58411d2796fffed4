"""The server under load: many clients at once, every answer compared with the one that is given alone.

    python benchmarks/serving.py MODEL [--clients 64] [--seconds 300] [--rounds 3] [--write benchmarks/serving.md]

Starts the server on a free port of this machine as a process of its own, and asks about generated pictures of the
shapes world over HTTP. First every question alone: its answer is what all later ones must equal, masks included. Then
the two sides, on two servers that run at the same time and take turns: **one at a time** (``--max-batch 1``) and
**together** (the default). In each round every client asks once, all at the same moment. What counts is the processor
time that the server's process took for an answer, which other work on the machine doesn't change much, while it changes
the wall time as it likes. Last the load test proper: all clients for the given time at the server that batches, every
one of them asking again as soon as it has its answer. Meanwhile the memory of the server's process is read every two
seconds; a line is fitted to what comes after the first third, in which buffers reach their size.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import io
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "projects"))

import httpx  # noqa: E402
import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402

from word2mask.data.shapes_world.render import render  # noqa: E402
from word2mask.data.shapes_world.scene import sample_scene  # noqa: E402

TARGET = 1.5
LOAD_TEST = "## Load test"
#: Seconds between two looks at the memory, and the share of the load test that is left out of the line through them.
LOOK, WARM_UP = 2.0, 1 / 3
#: Seconds that a client waits for an answer, and a server lets it take: a busy machine takes its time.
PATIENCE = 3_600
QUESTIONS = (
    "Please segment the red circle.",
    "Please segment the biggest shape in this picture.",
    "How many shapes are in this picture?",
    "Please describe this picture and mark what you name with masks.",
)


@dataclass
class Load:
    """What came of some time under load.

    Attributes:
        seconds: of each answer.
        wrong: answers that differ from the one that was given alone.
        refused: by status.
        time: of the whole, in seconds.
        processor: seconds that the server's process took.
    """

    seconds: list[float] = field(default_factory=list)
    wrong: int = 0
    refused: dict[int, int] = field(default_factory=dict)
    time: float = 0.0
    processor: float = 0.0

    @property
    def rate(self) -> float:
        """Answers a second of the processor."""
        return len(self.seconds) / self.processor

    def add(self, other: Load) -> None:
        """Takes another one's in."""
        self.seconds += other.seconds
        self.wrong += other.wrong
        self.time += other.time
        self.processor += other.processor
        for status, count in other.refused.items():
            self.refused[status] = self.refused.get(status, 0) + count


class Server:
    """A server of our own, as a process.

    Args:
        model: folder.
        options: of tools/serve.py.
    """

    def __init__(self, model: Path, *options: str) -> None:
        self._log = tempfile.TemporaryFile("w+")
        command = [sys.executable, str(REPOSITORY / "tools/serve.py"), str(model), "--port", "0"]
        command += ["--max-seconds", str(PATIENCE), "--max-body-seconds", str(PATIENCE), *options]
        self._process = subprocess.Popen(command, stderr=self._log)
        self.address = self._wait()

    def _wait(self) -> str:
        for _ in range(3_000):
            self._log.seek(0)
            text = self._log.read()
            if found := re.search(r"listening at (http://\S+)", text):
                return found[1]
            if self._process.poll() is not None:
                raise SystemExit(f"the server ended: {text}")
            time.sleep(0.2)
        raise SystemExit("the server didn't start within ten minutes")

    @property
    def memory(self) -> int:
        """Resident bytes of its process."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024  # type: ignore[index]

    async def watch(self, seen: list[tuple[float, int]]) -> None:
        """Notes time and memory until it is cancelled."""
        while True:
            seen.append((time.monotonic(), self.memory))
            await asyncio.sleep(LOOK)

    @property
    def processor(self) -> float:
        """Seconds of the processor that it took until now."""
        numbers = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """Ends it as an operator would."""
        self._process.send_signal(signal.SIGTERM)
        if self._process.wait(PATIENCE) not in (0, -signal.SIGTERM):
            raise SystemExit(f"the server ended with {self._process.returncode}")


def questions(count: int) -> list[dict[str, Any]]:
    """Bodies of requests, each about a picture of its own."""
    bodies = []
    for number in range(count):
        frames, _ = render(sample_scene(np.random.default_rng(number)))
        file = io.BytesIO()
        Image.fromarray(frames[0]).save(file, "PNG")
        url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
        content = [
            {"type": "image_url", "image_url": {"url": url}},
            {"type": "text", "text": QUESTIONS[number % len(QUESTIONS)]},
        ]
        bodies.append({"messages": [{"role": "user", "content": content}], "max_tokens": 48})
    return bodies


async def ask(client: httpx.AsyncClient, body: dict[str, Any]) -> httpx.Response:
    """One request."""
    return await client.post("/v1/chat/completions", json=body)


def message_of(response: httpx.Response) -> Any:
    """The words and masks, without what differs from answer to answer, such as ids.

    Scores are rounded: a batch adds up in another order.
    """
    message = response.json()["choices"][0]["message"]
    for found in message["word2mask"]["objects"]:
        found["scores"] = [round(score, 3) for score in found["scores"]]
        found["confidence"] = round(found["confidence"], 3)
    return message


async def alone(address: str, bodies: list[dict[str, Any]]) -> list[Any]:
    """Each question's answer while nobody else asks."""
    async with httpx.AsyncClient(base_url=address, timeout=PATIENCE) as client:
        return [message_of((await ask(client, body)).raise_for_status()) for body in bodies]


async def load(
    server: Server, bodies: list[dict[str, Any]], expected: list[Any], clients: int, seconds: float, first: int = 0
) -> Load:
    """All clients for a while, each with the next question as soon as it has its answer; once, with no seconds."""
    found, started, processor = Load(), time.monotonic(), server.processor
    end = started + seconds

    async def visit(number: int) -> None:
        place = first + number
        while True:
            asked = time.monotonic()
            response = await ask(client, bodies[place % len(bodies)])
            if response.status_code == 200:
                found.seconds.append(time.monotonic() - asked)
                found.wrong += message_of(response) != expected[place % len(bodies)]
            else:
                found.refused[response.status_code] = found.refused.get(response.status_code, 0) + 1
                await asyncio.sleep(float(response.headers.get("Retry-After", 1)))
            place += clients + 1
            if time.monotonic() >= end:
                return

    limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients)
    async with httpx.AsyncClient(base_url=server.address, timeout=PATIENCE, limits=limits) as client:
        await asyncio.gather(*(visit(number) for number in range(clients)))
    found.time, found.processor = time.monotonic() - started, server.processor - processor
    return found


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Both sides in turn, then the load test."""
    bodies = questions(options.questions)
    batching = Server(options.model)
    single = Server(options.model, "--max-batch", "1") if options.rounds else None
    try:
        expected = asyncio.run(alone(batching.address, bodies))
        before = batches(batching.address)
        sides = {"one at a time": Load(), "together": Load()}
        for place in range(options.rounds):
            for name, server in (("one at a time", single), ("together", batching)):
                assert server is not None
                sides[name].add(asyncio.run(load(server, bodies, expected, options.clients, 0, place)))
        memory: list[tuple[float, int]] = []
        whole = asyncio.run(
            watched(batching, memory, load(batching, bodies, expected, options.clients, options.seconds))
        )
        after = batches(batching.address)
    finally:
        batching.close()
        if single is not None:
            single.close()
    size = (after[0] - before[0]) / (after[1] - before[1])
    return {"sides": sides, "load": whole, "memory": memory, "size": size, "expected": expected}


async def watched(server: Server, memory: list[tuple[float, int]], work: Coroutine[Any, Any, Load]) -> Load:
    """Work, with the server's memory meanwhile."""
    watcher = asyncio.create_task(server.watch(memory))
    try:
        return await work
    finally:
        watcher.cancel()


def growth(memory: list[tuple[float, int]]) -> dict[str, float]:
    """The line through time and memory after the warm-up, in MB and minutes; ``slope ± error`` (one standard error)."""
    start, end = memory[0][0], memory[-1][0]
    late = np.array([(at - start, size) for at, size in memory if at - start >= (end - start) * WARM_UP])
    minutes, sizes = late[:, 0] / 60, late[:, 1] / 1e6
    (slope, _), covariance = np.polyfit(minutes, sizes, 1, cov=True)
    found = {"slope": slope, "error": covariance[0, 0] ** 0.5, "mean": sizes.mean(), "spread": np.ptp(sizes)}
    return found | {"minutes": np.ptp(minutes), "looks": len(late), "before": memory[0][1] / 1e6}


def batches(address: str) -> tuple[float, float]:
    """How many questions were answered in batches, and in how many, by the server's own numbers."""
    text = httpx.get(address + "/metrics").text
    values = dict(re.findall(r"^word2mask_batch_size_(sum|count) (\S+)", text, re.MULTILINE))
    return float(values["sum"]), float(values["count"])


def comparison(measured: dict[str, Any], options: argparse.Namespace) -> list[str]:
    """The first part of the page: both sides."""
    sides = measured["sides"]
    ratio = sides["together"].rate / sides["one at a time"].rate
    rows = [
        f"| {name} | {1_000 / side.rate:.0f} | {len(side.seconds)} | {side.time:.0f} |" for name, side in sides.items()
    ]
    mark = "✓" if ratio >= TARGET else "✗"
    return [
        "# The server under load",
        "",
        "Made by `python benchmarks/serving.py MODEL --write benchmarks/serving.md`, MODEL the quickstart's. "
        "The server, its clients and whatever else the machine did shared "
        f"{len(os.sched_getaffinity(0))} cores. Ratios count, seconds are this machine's.",
        "",
        "## Together or one at a time",
        "",
        f"{options.clients} clients ask at the same moment, {options.rounds} times at each server.",
        "",
        "| pictures are answered | processor time an answer, ms | answers | seconds |",
        "|---|---|---|---|",
        *rows,
        "",
        f"Answers a second of the processor, together ÷ one at a time: **{ratio:.2f}** (target ≥ {TARGET}: {mark}). "
        f"Different from the answer that was given alone: {sum(side.wrong for side in sides.values())}.",
        "",
    ]


def load_test(measured: dict[str, Any], options: argparse.Namespace) -> list[str]:
    """The second part: all clients for a while, and the memory meanwhile."""
    whole, line = measured["load"], growth(measured["memory"])
    # Of few answers the 99th percentile is the slowest.
    cuts = statistics.quantiles(whole.seconds, n=100, method="inclusive")
    objects = sum(len(message["word2mask"]["objects"]) for message in measured["expected"])
    return [
        LOAD_TEST,
        "",
        "| clients | seconds | answers | wrong | refused | p50, s | p99, s | server's processor time an answer, ms |",
        "|---|---|---|---|---|---|---|---|",
        f"| {options.clients} | {whole.time:.0f} | {len(whole.seconds)} | {whole.wrong} | "
        f"{sum(whole.refused.values())} | {cuts[49]:.2f} | {cuts[98]:.2f} | {1_000 / whole.rate:.0f} |",
        "",
        f"The machine had a load of {os.getloadavg()[1]:.0f} on {len(os.sched_getaffinity(0))} cores; a batch had "
        f"{measured['size']:.1f} questions on average. Each answer was compared with the one that the same question "
        f"got alone ({options.questions} questions, {objects} objects in their answers): words, phrases, spans, boxes "
        "and masks equal, scores to 0.001.",
        "",
        "## Memory",
        "",
        f"Resident memory of the server's process in the load test: {line['before']:.0f} MB at its start; after "
        f"the first third, in {line['looks']:.0f} looks over {line['minutes']:.1f} minutes, "
        f"{line['mean']:.0f} MB on average, the smallest and largest {line['spread']:.1f} MB apart. The line "
        f"fitted to them: **{line['slope']:+.2f} ± {line['error']:.2f} MB a minute** "
        f"({line['slope'] / line['mean']:+.2%} of it).",
        "",
    ]


def page(measured: dict[str, Any], options: argparse.Namespace) -> str:
    """The tables; with no rounds, the first part is the one that the file has already."""
    second = "\n".join(load_test(measured, options))
    if options.rounds:
        return "\n".join([*comparison(measured, options), second])
    written = options.write is not None and options.write.exists()
    return (options.write.read_text(encoding="utf-8").partition(LOAD_TEST)[0] if written else "") + second


def main() -> int:
    """Measure, tell, and write."""
    parser = argparse.ArgumentParser(description="The server under load.")
    parser.add_argument("model", type=Path, help="folder of an exported model")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=300.0, help="of the load test")
    parser.add_argument("--rounds", type=int, default=3, help="how often both sides are asked; 0 leaves it out")
    parser.add_argument("--questions", type=int, default=48, help="different ones")
    parser.add_argument("--write", type=Path, help="file for the table")
    options = parser.parse_args()
    measured = measure(options)
    table = page(measured, options)
    sys.stdout.write(table)
    if options.write is not None:
        options.write.write_text(table, encoding="utf-8")
    wrong = measured["load"].wrong + sum(side.wrong for side in measured["sides"].values())
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
