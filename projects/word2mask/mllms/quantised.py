"""A language model's Linear layers in 4 or 8 bits, by bitsandbytes: for serving on a CUDA device."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from word2mask.errors import UserError
from word2mask.mllms.interface import MLLM

__all__ = ["quantise"]


def quantise(mllm: MLLM, bits: Literal[4, 8]) -> int:
    """Replaces every Linear of the language model but its head; in place, while it is on the CPU.

    The weights are quantised when the model goes to a CUDA device. 4 bits are NF4 with double quantisation
    (arXiv:2305.14314), 8 bits LLM.int8() (arXiv:2208.07339), as LISA loads them; vision tower, connector, embeddings
    and head stay as they are.

    Args:
        mllm: without adapters.
        bits: 4 or 8.

    Returns:
        How many layers were replaced.

    Raises:
        UserError: bitsandbytes isn't installed.
    """
    try:
        import bitsandbytes
    except ImportError:
        raise UserError(
            f"loading in {bits} bits needs the package bitsandbytes, which isn't installed; pip install -e '.[gpu]'"
        ) from None
    names = mllm.lora_targets()
    for name in names:
        parent, _, leaf = name.rpartition(".")
        layer = mllm.get_submodule(name)
        setattr(mllm.get_submodule(parent), leaf, _replaced(bitsandbytes.nn, layer, bits))
    return len(names)


def _replaced(library: object, layer: nn.Module, bits: int) -> nn.Module:
    """One layer, its weights not quantised yet."""
    weight, bias = layer.weight.data, layer.bias
    with torch.device("meta"):
        if bits == 4:
            new = library.Linear4bit(
                layer.in_features,
                layer.out_features,
                bias is not None,
                compute_dtype=weight.dtype,
                compress_statistics=True,
                quant_type="nf4",
            )
        else:
            new = library.Linear8bitLt(layer.in_features, layer.out_features, bias is not None, has_fp16_weights=False)
    if bits == 4:
        new.weight = library.Params4bit(weight, requires_grad=False, quant_type="nf4", compress_statistics=True)
    else:
        new.weight = library.Int8Params(weight, requires_grad=False, has_fp16_weights=False)
    new.bias = bias
    return new
