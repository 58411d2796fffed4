"""Boxes of masks, and how boxes agree: the measures that boxes are learned and judged by."""

from __future__ import annotations

import torch

__all__ = ["box_overlaps", "boxes_of"]


def box_overlaps(first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """IoU and generalised IoU (Rezatofighi et al., 2019) of boxes ``[K,4]`` pair by pair."""
    top = torch.maximum(first[:, :2], second[:, :2])
    bottom = torch.minimum(first[:, 2:], second[:, 2:])
    inter = (bottom - top).clamp(min=0).prod(dim=1)
    union = _area(first) + _area(second) - inter
    hull = (torch.maximum(first[:, 2:], second[:, 2:]) - torch.minimum(first[:, :2], second[:, :2])).prod(dim=1)
    iou = inter / union.clamp(min=1e-6)
    return iou, iou - (hull - union) / hull.clamp(min=1e-6)


def _area(boxes: torch.Tensor) -> torch.Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(dim=1)


def boxes_of(masks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The boxes around masks, from the middle of the first pixel to that of the last.

    Args:
        masks: bool ``[N,T,H,W]``.

    Returns:
        float32 ``[N,T,4]``, (x1, y1, x2, y2) in pixels, and bool ``[N,T]``, where there is one.
    """
    edges = []
    for axis in (2, 3):
        line = masks.any(axis).int()  # [N,T,W], then [N,T,H]
        edges.append((line.argmax(-1), line.shape[-1] - 1 - line.flip(-1).argmax(-1)))
    (x1, x2), (y1, y2) = edges
    return torch.stack([x1, y1, x2, y2], dim=-1).float(), masks.flatten(2).any(2)
