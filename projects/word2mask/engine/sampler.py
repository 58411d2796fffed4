"""In which order a run sees its samples: a pure function of (seed, position), so a run can stop and go on anywhere.

*Position* counts samples over the whole run and over all processes. Epoch ``position // len`` is a permutation of the
dataset drawn from (seed, epoch); which process or worker loads a sample changes nothing. Knows nothing of what a
sample is.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler


class GlobalBatchSampler(Sampler[list[tuple[int, int]]]):
    """Endless batches of ``(epoch, index)`` for one process.

    Forward pass ``k`` of the run covers positions ``start + k·batch_size·world_size`` onwards; rank ``r`` takes the
    ``r``-th slice of ``batch_size``.

    Args:
        length: of the dataset.
        batch_size: per process.
        rank: of this process.
        world_size: number of processes.
        seed: of the permutations.
        shuffle: permute every epoch; otherwise the dataset's own order.
    """

    def __init__(
        self, length: int, batch_size: int, rank: int = 0, world_size: int = 1, seed: int = 0, shuffle: bool = True
    ):
        self.length = length
        self.batch_size = batch_size
        self.rank = rank
        self.world_size = world_size
        self.seed = seed
        self.shuffle = shuffle
        self.start = 0
        self._epoch = -1
        self._order: np.ndarray | None = None

    def set_start(self, position: int) -> None:
        """Begin the next iteration over the sampler at a global sample count."""
        self.start = position

    def locate(self, position: int) -> tuple[int, int]:
        """``(epoch, index into the dataset)`` of a global position."""
        epoch, offset = divmod(position, self.length)
        if not self.shuffle:
            return epoch, offset
        if epoch != self._epoch:
            self._order = np.random.default_rng([self.seed, epoch]).permutation(self.length)
            self._epoch = epoch
        return epoch, int(self._order[offset])

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        position = self.start + self.rank * self.batch_size
        while True:
            yield [self.locate(position + offset) for offset in range(self.batch_size)]
            position += self.batch_size * self.world_size


class EpochView(Dataset):
    """A dataset indexed by ``(epoch, index)``: tells the dataset its epoch, and isolates random numbers.

    Whatever global random state an item draws from is seeded by (seed, epoch, index) and put back afterwards, so that
    items are the same in any worker and loading does not disturb the model's dropout.

    Args:
        dataset: map-style; ``set_epoch(epoch)`` is called before its items where it has one.
        seed: of the run.
    """

    def __init__(self, dataset: Any, seed: int):
        self.dataset = dataset
        self.seed = seed
        self._epoch: int | None = None

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: tuple[int, int]) -> Any:
        epoch, index = key
        if epoch != self._epoch:
            if hasattr(self.dataset, "set_epoch"):
                self.dataset.set_epoch(epoch)
            self._epoch = epoch
        with isolated_random_state(int(np.random.SeedSequence([self.seed, epoch, index]).generate_state(1)[0])):
            return self.dataset[index]


@contextlib.contextmanager
def isolated_random_state(seed: int | None = None) -> Iterator[None]:
    """Run a block with its own state of python's, numpy's and torch's CPU generators, then put the old state back.

    Args:
        seed: of the block; ``None`` starts from the present state.
    """
    saved = random.getstate(), np.random.get_state(), torch.get_rng_state()
    if seed is not None:
        random.seed(seed)
        np.random.seed(seed)
        torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(saved[0])
        np.random.set_state(saved[1])
        torch.set_rng_state(saved[2])
