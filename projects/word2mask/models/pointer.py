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
#: Before training, how much less a token is meant that tells the very box that an earlier ``[SEG]`` meant.
AGAIN = 4.0
#: What is known of a token's box (:func:`_geometry`), and of how it lies to another (:func:`_relations`).
GEOMETRY, RELATIONS = 6, 4


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
    names what is meant, or what that stands beside. Where an object lies, how large it is and how it lies to what a
    word names are read from the boxes that tokens tell; the states have only to say what is wanted of them. And a
    ``[SEG]`` means nothing that an earlier one of its answer meant.

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
        # What a state wants of places and sizes, and of how they lie to what the words name that stand for something
        # beside.
        self.wants, self.word_wants = (nn.Linear(hidden_size, GEOMETRY + RELATIONS) for _ in range(2))
        self.matters, self.beside = nn.Linear(hidden_size, 1, bias=False), nn.Linear(hidden_size, 1)
        for layer in (self.wants, self.word_wants, self.matters, self.beside):
            nn.init.zeros_(layer.weight)
        for layer in (self.wants, self.word_wants, self.beside):
            nn.init.zeros_(layer.bias)
        self.beside_sharpness = nn.Parameter(torch.tensor(2 * SHARPNESS))
        self.again = nn.Parameter(torch.tensor(AGAIN))
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
        """How much each of N ``[SEG]`` means each of V tokens: float32 ``[N,V]``."""
        scores = (self.query(scene.segs) @ self.key(scene.tokens).T / scene.tokens.shape[-1] ** 0.5).float()
        if not scores.numel():
            return scores
        boxes = self.told(scene).detach().float()
        wants = self.wants(scene.segs).float()
        if scene.asked.any():
            likeness = (scene.names @ scene.looks.T).float()  # [W,V]
            scores = scores + self.sharpness * self._most_like(self.counts(scene.words), likeness, scene.asked)
            matters = self.matters(scene.words).float().T.masked_fill(~scene.asked, -1e4)
            wants = wants + (matters.softmax(dim=-1) * scene.asked) @ self.word_wants(scene.words).float()
            gates = self.beside(scene.words)
            open_most = torch.where(scene.asked, gates.sigmoid()[:, 0].float(), 0.0).amax(dim=1)
            near = self.beside_sharpness * self._most_like(gates, likeness, scene.asked)
            scores = scores + open_most[:, None] * self._relations(wants[:, GEOMETRY:], near, boxes)
        scores = scores + wants[:, :GEOMETRY] @ _geometry(boxes).T
        return self._nothing_twice(scores, scene.asked, boxes)

    @staticmethod
    def _most_like(gates: torch.Tensor, likeness: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
        """Of the words of each exchange, the most like each token, counted as its gate is open: ``[N,V]``."""
        counted = torch.sigmoid(gates.float()) * likeness
        return counted.expand(len(asked), -1, -1).masked_fill(~asked[..., None], -1.0).amax(dim=1)

    def _relations(self, wants: torch.Tensor, near: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
        """What is wanted ``[N,4]`` of how tokens lie to what ``near [N,V]`` means on their frame: ``[N,V]``."""
        cells = len(self.places)
        shares = near.unflatten(1, (-1, cells)).softmax(dim=-1)  # [N,T,hw]
        anchors = torch.einsum("ntc,tcd->ntd", shares, boxes.unflatten(0, (-1, cells)))
        lie = _relations(boxes.unflatten(0, (-1, cells))[None], anchors[:, :, None])  # [N,T,hw,4]
        return torch.einsum("nr,ntcr->ntc", wants, lie).flatten(1)

    def _nothing_twice(self, scores: torch.Tensor, asked: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
        """Less for what an earlier ``[SEG]`` of the same answer means."""
        if not asked.any():
            return scores
        first = asked.int().argmax(dim=1).tolist()  # an exchange is where its words begin
        rows: list[torch.Tensor] = []
        for place, own in enumerate(scores):
            taken = [boxes[rows[other].argmax()] for other in range(place) if first[other] == first[place]]
            for box in taken:
                own = own - self.again * box_overlaps(boxes, box.expand_as(boxes))[0]
            rows.append(own)
        return torch.stack(rows)

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
        shares = self.scores(scene).softmax(dim=-1)
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


def _geometry(boxes: torch.Tensor) -> torch.Tensor:
    """Where boxes ``[…,4]`` lie, how large they are and how wide for their height, each about -1 to 1: ``[…,6]``."""
    first, last = boxes.split(2, dim=-1)
    middle, size = first + last - 1, (last - first).clamp(min=1e-3).log()
    area, shape = size.sum(dim=-1, keepdim=True) / 2 + 1, (size[..., :1] - size[..., 1:]) / 2
    return torch.cat([middle, middle.square(), area, shape], dim=-1)


def _relations(boxes: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """From the middles of others ``[…,4]`` to those of boxes ``[…,4]``: (x, y), how far, and how far from edge to
    edge; in shares of the frame, doubled: ``[…,4]``."""
    way = boxes[..., :2] + boxes[..., 2:] - others[..., :2] - others[..., 2:]
    gap = torch.maximum(boxes[..., :2] - others[..., 2:], others[..., :2] - boxes[..., 2:]).clamp(min=0)
    # The root of zero has no slope.
    far, apart = ((side.square().sum(dim=-1, keepdim=True) + 1e-6).sqrt() for side in (way, 2 * gap))
    return torch.cat([way, far, apart], dim=-1)


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
