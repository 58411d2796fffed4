"""FSDP by torch's ``fully_shard``: every process keeps a slice of weights, gradients and optimizer state."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from mmengine._strategy import DDPStrategy
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from word2mask.engine.distributed import rank_and_size
from word2mask.engine.strategies.base import Sharing, check_groups, refuse_fp16
from word2mask.engine.strategies.layers import outside, passed_layers
from word2mask.mllms.lengths import one_group


class FullySharded(Sharing, DDPStrategy):
    """The language model's layers one by one, what trains beside them together, the rest whole.

    In bf16, weights are gathered in bf16 and computed with, while the slices that are updated, and the sum of gradients
    over processes, are fp32. Gradients are exchanged in every accumulated pass, since keeping them whole until the last
    would take the memory that this strategy is chosen to save.
    """

    def _wrap_model(self, model: nn.Module) -> nn.Module:
        refuse_fp16(self.settings)
        layers = self.layers = passed_layers(model.model)
        kept = {parameter for _, parameter in outside(model, layers) if not parameter.requires_grad}
        for parameter in kept:
            parameter.data = parameter.data.to(self.device)
        reduced = (torch.bfloat16, torch.float32) if self.settings.precision == "bf16" else (None, None)
        options = {
            "mesh": init_device_mesh(self.device.type, (rank_and_size()[1],)),
            "mp_policy": MixedPrecisionPolicy(*reduced, cast_forward_inputs=False),
        }
        for layer in layers:
            fully_shard(layer, **options)
        fully_shard(model, ignored_params=kept, **options)
        model.passed = layers
        model.around = one_group
        return model

    def whole(self, tensor: torch.Tensor) -> torch.Tensor:
        """The value, put together from the slices."""
        tensor = tensor.detach()
        return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor

    def optimizer_state(self) -> dict[str, Any]:
        """As of one process; the tensors are on rank 0 only."""
        content = self.optim_wrapper.state_dict()
        is_first = rank_and_size()[0] == 0
        state: dict[int, dict[str, Any]] = {}
        for index, values in content["optimizer"]["state"].items():
            pieces = {name: self.whole(value).cpu() for name, value in values.items()}
            if is_first:
                state[index] = pieces
        return {**content, "optimizer": {**content["optimizer"], "state": state}}

    def load_optimizer_state(self, state: dict[str, Any]) -> None:
        """Each process takes its slices."""
        groups = [group["params"] for group in self.optim_wrapper.optimizer.param_groups]
        check_groups(state["optimizer"]["param_groups"], groups)
        parameters = [parameter for group in groups for parameter in group]
        sliced = {
            index: {name: _slice_like(value, parameters[index]) for name, value in values.items()}
            for index, values in state["optimizer"]["state"].items()
        }
        self.optim_wrapper.load_state_dict({**state, "optimizer": {**state["optimizer"], "state": sliced}})

    @contextlib.contextmanager
    def gathered(self) -> Iterator[None]:
        """Gathers everything once and keeps it."""
        parts = [module for module in self.model.modules() if isinstance(module, FSDPModule)]
        for part in parts:
            part.unshard()
        for layer in self.layers:
            layer.set_reshard_after_forward(False, recurse=False)
        try:
            yield
        finally:
            for layer in self.layers:
                layer.set_reshard_after_forward(True, recurse=False)
            for part in parts:
                part.reshard()


def _slice_like(value: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """A whole value of the optimizer's state, distributed as the parameter is; anything of another shape as it is."""
    if not isinstance(parameter, DTensor) or value.shape != parameter.shape:
        return value
    # Every process has read the same file, so nothing needs to be sent.
    value = value.to(parameter.device)
    return distribute_tensor(value, parameter.device_mesh, parameter.placements, src_data_rank=None)
