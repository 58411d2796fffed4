"""Losses of a predicted mask against its ground truth: cross entropy, dice, and the points where they are taken.

Pure functions. Every function works on **positions**: a mask given as ``[N,P]`` or ``[N,h,w]`` is N masks of P = h·w
positions, so the same code serves dense masks and sampled points. ``void`` is true where a position doesn't count.
Losses come back per mask (``[N]``); the caller averages.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch.nn import functional

__all__ = ["Border", "dice_loss", "mask_cross_entropy", "sample_points", "sample_uncertain_points"]

#: What lies outside a map.
Border = Literal["border", "zeros"]


def _flatten(logits: torch.Tensor, target: torch.Tensor, void: torch.Tensor | None) -> tuple[torch.Tensor, ...]:
    """``[N,P]`` logits, float targets and weights (1 where a position counts)."""
    if logits.shape != target.shape:
        raise ValueError(f"mask logits {tuple(logits.shape)} and target {tuple(target.shape)} differ in shape")
    if void is not None and void.shape != logits.shape:
        raise ValueError(f"void {tuple(void.shape)} and mask logits {tuple(logits.shape)} differ in shape")
    logits = logits.flatten(1).float()
    target = target.flatten(1).to(logits.dtype)
    weight = torch.ones_like(logits) if void is None else (~void.flatten(1)).to(logits.dtype)
    return logits, target, weight


def dice_loss(
    logits: torch.Tensor, target: torch.Tensor, void: torch.Tensor | None = None, eps: float = 1.0
) -> torch.Tensor:
    """Dice loss of V-Net (arXiv:1606.04797, eq. 3), the "naive" form: sums of probabilities, not of their squares.

    ``1 - (2 Σ p·t + eps) / (Σ p + Σ t + eps)``, with p the sigmoid of the logit.

    Args:
        logits: ``[N,P]`` or ``[N,h,w]``, any float type; computed in float32.
        target: same shape, bool or float in 0…1 (a share of area is allowed).
        void: bool, same shape, or ``None``.
        eps: keeps empty masks finite; 1.0 is the published recipe's value.

    Returns:
        ``[N]`` in 0…1.
    """
    logits, target, weight = _flatten(logits, target, void)
    probability = logits.sigmoid() * weight
    target = target * weight
    intersection = (probability * target).sum(1)
    return 1 - (2 * intersection + eps) / (probability.sum(1) + target.sum(1) + eps)


def mask_cross_entropy(logits: torch.Tensor, target: torch.Tensor, void: torch.Tensor | None = None) -> torch.Tensor:
    """Sigmoid cross entropy, averaged over the positions that count.

    Args:
        logits: ``[N,P]`` or ``[N,h,w]``, any float type; computed in float32.
        target: same shape, bool or float in 0…1.
        void: bool, same shape, or ``None``.

    Returns:
        ``[N]``; 0 for a mask that is void everywhere.
    """
    logits, target, weight = _flatten(logits, target, void)
    loss = functional.binary_cross_entropy_with_logits(logits, target, reduction="none") * weight
    return loss.sum(1) / weight.sum(1).clamp_min(1)


def sample_points(
    values: torch.Tensor, points: torch.Tensor, mode: str = "bilinear", border: Border = "border"
) -> torch.Tensor:
    """Values of N maps at P points each; the outer half pixel repeats the border, so nothing fades to 0 there.

    Args:
        values: ``[N,h,w]``, float (cast bool before).
        points: ``[N,P,2]`` as (x, y) in 0…1, where 0 and 1 are the outer borders of the map.
        mode: ``"bilinear"`` or ``"nearest"``.
        border: ``"zeros"`` fades to 0 in the outer half pixel, as the published loss does.

    Returns:
        ``[N,P]``.
    """
    grid = 2 * points.unsqueeze(2) - 1
    sampled = functional.grid_sample(
        values.unsqueeze(1), grid.to(values.dtype), mode=mode, padding_mode=border, align_corners=False
    )
    return sampled[:, 0, :, 0]


@torch.no_grad()
def sample_uncertain_points(
    logits: torch.Tensor,
    num_points: int = 12544,
    oversample: float = 3.0,
    importance: float = 0.75,
    void: torch.Tensor | None = None,
    generator: torch.Generator | None = None,
    border: Border = "border",
) -> torch.Tensor:
    """Points for a mask loss, most of them where the prediction is undecided (PointRend, arXiv:1912.08193, §3.2).

    ``oversample · num_points`` candidates are drawn evenly; of them the ``importance`` share of ``num_points`` with
    the smallest |logit| are kept, and the rest is filled up with fresh even draws. The defaults are Mask2Former's
    (arXiv:2112.01527) and Sa2VA's (arXiv:2501.04001).

    Args:
        logits: ``[N,h,w]``.
        num_points: P, points kept per mask.
        oversample: candidates per kept point, at least 1.
        importance: share of the kept points chosen by uncertainty, 0…1.
        void: bool ``[N,h',w']``, any resolution: candidates inside it are chosen last.
        generator: source of randomness, on the device of ``logits``.
        border: as in :func:`sample_points`.

    Returns:
        ``[N,P,2]`` as (x, y) in 0…1.
    """
    if oversample < 1 or not 0 <= importance <= 1:
        raise ValueError(f"oversample must be >= 1 and importance in 0..1, got {oversample} and {importance}")
    num_masks, device = logits.shape[0], logits.device
    num_candidates = int(num_points * oversample)
    num_uncertain = int(num_points * importance)
    candidates = torch.rand(num_masks, num_candidates, 2, device=device, generator=generator)
    uncertainty = -sample_points(logits.float(), candidates, border=border).abs()
    if void is not None:
        in_void = sample_points(void.float(), candidates, mode="nearest") > 0.5
        uncertainty = uncertainty.masked_fill(in_void, float("-inf"))
    chosen = uncertainty.topk(num_uncertain, dim=1).indices
    uncertain = candidates.gather(1, chosen.unsqueeze(-1).expand(-1, -1, 2))
    even = torch.rand(num_masks, num_points - num_uncertain, 2, device=device, generator=generator)
    return torch.cat([uncertain, even], dim=1)
