"""Weights of a grounded model, part by part, on their way into it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch

from word2mask.mllms.weights import Piece

__all__ = ["GroundedWeights", "PartWeights"]


@dataclass
class PartWeights:
    """Weights of one part.

    Attributes:
        pieces: what goes where in the part's transformers model.
        dtype: that the model is to have, unless somebody asks for another.
    """

    pieces: Iterable[Piece]
    dtype: torch.dtype


@dataclass
class GroundedWeights:
    """All weights of a model; those of the large parts are read when they are placed.

    Attributes:
        mllm: of the language model with vision.
        segmenter: of the segmenter.
        projector: of the projector.
        original_decoder: of the mask decoder as it was before it was trained, if it was.
    """

    mllm: PartWeights
    segmenter: PartWeights
    projector: dict[str, torch.Tensor]
    original_decoder: dict[str, torch.Tensor] = field(default_factory=dict)
