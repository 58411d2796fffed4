"""Pairs of object and frame in the order in which a mask decoder takes them."""

from __future__ import annotations

import torch

__all__ = ["pairs_by_frame"]


def pairs_by_frame(frame_index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Pairs that share a frame side by side, so that the decoder copies the frame's features once and not before.

    Args:
        frame_index: int64 ``[P]``.

    Returns:
        The frames int64 ``[F]`` and their pairs ``[F,N]`` where each frame has as many, else ``[P]`` and ``[P,1]``.
    """
    frames, owner, counts = frame_index.unique(return_inverse=True, return_counts=True)
    if (counts != counts[0]).any():
        return frame_index, torch.arange(len(frame_index), device=frame_index.device)[:, None]
    return frames, owner.argsort(stable=True).view(len(frames), -1)
