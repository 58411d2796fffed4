"""How long a conversation is as training encodes it, and what its limit would cut off."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from word2mask.data.encode import Encoder, MediaPreparation
from word2mask.errors import UserError
from word2mask.text.special_tokens import SEG
from word2mask.types import Media, Sample


@dataclass(frozen=True)
class Length:
    """Of one conversation.

    Attributes:
        tokens: L of the whole, visual ones included.
        kept: tokens that remain within the limit; 0 where not even the first answer fits.
        kept_objects: ``[SEG]`` that remain.
    """

    tokens: int
    kept: int
    kept_objects: int


class LengthMeter:
    """Measures with the encoder's own encoding; picklable.

    Args:
        encoder: that training uses.

    Attributes:
        max_length: the limit.
        stops: whether training stops at a longer one; otherwise it drops the last questions.
    """

    def __init__(self, encoder: Encoder) -> None:
        processor = _ByShape(encoder.media_processor)
        self.max_length = encoder.max_length
        self.stops = encoder.overlong == "error"
        self._whole = Encoder(processor, None, sys.maxsize)
        self._cut = Encoder(processor, None, encoder.max_length, "drop_turns")

    def __call__(self, sample: Sample) -> Length:
        """The length of a training sample.

        Raises:
            UserError: it can't be encoded, however long it may be.
        """
        tokens = len(self._whole(sample).input_ids)
        if tokens <= self.max_length:
            return Length(tokens, tokens, sum(turn.text.count(SEG) for turn in sample.turns[1::2]))
        try:
            cut = self._cut(sample)
        except UserError:
            return Length(tokens, 0, 0)
        return Length(tokens, len(cut.input_ids), len(cut.seg_positions))

    def describe(self, length: Length, objects: int) -> str:
        """What happens to a sample that is too long, in one sentence."""
        text = f"{length.tokens} tokens, max_length is {self.max_length}: "
        if not length.kept:
            return text + "not even its first answer fits, so training stops here"
        if self.stops:
            return text + "training stops here (overlong='error')"
        lost = length.tokens - length.kept
        return text + f"its last questions are dropped, {lost} tokens and {objects - length.kept_objects} of its masks"


class _ByShape:
    """A media processor that prepares one picture of every shape: placeholder and grid depend on nothing else."""

    def __init__(self, processor: MediaPreparation) -> None:
        self._processor = processor
        self._seen: dict[tuple, Any] = {}
        self.tokenizer = processor.tokenizer
        self.template = processor.template
        self.context_token = processor.context_token

    def prepare_media(self, media: Media) -> Any:
        key = (media.kind, media.frames.shape)
        if key not in self._seen:
            self._seen[key] = replace(self._processor.prepare_media(media), tensors={})
        return self._seen[key]

    def region_cells(self, regions: np.ndarray, grid: tuple[int, int]) -> torch.Tensor:
        return self._processor.region_cells(regions, grid)
