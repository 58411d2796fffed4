"""A training step with frozen encoders' features from disk beside one that encodes its frames.

    python benchmarks/cached_features.py CONFIG [--cfg-options KEY=VALUE …] [--write benchmarks/cached_features.md]

Both sides are one model in one process on one thread; they take turns on the same batch, so that whatever else the
machine does falls on both alike. A step is forward and backward as in training, from the samples' tensors on. Time is
the processor's, medians over the repeats and the range; the first row of the losses says by how much they differ.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "projects"))

import torch  # noqa: E402
from tables import write_table  # noqa: E402

from word2mask.engine.build import build  # noqa: E402
from word2mask.engine.config import check_settings, load_config  # noqa: E402
from word2mask.engine.loading import build_dataloader  # noqa: E402
from word2mask.engine.optimizer import autocast, set_precision  # noqa: E402
from word2mask.engine.settings import DataSettings  # noqa: E402
from word2mask.models.stored_features import store_features  # noqa: E402

ENCODED = "encoded at every visit"


def step(model: Any, batch: Any, precision: str) -> tuple[float, float, dict[str, float]]:
    """Processor's seconds, wall seconds and losses of forward and backward."""
    torch.manual_seed(0)  # the same points of the masks
    started = time.process_time(), time.perf_counter()
    with autocast(precision, torch.device("cpu")):
        losses = {name: value for name, value in model(batch).items() if name.startswith("loss_")}
    torch.stack([value.float() for value in losses.values()]).sum().backward()
    taken = time.process_time() - started[0], time.perf_counter() - started[1]
    model.zero_grad(set_to_none=True)
    return *taken, {name: value.item() for name, value in losses.items()}


class Sides:
    """The ways in which one model comes by its features.

    Args:
        model: grounded, with a plan.
        precision: in which it computes.
        folder: for the files.
        kept: types in which features are kept.
    """

    def __init__(self, model: Any, precision: str, folder: Path, kept: list[str]) -> None:
        seen = model.mllm.frame_encoder()
        self.holders = {"segmenter": (model.segmenter, "encode_frames")} | ({"mllm": seen[:2]} if seen else {})
        self.ways: dict[str, dict[str, Any]] = {
            ENCODED: {name: getattr(*where) for name, where in self.holders.items()}
        }
        for dtype in kept:
            self.choose(ENCODED)
            self.ways[f"read, kept in {dtype}"] = store_features(model, folder / dtype, dtype, 1000.0, precision)
        trunk = getattr(getattr(model.segmenter.model.vision_encoder, "backbone", None), "forward", None)
        self.forget = getattr(trunk, "forget", lambda: None)

    def choose(self, way: str) -> None:
        """Puts one of them in place."""
        for name, function in self.ways[way].items():
            setattr(*self.holders[name], function)


def measure(sides: Sides, model: Any, batches: list[Any], precision: str, repeats: int) -> dict[str, list[Any]]:
    """For each side what :func:`step` gave, turn by turn; a first turn, which fills the folders, isn't counted."""
    found: dict[str, list[Any]] = {way: [] for way in sides.ways}
    for turn in range(repeats + 1):
        for way in sides.ways:
            sides.choose(way)
            for batch in batches:
                sides.forget()
                result = step(model, batch, precision)
                if turn:
                    found[way].append(result)
                sys.stderr.write(f"turn {turn}, {way}: {result[0]:.2f} s of the processor\n")
    return found


def table(found: dict[str, list[Any]], megabytes: dict[str, float], setting: str) -> str:
    """The results as Markdown."""
    lines = [
        "# Features of frozen encoders, from disk",
        "",
        setting,
        "",
        "| the frames of a step are | processor's seconds a step | range | wall seconds | MB a picture | "
        "largest difference of a loss |",
        "|---|---|---|---|---|---|",
    ]
    reference = [losses for _, _, losses in found[ENCODED]]
    for way, results in found.items():
        seconds = [result[0] for result in results]
        off = max(
            abs(value - losses[name])
            for (_, _, own), losses in zip(results, reference, strict=True)
            for name, value in own.items()
        )
        lines.append(
            f"| {way} | {statistics.median(seconds):.2f} | {min(seconds):.2f}–{max(seconds):.2f} | "
            f"{statistics.median([result[1] for result in results]):.2f} | {megabytes.get(way, 0):.1f} | {off:.1e} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    """Build, take turns, print the table."""
    parser = argparse.ArgumentParser(description="A training step with and without cached features.")
    parser.add_argument("config", type=Path, help="of the training")
    parser.add_argument(
        "--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help="replace values of the config"
    )
    parser.add_argument("--repeats", type=int, default=3, help="turns of each side")
    parser.add_argument("--batches", type=int, default=1, help="batches a turn")
    parser.add_argument("--kept", nargs="+", default=["fp32", "fp16"], help="types in which features are kept")
    parser.add_argument("--write", type=Path, help="file for the table (default: stdout)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    settings = check_settings(load_config(arguments.config, arguments.cfg_options), arguments.config.name)
    model = build(settings.model, path="config.model")
    set_precision(model, settings.precision)
    data = DataSettings(**{**settings.data, "num_workers": 0, "pin_memory": False})
    loader = iter(build_dataloader(data, settings.seed, {"model": model}))
    batches = [next(loader) for _ in range(arguments.batches)]
    model.train()
    with tempfile.TemporaryDirectory() as folder:
        sides = Sides(model, settings.precision, Path(folder), arguments.kept)
        found = measure(sides, model, batches, settings.precision, arguments.repeats)
        frames = sum(len(item) for batch in batches for item in batch.segmenter_frames if item is not None)
        megabytes = {
            way: sum(path.stat().st_size for path in (Path(folder) / way.split()[-1]).rglob("*.*")) / 1e6 / frames
            for way in sides.ways
            if way != ENCODED
        }
    objects = sum(len(positions) for batch in batches for positions in batch.seg_positions)
    tokens = sum(int(batch.attention_mask.sum()) for batch in batches)
    text = table(
        found,
        megabytes,
        f"`python benchmarks/cached_features.py {arguments.config}`, {settings.precision}, one thread; a step is "
        f"forward and backward over {frames / len(batches):g} pictures with {objects / len(batches):g} objects and "
        f"{tokens / len(batches):.0f} tokens; {arguments.repeats} turns.",
    )
    write_table(text, arguments.write)


if __name__ == "__main__":
    main()
