"""The bridge from a state of the language model to a prompt of the segmenter."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from word2mask.models.pointer import Pointer, Scene

__all__ = ["CornerProjector", "PointingProjector", "Projector", "make_projector"]


class Projector(nn.Module):
    """Linear D→D, ReLU, Linear D→KC: the state at ``[SEG]`` becomes K prompt tokens.

    The form is LISA's (arXiv:2308.00692) and Sa2VA's (arXiv:2501.04001, ``text_hidden_fcs``), where K is 1.

    Args:
        hidden_size: D, width of the language model.
        prompt_dim: C, width of the segmenter's prompts.
        num_tokens: K. A frozen decoder reads two tokens as it reads a box, which says more of an object than a click.
    """

    def __init__(self, hidden_size: int, prompt_dim: int, num_tokens: int = 1) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.prompt_dim = prompt_dim
        self.num_tokens = num_tokens
        self.layers = nn.Sequential(
            nn.Linear(hidden_size, hidden_size), nn.ReLU(), nn.Linear(hidden_size, num_tokens * prompt_dim)
        )

    @torch.no_grad()
    def start_at(self, mean: torch.Tensor, std: torch.Tensor) -> None:
        """Draws the weights so that states of unit variance become tokens of the given mean and spread.

        With the statistics of the segmenter's own point prompts, a frozen decoder sees something like a point from the
        first step on. A projector that starts anywhere else may need ten times the steps.

        Args:
            mean: ``[C]``, or ``[K,C]`` where the tokens differ.
            std: likewise.
        """
        mean, std = (value.expand(self.num_tokens, -1).flatten() for value in (mean, std))
        first, last = self.layers[0], self.layers[2]
        nn.init.normal_(first.weight, std=self.hidden_size**-0.5)
        nn.init.zeros_(first.bias)
        # After the ReLU, a unit Gaussian has mean 1/√2π and variance 1/2 - 1/2π.
        nn.init.normal_(last.weight, std=((0.5 - 0.5 / math.pi) * self.hidden_size) ** -0.5)
        last.weight.mul_(std.to(last.weight)[:, None])
        offset = last.weight @ (first.weight.norm(dim=1) / math.sqrt(2 * math.pi))
        last.bias.copy_(mean.to(last.bias) - offset)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Prompts for the states at ``[SEG]``.

        Args:
            states: ``[N,D]``.

        Returns:
            ``[N,K,C]``: N objects, K prompt tokens each.
        """
        return self.layers(states).unflatten(1, (self.num_tokens, self.prompt_dim))


class CornerProjector(nn.Module):
    """Linear D→D, GELU, Linear D→4: the state at ``[SEG]`` becomes a box, and its corners two prompt tokens.

    The tokens are those that the segmenter itself makes of a box, so a frozen decoder is at home with every one of
    them, and what is to be learned are four numbers. For models that learn from hundreds of pictures; where there are
    millions, the free tokens of :class:`Projector` can say more than a box.

    Args:
        hidden_size: D, width of the language model.
        prompt_dim: C, width of the segmenter's prompts.

    Attributes:
        frequencies: ``[2,C/2]``, of the segmenter's code of places; not trained.
        corners: ``[2,C]``, what marks a token as first and second corner; not trained.
    """

    num_tokens = 2

    def __init__(self, hidden_size: int, prompt_dim: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.prompt_dim = prompt_dim
        self.layers = nn.Sequential(nn.Linear(hidden_size, hidden_size), nn.GELU(), nn.Linear(hidden_size, 4))
        self.register_buffer("frequencies", torch.zeros(2, prompt_dim // 2))
        self.register_buffer("corners", torch.zeros(2, prompt_dim))

    @torch.no_grad()
    def take_code(self, frequencies: torch.Tensor, corners: torch.Tensor) -> None:
        """Takes the segmenter's code of places (:meth:`word2mask.segmenters.interface.Segmenter.box_code`)."""
        self.frequencies.copy_(frequencies)
        self.corners.copy_(corners)

    def boxes(self, states: torch.Tensor) -> torch.Tensor:
        """States ``[N,D]`` → boxes float32 ``[N,4]``, (x1, y1, x2, y2) in shares of the segmenter's square."""
        middle, size = self.layers(states).float().sigmoid().split(2, dim=-1)
        return torch.cat([middle - size / 2, middle + size / 2], dim=-1)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Prompts ``[N,2,C]`` for the states ``[N,D]``."""
        places = 2 * self.boxes(states).unflatten(-1, (2, 2)) - 1
        angles = 2 * math.pi * (places @ self.frequencies.float())
        tokens = torch.cat([angles.sin(), angles.cos()], dim=-1) + self.corners.float()
        return tokens.to(self.corners.dtype)


class PointingProjector(CornerProjector):
    """A :class:`CornerProjector` that starts from where ``[SEG]`` points.

    What box an object has can be said by each visual token that shows it, and a picture has hundreds of them to learn
    it from; which of them a ``[SEG]`` means is one choice. The state at ``[SEG]`` has only to correct what they tell.
    For segmenters that stretch a frame to their square, as SAM 2: shares of the frame are then those of the square.

    Args:
        hidden_size: D, width of the language model.
        prompt_dim: C, width of the segmenter's prompts.
        grid: ``(h, w)``, of the visual tokens of a frame.
        layer: after how many of the language model's layers it points.
        own_boxes: see :class:`~word2mask.models.pointer.Pointer`.
    """

    def __init__(
        self, hidden_size: int, prompt_dim: int, grid: tuple[int, int], layer: int, own_boxes: bool = True
    ) -> None:
        super().__init__(hidden_size, prompt_dim)
        self.pointer = Pointer(hidden_size, grid, layer, own_boxes)
        # What the tokens tell stands at first.
        nn.init.zeros_(self.layers[2].weight)
        nn.init.zeros_(self.layers[2].bias)

    def rows(self, states: torch.Tensor, scene: Scene) -> torch.Tensor:
        """All that is to be known of N objects.

        Args:
            states: ``[N,D]``, last states of ``[SEG]``.
            scene: what the pointer reads.

        Returns:
            ``[N,D+4]``: the states, and the boxes that were pointed at.
        """
        return torch.cat([states, self.pointer(scene).to(states.dtype)], dim=-1)

    def no_rows(self, like: torch.Tensor) -> torch.Tensor:
        """:meth:`rows` of no object, ``[0,D+4]``."""
        return like.new_zeros(0, self.hidden_size + 4)

    def boxes(self, states: torch.Tensor) -> torch.Tensor:
        """:meth:`rows` ``[N,D+4]`` → boxes float32 ``[N,4]``, (x1, y1, x2, y2) in shares of the segmenter's square."""
        own, pointed = states.split([self.hidden_size, 4], dim=-1)
        first, last = pointed.float().split(2, dim=-1)
        start = torch.cat([(first + last) / 2, last - first], dim=-1).clamp(1e-3, 1 - 1e-3)
        middle, size = (torch.logit(start) + self.layers(own).float()).sigmoid().split(2, dim=-1)
        return torch.cat([middle - size / 2, middle + size / 2], dim=-1)


def make_projector(corners: bool = False, **settings: Any) -> Projector | CornerProjector:
    """The projector that a model's configuration describes.

    Args:
        corners: whether it is a :class:`CornerProjector`; a :class:`PointingProjector` where there is a ``layer``.
        **settings: its arguments.
    """
    if not corners:
        return Projector(**settings)
    return PointingProjector(**settings) if "layer" in settings else CornerProjector(**settings)
