"""Conversation → token ids and labels: the only place where text becomes tokens, for training and serving alike."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from word2mask.text.special_tokens import ANSWER_MARKUP, IGNORE_INDEX, REGION_END, REGION_START, SEG
from word2mask.text.templates import ChatTemplate
from word2mask.types import Turn

#: Strings that follow each other: (text, whether its special tokens are meant).
Pieces = list[tuple[str, bool]]

_MARKUP = re.compile("(" + "|".join(re.escape(token) for token in ANSWER_MARKUP) + ")")


@dataclass(frozen=True)
class EncodedConversation:
    """Token ids of a conversation.

    Attributes:
        input_ids: int64 ``[L]``.
        labels: int64 ``[L]``, :data:`IGNORE_INDEX` everywhere but at answers and their suffix.
        seg_positions: int64 ``[N]``, index of each ``[SEG]`` of the answers.
        turn_ends: length of ``input_ids`` after each answer: the places where it may be shortened.
    """

    input_ids: torch.Tensor
    labels: torch.Tensor
    seg_positions: torch.Tensor
    turn_ends: tuple[int, ...]


def plain_ids(text: str, tokenizer: Any) -> list[int]:
    """Ids of text in which nothing is special: ``[SEG]``, ``<img>`` or a template's marker are spelt out."""
    if not text:
        return []
    ids = tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
    added = tokenizer.get_added_vocab()
    if not any(index in added.values() for index in ids):
        return ids
    # Added tokens that aren't "special" (Qwen's <think>, <tool_call>, ...) ignore split_special_tokens: cut inside
    # them.
    pattern = re.compile("|".join(re.escape(token) for token in sorted(added, key=len, reverse=True) if len(token) > 1))
    match = pattern.search(text)
    if match is None:
        return ids
    cut = match.start() + 1
    return plain_ids(text[:cut], tokenizer) + plain_ids(text[cut:], tokenizer)


def marker_ids(text: str, tokenizer: Any) -> list[int]:
    """Ids of a string of ours (template, media placeholder), whose special tokens are meant."""
    return tokenizer.encode(text, add_special_tokens=False) if text else []


def answer_ids(text: str, tokenizer: Any) -> list[int]:
    """Ids of an assistant's text: its markup (``[SEG]``, ``<p>``, …) is special where the tokenizer knows it."""
    known = tokenizer.get_added_vocab()
    ids: list[int] = []
    plain = ""
    for piece in _MARKUP.split(text):
        if piece in known and _MARKUP.fullmatch(piece):
            ids += plain_ids(plain, tokenizer) + [known[piece]]
            plain = ""
        else:
            plain += piece
    return ids + plain_ids(plain, tokenizer)


def joined_ids(segments: Sequence[Pieces], tokenizer: Any) -> list[list[int]]:
    """Ids of strings of ours and of others, as if they were one string, but with our special tokens only.

    Byte-pair merges run across the seams, as they did when the published checkpoints were trained: where a template's
    markers are no tokens of their own (``phi3_chat`` on Qwen's tokenizer), ``.`` and ``<|end|>`` share a token.

    Args:
        segments: the pieces of each string, (text, whether its special tokens are meant).
        tokenizer: a transformers tokenizer, which is called once for all.

    Returns:
        The ids of each segment.
    """
    texts = ["".join(text for text, _ in pieces) for pieces in segments]
    if not texts:
        return []
    added = frozenset(tokenizer.get_added_vocab().values())
    found = tokenizer(texts, add_special_tokens=False, return_attention_mask=False, return_token_type_ids=False)
    joined = []
    for pieces, ids in zip(segments, found["input_ids"], strict=True):
        meant = [index for text, is_ours in pieces if is_ours for index in _marks(text, tokenizer, added)]
        if [index for index in ids if index in added] != meant:
            # Someone else's text spells a special token: each piece for itself.
            encode = {True: marker_ids, False: plain_ids}
            ids = [index for text, is_ours in pieces for index in encode[is_ours](text, tokenizer)]
        joined.append(ids)
    return joined


