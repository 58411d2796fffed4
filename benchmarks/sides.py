"""Two sides of a comparison, the published code's and ours, each in a process of its own that is asked through pipes.

The program starts itself once for each side, with its own interpreter where need be: :func:`both_sides` in the process
that compares, :func:`serve` in those that work. Imports nothing of word2mask and of torch.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SIDES = ("published", "ours")


def add_arguments(parser: argparse.ArgumentParser, repository: str) -> None:
    """What every such program takes; ``repository`` is the published code's, on GitHub."""
    parser.add_argument("checkout", type=Path, help=f"clone of github.com/{repository}")
    parser.add_argument("--repeats", type=int, default=5, help="rounds that count, after one that doesn't")
    parser.add_argument("--write", type=Path, help="file for the table")
    parser.add_argument("--worker", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)


@contextmanager
def both_sides(
    script: str, arguments: argparse.Namespace, options: Sequence[str] = (), published_python: str = sys.executable
) -> Iterator[dict[str, Worker]]:
    """Both sides; the published one starts first and writes into a temporary folder what ours reads.

    Args:
        script: the program.
        arguments: its own; ``folder`` is set.
        options: further ones for both sides.
        published_python: interpreter of the published side.
    """
    with tempfile.TemporaryDirectory() as folder:
        arguments.folder = Path(folder)
        pythons = {"published": published_python, "ours": sys.executable}
        yield {
            side: Worker(
                [pythons[side], script, str(arguments.checkout), "--worker", side, "--folder", folder, *options]
            )
            for side in SIDES
        }


class Worker:
    """A side that waits for its turn.

    Args:
        command: starts it.
    """

    def __init__(self, command: Sequence[str]) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        self._read()

    def _read(self) -> dict[str, Any]:
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self._process.args} ended with {self._process.wait()}")
        return json.loads(line)

    def do(self, row: str) -> dict[str, Any]:
        """One row's work, and what it measured."""
        self._process.stdin.write(row + "\n")
        self._process.stdin.flush()
        return self._read()


def serve(build: Callable[[], Callable[[str], dict[str, Any]]]) -> None:
    """Is a side: builds what works, says so, and answers each row; what else is printed goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the published code prints

    def answer(values: dict[str, Any]) -> None:
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    do = build()
    answer({})
    for line in sys.stdin:
        answer(do(line.strip()))
