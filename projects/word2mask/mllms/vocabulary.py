"""The special tokens in a language model's vocabulary: rows of its embeddings and head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedModel

from word2mask.text.special_tokens import RELATED_TOKENS, SPECIAL_TOKENS


def add_grounding_tokens(model: PreTrainedModel, tokenizer: Any) -> None:
    """Adds the special tokens that the tokenizer lacks, with rows in embeddings and head; in place.

    A new row starts from the related token of the base model (``[SEG]`` from ``<box>``, ``<p>`` from ``<ref>``) where
    the tokenizer has it as an added token, else from the mean of the rows in use. Rows that the model has beyond the
    tokenizer's length are used first, and stay.

    Args:
        model: with ``get_input_embeddings()`` and ``lm_head``.
        tokenizer: the model's.
    """
    add_tokens(model, tokenizer, SPECIAL_TOKENS)


def add_tokens(model: PreTrainedModel, tokenizer: Any, tokens: Sequence[str]) -> None:
    """The same for any tokens."""
    known = tokenizer.get_added_vocab()
    new = [token for token in tokens if token not in known]
    if not new:
        return
    used = len(tokenizer)
    tokenizer.add_tokens(new, special_tokens=True)
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    with torch.no_grad():
        for weight in {id(m): m.weight for m in (model.get_input_embeddings(), model.lm_head)}.values():
            mean = weight[:used].float().mean(dim=0)
            for token in new:
                related = known.get(RELATED_TOKENS.get(token, ""))
                row = mean if related is None else weight[related].float()
                weight[tokenizer.convert_tokens_to_ids(token)] = row.to(weight.dtype)
