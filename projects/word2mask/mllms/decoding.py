"""What greedy decoding needs around a language model, whatever its family."""

from __future__ import annotations

from typing import Any

import torch

from word2mask.text.templates import ChatTemplate


class StopRule:
    """Says when an answer ends: at a stop token, or when its text ends in a stop string.

    Some published checkpoints stop at strings that their tokenizer has no token for (``phi3_chat`` on Qwen's), so a
    string of several tokens is recognised in the decoded tail.
    """

    def __init__(self, tokenizer: Any, template: ChatTemplate) -> None:
        encoded = {stop: tokenizer.encode(stop, add_special_tokens=False) for stop in template.stop}
        self._tokenizer = tokenizer
        self.token_ids = {ids[0] for ids in encoded.values() if len(ids) == 1}
        if tokenizer.eos_token_id is not None:
            self.token_ids.add(tokenizer.eos_token_id)
        self._strings = [stop for stop, ids in encoded.items() if len(ids) > 1]
        self._tail = 2 * max((len(ids) for ids in encoded.values()), default=1)

    def stop_length(self, ids: list[int]) -> int | None:
        """Number of tokens of the answer ``ids`` without its stop, or ``None`` when it goes on."""
        if ids and ids[-1] in self.token_ids:
            return len(ids) - 1
        start = max(0, len(ids) - self._tail)
        for stop in self._strings:
            text = self._tokenizer.decode(ids[start:])
            if text.endswith(stop):
                length = len(ids)
                while length > start and len(self._tokenizer.decode(ids[start:length])) > len(text) - len(stop):
                    length -= 1
                return length
        return None


def left_padded(
    input_ids: torch.Tensor, attention_mask: torch.Tensor, pad_id: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Moves right padding to the left, so that all prompts end in the same column.

    Args:
        input_ids: int64 ``[B,L]``, padded on the right.
        attention_mask: int64 ``[B,L]``.
        pad_id: the padding token.

    Returns:
        ``input_ids``, ``attention_mask`` and ``position_ids``, each ``[B,L]``; positions count real tokens from 0.
    """
    lengths = attention_mask.sum(dim=1)
    width = input_ids.shape[1]
    columns = torch.arange(width, device=input_ids.device)[None] - (width - lengths)[:, None]
    mask = (columns >= 0).long()
    ids = torch.where(mask.bool(), input_ids.gather(1, columns.clamp(min=0)), pad_id)
    return ids, mask, columns.clamp(min=0)


def is_right_padded(attention_mask: torch.Tensor) -> bool:
    """Whether every row of ``[B,L]`` is real tokens first and padding after them."""
    return bool((attention_mask[:, 1:] <= attention_mask[:, :-1]).all())
