"""Writing answers with a transformers language model, whatever its family; it knows no media and no template.

The likeliest token each time, or one that is drawn; :mod:`word2mask.mllms.beams` follows several answers at once.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import nn
from transformers import (
    DynamicCache,
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from word2mask.text.templates import ChatTemplate
from word2mask.types import Generation

SegState = Literal["at", "before"]

#: Gives the answers so far, ids of each row, after each step; the same lists every time.
Writing = Generator[list[list[int]], None, "Generated"]


@dataclass
class Generated:
    """Answers to a batch.

    Attributes:
        ids: ``[B]`` of int64 ``[n_b]``: the new tokens, stop token excluded.
        seg_hidden: ``[B]`` of ``[N_b,D]``: the states of the ``[SEG]`` tokens among them.
    """

    ids: list[torch.Tensor]
    seg_hidden: list[torch.Tensor]


@dataclass
class Prompts:
    """A batch of prompts, embedded, which all end in the last column.

    Attributes:
        embeddings: ``[B,L,D]``, visual tokens in their places.
        attention_mask: int64 ``[B,L]``, padding on the left; longer than L where the language model has read on before.
        position_ids: int64 ``[B,L]``, or ``[3,B,L]`` where positions have several axes; the last column is text, so
            that the next token stands one further along every axis.
        places: bool ``[B,L]``, where visual tokens stand, if :attr:`deepstack` has something for them.
        deepstack: ``[P,D]`` each, added to the states at these places after the first layers.
    """

    embeddings: torch.Tensor
    attention_mask: torch.Tensor
    position_ids: torch.Tensor
    places: torch.Tensor | None = None
    deepstack: Sequence[torch.Tensor] = ()

    @property
    def visual(self) -> dict[str, Any]:
        """What the language model takes besides, with these columns."""
        if self.places is None or not self.deepstack or not self.places.any():
            return {}
        return {"visual_pos_masks": self.places, "deepstack_visual_embeds": list(self.deepstack)}

    def columns(self, start: int, stop: int) -> Prompts:
        """Columns ``start … stop - 1`` of a single prompt, of which the language model has read those before."""
        places, deepstack = self.places, self.deepstack
        if places is not None:
            first, last = int(places[:, :start].sum()), int(places[:, :stop].sum())
            places, deepstack = places[:, start:stop], [feature[first:last] for feature in deepstack]
        return Prompts(
            self.embeddings[:, start:stop],
            self.attention_mask[:, :stop],
            self.position_ids[..., start:stop],
            places,
            deepstack,
        )


@dataclass
class Parts:
    """What a language model consists of, for one who writes with it.

    Attributes:
        language_model: a transformers decoder without head: embeddings in, states after the final norm out.
        embed: token ids → embeddings.
        logits: ``[B,D]`` → ``[B,V]``.
        rule: when an answer ends.
        state_id: the token whose states are wanted; ``None`` for none.
        seg_state: the state ``"at"`` each such token or just ``"before"`` it.
    """

    language_model: nn.Module
    embed: nn.Module
    logits: Callable[[torch.Tensor], torch.Tensor]
    rule: StopRule
    state_id: int | None
    seg_state: SegState = "at"


@dataclass
class Kept:
    """What a language model keeps of one conversation from turn to turn, so that it reads nothing twice.

    Attributes:
        visual: the visual tokens of the conversation's media, as the family's ``see`` made them.
        cache: keys and values of the columns read so far.
        embeddings: these columns, ``[1,l,D]`` each, in order.
        positions: theirs, ``[…,1,l]`` each.
    """

    visual: Any = None
    cache: DynamicCache | None = None
    embeddings: list[torch.Tensor] = field(default_factory=list)
    positions: list[torch.Tensor] = field(default_factory=list)

    def extend(self, prompts: Prompts) -> None:
        """Notes columns that were read."""
        self.embeddings.append(prompts.embeddings)
        self.positions.append(prompts.position_ids)

    def rest(self, prompts: Prompts) -> Prompts:
        """What is to be read of a prompt; of the cache, what differs from it is dropped.

        Columns count as read where embedding and position are the same, bit for bit. One column at least is left, for
        its state. A cache whose layers can't be cut, or differ in length because a pass was interrupted, is dropped.
        """
        shared = self._shared(prompts)
        if self.cache is None or not shared:
            self.cache, self.embeddings, self.positions = None, [], []
            return prompts
        self.cache.crop(shared - self.cache.get_seq_length())
        self.embeddings, self.positions = [prompts.embeddings[:, :shared]], [prompts.position_ids[..., :shared]]
        return prompts.columns(shared, prompts.embeddings.shape[1])

    def _shared(self, prompts: Prompts) -> int:
        if self.cache is None or not self.embeddings:
            return 0
        embeddings, positions = torch.cat(self.embeddings, dim=1), torch.cat(self.positions, dim=-1)
        width = embeddings.shape[1]
        if any(layer.is_sliding or layer.get_seq_length() != width for layer in self.cache.layers):
            return 0
        width = min(width, prompts.embeddings.shape[1] - 1)
        same = (embeddings[0, :width] == prompts.embeddings[0, :width]).all(dim=-1)
        same &= (positions[..., :width] == prompts.position_ids[..., :width]).flatten(0, -2).all(dim=0)
        return int(same.long().cumprod(dim=0).sum())


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


class Draw:
    """Draws tokens as transformers' settings of the same names have it.

    Args:
        settings: temperature, ``top_k``, ``top_p`` and seed.
        device: of the scores.
    """

    def __init__(self, settings: Generation, device: torch.device) -> None:
        self._warpers = LogitsProcessorList()
        # In transformers' own order.
        if settings.temperature != 1:
            self._warpers.append(TemperatureLogitsWarper(float(settings.temperature)))
        if settings.top_k:
            self._warpers.append(TopKLogitsWarper(settings.top_k))
        if settings.top_p < 1:
            self._warpers.append(TopPLogitsWarper(float(settings.top_p)))
        self._generator = None
        if settings.seed is not None:
            self._generator = torch.Generator(device).manual_seed(settings.seed)

    def __call__(self, scores: torch.Tensor) -> torch.Tensor:
        """Logits ``[V]`` → one token."""
        warped = self._warpers(torch.zeros(1, 0, dtype=torch.long, device=scores.device), scores[None].float())
        return torch.multinomial(warped.softmax(dim=-1), 1, generator=self._generator)[0, 0]


class Rows:
    """Which answers a batch is still about: those that have ended leave it, half of it or more at a time.

    Args:
        count: B, of the batch at first.
    """

    def __init__(self, count: int) -> None:
        self._rows = list(range(count))

    def place(self, row: int) -> int:
        """Where the answer to prompt ``row`` stands now."""
        return self._rows.index(row)

    def without_ended(self, columns: Prompts, cache: DynamicCache, needed: set[int]) -> Prompts:
        """The columns without rows that nothing more is wanted of; the cache forgets them likewise.

        Args:
            columns: ``[B',1,D]`` that are to be read next.
            cache: of what was read.
            needed: prompts whose answers go on.
        """
        if not needed or 2 * len(needed) > len(self._rows):
            return columns
        left = [place for place, row in enumerate(self._rows) if row in needed]
        self._rows = [self._rows[place] for place in left]
        index = torch.tensor(left, device=columns.embeddings.device)
        cache.batch_select_indices(index)
        axis = columns.position_ids.ndim - 2
        return Prompts(
            columns.embeddings[index], columns.attention_mask[index], columns.position_ids.index_select(axis, index)
        )


@torch.no_grad()
def write_answers(parts: Parts, prompts: Prompts, settings: Sequence[Generation], kept: Kept | None = None) -> Writing:
    """Continues a batch of prompts, each by its own settings, until all answers have ended.

    Rows don't know of each other: what is drawn for one, with a seed, is the same whatever stands beside it.

    Args:
        parts: the language model.
        prompts: what to continue.
        settings: ``[B]``; one beam each.
        kept: of the one conversation that ``prompts`` goes on with; changed in place.

    Raises:
        ValueError: the layers checkpoint gradients, and so would forget what they have read.
    """
    language_model = parts.language_model
    if language_model.training and getattr(language_model, "is_activation_checkpointing", False):
        raise ValueError("the model is training with gradient checkpointing; call eval() before it is to answer")
    device = prompts.embeddings.device
    draws = {row: Draw(own, device) for row, own in enumerate(settings) if own.do_sample}
    columns = prompts if kept is None else kept.rest(prompts)
    cache = start_cache(language_model, kept)
    answers: list[list[int]] = [[] for _ in settings]
    states: list[list[torch.Tensor]] = [[] for _ in settings]
    running, owed, rows = list(range(len(settings))), set[int](), Rows(len(settings))
    while running or owed:
        state = read_columns(language_model, columns, cache, kept)[:, -1]
        for row in owed:
            states[row].append(state[rows.place(row)])
        owed.clear()
        if not running:  # this pass was only for the state at a [SEG] that was the last token allowed
            break
        scores = parts.logits(state)
        chosen = scores.argmax(dim=-1)
        for row in draws.keys() & set(running):
            chosen[rows.place(row)] = draws[row](scores[rows.place(row)])
        tokens = chosen.tolist()
        for row in list(running):
            token = tokens[rows.place(row)]
            answers[row].append(token)
            length = parts.rule.stop_length(answers[row])
            if length is not None:
                del answers[row][length:]
            elif token == parts.state_id and parts.seg_state == "before":
                states[row].append(state[rows.place(row)])
            elif token == parts.state_id:
                owed.add(row)
            if length is not None or len(answers[row]) >= settings[row].max_new_tokens:
                running.remove(row)
        yield answers
        columns = Prompts(
            parts.embed(chosen)[:, None].to(prompts.embeddings.dtype),
            torch.cat([columns.attention_mask, columns.attention_mask.new_ones(len(chosen), 1)], dim=1),
            columns.position_ids[..., -1:] + 1,
        )
        columns = rows.without_ended(columns, cache, {*running, *owed})
    empty = prompts.embeddings.new_zeros(0, prompts.embeddings.shape[-1])
    return Generated(
        ids=[torch.tensor(answer, dtype=torch.long, device=device) for answer in answers],
        seg_hidden=[torch.stack(found) if found else empty for found in states],
    )


def start_cache(language_model: nn.Module, kept: Kept | None) -> DynamicCache:
    """The cache of a conversation that goes on, or a new one."""
    if kept is None:
        return DynamicCache(config=language_model.config)
    if kept.cache is None:
        kept.cache = DynamicCache(config=language_model.config)
    return kept.cache


def read_columns(
    language_model: nn.Module, columns: Prompts, cache: DynamicCache, kept: Kept | None = None
) -> torch.Tensor:
    """States ``[B,l,D]`` of columns that follow what the cache holds."""
    output = language_model(
        inputs_embeds=columns.embeddings,
        attention_mask=columns.attention_mask,
        position_ids=columns.position_ids,
        past_key_values=cache,
        use_cache=True,
        **columns.visual,
    )
    if kept is not None:
        kept.extend(columns)
    return output.last_hidden_state


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
