"""Matrix products of float32 on processors where torch's own are slow.

torch multiplies float32 matrices by Intel's MKL, which keeps its AVX-512 kernels for Intel's processors; on others it
falls back to AVX2. oneDNN, which torch brings along, has no such rule: on an AMD EPYC with AVX-512 its products take
half the time and less. Same precision, another order of sums. torch calls it for bfloat16 and convolutions alone, so
the linear layers of a model are pointed to it here, by :func:`use_onednn`. Elsewhere nothing changes.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from word2mask.errors import UserError

__all__ = [
    "OneDNNLinear",
    "attention_by_rows",
    "attention_pays",
    "linear",
    "onednn_is_faster",
    "products",
    "use_onednn",
]

#: "0" and "1" decide what :func:`onednn_is_faster` would see for itself.
SWITCH = "WORD2MASK_ONEDNN"

#: Rows from which on it pays: fewer are bound by reading the weights, and preparing those costs more.
FEWEST_ROWS = 32

#: Multiplications from which on it pays: oneDNN builds code for each shape, and keeps up to a megabyte of it.
FEWEST_MULTIPLICATIONS = 1 << 24

#: Numbers of rows between a power of two and the next one that there is code for; others are filled up with zeros.
SIZES_AN_OCTAVE = 8

#: Inputs from which on the weights' gradient is faster, too: it sums over rows, which oneDNN has to turn over.
FEWEST_INPUTS = 256


#: Keys from which on attention is faster as two products.
FEWEST_KEYS = 512

#: Scores that are written out at a time: 4 MB.
SCORES = 1 << 20


@functools.cache
def onednn_is_faster() -> bool:
    """Whether this machine's processor is one that MKL slows down: AVX-512, and not Intel's.

    Raises:
        UserError: the environment variable ``WORD2MASK_ONEDNN`` is set, and neither "0" nor "1".
    """
    asked = os.environ.get(SWITCH, "")
    if asked not in ("", "0", "1"):
        raise UserError(f'{SWITCH}={asked}: expected "0" (never), "1" (always), or nothing at all')
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return False
    if asked:
        return asked == "1"
    wide = torch.backends.mkl.is_available() and torch.backends.cpu.get_cpu_capability() == "AVX512"
    return wide and _vendor() not in ("", "GenuineIntel")


def _vendor() -> str:
    """What the processor says of its maker; empty where Linux's /proc isn't."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("vendor_id")), "")


