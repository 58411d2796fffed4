"""Setting up the mixture of a published run, 1.2 million visits an epoch: time and memory until the first sample.

    python benchmarks/mixture.py [--repeats 5] [--write benchmarks/mixture.md]

The sources are numbers, of the published sizes and repeats (arXiv:2501.04001, Tab. 2, and the first version's configs)
but for captions and regions, which fill up to 1.2 million. No file is read: what counts is the mixture and the order of
its first epoch, mixed one by one and in groups. Memory is what a process of its own holds at its peak above what it
held with its sources built (Linux only: /proc). LLaVA's conversations have to be counted for groups; that is measured
on as many records as ``--records`` says and scaled to the 665,298 of the file.

What groups are for is counted, too, over the first epoch: padding within a process's batch, and how long the processes
of a forward pass wait for the one with most to do. Lengths of texts and shapes of pictures are drawn, as said at
``Records``; how many are text alone, pictures or videos is as published.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "projects"))

import numpy as np  # noqa: E402

from word2mask.data.mixture import Mixture  # noqa: E402
from word2mask.data.sources.interface import Source  # noqa: E402
from word2mask.data.sources.llava import LLaVA  # noqa: E402
from word2mask.types import Sample  # noqa: E402

#: Records, repeat, task, frames of a sample: the first version's mixture.
PUBLISHED = {
    "refcoco": (17_000, 4, "refer", 1),
    "refcoco+": (17_000, 4, "refer", 1),
    "refcocog": (22_000, 4, "refer", 1),
    "llava": (665_298, 1, "chat", 1),
    "mevis": (1_662, 4, "video_refer", 5),
    "revos": (626, 10, "video_refer", 5),
    "ref_youtube_vos": (3_471, 4, "video_refer", 5),
    "video_chat": (100_000, 1, "video_chat", 5),
    "ref_sav": (37_311, 4, "video_refer", 5),
    "captions": (25_000, 1, "grounded_caption", 1),
    "osprey": (10_000, 1, "region", 1),
}
LLAVA_RECORDS = PUBLISHED["llava"][0]
#: Of LLaVA-665K's records, those without a picture.
TEXT_ALONE = 40_688
#: Of a tile, or of a frame of a video, in InternVL.
TILE_TOKENS = 256
#: One forward pass of the published InternVL3-2B run: 2 samples on each of 16 GPUs.
GROUP = 32
WAYS: dict[str, dict[str, Any]] = {
    "one by one": {},
    f"groups of {GROUP}": {"group": GROUP},
    'visits="published"': {"visits": "published"},
}
MAX_SECONDS, MAX_MEGABYTES = 2.0, 200.0


class Records(Source):
    """A source that holds nothing but how many records it has, and how long they are.

    Texts have 330 characters in the middle (LLaVA's 540), most of them between a third and three times as many. Of the
    pictures, half have 13 tiles (4 : 3), the others 5 to 10. Of LLaVA's records, 40,688 have no picture.
    """

    def __init__(self, name: str, size: int, task: str, frames: int) -> None:
        self.name, self.tasks, self.frames_per_sample = name, (task,), frames
        random = np.random.default_rng(size)
        middle = 6.3 if name == "llava" else 5.8
        self._characters = np.clip(random.lognormal(middle, 0.8, size), 60, 12_000).astype(np.int32)
        self._frames = np.full(size, frames, dtype=np.int32)
        if name == "llava":
            self._frames[random.choice(size, TEXT_ALONE, replace=False)] = 0
        self.tiles = random.choice([13, 13, 13, 13, 5, 7, 9, 10], size)

    def __len__(self) -> int:
        return len(self._characters)

    def read(self, index: int, rng: np.random.Generator | None = None) -> Sample:
        raise NotImplementedError

    def sizes(self) -> np.ndarray:
        return np.stack([self._frames, self._characters], axis=1)

    def work(self) -> np.ndarray:
        """Of each record the tokens, and the frames that SAM 2 sees, float64 ``[len,2]``."""
        tiles = np.where(self._frames == 1, self.tiles, self._frames)
        segmented = self._frames if self.tasks[0] in ("refer", "video_refer", "grounded_caption") else 0 * self._frames
        return np.stack([TILE_TOKENS * tiles + self._characters / 4, segmented], axis=1)

    @classmethod
    def fixture(cls, folder: Path, **options: object) -> Records:
        return cls("records", 2, "chat", 1)


def all_sources() -> list[tuple[Records, int]]:
    """The published mixture, with repeats."""
    return [(Records(name, size, task, frames), times) for name, (size, times, task, frames) in PUBLISHED.items()]


def waiting(way: str, batch_size: int = 2) -> tuple[float, float, float]:
    """Shares of an epoch's work that are padding within batches, and waiting for the slowest of a forward pass, by
    tokens and by frames for SAM 2."""
    sources = all_sources()
    mixture = Mixture(sources, **WAYS[way])
    works = [source.work() for source, _ in sources]
    # Every fiftieth forward pass: a position takes its generator's time.
    starts = np.arange(0, len(mixture) // GROUP, 50) * GROUP
    places = [mixture.locate(0, int(start) + place)[:2] for start in starts for place in range(GROUP)]
    work = np.array([works[source][record] for source, record in places])
    work = work.reshape(-1, GROUP // batch_size, batch_size, 2)
    tokens, frames = work[..., 0], work[..., 1].sum(axis=2)
    padded = tokens.max(axis=2) * batch_size
    idle = [1 - of.sum() / (of.max(axis=1).sum() * of.shape[1]) for of in (padded, frames)]
    return float(1 - tokens.sum() / padded.sum()), float(idle[0]), float(idle[1])


def set_up(way: str) -> tuple[int, float, float]:
    """Visits of an epoch, and the seconds and MB until the first sample is known; in a process of its own."""
    sources = all_sources()
    before, start = _held(), time.perf_counter()
    mixture = Mixture(sources, **WAYS[way])
    mixture.locate(0, 0)
    return len(mixture), time.perf_counter() - start, _peak() - before


def count_conversations(records: int) -> float:
    """Seconds to count the characters of LLaVA's conversations, scaled from ``records`` of 10 turns each."""
    source = LLaVA.__new__(LLaVA)
    talk = [{"from": ("human", "gpt")[turn % 2], "value": "x" * 100} for turn in range(10)]
    source.per_expression = False
    source._records = [{"id": str(number), "image": "one.jpg", "conversations": talk} for number in range(records)]
    source._positions = range(records)
    start = time.perf_counter()
    source.sizes()
    return (time.perf_counter() - start) * LLAVA_RECORDS / records


def _held() -> float:
    """What this process holds now [MB]."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def _peak() -> float:
    """Most memory that this process has held so far [MB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def measure(repeats: int, records: int) -> str:
    """The table, as Markdown."""
    rows = []
    spawn = multiprocessing.get_context("spawn")
    for way in WAYS:
        runs = []
        for _ in range(repeats):
            with spawn.Pool(1) as pool:
                runs.append(pool.apply(set_up, (way,)))
        visits, seconds, megabytes = runs[0][0], [run[1] for run in runs], [run[2] for run in runs]
        rows.append(
            f"| {way} | {visits:,} | {statistics.median(seconds):.2f} ({min(seconds):.2f}-{max(seconds):.2f}) "
            f"| {statistics.median(megabytes):.0f} ({min(megabytes):.0f}-{max(megabytes):.0f}) |"
        )
    waits = [
        f"| {way} | " + " | ".join(f"{100 * share:.0f} %" for share in waiting(way)) + " |"
        for way in WAYS
        if way != 'visits="published"'
    ]
    counting = count_conversations(records)
    return "\n".join(
        [
            "# Setting up a mixture",
            "",
            "`python benchmarks/mixture.py --write benchmarks/mixture.md`",
            "",
            f"From the sources to the first sample; medians of {repeats} processes and the range. "
            f"Targets: {MAX_SECONDS:.0f} s and {MAX_MEGABYTES:.0f} MB.",
            "",
            "| order | visits an epoch | s | MB |",
            "|---|---|---|---|",
            *rows,
            "",
            f"For groups, LLaVA's {LLAVA_RECORDS:,} conversations are counted once when the mixture is built: "
            f"{counting:.1f} s (scaled from {records:,} records of 10 turns).",
            "",
            f"What groups save, counted over every 50th forward pass of an epoch on {GROUP // 2} processes with 2 "
            "samples each (texts' lengths and pictures' shapes are drawn, kinds and counts are the published ones):",
            "",
            "| order | padding within batches | waiting for the slowest process, by tokens | by frames for SAM 2 |",
            "|---|---|---|---|",
            *waits,
            "",
            f"Setting: 1 process, numpy {np.__version__}, Python {sys.version.split()[0]}.",
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    table = measure(arguments.repeats, arguments.records)
    sys.stdout.write(table)
    if arguments.write:
        arguments.write.write_text(table, encoding="utf-8")


if __name__ == "__main__":
    main()
