"""Parameter groups and the precision of a step."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from torch import nn
from torch.distributed.tensor import DTensor

from word2mask.engine.build import build, suggest
from word2mask.engine.settings import PRECISIONS, ParameterGroupSettings
from word2mask.errors import UserError

logger = logging.getLogger(__name__)
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def parameter_groups(
    model: nn.Module, lr: float, weight_decay: float, settings: ParameterGroupSettings
) -> list[dict[str, Any]]:
    """Trainable parameters sorted into groups of equal learning rate and weight decay.

    Args:
        model: whose trainable parameters to sort.
        lr: the optimizer's learning rate.
        weight_decay: the optimizer's weight decay.
        settings: factors by name prefix, whether one-dimensional parameters (norms, biases) decay, and which
            prefixes name matrices.

    Returns:
        groups for a torch optimizer, in the order of first appearance.

    Raises:
        UserError: nothing is trainable, or a prefix fits no trainable parameter.
    """
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    if not named:
        raise UserError("the model has no trainable parameter; check its trainable plan")
    prefixes = sorted(settings.lr_multipliers, key=len, reverse=True)
    groups: dict[tuple[float, float, bool], dict[str, Any]] = {}
    used = set()
    for name, parameter in named:
        prefix = next((prefix for prefix in prefixes if name.startswith(prefix)), None)
        matrix = next((prefix for prefix in settings.matrices if name.startswith(prefix)), None)
        used |= {("lr_multipliers", prefix), ("matrices", matrix)}
        factor = settings.lr_multipliers[prefix] if prefix is not None else 1.0
        decay = weight_decay if settings.decay_norms_and_biases or parameter.ndim > 1 else 0.0
        is_matrix = matrix is not None and parameter.ndim == 2
        group = groups.setdefault((factor, decay, is_matrix), {"params": [], "lr": lr * factor, "weight_decay": decay})
        if is_matrix:
            group["is_matrix"] = True
        group["params"].append(parameter)
    for setting, given in (("lr_multipliers", prefixes), ("matrices", settings.matrices)):
        for prefix in given:
            if (setting, prefix) not in used:
                first_words = sorted({".".join(name.split(".")[:depth]) for name, _ in named for depth in (1, 2)})
                near = suggest(prefix, first_words)
                raise UserError(f"parameter_groups.{setting}: no trainable parameter starts with {prefix!r}{near}")
    return list(groups.values())


def build_optimizer(
    node: Mapping[str, Any], model: nn.Module, settings: ParameterGroupSettings
) -> torch.optim.Optimizer:
    """The optimizer of a config node over the model's trainable parameters."""
    groups = parameter_groups(model, node.get("lr", 1e-3), node.get("weight_decay", 0.0), settings)
    return build(node, path="config.optimizer", params=groups)


def set_precision(model: nn.Module, precision: str) -> None:
    """Gives every parameter the type in which a run of this precision holds it; in place.

    What trains is held in fp32, whatever it was loaded in: at a usual learning rate, most steps are too small for bf16
    to hold. What is frozen is held in bf16 in a run of that precision and in fp32 in one of that; under fp16 it stays
    as it is, as the range of bf16 doesn't fit. Buffers (rotary frequencies, position tables) are left alone.

    Raises:
        UserError: no such precision.
    """
    if precision not in PRECISIONS:
        raise UserError(f"precision is {precision!r}; expected one of {', '.join(PRECISIONS)}")
    frozen = {"bf16": torch.bfloat16, "fp32": torch.float32}.get(precision)
    for parameter in model.parameters():
        dtype = torch.float32 if parameter.requires_grad else frozen
        if parameter.is_floating_point() and dtype is not None:
            parameter.data = parameter.data.to(dtype)


def autocast(precision: str, device: torch.device) -> contextlib.AbstractContextManager:
    """The context in which a model of this precision computes."""
    dtype = _DTYPES.get(precision)
    return contextlib.nullcontext() if dtype is None else torch.autocast(device.type, dtype=dtype)


class PrecisionOptimWrapper(OptimWrapper):
    """mmengine's optimizer wrapper with autocast on any device, loss scaling for fp16, and clipping by norm.

    Args:
        optimizer: what steps.
        precision: ``"fp32"``, ``"bf16"`` or ``"fp16"``.
        device: of the model.
        accumulate: losses per step.
        grad_clip: largest gradient norm, or ``None``.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        precision: str,
        device: torch.device,
        accumulate: int = 1,
        grad_clip: float | None = None,
    ):
        if precision not in PRECISIONS:
            raise UserError(f"precision is {precision!r}; expected one of {', '.join(PRECISIONS)}")
        super().__init__(optimizer, accumulative_counts=accumulate)
        self.precision = precision
        self.device = device
        self.grad_clip = grad_clip
        self.grad_norm: float | None = None
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")

    def initialize_count_status(self, model: nn.Module, init_counts: int, max_counts: int) -> None:
        """Nothing to do: our loop makes whole steps, so passes never remain over."""

    @contextlib.contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast, and no exchange of gradients before the last accumulated pass."""
        with super().optim_context(model), autocast(self.precision, self.device):
            yield

    def backward(self, loss: torch.Tensor, **kwargs: Any) -> None:
        """Gradients of the (scaled) loss."""
        super().backward(self.scaler.scale(loss), **kwargs)

    def step(self, **kwargs: Any) -> None:
        """Clip and step; a step with non-finite gradients is skipped under fp16, as its loss scale adapts."""
        self.scaler.unscale_(self.optimizer)
        parameters = [p for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None]
        limit = self.grad_clip if self.grad_clip is not None else float("inf")
        norm = torch.nn.utils.clip_grad_norm_(parameters, limit)
        self.grad_norm = float(norm.full_tensor() if isinstance(norm, DTensor) else norm)
        self.scaler.step(self.optimizer, **kwargs)
        self.scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """The optimizer's state and the loss scale."""
        return {"optimizer": self.optimizer.state_dict(), "scaler": self.scaler.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Put back what :meth:`state_dict` gave."""
        self.optimizer.load_state_dict(state_dict["optimizer"])
        self.scaler.load_state_dict(state_dict["scaler"])
