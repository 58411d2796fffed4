"""The loader of one process: which samples, in which workers, collated how."""

from __future__ import annotations

import signal
from typing import Any

import torch
from torch.utils.data import DataLoader

from word2mask.engine.build import build
from word2mask.engine.distributed import rank_and_size
from word2mask.engine.heap import keep_freed_memory
from word2mask.engine.sampler import EpochView, GlobalBatchSampler
from word2mask.engine.settings import DataSettings
from word2mask.errors import UserError

#: A worker returns freed memory to the system above so many bytes; a sample of 13 tiles or 5 frames needs about 100 MB.
KEPT_BYTES = 256 << 20


def build_dataloader(settings: DataSettings, seed: int, context: dict[str, Any]) -> DataLoader:
    """The endless loader of this process.

    Raises:
        UserError: the dataset is empty.
    """
    dataset = build(settings.dataset, context, "config.data.dataset")
    collate = build(settings.collate, context, "config.data.collate")
    if len(dataset) == 0:
        raise UserError(f"config.data.dataset: {type(dataset).__name__} is empty")
    rank, size = rank_and_size()
    workers: dict[str, Any] = {}
    if settings.num_workers:
        workers = {"prefetch_factor": settings.prefetch, "worker_init_fn": start_worker}
    return DataLoader(
        EpochView(dataset, seed),
        batch_sampler=GlobalBatchSampler(len(dataset), settings.batch_size, rank, size, seed, settings.shuffle),
        collate_fn=collate,
        num_workers=settings.num_workers,
        pin_memory=settings.pin_memory,
        # An own generator: drawing the workers' base seed must not touch the model's random state.
        generator=torch.Generator().manual_seed(seed),
        **workers,
    )


def start_worker(worker_id: int) -> None:
    """Loader workers compute with one thread each, and leave signals to the training process.

    They are forked while its handlers are set: without this, SIGTERM would not end them and Ctrl-C would reach them.
    """
    torch.set_num_threads(1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_freed_memory(KEPT_BYTES)
