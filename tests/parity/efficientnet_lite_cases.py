"""Weights and pictures of the EfficientNet-Lite parity, a pure function of names: nothing of them is stored."""

from __future__ import annotations

import zlib

import torch

SIZE, SIDE, PICTURES = 2, 64, 2


def filled(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Values for the tensor of this name; variances above zero."""
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    values = torch.randn(tensor.shape, generator=generator)
    if name.endswith("num_batches_tracked"):
        return torch.zeros_like(tensor)
    if name.endswith("running_var"):
        return 1 + 0.1 * values.abs()
    if tensor.ndim == 4:  # keeps activations near unit scale, whatever the fan-in
        return values * (2 / tensor[0].numel()) ** 0.5
    return 1 + 0.1 * values if name.endswith("weight") else 0.1 * values


def pixels() -> torch.Tensor:
    return torch.randn(PICTURES, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
