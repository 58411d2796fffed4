"""The plan of a training: its model, its data, its length and its memory, and what it would miss."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import nn

from word2mask.engine.planning.lacks import Lack, list_lacks
from word2mask.engine.planning.memory import MemoryEstimate, estimate
from word2mask.engine.planning.meta_model import build_on_meta
from word2mask.engine.planning.sources import SourceRow, list_sources
from word2mask.engine.settings import DataSettings, ScheduleSettings, TrainSettings
from word2mask.engine.strategies import strategy_class
from word2mask.errors import UserError

__all__ = ["Plan", "make_plan"]


@dataclass(frozen=True)
class Plan:
    """What a run would do.

    Attributes:
        model: on the meta device; ``None`` where a file that isn't there decides its size.
        sources: of the mixture.
        lacks: what isn't on disk, what only evaluation needs included.
        gpus: processes of the whole run.
        samples_per_step: the global batch.
        memory: of one GPU; ``None`` without a model.
        settings: the run's.
    """

    model: nn.Module | None
    sources: list[SourceRow]
    lacks: list[Lack]
    gpus: int
    samples_per_step: int
    memory: MemoryEstimate | None
    settings: TrainSettings

    @property
    def visits(self) -> int:
        """Samples of an epoch, of the sources that can be read."""
        return sum(row.visits for row in self.sources)

    @property
    def is_complete(self) -> bool:
        """Whether training could start."""
        return not any(lack.needed for lack in self.lacks) and all(row.records is not None for row in self.sources)

    @property
    def steps_per_epoch(self) -> int | None:
        """Optimizer steps that see every sample once; ``None`` while nothing can be read."""
        return math.ceil(self.visits / self.samples_per_step) if self.visits else None

    @property
    def steps(self) -> int | None:
        """Optimizer steps of the run; ``None`` where that hangs on data that can't be read."""
        schedule = ScheduleSettings(**self.settings.schedule)
        if schedule.max_iters is None and not self.visits:
            return None
        return schedule.steps(self.visits, self.samples_per_step)


def make_plan(settings: TrainSettings, gpus: int) -> Plan:
    """The plan of a checked config.

    Args:
        settings: the run's.
        gpus: processes of the whole run.

    Raises:
        UserError: something in the config is wrong, rather than missing on disk.
    """
    strategy_class(settings.strategy, distributed=False)  # refuses a name that isn't one
    tree: dict[str, Any] = vars(settings)
    lacks = list_lacks(tree)
    model: nn.Module | None = None
    try:
        model = build_on_meta(settings.model, settings.precision)
    except UserError as error:
        # A file that isn't there may be what a part is made of; any other reason is the config's.
        if not any(lack.path in str(error) for lack in lacks):
            raise
    data = DataSettings(**settings.data)
    return Plan(
        model=model,
        sources=list_sources(settings.data["dataset"], model),
        lacks=lacks,
        gpus=gpus,
        samples_per_step=data.batch_size * gpus * settings.accumulate,
        memory=None if model is None else estimate(model, settings, gpus),
        settings=settings,
    )
