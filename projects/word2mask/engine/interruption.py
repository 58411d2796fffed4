"""Stopping in good order: a signal finishes the present step, saves, and says how to go on."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import torch

from word2mask.engine.distributed import rank_and_size, sum_over_ranks


class Interrupted(Exception):
    """The run was stopped by a signal after saving.

    Args:
        signal_number: which.
        iteration: last finished step.
        path: the checkpoint written.
    """

    def __init__(self, signal_number: int, iteration: int, path: Path):
        super().__init__(f"stopped at iteration {iteration}; saved {path}")
        self.signal_number = signal_number
        self.iteration = iteration
        self.path = path


class Interruption:
    """Ctrl-C and SIGTERM finish the present step first; a second Ctrl-C stops at once."""

    def __init__(self) -> None:
        self.received: int | None = None

    @contextlib.contextmanager
    def catching(self) -> Iterator[None]:
        """Handle both signals inside of the block."""
        before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = number

    def agreed(self, device: torch.device) -> int:
        """The signal that any process received, or 0; the same answer on all."""
        if rank_and_size()[1] == 1:
            return self.received or 0
        numbers = torch.zeros(2, device=device)
        if self.received is not None:
            numbers[0 if self.received == signal.SIGINT else 1] = 1
        interrupted, terminated = sum_over_ranks(numbers).tolist()
        return int(signal.SIGTERM) if terminated else int(signal.SIGINT) if interrupted else 0


def resume_command(arguments: list[str]) -> str:
    """The command that goes on where an interrupted one stopped.

    >>> resume_command(["tools/train.py", "config.py", "--resume", "iter_3.pth", "--seed", "1"])
    'python tools/train.py config.py --seed 1 --resume'
    """
    kept: list[str] = []
    is_value = False
    for argument in arguments:
        if argument == "--resume":
            is_value = True
        elif not (argument.startswith("--resume=") or is_value and not argument.startswith("-")):
            is_value = False
            kept.append(argument)
        else:
            is_value = False
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    start = (
        ["python", *kept] if processes == 1 else ["bash", "tools/dist.sh", "train", kept[1], str(processes), *kept[2:]]
    )
    return shlex.join([*start, "--resume"])
