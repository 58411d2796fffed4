"""The bridge from a state of the language model to a prompt of the segmenter."""

from __future__ import annotations

import math

import torch
from torch import nn

__all__ = ["Projector"]


class Projector(nn.Module):
    """Linear D→D, ReLU, Linear D→C: the state at ``[SEG]`` becomes one prompt token.

    The form is LISA's (arXiv:2308.00692) and Sa2VA's (arXiv:2501.04001, ``text_hidden_fcs``).

    Args:
        hidden_size: D, width of the language model.
        prompt_dim: C, width of the segmenter's prompts.
        prompt_statistics: mean and standard deviation over the segmenter's own point prompts, each a float or
            ``[C]``. When given, the last layer starts out making tokens of that mean and spread, so that a frozen
            decoder sees something like a point from the first step on. ``None`` keeps torch's default initialisation,
            as in the published recipe.
    """

    def __init__(
        self,
        hidden_size: int,
        prompt_dim: int,
        prompt_statistics: tuple[torch.Tensor | float, torch.Tensor | float] | None = None,
    ) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.prompt_dim = prompt_dim
        self.layers = nn.Sequential(nn.Linear(hidden_size, hidden_size), nn.ReLU(), nn.Linear(hidden_size, prompt_dim))
        if prompt_statistics is not None:
            self._start_at(*prompt_statistics)

    @torch.no_grad()
    def _start_at(self, mean: torch.Tensor | float, std: torch.Tensor | float) -> None:
        """Independent states of unit variance then become tokens of the wanted mean and spread."""
        first, last = self.layers[0], self.layers[2]
        nn.init.normal_(first.weight, std=self.hidden_size**-0.5)
        nn.init.zeros_(first.bias)
        # After the ReLU, a unit Gaussian has mean 1/√2π and variance 1/2 - 1/2π.
        nn.init.normal_(last.weight, std=((0.5 - 0.5 / math.pi) * self.hidden_size) ** -0.5)
        last.weight.mul_(torch.as_tensor(std, dtype=last.weight.dtype).expand(self.prompt_dim)[:, None])
        offset = last.weight @ (first.weight.norm(dim=1) / math.sqrt(2 * math.pi))
        last.bias.copy_(torch.as_tensor(mean, dtype=last.bias.dtype).expand(self.prompt_dim) - offset)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Prompts for the states at ``[SEG]``.

        Args:
            states: ``[N,D]``.

        Returns:
            ``[N,1,C]``: N objects, one prompt token each.
        """
        return self.layers(states).unsqueeze(1)
