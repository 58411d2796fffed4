"""The training set: position in a mixture → encoded example, and what happens to a record that can't be read."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal

import torch
from torch.utils.data import Dataset

from word2mask.data.mixture import Mixture
from word2mask.errors import UserError
from word2mask.types import Example, Sample

logger = logging.getLogger(__name__)


class MixtureDataset(Dataset):
    """Map-style: item ``i`` of epoch ``e`` is the same example in every process.

    It orders itself, so a loader walks through it in sequence. An index beyond the end goes on into the next epochs.

    Args:
        mixture: what is seen and in which order.
        encoder: sample → example, usually a :class:`word2mask.data.encode.Encoder`.
        on_bad_sample: ``"stop"`` raises on the first record that can't be read or encoded; ``"skip"`` names it in the
            log and takes the record of another position in its place.
        max_skipped: with ``"skip"``, more than this many, over all workers, stop the run all the same.

    Raises:
        UserError: on another ``on_bad_sample``.
    """

    def __init__(
        self,
        mixture: Mixture,
        encoder: Callable[[Sample], Example],
        on_bad_sample: Literal["stop", "skip"] = "stop",
        max_skipped: int = 100,
    ) -> None:
        if on_bad_sample not in ("stop", "skip"):
            raise UserError(f"on_bad_sample is 'stop' or 'skip', got '{on_bad_sample}'")
        self.mixture = mixture
        self.encoder = encoder
        self.on_bad_sample = on_bad_sample
        self.max_skipped = max_skipped
        # Of this process alone: workers that prefetch over the end of an epoch are in different epochs for a while, so
        # the engine sets it in the worker that reads (engine/sampler.py).
        self._epoch = 0
        self._skipped = torch.zeros(1, dtype=torch.int64).share_memory_()
        self._moved = torch.zeros(len(mixture.sources), dtype=torch.int64).share_memory_()

    def __len__(self) -> int:
        """Examples in an epoch."""
        return len(self.mixture)

    def set_epoch(self, epoch: int) -> None:
        """Which epoch index 0 begins."""
        self._epoch = epoch

    @property
    def num_skipped(self) -> int:
        """Records skipped so far, over all workers of this process."""
        return int(self._skipped[0])

    def __getitem__(self, index: int) -> Example:
        """The example at a position.

        Raises:
            UserError: on a bad record when set to stop, or when too many were skipped.
        """
        if index < 0:
            raise IndexError(f"index {index} of a training set; it counts from 0")
        epoch, position = divmod(index, len(self))
        epoch += self._epoch
        for attempt in range(len(self)):
            # A place far from the bad one: bad records often lie side by side.
            other = (position + attempt * (len(self) // 2 + 1)) % len(self) if attempt else position
            source, record, rng = self.mixture.locate(epoch, other)
            try:
                example = self.encoder(self.mixture.sources[source].read(record, rng))
            except UserError as error:
                if self.on_bad_sample == "stop":
                    raise
                self._count(error)
                continue
            if attempt:
                self._moved[self.mixture.locate(epoch, position)[0]] -= 1
                self._moved[source] += 1
            return example
        raise UserError(f"none of {len(self)} records can be read; see the messages above")

    def take_moved(self) -> list[int]:
        """Visits that each source gained (or lost) to others by skipping, over all workers of this process, since the
        last call."""
        moved = self._moved.tolist()
        self._moved -= torch.tensor(moved)
        return moved

    def _count(self, error: UserError) -> None:
        self._skipped += 1
        if self.num_skipped > self.max_skipped:
            raise UserError(
                f"{self.num_skipped} records skipped, at most {self.max_skipped} are allowed (max_skipped); "
                f"the last: {error}"
            ) from error
        logger.warning("skipped (%d of at most %d): %s", self.num_skipped, self.max_skipped, error)
