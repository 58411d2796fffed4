"""Boxes: around masks, how they agree, and as the cells of a grid tell them."""

from __future__ import annotations

import torch

__all__ = ["box_distance", "box_overlaps", "boxes_around", "boxes_of", "cell_middles", "shares_of"]


def box_overlaps(first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """IoU and generalised IoU (Rezatofighi et al., 2019) of boxes ``[K,4]`` pair by pair."""
    top = torch.maximum(first[:, :2], second[:, :2])
    bottom = torch.minimum(first[:, 2:], second[:, 2:])
    inter = (bottom - top).clamp(min=0).prod(dim=1)
    union = _area(first) + _area(second) - inter
    hull = (torch.maximum(first[:, 2:], second[:, 2:]) - torch.minimum(first[:, :2], second[:, :2])).prod(dim=1)
    iou = inter / union.clamp(min=1e-6)
    return iou, iou - (hull - union) / hull.clamp(min=1e-6)


def box_distance(predicted: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """What boxes ``[K,4]`` in shares of a picture are learned by: 1 - GIoU plus five times the mean distance of edges.

    Returns:
        ``[K]``.
    """
    return 1 - box_overlaps(predicted, truth)[1] + 5 * (predicted - truth).abs().mean(dim=1)


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


def shares_of(masks: torch.Tensor) -> torch.Tensor:
    """The boxes around masks in shares of the picture, around the pixels: bool ``[N,T,H,W]`` → float32 ``[N,T,4]``."""
    boxes, _ = boxes_of(masks)
    height, width = masks.shape[-2:]
    scale = torch.tensor([width, height, width, height], device=masks.device)
    return (boxes + torch.tensor([0.0, 0.0, 1.0, 1.0], device=masks.device)) / scale


def cell_middles(grid: tuple[int, int]) -> torch.Tensor:
    """The middles of a grid's cells, row by row: ``[hw,2]``, (x, y) in shares of the frame."""
    rows, columns = ((torch.arange(size) + 0.5) / size for size in grid)
    return torch.stack([columns.expand(grid), rows[:, None].expand(grid)], dim=-1).flatten(0, 1)


def boxes_around(places: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    """Boxes whose middles are told from where a cell lies, and whose sizes start at about a quarter of the frame.

    Args:
        places: ``[…,2]`` of :func:`cell_middles`.
        numbers: ``[…,4]``, of a head; all zeros are a box around the cell itself.

    Returns:
        float32 ``[…,4]``, (x1, y1, x2, y2) in shares of the frame.
    """
    shift, size = numbers.float().split(2, dim=-1)
    middle, size = torch.sigmoid(torch.logit(places.float()) + 0.5 * shift), torch.sigmoid(size - 1)
    return torch.cat([middle - size / 2, middle + size / 2], dim=-1)
