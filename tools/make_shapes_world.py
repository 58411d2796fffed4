"""Write shapes world, the embedded data set, in the formats of the real ones.

    python tools/make_shapes_world.py [--out data/shapes_world] [--seed 0] [--train-images 2000 …]

Nothing is done when the folder already holds what is asked for.
Exit codes: 0 done, 2 something to put right (one sentence says what).
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from dataclasses import fields
from pathlib import Path

from tqdm import tqdm

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "projects"))

from word2mask.data.shapes_world.writers import Sizes, write_shapes_world  # noqa: E402
from word2mask.errors import UserError  # noqa: E402


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Write shapes world in the formats of the real data sets.")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "data/shapes_world", help="folder to write")
    parser.add_argument(
        "--processes", type=int, default=2, help="that draw side by side; changes nothing in the result"
    )
    for field in fields(Sizes):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=int, default=field.default)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options = parse_arguments(arguments)
    try:
        sizes = Sizes(**{field.name: getattr(options, field.name) for field in fields(Sizes)})
        if write_shapes_world(
            options.out,
            sizes,
            options.processes,
            lambda scenes, count: tqdm(scenes, total=count, unit="scene", desc="shapes world"),
        ):
            logging.info("%s is written", options.out)
    except UserError as error:
        sys.stderr.write(f"make_shapes_world: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    # A stop by signal unwinds, so that the half-written folder goes.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    sys.exit(main())
