"""A benchmark between the steps of a training: the numbers that say which checkpoint is best."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from word2mask.engine.distributed import gather_objects, rank_and_size
from word2mask.evaluation.interface import Benchmark
from word2mask.evaluation.runner import Ranks, evaluate
from word2mask.inference.session import Session

__all__ = ["BenchmarkCheck"]


class BenchmarkCheck:
    """Scores the model as it is on a benchmark, all processes together; for ``config.validation.run``.

    Args:
        benchmark: what to score on.
        folder: where each check's answers go, in ``iter_N``.
        batch_size: requests answered together.
    """

    def __init__(self, benchmark: Benchmark, folder: str | Path, batch_size: int = 1) -> None:
        self._benchmark = benchmark
        self._folder = Path(folder)
        self._batch_size = batch_size

    def __call__(self, model: nn.Module, iteration: int) -> dict[str, float]:
        """Metric → percent.

        Raises:
            UserError: a sample can't be read, or too many can't be answered.
        """
        rank, count = rank_and_size()
        score = evaluate(
            self._benchmark,
            Session(model),
            self._folder / f"iter_{iteration}",
            {"model": f"iter_{iteration}"},
            batch_size=self._batch_size,
            fresh=True,
            ranks=Ranks(rank, count, gather_objects),
        )
        return dict(score.metrics)
