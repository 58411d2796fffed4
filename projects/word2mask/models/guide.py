"""Guidance of training by what masks say of visual tokens: which of them a ``[SEG]`` means, and where each one's
object begins and ends. The heads are thrown away afterwards.

A language model that was never taught to look has to find out from the prompts of a few ``[SEG]`` alone that it is to
look, at which tokens, and what to read there. Masks answer the first two outright, and for every token of an object
the third. Asked in a middle layer, so that the layers above can fetch what was found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from word2mask.losses.boxes import box_overlaps, boxes_of
from word2mask.ops.masks import LEAST_SHARE

__all__ = ["Guide", "GuidePlan"]


@dataclass(frozen=True)
class GuidePlan:
    """How training is guided.

    Attributes:
        layer: after how many of the language model's layers.
        point_weight: of the cross entropy between the tokens that a ``[SEG]`` points at and those that its object
            covers.
        box_weight: of the box that each visual token of an object tells of it: 1 - GIoU plus five times the mean
            distance of the edges.
    """

    layer: int
    point_weight: float = 1.0
    box_weight: float = 1.0


class Guide(nn.Module):
    """The heads.

    Args:
        plan: weights of their losses.
        hidden_size: D.
        grid: ``(h, w)``, of the visual tokens of a frame.
    """

    def __init__(self, plan: GuidePlan, hidden_size: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.plan, self.grid = plan, grid
        self.query, self.key = nn.Linear(hidden_size, hidden_size), nn.Linear(hidden_size, hidden_size)
        self.box = nn.Sequential(nn.Linear(hidden_size, hidden_size), nn.GELU(), nn.Linear(hidden_size, 4))
        rows, columns = ((torch.arange(size) + 0.5) / size for size in grid)
        places = torch.stack([columns.expand(grid), rows[:, None].expand(grid)], dim=-1)
        self.register_buffer("places", torch.logit(places.flatten(0, 1)), persistent=False)

    def forward(
        self, middle: torch.Tensor, visual: torch.Tensor, segs: Sequence[torch.Tensor], masks: Sequence[torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Losses of the samples of a batch that have objects.

        Args:
            middle: ``[B,L,D]``, states in the middle of the language model.
            visual: bool ``[B,L]``, where visual tokens stand.
            segs: per sample int64 ``[N]``, where its ``[SEG]`` stand.
            masks: per sample bool ``[N,T,H,W]``, of the frames that the language model sees.

        Returns:
            ``loss_point`` and ``loss_token_box``, weighted means over ``[SEG]`` and over tokens of objects, with their
            numbers as ``count_…``; ``point_hit``, the share of ``[SEG]`` whose first choice shows the object.
        """
        middle = functional.layer_norm(middle.float(), middle.shape[-1:])
        points, told, hits = [], [], []
        for states, places, seg, mask in zip(middle, visual, segs, masks, strict=True):
            tokens = states[places]
            shares = functional.adaptive_avg_pool2d(mask.float(), self.grid).flatten(2)  # [N,T,hw]
            covered = shares.flatten(1)
            if covered.shape[1] != len(tokens):
                raise ValueError(
                    f"{len(tokens)} visual tokens, but masks of {mask.shape[1]} frames of {self.grid}; a guide is for "
                    "samples without marked regions"
                )
            scores = self.query(states[seg]) @ self.key(tokens).T / tokens.shape[-1] ** 0.5
            seen = covered.sum(1) > 0
            truth = covered[seen] / covered[seen].sum(1, keepdim=True)
            points.append(functional.cross_entropy(scores[seen], truth, reduction="none"))
            best = scores[seen].argmax(1, keepdim=True)
            hits.append((covered[seen].gather(1, best) > 0.1)[:, 0].float())
            told.append(self._told(tokens, shares, mask))
        results = {}
        for name, weight, parts in (
            ("point", self.plan.point_weight, points),
            ("token_box", self.plan.box_weight, told),
        ):
            each = torch.cat(parts)
            # A sum, as a batch may have nothing to learn from, of which there is no mean.
            results[f"loss_{name}"] = weight * each.sum() / max(1, len(each))
            results[f"count_{name}"] = torch.tensor(len(each), device=middle.device)
        results["point_hit"] = torch.cat(hits).mean()
        return results

    def _told(self, tokens: torch.Tensor, shares: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """How far the boxes that tokens tell are from their objects', for the M tokens that show one: ``[M]``."""
        inner, _ = boxes_of(masks)  # [N,T,4], up to the last pixel, not around it
        height, width = masks.shape[-2:]
        scale = torch.tensor([width, height, width, height], device=masks.device)
        boxes = (inner + torch.tensor([0.0, 0.0, 1.0, 1.0], device=masks.device)) / scale
        most, owner = shares.max(0)  # [T,hw]
        shown = most >= LEAST_SHARE
        frames = torch.arange(len(most), device=most.device)[:, None].expand_as(owner)
        truth = boxes[owner[shown], frames[shown]]
        places = self.places.repeat(len(most), 1)[shown.flatten()]
        numbers = self.box(tokens[shown.flatten()]).float()
        middle, size = torch.sigmoid(places + 0.5 * numbers[:, :2]), torch.sigmoid(numbers[:, 2:] - 1)
        predicted = torch.cat([middle - size / 2, middle + size / 2], dim=-1)
        return 1 - box_overlaps(predicted, truth)[1] + 5 * (predicted - truth).abs().mean(dim=1)
