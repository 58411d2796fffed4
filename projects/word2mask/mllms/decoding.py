"""Greedy decoding with a transformers language model, whatever its family; it knows no media and no template."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from transformers import DynamicCache

from word2mask.mllms.interface import Generated, SegState
from word2mask.text.templates import ChatTemplate


@dataclass
class Prompts:
    """A batch of prompts, embedded, which all end in the last column.

    Attributes:
        embeddings: ``[B,L,D]``, visual tokens in their places.
        attention_mask: int64 ``[B,L]``, padding on the left.
        position_ids: int64 ``[B,L]``, or ``[3,B,L]`` where positions have several axes; the last column is text, so
            that the next token stands one further along every axis.
        first_pass: what else the language model is given with the prompts, and not with the tokens that follow.
    """

    embeddings: torch.Tensor
    attention_mask: torch.Tensor
    position_ids: torch.Tensor
    first_pass: Mapping[str, Any] = field(default_factory=dict)


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


@torch.no_grad()
def greedy_answers(
    language_model: nn.Module,
    embed: nn.Module,
    logits: Callable[[torch.Tensor], torch.Tensor],
    rule: StopRule,
    prompts: Prompts,
    max_new_tokens: int,
    state_id: int | None,
    seg_state: SegState = "at",
) -> Generated:
    """Continues a batch of prompts with the likeliest token each time.

    Args:
        language_model: a transformers decoder without head: embeddings in, states after the final norm out.
        embed: token ids → embeddings.
        logits: ``[B,D]`` → ``[B,V]``.
        rule: when an answer ends.
        prompts: what to continue.
        max_new_tokens: upper limit of each answer.
        state_id: the token whose states are wanted; ``None`` for none.
        seg_state: the state ``"at"`` each such token or just ``"before"`` it.

    Raises:
        ValueError: the layers checkpoint gradients, and so would forget what they have read.
    """
    if language_model.training and getattr(language_model, "is_activation_checkpointing", False):
        raise ValueError("the model is training with gradient checkpointing; call eval() before it is to answer")
    embeddings, mask, positions = prompts.embeddings, prompts.attention_mask, prompts.position_ids
    extra: Mapping[str, Any] = prompts.first_pass
    cache = DynamicCache(config=language_model.config)
    answers: list[list[int]] = [[] for _ in embeddings]
    states: list[list[torch.Tensor]] = [[] for _ in embeddings]
    running = list(range(len(embeddings)))
    for step in range(max_new_tokens + 1):
        output = language_model(
            inputs_embeds=embeddings,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            **extra,
        )
        state = output.last_hidden_state[:, -1]
        if seg_state == "at" and step:
            for row in running:
                if answers[row][-1] == state_id:
                    states[row].append(state[row])
        if step == max_new_tokens:  # this pass was only for the state at a [SEG] that was the last token allowed
            break
        chosen = logits(state).argmax(dim=-1)
        for row, token in zip(running, chosen[running].tolist(), strict=True):
            answers[row].append(token)
            if seg_state == "before" and token == state_id:
                states[row].append(state[row])
        for row in list(running):
            length = rule.stop_length(answers[row])
            if length is not None:
                answers[row] = answers[row][:length]
                running.remove(row)
        last = step == max_new_tokens - 1
        if not running or (last and (seg_state == "before" or all(answers[row][-1] != state_id for row in running))):
            break
        embeddings = embed(chosen)[:, None].to(embeddings.dtype)
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        positions = positions[..., -1:] + 1
        extra = {}
    empty = embeddings.new_zeros(0, embeddings.shape[-1])
    return Generated(
        ids=[torch.tensor(answer, dtype=torch.long, device=embeddings.device) for answer in answers],
        seg_hidden=[torch.stack(found) if found else empty for found in states],
    )


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
