"""The bridge from a state of the language model to a prompt of the segmenter."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["Projector"]


class Projector(nn.Module):
    """Linear D→D, ReLU, Linear D→C: the state at ``[SEG]`` becomes one prompt token.

    The form is LISA's (arXiv:2308.00692) and Sa2VA's (arXiv:2501.04001, ``text_hidden_fcs``).

    Args:
        hidden_size: D, width of the language model.
        prompt_dim: C, width of the segmenter's prompts.
    """

    def __init__(self, hidden_size: int, prompt_dim: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.prompt_dim = prompt_dim
        self.layers = nn.Sequential(nn.Linear(hidden_size, hidden_size), nn.ReLU(), nn.Linear(hidden_size, prompt_dim))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Prompts for the states at ``[SEG]``.

        Args:
            states: ``[N,D]``.

        Returns:
            ``[N,1,C]``: N objects, one prompt token each.
        """
        return self.layers(states).unsqueeze(1)
