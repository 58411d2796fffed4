"""Floating-point operations of a step: counted as they run, and what share of the device's peak they are.

Counted are matrix products, convolutions and fused attention, by torch's own formulas
(:mod:`torch.utils.flop_counter`): two operations a multiply-add; a fused attention as if nothing were masked, and its
backward pass, which computes the scores again, as two and a half times its forward pass. Everything else (norms,
activations, the optimizer) isn't: it is a small part of the operations, though not of the time. What gradient
checkpointing computes a second time isn't counted either, as is usual for MFU (Chowdhery et al., 2022,
arXiv:2204.02311, appendix B); frozen parts count for what they do. Kernels that torch has no formula for (the package
flash-attn, compiled ones) are missed, and the numbers are then too low.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop, sdpa_flop

#: Dense TFLOP/s in bf16 and fp16 by the name that CUDA gives the device, from NVIDIA's data sheets (A100, H100, H200,
#: L40S; those with sparsity halved). Other devices and precisions: ``log.peak_tflops``.
PEAK_TFLOPS = {
    "NVIDIA A100-PCIE-40GB": 312.0,
    "NVIDIA A100 80GB PCIe": 312.0,
    "NVIDIA A100-SXM4-40GB": 312.0,
    "NVIDIA A100-SXM4-80GB": 312.0,
    "NVIDIA H100 PCIe": 756.0,
    "NVIDIA H100 80GB HBM3": 989.4,
    "NVIDIA H200": 989.4,
    "NVIDIA L40S": 362.05,
}

_aten = torch.ops.aten


def _linear_flop(inputs: torch.Tensor, *_: Any, out_val: torch.Tensor, **__: Any) -> int:
    """Of oneDNN's linear layer (:mod:`word2mask.ops.linear`)."""
    return 2 * out_val.numel() * inputs.shape[-1]


_FORMULAS = {
    **flop_registry,
    # The kernels of a CPU, which torch's table leaves out.
    _aten._scaled_dot_product_flash_attention_for_cpu: sdpa_flop,
    _aten._scaled_dot_product_flash_attention_for_cpu_backward: sdpa_backward_flop,
    **({torch.ops.mkldnn._linear_pointwise: _linear_flop} if hasattr(torch.ops.mkldnn, "_linear_pointwise") else {}),
}


class OperationCount(TorchDispatchMode):
    """Inside, the operations of forward and backward passes are added up; they compute what they always do.

    Attributes:
        operations: so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0
        self._is_forward = False

    @contextlib.contextmanager
    def forward(self) -> Iterator[None]:
        """A forward pass: outside of it only backward passes count, so that the optimizer doesn't."""
        self._is_forward = True
        try:
            yield
        finally:
            self._is_forward = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        formula = _FORMULAS.get(func._overloadpacket)
        if formula is not None and self._counts():
            self.operations += formula(*args, **kwargs, out_val=result)
        return result

    def _counts(self) -> bool:
        # A backward pass computes without gradients; where they are on within it, checkpointing computes again.
        is_backward = torch._C._current_graph_task_id() != -1
        return not torch.is_grad_enabled() if is_backward else self._is_forward


class OperationMeter:
    """Counts the operations of one step out of many, which stand for all.

    Args:
        interval: optimizer steps from one that is counted to the next, the first one included; 0 counts none.
    """

    def __init__(self, interval: int) -> None:
        self.interval = interval
        self.counted: list[int] = []

    @contextlib.contextmanager
    def step(self, number: int) -> Iterator[OperationCount | None]:
        """The ``number``-th step since the run began or went on, counted when it is its turn."""
        if not self.interval or number % self.interval:
            yield None
            return
        with OperationCount() as count:
            yield count
        self.counted.append(count.operations)

    def per_step(self) -> float | None:
        """Mean operations of a step on this process; ``None`` when none was counted."""
        return sum(self.counted) / len(self.counted) if self.counted else None


def peak_tflops(device: torch.device, precision: str, given: float | None) -> float | None:
    """The device's peak, as the user gives it or as its maker does; ``None`` when it isn't known.

    Args:
        device: of this process.
        precision: of the run.
        given: ``log.peak_tflops``.
    """
    if given is not None:
        return given
    if device.type != "cuda" or precision not in ("bf16", "fp16"):
        return None
    return PEAK_TFLOPS.get(torch.cuda.get_device_name(device))
