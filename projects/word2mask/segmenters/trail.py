"""What N objects left behind on each frame while they were followed, kept so that a frame can be corrected later."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from word2mask.segmenters.sam2_memory import MemoryFrame

__all__ = ["Trail"]


class Trail:
    """Memories and mask logits of frames, as :meth:`word2mask.segmenters.tracker.Tracker.track` passes them.

    Key frames are always kept; the others as they come, as long as there is room. A frame whose neighbours weren't kept
    is looked at with what is there.

    Args:
        limit: bytes of all that is kept of frames other than key frames.

    Attributes:
        keys: memories of the key frames.
        frames: memories of other frames.
        mask_logits: float ``[N,S/4,S/4]`` of either.
        max_pointers: the span of object pointers.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.bytes = 0
        self.keys: dict[int, MemoryFrame] = {}
        self.frames: dict[int, MemoryFrame] = {}
        self.mask_logits: dict[int, torch.Tensor] = {}
        self.max_pointers = 0

    def begin(
        self, keys: Mapping[int, MemoryFrame], mask_logits: Mapping[int, torch.Tensor], max_pointers: int
    ) -> None:
        """The key frames, before any other."""
        self.keys, self.mask_logits = dict(keys), dict(mask_logits)
        self.max_pointers = max_pointers

    def add(self, t: int, memory: MemoryFrame, mask_logits: torch.Tensor) -> None:
        """Another frame, if there is room."""
        tensors = (memory.features, memory.pointers, mask_logits)
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        if self.bytes + size <= self.limit:
            self.bytes += size
            self.frames[t], self.mask_logits[t] = memory, mask_logits

    def of(self, row: int) -> Trail:
        """One object's; it shares the memory."""
        own = Trail(self.limit)
        own.keys, own.frames = (
            {
                t: MemoryFrame(memory.features[row : row + 1], memory.pointers[row : row + 1])
                for t, memory in kept.items()
            }
            for kept in (self.keys, self.frames)
        )
        own.mask_logits = {t: logits[row : row + 1] for t, logits in self.mask_logits.items()}
        own.bytes, own.max_pointers = self.bytes, self.max_pointers
        return own
