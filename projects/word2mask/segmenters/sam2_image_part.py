"""The image part of a SAM 2 alone, as browsers and telephones run it: it segments pictures and has no memory."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from transformers import Sam2VideoConfig, Sam2VideoModel

__all__ = ["HAS_NO_MEMORY", "is_image_part", "with_blank_memory"]

#: In transformers' configuration, beside its own settings: the model was read without a memory.
HAS_NO_MEMORY = "has_no_memory"

#: Where a model's memory is, in Meta's names.
_MEMORY = ("memory_attention.", "memory_encoder.", "obj_ptr_proj.")
#: What such a file leaves out, in transformers' names: the memory, and the score for an object's being there.
_LEFT_OUT = (
    "memory_attention.",
    "memory_encoder.",
    "object_pointer_proj.",
    "mask_downsample.",
    "memory_temporal_positional_encoding",
    "no_memory_positional_encoding",
    "no_object_pointer",
)
_SCORE = "mask_decoder.pred_obj_score_head."
#: The score's logit where nobody was asked: the object is there.
_CERTAIN = 10.0


def is_image_part(names: Iterable[str]) -> bool:
    """Whether tensors with Meta's names are a SAM 2 without a memory, rather than one that lost a tensor of it."""
    return not any(name.startswith(_MEMORY) for name in names)


def with_blank_memory(state: dict[str, torch.Tensor], config: Sam2VideoConfig) -> dict[str, torch.Tensor]:
    """The state of a ``Sam2VideoModel`` with zeros for the memory, which nothing asks, and objects always there.

    Anything else that the state lacks is left missing, for the reader to name.

    Args:
        state: of the image part.
        config: of the whole; it is marked, so that the segmenter doesn't offer to track.
    """
    setattr(config, HAS_NO_MEMORY, True)
    with torch.device("meta"):
        whole = Sam2VideoModel(config).state_dict()
    blank = {
        name: torch.zeros(tensor.shape)
        for name, tensor in whole.items()
        if name not in state and name.startswith((*_LEFT_OUT, _SCORE))
    }
    if f"{_SCORE}proj_out.bias" in blank:
        blank[f"{_SCORE}proj_out.bias"].fill_(_CERTAIN)
    return state | blank
