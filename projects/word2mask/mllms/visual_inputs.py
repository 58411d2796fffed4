"""What a language model reads where text and visual tokens are mixed, with positions and DeepStack features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass
class VisualTokens:
    """Merged visual tokens, P of them.

    Attributes:
        tokens: ``[P,D]``, for the places in the text.
        deepstack: ``[P,D]`` each, added to the states at these places after the first layers (DeepStack,
            arXiv:2406.04334); empty for Qwen2.5-VL.
    """

    tokens: torch.Tensor
    deepstack: Sequence[torch.Tensor] = ()


@dataclass
class MixedInputs:
    """What the language model reads.

    Attributes:
        embeddings: ``[B,L,D]``, visual tokens in their places.
        positions: int64 ``[3,B,L]``.
        places: bool ``[B,L]``, where visual tokens stand.
        counts: ``[B]``, how many.
        deepstack: ``[P,D]`` each.
    """

    embeddings: torch.Tensor
    positions: torch.Tensor
    places: torch.Tensor
    counts: list[int]
    deepstack: Sequence[torch.Tensor]

    def part(self, rows: list[int], width: int) -> MixedInputs:
        """Some rows, cut to the first ``width`` tokens, which hold all of their visual ones."""
        split = [feature.split(self.counts) for feature in self.deepstack]
        return MixedInputs(
            embeddings=self.embeddings[rows, :width],
            positions=self.positions[:, rows, :width],
            places=self.places[rows, :width],
            counts=[self.counts[row] for row in rows],
            deepstack=[torch.cat([feature[row] for row in rows]) for feature in split],
        )

    @property
    def visual(self) -> dict[str, Any]:
        """What the language model takes besides, in a pass over visual tokens."""
        if not (self.deepstack and any(self.counts)):
            return {}
        return {"visual_pos_masks": self.places, "deepstack_visual_embeds": self.deepstack}
