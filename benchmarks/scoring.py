"""Scoring beside the official DAVIS 2017 toolkit, and beside what the inference takes that it scores.

    python benchmarks/scoring.py CHECKOUT MODEL [--videos 100] [--write benchmarks/scoring.md]

CHECKOUT is a clone of https://github.com/davisvideochallenge/davis2017-evaluation at ac7c43f, unmodified; it needs
scikit-image beside the requirements. MODEL is an exported folder, e.g. ``work_dirs/quickstart/hf``.

* **J and F**: ``db_eval_iou`` and ``db_eval_boundary`` against ``frame_scores``, on the same masks in memory, one after
  the other in one process on one thread. All scores must be equal to the last bit.
* **The whole protocol**: ``DAVISEvaluation`` against ``DavisAccumulator``, both from the same PNG files.
* **Referring segmentation**: 10,000 pairs of run lengths of 640 × 480 into ``IoUAccumulator``, and MODEL answering
  pictures of that size in batches.
* **Memory**: what an accumulator holds, and the peak while scoring, after more and more samples.

What counts is processor time: the sides take turns in one run and share a machine with whatever else runs.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import pickle
import platform
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "projects"))

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402
from tables import write_table  # noqa: E402

from word2mask.metrics.davis import DavisAccumulator  # noqa: E402
from word2mask.metrics.iou import IoUAccumulator  # noqa: E402
from word2mask.metrics.jf import JFAccumulator, frame_scores, j_and_f_of_rles  # noqa: E402
from word2mask.ops.masks import encode_rle  # noqa: E402

#: DAVIS's 480p.
VIDEO_SIZE = (480, 854)
PICTURE_SIZE = (480, 640)
RATE_ASKED, SHARE_ASKED = 4.0, 0.1
NUM_MASKS = 10_000
#: Share of the frame that an object covers, least and most, and how such objects are called.
OBJECT_SIZES = {"below 5 %": (0.005, 0.05), "5 to 20 %": (0.05, 0.2), "20 to 60 %": (0.2, 0.6)}

Seconds = dict[str, float]


def clocked(call: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds of a call, of all its threads, and what it returned."""
    start = time.process_time()
    value = call()
    return time.process_time() - start, value


# -- masks ------------------------------------------------------------------------------------------------------------


