"""What all strategies offer the runner, and the two that keep the whole model: one process, and data parallelism."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from mmengine._strategy import DDPStrategy, SingleDeviceStrategy
from torch import nn

from word2mask.engine.adapter import ModelAdapter
from word2mask.engine.optimizer import PrecisionOptimWrapper, build_optimizer
from word2mask.engine.settings import ParameterGroupSettings, TrainSettings
from word2mask.errors import UserError


class Sharing:
    """The device, the optimizer, and everything that depends on who holds what.

    A checkpoint is the same whatever the strategy: weights and optimizer state in one piece, weights of what trains in
    fp32. :meth:`whole` and :meth:`optimizer_state` put them together; all processes call them.

    Args:
        settings: the run's.
        device: of this process.
    """

    #: Whether a validation can use the model while this strategy trains it.
    validates = True

    def __init__(self, *, settings: TrainSettings, device: torch.device, **kwargs: Any):
        self.settings = settings
        self.device = device
        super().__init__(**kwargs)

    def build_optim_wrapper(self, optim_wrapper: Any, model: nn.Module | None = None) -> Any:
        """The optimizer over the trainable parameters of the unwrapped model."""
        return PrecisionOptimWrapper(
            self.build_optimizer(model),
            self.settings.precision,
            self.device,
            self.settings.accumulate,
            self.settings.grad_clip,
        )

    def build_optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """torch's optimizer over the trainable parameters of the unwrapped model."""
        groups = ParameterGroupSettings(**self.settings.parameter_groups)
        return build_optimizer(self.settings.optimizer, unwrap(model), groups)

    def whole(self, tensor: torch.Tensor) -> torch.Tensor:
        """The detached value of a parameter or buffer of the model."""
        return tensor.detach()

    def optimizer_state(self) -> dict[str, Any]:
        """``{"optimizer": torch's state dict, "scaler": ...}``, complete on rank 0 at least."""
        return self.optim_wrapper.state_dict()

    def load_optimizer_state(self, state: dict[str, Any]) -> None:
        """Put back what :meth:`optimizer_state` gave, here or under another strategy.

        Raises:
            ValueError: of other parameter groups.
        """
        self.optim_wrapper.load_state_dict(state)

    @contextlib.contextmanager
    def gathered(self) -> Iterator[None]:
        """Inside, every process holds all weights, and may call any part of the model as often as it likes."""
        yield


class SingleProcess(Sharing, SingleDeviceStrategy):
    """One process, one device."""

    def _wrap_model(self, model: nn.Module) -> nn.Module:
        return model.to(self.device)


class DataParallel(Sharing, DDPStrategy):
    """torch's DistributedDataParallel: gloo on CPU, NCCL on CUDA."""

    def _wrap_model(self, model: nn.Module) -> nn.Module:
        device_ids = [self.device.index] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(
            model.to(self.device), device_ids=device_ids, broadcast_buffers=False
        )


def unwrap(model: nn.Module) -> nn.Module:
    """The user's model inside of the wrappers and the adapter."""
    while not isinstance(model, ModelAdapter):
        model = model.module
    return model.model


def check_groups(saved: list[dict[str, Any]], groups: list[list[nn.Parameter]]) -> None:
    """Refuse an optimizer's state that was made for other parameter groups.

    Raises:
        ValueError: number of groups, or of parameters in one, differs.
    """
    theirs, ours = [len(group["params"]) for group in saved], [len(group) for group in groups]
    if theirs != ours:
        raise ValueError(f"parameter groups of {theirs} parameters instead of {ours}")


def refuse_fp16(settings: TrainSettings) -> None:
    """fp16 scales its loss, and the scale would have to follow overflows that single processes see.

    Raises:
        UserError: the run's precision is fp16.
    """
    if settings.precision == "fp16":
        raise UserError(f"strategy {settings.strategy!r} trains in bf16 or fp32; fp16 trains with strategy 'ddp'")
