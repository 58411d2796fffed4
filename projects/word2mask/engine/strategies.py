"""How processes share a run: mmengine strategies, one name each.

A strategy wraps the model and makes the optimizer after wrapping; the runner knows nothing else of it. A new one is a
class here and a line in :data:`STRATEGIES`.
"""

from __future__ import annotations

from typing import Any

import torch
from mmengine._strategy import BaseStrategy, DDPStrategy, SingleDeviceStrategy
from torch import nn

from word2mask.engine.build import suggest
from word2mask.engine.optimizer import PrecisionOptimWrapper, build_optimizer
from word2mask.engine.settings import ParameterGroupSettings, TrainSettings
from word2mask.errors import UserError


class _OwnParts:
    """What both strategies replace in mmengine's: the device and the optimizer.

    Args:
        settings: the run's.
        device: of this process.
    """

    def __init__(self, *, settings: TrainSettings, device: torch.device, **kwargs: Any):
        self.settings = settings
        self.device = device
        super().__init__(**kwargs)

    def build_optim_wrapper(self, optim_wrapper: Any, model: nn.Module | None = None) -> PrecisionOptimWrapper:
        """The optimizer over the trainable parameters of the unwrapped model."""
        groups = ParameterGroupSettings(**self.settings.parameter_groups)
        optimizer = build_optimizer(self.settings.optimizer, unwrap(model), groups)
        return PrecisionOptimWrapper(
            optimizer, self.settings.precision, self.device, self.settings.accumulate, self.settings.grad_clip
        )


class SingleProcess(_OwnParts, SingleDeviceStrategy):
    """One process, one device."""

    def _wrap_model(self, model: nn.Module) -> nn.Module:
        return model.to(self.device)


class DataParallel(_OwnParts, DDPStrategy):
    """torch's DistributedDataParallel: gloo on CPU, NCCL on CUDA."""

    def _wrap_model(self, model: nn.Module) -> nn.Module:
        device_ids = [self.device.index] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(
            model.to(self.device), device_ids=device_ids, broadcast_buffers=False
        )


#: name → class for several processes; one process needs none of them.
STRATEGIES: dict[str, type[BaseStrategy]] = {"ddp": DataParallel}


def strategy_class(name: str, distributed: bool) -> type[BaseStrategy]:
    """The strategy's class.

    Raises:
        UserError: no such strategy.
    """
    if name not in STRATEGIES:
        raise UserError(f"strategy is {name!r}{suggest(name, sorted(STRATEGIES))}")
    return STRATEGIES[name] if distributed else SingleProcess


def unwrap(model: nn.Module) -> nn.Module:
    """The user's model inside of the data-parallel wrapper and the adapter."""
    if isinstance(model, nn.parallel.DistributedDataParallel):
        model = model.module
    return model.model
