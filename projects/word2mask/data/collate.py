"""Examples → batch: text is padded on the right; media and objects are concatenated or kept in lists, never padded."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.utils.rnn import pad_sequence

from word2mask.text.special_tokens import IGNORE_INDEX
from word2mask.types import Batch, Example


def collate(examples: Sequence[Example], pad_id: int) -> Batch:
    """Puts examples side by side.

    Args:
        examples: B of them, all with labels (training) or all without (serving).
        pad_id: the tokenizer's padding token.

    Raises:
        ValueError: no example, or some with labels and some without.
    """
    if not examples:
        raise ValueError("a batch needs one example at least")
    labelled = [example for example in examples if example.labels is not None]
    if labelled and len(labelled) != len(examples):
        raise ValueError(f"{len(labelled)} of {len(examples)} examples have labels; training and serving don't mix")
    keys = list(dict.fromkeys(key for example in examples for key in example.mllm_media))
    return Batch(
        names=[example.name for example in examples],
        tasks=[example.task for example in examples],
        input_ids=pad_sequence([e.input_ids for e in examples], batch_first=True, padding_value=pad_id),
        attention_mask=pad_sequence([torch.ones_like(e.input_ids) for e in examples], batch_first=True),
        labels=pad_sequence([e.labels for e in labelled], batch_first=True, padding_value=IGNORE_INDEX)
        if labelled
        else None,
        seg_positions=[example.seg_positions for example in examples],
        mllm_media={key: _joined([e.mllm_media[key] for e in examples if key in e.mllm_media]) for key in keys},
        segmenter_frames=[example.segmenter_frames for example in examples],
        masks=[example.masks for example in examples],
        void=[example.void for example in examples],
        region_cells=[example.region_cells for example in examples],
        num_frames=[example.num_frames for example in examples],
    )


def _joined(parts: list[torch.Tensor]) -> torch.Tensor:
    """Tensors one after another; a single one, which may be large, isn't copied."""
    return parts[0] if len(parts) == 1 else torch.cat(parts)
