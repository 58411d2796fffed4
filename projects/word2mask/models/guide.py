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

from word2mask.models.pointer import Pointer, Scene
from word2mask.ops.boxes import box_distance, shares_of
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
    """The losses, and the heads where the projector has none.

    Args:
        plan: weights of their losses.
        pointer: the heads, if they go when training is over; ``None`` where the projector has them.
    """

    def __init__(self, plan: GuidePlan, pointer: Pointer | None) -> None:
        super().__init__()
        self.plan, self.pointer = plan, pointer

    def forward(
        self, heads: Pointer, scenes: Sequence[Scene], masks: Sequence[torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Losses of the samples of a batch that have objects.

        Args:
            heads: own ones, or the projector's.
            scenes: what is read of each.
            masks: per sample bool ``[N,T,H,W]``, of the frames that the language model sees.

        Returns:
            ``loss_point`` and ``loss_token_box``, weighted means over ``[SEG]`` and over tokens of objects, with their
            numbers as ``count_…``; ``point_hit``, the share of ``[SEG]`` whose first choice shows the object.
        """
        points, told, hits = [], [], []
        for scene, mask in zip(scenes, masks, strict=True):
            shares = functional.adaptive_avg_pool2d(mask.float(), heads.grid).flatten(2)  # [N,T,hw]
            covered = shares.flatten(1)
            if covered.shape[1] != len(scene.tokens):
                raise ValueError(
                    f"{len(scene.tokens)} visual tokens, but masks of {mask.shape[1]} frames of {heads.grid}; a guide "
                    "is for samples without marked regions"
                )
            scores = heads.scores(scene)
            seen = covered.sum(1) > 0
            truth = covered[seen] / covered[seen].sum(1, keepdim=True)
            points.append(functional.cross_entropy(scores[seen], truth, reduction="none"))
            best = scores[seen].argmax(1, keepdim=True)
            hits.append((covered[seen].gather(1, best) > 0.1)[:, 0].float())
            told.append(_how_wrong(heads.told(scene), shares, mask))
        results = {}
        for name, weight, parts in (
            ("point", self.plan.point_weight, points),
            ("token_box", self.plan.box_weight, told),
        ):
            each = torch.cat(parts)
            # A sum, as a batch may have nothing to learn from, of which there is no mean.
            results[f"loss_{name}"] = weight * each.sum() / max(1, len(each))
            results[f"count_{name}"] = torch.tensor(len(each), device=each.device)
        results["point_hit"] = torch.cat(hits).mean()
        return results


def _how_wrong(told: torch.Tensor, shares: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """How far the boxes that tokens tell are from their objects', for the M tokens that show one: ``[M]``."""
    boxes = shares_of(masks)
    most, owner = shares.max(0)  # [T,hw]
    shown = most >= LEAST_SHARE
    frames = torch.arange(len(most), device=most.device)[:, None].expand_as(owner)
    return box_distance(told[shown.flatten()], boxes[owner[shown], frames[shown]])
