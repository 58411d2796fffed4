"""One side of a comparison in a process of its own, with its own interpreter where need be, asked through pipes.

The process writes one line of JSON when it is ready, and one for every line that it reads.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from typing import Any


class Worker:
    """A side that waits for its turn.

    Args:
        command: starts it; its standard input and output are the pipes.
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