def linear(inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """``inputs @ weight.T + bias``, with gradients; by oneDNN where that is faster.

    Args:
        inputs: float ``[…,K]``.
        weight: float ``[N,K]``.
        bias: float ``[N]``.
    """
    if not _pays(inputs, weight):
        return F.linear(inputs, weight, bias)
    if torch.is_grad_enabled() and any(part is not None and part.requires_grad for part in (inputs, weight, bias)):
        return _Linear.apply(inputs, weight, bias)
    return _product(inputs, weight, bias)


def products(inputs: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """``inputs @ weights.mT`` of many pairs of matrices, with gradients.

    Args:
        inputs: float ``[…,M,K]``.
        weights: float ``[…,N,K]``, as many.

    Returns:
        float ``[…,M,N]``.
    """
    if not _pays(inputs[(0,) * (inputs.ndim - 2)], weights):
        return inputs @ weights.mT
    pairs = zip(inputs.flatten(0, -3), weights.flatten(0, -3), strict=True)
    return torch.stack([linear(*pair) for pair in pairs]).unflatten(0, inputs.shape[:-2])


def attention_pays(query: torch.Tensor, key: torch.Tensor) -> bool:
    """Whether :func:`attention_by_rows` is faster than torch's fused kernel here; never where a gradient is needed."""
    return not torch.is_grad_enabled() and key.shape[-2] >= FEWEST_KEYS and _pays(query, key)


def attention_by_rows(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> torch.Tensor:
    """Attention as two products, a few rows of queries at a time; without gradients, where :func:`attention_pays`.

    Args:
        query: float32 ``[B,H,L,d]``.
        key: float32 ``[B,H,S,d]``.
        value: float32 ``[B,H or 1,S,e]``, one for all heads or one for each.
        scale: of the scores.

    Returns:
        float32 ``[B,H,L,e]``.
    """
    out = query.new_empty(*query.shape[:3], value.shape[-1])
    rows = max(FEWEST_ROWS, SCORES // key.shape[2])
    for queries, keys, values, read in zip(query, key, value, out, strict=True):
        turned = values.mT.contiguous()
        for head in range(len(queries)):
            own, told = keys[head].contiguous(), turned[head if len(turned) > 1 else 0]
            for asked, place in zip(queries[head].split(rows), read[head].split(rows), strict=True):
                place.copy_(_product(_product(asked * scale, own).softmax(dim=-1), told))
    return out


def _pays(inputs: torch.Tensor, weight: torch.Tensor) -> bool:
    return (
        not torch.compiler.is_compiling()
        and inputs.device.type == "cpu"
        and inputs.dtype == weight.dtype == torch.float32
        and inputs.numel() >= FEWEST_ROWS * inputs.shape[-1]
        and inputs.numel() * weight.shape[-2] >= FEWEST_MULTIPLICATIONS
        and onednn_is_faster()
        and not torch.is_autocast_enabled("cpu")
    )


def _product(
    inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None, gelu: bool = False
) -> torch.Tensor:
    # oneDNN takes weights row by row or turned over; for any other stride it has slow reference code alone.
    if not weight.is_contiguous() and not weight.t().is_contiguous():
        weight = weight.contiguous()
    rows = inputs.reshape(-1, inputs.shape[-1])
    step = max(1, 2 ** (len(rows).bit_length() - 1) // SIZES_AN_OCTAVE)
    missing = -len(rows) % step
    filled = F.pad(rows, (0, 0, 0, missing)) if missing else rows.contiguous()
    after: tuple[str, list[float], str] = ("gelu", [], "none") if gelu else ("none", [], "")
    return torch.ops.mkldnn._linear_pointwise(filled, weight, bias, *after)[: len(rows)].unflatten(0, inputs.shape[:-1])


class _Linear(torch.autograd.Function):
    """:func:`_product` with its gradients, which are products as well."""

    @staticmethod
    def forward(ctx: Any, inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        needs_inputs, needs_weight, _ = ctx.needs_input_grad
        ctx.save_for_backward(inputs if needs_weight else None, weight if needs_inputs else None)
        return _product(inputs, weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        inputs, weight = ctx.saved_tensors
        needs_inputs, needs_weight, needs_bias = ctx.needs_input_grad
        rows = gradient.flatten(0, -2)
        of_inputs = _product(gradient, weight.t()) if needs_inputs else None
        of_weight = None
        if needs_weight:
            read = inputs.flatten(0, -2)
            many = read.shape[1] >= FEWEST_INPUTS
            of_weight = _product(rows.t(), read.t()) if many else rows.t() @ read
        return of_inputs, of_weight, rows.sum(0) if needs_bias else None


class OneDNNLinear(nn.Linear):
    """torch's linear layer, by way of :func:`linear`."""

    def forward(self, inputs: torch.Tensor, gelu: bool = False) -> torch.Tensor:
        """``[…,K]`` to ``[…,N]``; with ``gelu`` its exact GELU, in one pass where nothing needs a gradient."""
        if gelu and not torch.is_grad_enabled() and _pays(inputs, self.weight):
            return _product(inputs, self.weight, self.bias, gelu=True)
        states = linear(inputs, self.weight, self.bias)
        return F.gelu(states) if gelu else states


def use_onednn(module: nn.Module) -> None:
    """Makes every linear layer within a module an :class:`OneDNNLinear`, in place, where oneDNN is faster.

    Layers of classes of their own (quantised ones, say) stay as they are; no weight is touched.
    """
    if onednn_is_faster():
        for layer in module.modules():
            if type(layer) is nn.Linear:
                layer.__class__ = OneDNNLinear