def blob(rng: np.random.Generator, size: tuple[int, int], share: float, num_frames: int) -> np.ndarray:
    """An object with a rough outline that wanders, covering about a share of the frame: bool ``[T,H,W]``."""
    height, width = size
    noise = cv2.resize(rng.standard_normal((height // 8, width // 8)).astype(np.float32), (width, height))
    radius = np.sqrt(share * height * width / np.pi)
    stretch = rng.uniform(0.6, 1.6)
    centre, step = rng.uniform(0.3, 0.7, 2) * size, rng.uniform(-2, 2, 2)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    masks = np.empty((num_frames, height, width), dtype=bool)
    for index in range(num_frames):
        y, x = centre + index * step
        masks[index] = np.hypot((rows - y) * stretch, (columns - x) / stretch) < radius * (1 + 0.1 * noise)
    return masks


def found(rng: np.random.Generator, masks: np.ndarray) -> np.ndarray:
    """What a model might make of them: moved a little, and with some of the picture's noise."""
    moved = np.roll(masks, rng.integers(-6, 7, 2), axis=(1, 2))
    spots = cv2.resize(rng.random((masks.shape[1] // 16, masks.shape[2] // 16)), masks.shape[:0:-1]) > 0.97
    return moved ^ spots


@dataclass(frozen=True)
class Clip:
    """A video of one object: prediction and target, bool ``[T,H,W]``; ``kind`` names its size."""

    kind: str
    prediction: np.ndarray
    target: np.ndarray


def clips(count: int, num_frames: int) -> Iterator[Clip]:
    """Videos of 480p with objects of all sizes in turn, one at a time."""
    for number in range(count):
        rng = np.random.default_rng(number)
        kind = list(OBJECT_SIZES)[number % len(OBJECT_SIZES)]
        target = blob(rng, VIDEO_SIZE, rng.uniform(*OBJECT_SIZES[kind]), num_frames)
        yield Clip(kind, found(rng, target), target)


# -- J and F ----------------------------------------------------------------------------------------------------------


def measure_functions(count: int, num_frames: int) -> dict[str, Seconds]:
    """Processor seconds of both sides on all videos, by size of object.

    Raises:
        SystemExit: a score differs.
    """
    from davis2017.metrics import db_eval_boundary, db_eval_iou

    seconds = {kind: {"official": 0.0, "ours": 0.0} for kind in OBJECT_SIZES}
    for number, clip in enumerate([next(clips(1, num_frames)), *clips(count, num_frames)]):
        pair = clip.prediction, clip.target
        official, (j, f) = clocked(
            lambda pair=pair: (db_eval_iou(pair[1], pair[0]), db_eval_boundary(pair[1], pair[0]))
        )
        ours, (our_j, our_f) = clocked(lambda pair=pair: frame_scores(*pair))
        if not (np.array_equal(j, our_j) and np.array_equal(f, our_f)):
            raise SystemExit(f"video {number}: the two sides score differently")
        if number:  # the first was to warm up
            seconds[clip.kind]["official"] += official
            seconds[clip.kind]["ours"] += ours
    return seconds


def write_sequences(root: Path, count: int, num_frames: int) -> list[str]:
    """Sequences of two objects as DAVIS has them, and results for them, under ``root``."""
    names = [f"sequence-{number:03d}" for number in range(count)]
    (root / "ImageSets/2017").mkdir(parents=True)
    (root / "ImageSets/2017/val.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    for number, name in enumerate(names):
        rng = np.random.default_rng(1000 + number)
        sizes = [rng.uniform(*OBJECT_SIZES[kind]) for kind in list(OBJECT_SIZES)[:2]]
        true = [blob(rng, VIDEO_SIZE, share, num_frames) for share in reversed(sizes)]
        labels, predicted = (np.zeros((num_frames, *VIDEO_SIZE), np.uint8) for _ in range(2))
        for index, masks in enumerate(true):
            masks[0, 0, 8 * index : 8 * index + 4] = True
            labels[masks], predicted[found(rng, masks)] = index + 1, index + 1
        (root / "JPEGImages/480p" / name).mkdir(parents=True)
        for folder, frames in ((root / "Annotations_unsupervised/480p", labels), (root / "results", predicted)):
            (folder / name).mkdir(parents=True)
            for frame, values in enumerate(frames):
                (root / f"JPEGImages/480p/{name}/{frame:05d}.jpg").touch()
                Image.fromarray(values).save(folder / name / f"{frame:05d}.png")
    return names


def read_labels(folder: Path) -> np.ndarray:
    """The PNG files of a folder as labels, uint8 ``[T,H,W]``."""
    return np.stack([np.asarray(Image.open(path)) for path in sorted(folder.iterdir())])


def measure_protocol(count: int, num_frames: int) -> Seconds:
    """Processor seconds of the unsupervised task on whole sequences, the reading of files included.

    Raises:
        SystemExit: a number differs by more than rounding.
    """
    from davis2017.evaluation import DAVISEvaluation

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        names = write_sequences(root, count, num_frames)

        def official() -> list[float]:
            with contextlib.redirect_stderr(io.StringIO()):
                result = DAVISEvaluation(str(root), "unsupervised", "val").evaluate(str(root / "results"))
            return [100 * float(np.mean(result[measure][key])) for measure in "JF" for key in "MRD"]

        def ours() -> list[float]:
            accumulator = DavisAccumulator()
            for name in names:
                target = read_labels(root / "Annotations_unsupervised/480p" / name)
                accumulator.add(read_labels(root / "results" / name), target)
            summary = accumulator.summary()
            return [summary[f"{measure}{part}"] for measure in "jf" for part in ("", "_recall", "_decay")]

        ours_first, our_numbers = clocked(ours)
        theirs, numbers = clocked(official)
        ours_again, _ = clocked(ours)
    if np.abs(np.subtract(numbers, our_numbers)).max() > 1e-9:
        raise SystemExit(f"the official protocol gives {numbers}, ours {our_numbers}")
    return {"official": theirs, "ours": (ours_first + ours_again) / 2}


# -- referring segmentation -------------------------------------------------------------------------------------------


def picture_pairs(count: int) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Run lengths of predictions and targets of 640 × 480."""
    pairs = []
    for number in range(count):
        rng = np.random.default_rng(5000 + number)
        target = blob(rng, PICTURE_SIZE, rng.uniform(0.005, 0.4), 1)
        pairs.append((encode_rle(found(rng, target)[0]), encode_rle(target[0])))
    return pairs


def measure_scoring(pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> float:
    """Processor seconds for all masks, the pairs taken in turn."""

    def score() -> None:
        accumulator = IoUAccumulator()
        for number in range(NUM_MASKS):
            accumulator.add_rles(*pairs[number % len(pairs)])
        accumulator.summary()

    return clocked(score)[0]


def measure_inference(model: Path, batches: int, batch_size: int) -> float:
    """Processor seconds an answer, the median of the batches after one thrown away."""
    import torch

    from word2mask.inference.session import Session
    from word2mask.types import Media, Request, Turn

    torch.set_num_threads(1)
    session = Session.from_pretrained(model, device=torch.device("cpu"), dtype=torch.float32)
    rng = np.random.default_rng(0)
    times = []
    for number in range(batches + 1):
        requests = []
        for _ in range(batch_size):
            coarse = rng.integers(0, 256, (15, 20, 3), np.uint8)
            picture = cv2.resize(coarse, PICTURE_SIZE[::-1], interpolation=cv2.INTER_NEAREST)
            question = (Turn("user", "Please segment the red circle in this picture."),)
            requests.append(Request(question, Media("image", picture[None]), max_new_tokens=64))
        seconds, _ = clocked(lambda requests=requests: session.batch(requests))
        sys.stderr.write(f"batch {number}: {seconds:.2f} s\n")
        times.append(seconds / batch_size)
    return statistics.median(times[1:])


# -- memory -----------------------------------------------------------------------------------------------------------


def measure_memory(pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> list[tuple[str, int, int]]:
    """What was scored, bytes of the accumulator as it travels between processes, and the peak while scoring."""
    rows = []
    for count in (1_000, 10_000, 40_000):
        accumulator = IoUAccumulator()
        tracemalloc.start()
        for number in range(count):
            accumulator.add_rles(*pairs[number % len(pairs)])
        rows.append((f"{count:,} pictures", len(pickle.dumps(accumulator)), tracemalloc.get_traced_memory()[1]))
        tracemalloc.stop()
    clip = next(clips(1, 1))
    rles = encode_rle(clip.prediction[0]), encode_rle(clip.target[0])
    for num_frames in (10, 100, 1_000):
        means = JFAccumulator()
        tracemalloc.start()
        j, f, _ = j_and_f_of_rles((rles[0] for _ in range(num_frames)), (rles[1] for _ in range(num_frames)))
        means.add_scores(j, f)
        rows.append((f"a video of {num_frames:,} frames", len(pickle.dumps(means)), tracemalloc.get_traced_memory()[1]))
        tracemalloc.stop()
    return rows


# -- the run ----------------------------------------------------------------------------------------------------------


def rate_row(name: str, seconds: Seconds, units: int, asked: str) -> str:
    """A line of the table: milliseconds a frame of both sides and their ratio."""
    official, ours = (1000 * seconds[side] / units for side in ("official", "ours"))
    return f"| {name} | {official:.2f} | {ours:.2f} | {official / ours:.1f} × | {asked} |"


def table(
    functions: dict[str, Seconds],
    protocol: Seconds,
    scoring: float,
    inference: float,
    memory: list[tuple[str, int, int]],
    videos: int,
    frames: int,
) -> str:
    """The results as Markdown."""
    asked = f"{RATE_ASKED:g} ×"
    counts = dict.fromkeys(OBJECT_SIZES, 0)
    for number in range(videos):
        counts[list(OBJECT_SIZES)[number % len(OBJECT_SIZES)]] += frames
    everything = {side: sum(one[side] for one in functions.values()) for side in ("official", "ours")}
    lines = [
        "# Scoring",
        "",
        "`python benchmarks/scoring.py CHECKOUT MODEL --write benchmarks/scoring.md`",
        "",
        "Processor time on one thread, both sides in one run on the same masks. Setting: "
        f"{platform.system()}, {os.cpu_count()} cores shared with other work, Python {platform.python_version()}, "
        f"numpy {np.__version__}, OpenCV {cv2.__version__}.",
        "",
        "## J and F beside the DAVIS 2017 toolkit (ac7c43f)",
        "",
        f"{videos} videos of {frames} frames of {VIDEO_SIZE[1]} × {VIDEO_SIZE[0]}. Milliseconds a frame and object; "
        "all scores are equal to the last bit.",
        "",
        "| objects | toolkit | ours | rate | asked for |",
        "|---|---|---|---|---|",
        *(rate_row(f"{kind} of the frame", functions[kind], counts[kind], "") for kind in functions),
        rate_row("all", everything, videos * frames, asked),
        rate_row("whole protocol, two objects a video, files read", protocol, 2 * videos * frames, asked),
        "",
        "## Referring segmentation beside its inference",
        "",
        "| what | seconds |",
        "|---|---|",
        f"| scoring {NUM_MASKS:,} masks, run lengths of {PICTURE_SIZE[1]} × {PICTURE_SIZE[0]} | {scoring:.2f} |",
        f"| answering {NUM_MASKS:,} questions on such pictures, {inference:.3f} s each | {NUM_MASKS * inference:.0f} |",
        f"| share (asked for: below {SHARE_ASKED:.0%}) | {scoring / (NUM_MASKS * inference):.2%} |",
        "",
        "The answers come from the quickstart's model, the smallest and fastest there is: any other makes the share "
        "smaller.",
        "",
        "## Memory",
        "",
        "| scored | accumulator, bytes | peak while scoring, kB |",
        "|---|---|---|",
        *(f"| {name} | {size} | {peak / 1000:.0f} |" for name, size, peak in memory),
    ]
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure everything, print the table."""
    parser = argparse.ArgumentParser(description="Compare scoring with the official toolkit and with inference.")
    parser.add_argument("checkout", type=Path, help="clone of davis2017-evaluation")
    parser.add_argument("model", type=Path, help="exported folder whose answers would be scored")
    parser.add_argument("--videos", type=int, default=100, help="videos of 480p")
    parser.add_argument("--frames", type=int, default=10, help="frames of each")
    parser.add_argument("--batches", type=int, default=5, help="batches of 16 answers that are timed")
    parser.add_argument("--write", type=Path, help="file for the table (default: stdout)")
    arguments = parser.parse_args()
    sys.path.insert(0, str(arguments.checkout))
    cv2.setNumThreads(1)
    functions = measure_functions(arguments.videos, arguments.frames)
    protocol = measure_protocol(arguments.videos, arguments.frames)
    pairs = picture_pairs(200)
    scoring = measure_scoring(pairs)
    inference = measure_inference(arguments.model, arguments.batches, 16)
    text = table(functions, protocol, scoring, inference, measure_memory(pairs), arguments.videos, arguments.frames)
    write_table(text, arguments.write)


if __name__ == "__main__":
    main()