@lru_cache(maxsize=64)
def _marks(text: str, tokenizer: Any, added: frozenset[int]) -> tuple[int, ...]:
    """The added tokens in a string of ours; kept, since the same few come in every conversation and some are long."""
    return tuple(index for index in marker_ids(text, tokenizer) if index in added)


def answer_pieces(text: str, known: Container[str]) -> Pieces:
    """An assistant's text for :func:`joined_ids`: its markup is special where it is among the tokens ``known``."""
    return [(piece, piece in known and bool(_MARKUP.fullmatch(piece))) for piece in _MARKUP.split(text) if piece]


def region_prefix(token_counts: Sequence[int], context_token: str) -> str:
    """The sentence that shows R regions to the MLLM, as the published checkpoints were trained with it.

    Args:
        token_counts: number of visual tokens of each region, each 1 or more.
        context_token: the MLLM's placeholder for one visual token.
    """
    if not token_counts:
        return ""
    regions = ", ".join(
        f"region{number}{REGION_START}{context_token * count}{REGION_END}"
        for number, count in enumerate(token_counts, start=1)
    )
    return f"\nThere are {len(token_counts)} part regions in the picture: {regions}.\n"


def encode_conversation(
    turns: Sequence[Turn],
    tokenizer: Any,
    template: ChatTemplate,
    media_prefix: str = "",
    regions: str = "",
) -> EncodedConversation:
    """Encodes a conversation; one that ends with the user's turn gets the assistant's prefix, ready for an answer.

    Args:
        turns: user and assistant in turn, the user first.
        tokenizer: a transformers tokenizer.
        template: the strings around the turns.
        media_prefix: the MLLM's placeholder for the media, put before the first user's text.
        regions: :func:`region_prefix` of the visual prompts, put after the media.

    Raises:
        ValueError: the turns don't alternate, or the first isn't the user's.
    """
    for index, turn in enumerate(turns):
        expected = "assistant" if index % 2 else "user"
        if turn.role != expected:
            raise ValueError(
                f"turn {index} is the {turn.role}'s, expected the {expected}'s: they must alternate, user first"
            )
    if not turns:
        raise ValueError("a conversation needs one turn at least")

    bos = [] if tokenizer.bos_token_id is None or template.bos == "none" else [tokenizer.bos_token_id]
    shown = media_prefix + regions
    if shown and not regions:
        shown += template.media_suffix

    known = tokenizer.get_added_vocab()
    # Pieces of each segment, and whether it is an answer. Separators stand for themselves.
    segments: list[tuple[Pieces, bool]] = []
    for index, turn in enumerate(turns):
        if turn.role == "user":
            before = template.user_prefix
            if index == 0:
                before = template.beginning(shown)
            else:
                segments.append(([(template.separator, True)], False))
            after = template.user_suffix + template.assistant_prefix
            segments.append(([(before, True), (turn.text, False), (after, True)], False))
        else:
            text = template.answer_prefix + turn.text.removeprefix(template.answer_prefix)
            segments.append(([*answer_pieces(text, known), (template.assistant_suffix, True)], True))

    ids: list[int] = list(bos)
    labels: list[int] = [IGNORE_INDEX] * len(bos)
    segs: list[int] = []
    ends: list[int] = []
    seg_id = known.get(SEG)
    encoded = joined_ids([pieces for pieces, _ in segments], tokenizer)
    for (_, is_answer), new in zip(segments, encoded, strict=True):
        if is_answer:
            segs += [len(ids) + offset for offset, token in enumerate(new) if token == seg_id]
        ids += new
        labels += new if is_answer else [IGNORE_INDEX] * len(new)
        if is_answer:
            ends.append(len(ids))
    return EncodedConversation(
        input_ids=torch.tensor(ids, dtype=torch.long),
        labels=torch.tensor(labels, dtype=torch.long),
        seg_positions=torch.tensor(segs, dtype=torch.long),
        turn_ends=tuple(ends),
    )
