"""Pointing: which visual tokens a ``[SEG]`` means, and what box they tell of the object that they show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from word2mask.ops.boxes import box_overlaps, boxes_around, cell_middles

__all__ = ["Pointer", "Scene", "exchanges", "whole_frames"]

#: Tokens whose boxes overlap the best one's at least this much tell of the same object.
SAME_OBJECT = 0.5
#: Of cosines between words and visual tokens, at first: of 5, 10, 15, 20, 30 and 40 what told objects of photographs
#: best, with a connector pretrained by names and before the language model learned anything.
SHARPNESS = 10.0
#: How fast the mean of visual tokens follows those that are seen in training.
MOMENTUM = 0.02
#: Before training, a word counts nearly as it is.
OPEN = 3.0


@dataclass
class Scene:
    """What a pointer reads of one sample.

    Attributes:
        segs: ``[N,D]``, normed states of its ``[SEG]`` in the middle of the language model.
        tokens: ``[V,D]``, those of the visual tokens of all frames.
        words: ``[W,D]``, those of the words.
        asked: bool ``[N,W]``, which of the words belong to the exchange of each ``[SEG]``.
        looks: ``[V,D]``, visual tokens as they enter the language model, from their mean, of length 1.
        names: ``[W,D]``, the words likewise, from the same mean.
        boxes: float32 ``[V,4]``, what boxes the tokens tell as they enter the language model, if they do.
    """

    segs: torch.Tensor
    tokens: torch.Tensor
    words: torch.Tensor
    asked: torch.Tensor
    looks: torch.Tensor
    names: torch.Tensor
    boxes: torch.Tensor | None = None


class Pointer(nn.Module):
    """Heads on states in the middle of the language model, where ``[SEG]`` has read the question and visual tokens
    know their surroundings.

    Beside what these states say, a token is meant that looks like a word of the question: a connector that was
    pretrained by names (:class:`word2mask.models.naming.ConnectorNaming`) brings both together before the language
    model has learned to look, which takes a model that never saw a picture long. Each word's state says whether it
    names what is meant, or what that stands beside.

    Args:
        hidden_size: D.
        grid: ``(h, w)``, of the visual tokens of a frame.
        layer: after how many of the language model's layers.
        own_boxes: whether a head reads the tokens' boxes here, for MLLMs whose tokens don't tell them themselves.

    Attributes:
        centre: ``[D]``, running mean of visual tokens; zeros until the first ones are seen.
    """

    def __init__(self, hidden_size: int, grid: tuple[int, int], layer: int, own_boxes: bool = True) -> None:
        super().__init__()
        self.grid, self.layer = (grid[0], grid[1]), layer
        self.query, self.key = nn.Linear(hidden_size, hidden_size), nn.Linear(hidden_size, hidden_size)
        self.box = None
        if own_boxes:
            self.box = nn.Sequential(nn.Linear(hidden_size, hidden_size), nn.GELU(), nn.Linear(hidden_size, 4))
        self.counts = nn.Linear(hidden_size, 1)
        nn.init.zeros_(self.counts.weight)
        nn.init.constant_(self.counts.bias, OPEN)
        self.sharpness = nn.Parameter(torch.tensor(SHARPNESS))
        self.trust = nn.Parameter(torch.zeros(4))
        self.register_buffer("centre", torch.zeros(hidden_size))
        self.register_buffer("places", cell_middles(self.grid), persistent=False)

    def scene(
        self,
        middle: torch.Tensor,
        embedded: torch.Tensor,
        segs: torch.Tensor,
        visual: torch.Tensor,
        asked: torch.Tensor,
        boxes: torch.Tensor | None = None,
    ) -> Scene:
        """What is read of one sample; in training the mean of visual tokens follows.

        Args:
            middle: ``[L,D]``, states in the middle of the language model.
            embedded: ``[L,D]``, its inputs.
            segs: int64 ``[N]``, where its ``[SEG]`` stand.
            visual: bool ``[L]``, where visual tokens stand.
            asked: bool ``[N,L]``, where the words of each one's exchange stand.
            boxes: what the visual tokens tell, if they do.
        """
        normed = functional.layer_norm(middle.float(), middle.shape[-1:])
        if self.training and visual.any():
            own = embedded[visual].detach().float().mean(0)
            self.centre.lerp_(own.to(self.centre.dtype), MOMENTUM if self.centre.any() else 1.0)
        directions = functional.normalize(embedded.float() - self.centre.float(), dim=-1)
        words = asked.any(0)
        return Scene(
            *(normed[segs], normed[visual], normed[words], asked[:, words], directions[visual], directions[words]),
            boxes,
        )

    def scores(self, scene: Scene) -> torch.Tensor:
        """How much each of N ``[SEG]`` means each of V tokens: ``[N,V]``."""
        scores = self.query(scene.segs) @ self.key(scene.tokens).T / scene.tokens.shape[-1] ** 0.5
        if not scene.asked.any():
            return scores
        likeness = torch.sigmoid(self.counts(scene.words)) * (scene.names @ scene.looks.T)  # [W,V]
        own = likeness.expand(len(scores), -1, -1).masked_fill(~scene.asked[..., None], -1.0)
        return scores + self.sharpness * own.amax(dim=1)

    def told(self, scene: Scene) -> torch.Tensor:
        """The boxes that the V tokens tell: float32 ``[V,4]``, (x1, y1, x2, y2) in shares of the frame."""
        if self.box is None:
            return scene.boxes
        return boxes_around(self._places(len(scene.tokens)), self.box(scene.tokens))

    def forward(self, scene: Scene) -> torch.Tensor:
        """Boxes of what N ``[SEG]`` mean: float32 ``[N,4]``, (x1, y1, x2, y2) in shares of the frame; all of it where
        there is no frame.

        Of the tokens that agree with the one that is meant most: between what they tell, and as far as they reach.
        """
        if not len(scene.tokens) or not len(scene.segs):
            return torch.tensor([[0.0, 0.0, 1.0, 1.0]], device=scene.segs.device).expand(len(scene.segs), -1)
        boxes = self.told(scene)
        shares = self.scores(scene).float().softmax(dim=-1)
        best = shares.argmax(dim=-1)
        pairs = boxes[best][:, None].expand(-1, len(boxes), -1), boxes.expand(len(best), -1, -1)
        overlap, _ = box_overlaps(*(side.reshape(-1, 4) for side in pairs))
        cells = len(self.places)
        frames = torch.arange(len(boxes), device=boxes.device) // cells
        agree = (overlap.unflatten(0, shares.shape) >= SAME_OBJECT) & (frames == frames[best][:, None])
        weights = shares * agree
        weights = weights / weights.sum(dim=-1, keepdim=True)
        trust = self.trust.sigmoid()
        return trust * (weights @ boxes) + (1 - trust) * self._reach(weights)

    def _reach(self, weights: torch.Tensor) -> torch.Tensor:
        """The boxes whose tokens, weighed alike, would have the mean and spread of these ``[N,V]``: ``[N,4]``."""
        places = self._places(weights.shape[1])
        mean = weights @ places
        cell = torch.tensor([1 / self.grid[1], 1 / self.grid[0]], device=places.device)
        # Each token is as wide as its cell.
        variance = (weights @ places.square() - mean.square()).clamp(min=0) + cell.square() / 12
        half = (3 * variance).sqrt()
        return torch.cat([mean - half, mean + half], dim=-1)

    def _places(self, count: int) -> torch.Tensor:
        """The middles of so many tokens ``[V,2]``, (x, y) in shares of the frame."""
        return self.places.repeat(count // len(self.places), 1)


def exchanges(ids: torch.Tensor, segs: torch.Tensor, turn_start: Sequence[int]) -> torch.Tensor:
    """Where the question to each answer's ``[SEG]``, and the answer up to it, stand.

    Args:
        ids: int64 ``[L]``.
        segs: int64 ``[N]``, where the ``[SEG]`` stand.
        turn_start: the tokens with which a user's turn begins.

    Returns:
        bool ``[N,L]``.
    """
    places = torch.arange(len(ids), device=ids.device)
    width = len(turn_start)
    if width and len(ids) >= width:
        starts = (ids.unfold(0, width, 1) == torch.tensor(turn_start, device=ids.device)).all(1).nonzero()[:, 0] + width
    else:
        starts = segs.new_zeros(0)
    first = torch.where(starts <= segs[:, None], starts, 0).amax(1) if len(starts) else torch.zeros_like(segs)
    return (places >= first[:, None]) & (places < segs[:, None])


def whole_frames(visual: torch.Tensor, cells: int) -> torch.Tensor:
    """Where the visual tokens of frames stand, without those that are said once more of marked regions.

    Args:
        visual: bool ``[L]``, where visual tokens stand; something stands between two frames.
        cells: visual tokens of a frame.

    Returns:
        bool ``[L]``.
    """
    begins = visual & ~torch.cat([visual.new_zeros(1), visual[:-1]])
    runs = begins.long().cumsum(0) * visual  # 0 where there is none, else its number
    return visual & (torch.bincount(runs)[runs] == cells)
