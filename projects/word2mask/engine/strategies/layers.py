"""Which parts of a model the processes of a run may split, and what makes batches of different kinds agree.

ZeRO-3 and FSDP keep a slice of the weights on every process and gather a module's weights when it is called. That is an
exchange, and all processes must make the same exchanges in the same order. But which parts a batch passes depends on
the batch: one without media never sees the vision tower, one without masks never sees projector and segmenter. So:

* the *layers* of the language model, which every batch passes once and in the same order, are gathered one by one;
* what trains outside of them is gathered once at the start of every pass, by all, whether the batch needs it or not;
* what is frozen outside of them (vision tower, segmenter) stays whole on every process.

Nothing is computed for the sake of agreement, and no batch needs a pretend picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from word2mask.engine.adapter import ModelAdapter


def passed_layers(model: nn.Module) -> list[nn.Module]:
    """The layers that every batch passes once: the largest list of equal layers in the language model.

    Args:
        model: with ``parameter_groups()`` that name an ``"llm"``; any other model has none.
    """
    groups = model.parameter_groups() if hasattr(model, "parameter_groups") else {}
    lists = [
        list(module)
        for module in (groups["llm"].modules() if "llm" in groups else ())
        if isinstance(module, nn.ModuleList) and len({type(layer) for layer in module}) == 1
    ]
    sizes = [sum(parameter.numel() for layer in layers for parameter in layer.parameters()) for layers in lists]
    return lists[sizes.index(max(sizes))] if lists else []


def outside(module: nn.Module, layers: Sequence[nn.Module]) -> Iterator[tuple[str, nn.Parameter]]:
    """``named_parameters`` of ``module`` without those of ``layers``."""
    within = {id(parameter) for layer in layers for parameter in layer.parameters()}
    for name, parameter in module.named_parameters():
        if id(parameter) not in within:
            yield name, parameter


class _Gate(torch.autograd.Function):
    """Hands tensors through unchanged; backward, hands all their gradients through together, zeros for the unused."""

    @staticmethod
    def forward(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(tensor.view_as(tensor) for tensor in tensors)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[torch.Tensor, ...], output: tuple[torch.Tensor, ...]) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return gradients


class SharedView(nn.Module):
    """What DeepSpeed is given in place of the model: the layers, and what trains outside of them; nothing else.

    DeepSpeed hooks every module that it sees, and it sums gradients over processes in the order in which they arrive on
    each, without a check: processes whose batches take different ways would add the gradient of one parameter to that
    of another. Here all gradients from outside of the layers pass one gate, which comes first in the forward pass and
    therefore last in the backward pass: they arrive together, in one order, as zeros where a batch has not used them.

    Args:
        adapter: the model; called, but hidden from ``modules()``.
        layers: see :func:`passed_layers`; children of this module.
    """

    def __init__(self, adapter: ModelAdapter, layers: Sequence[nn.Module]):
        super().__init__()
        self._hidden = (adapter,)
        self.layers = nn.ModuleList(layers)
        trained = [(name, parameter) for name, parameter in outside(adapter, layers) if parameter.requires_grad]
        self.names = [name for name, _ in trained]
        for index, (_, parameter) in enumerate(trained):
            self.register_parameter(f"gated_{index}", parameter)

    @property
    def module(self) -> ModelAdapter:
        """The model's adapter."""
        return self._hidden[0]

    def train(self, mode: bool = True) -> SharedView:
        """As the model does it."""
        self.training = mode
        self.module.train(mode)
        return self

    def forward(self, batch: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The adapter's, with every gated parameter in the graph."""
        gated = [getattr(self, f"gated_{index}") for index in range(len(self.names))]
        values = dict(zip(self.names, _Gate.apply(*gated), strict=True)) if gated else {}
        loss, log = torch.func.functional_call(self.module, values, (batch,))
        if values:
            # One empty slice keeps the gate itself in the graph of a batch that uses nothing of it.
            loss = loss + next(iter(values.values())).reshape(-1)[:0].sum().to(loss)
        return loss, log
