"""How boxes agree: the measures that boxes are learned and judged by."""

from __future__ import annotations

import torch

__all__ = ["box_overlaps"]


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
