"""Conversation → token ids and labels: the only place where text becomes tokens, for training and serving alike."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from word2mask.text.special_tokens import ANSWER_MARKUP, IGNORE_INDEX, REGION_END, REGION_START, SEG
from word2mask.text.templates import ChatTemplate
from word2mask.types import Turn

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


def joined_ids(pieces: Sequence[tuple[str, bool]], tokenizer: Any) -> list[int]:
    """Ids of strings of ours and of others, as if they were one string, but with our special tokens only.

    Byte-pair merges run across the seams, as they did when the published checkpoints were trained: where a template's
    markers are no tokens of their own (``phi3_chat`` on Qwen's tokenizer), ``.`` and ``<|end|>`` share a token.

    Args:
        pieces: (text, whether its special tokens are meant).
        tokenizer: a transformers tokenizer.
    """
    added = set(tokenizer.get_added_vocab().values())
    ids = marker_ids("".join(text for text, _ in pieces), tokenizer)
    meant = [index for text, is_ours in pieces if is_ours for index in marker_ids(text, tokenizer) if index in added]
    if [index for index in ids if index in added] == meant:
        return ids
    # Someone else's text spells a special token: each piece for itself.
    encode = {True: marker_ids, False: plain_ids}
    return [index for text, is_ours in pieces for index in encode[is_ours](text, tokenizer)]


def answer_pieces(text: str, tokenizer: Any) -> list[tuple[str, bool]]:
    """An assistant's text for :func:`joined_ids`: its markup is special where the tokenizer knows it."""
    known = tokenizer.get_added_vocab()
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

    ids: list[int] = []
    labels: list[int] = []
    segs: list[int] = []
    ends: list[int] = []
    seg_id = tokenizer.get_added_vocab().get(SEG)

    def extend(new: list[int], loss: bool = False) -> None:
        ids.extend(new)
        labels.extend(new if loss else [IGNORE_INDEX] * len(new))

    for index, turn in enumerate(turns):
        if turn.role == "user":
            before = template.user_prefix
            if index == 0:
                extend(bos)
                before = template.beginning(shown)
            else:
                extend(marker_ids(template.separator, tokenizer))
            after = template.user_suffix + template.assistant_prefix
            extend(joined_ids([(before, True), (turn.text, False), (after, True)], tokenizer))
        else:
            text = template.answer_prefix + turn.text.removeprefix(template.answer_prefix)
            pieces = [*answer_pieces(text, tokenizer), (template.assistant_suffix, True)]
            answer = joined_ids(pieces, tokenizer)
            segs += [len(ids) + offset for offset, token in enumerate(answer) if token == seg_id]
            extend(answer, loss=True)
            ends.append(len(ids))
    return EncodedConversation(
        input_ids=torch.tensor(ids, dtype=torch.long),
        labels=torch.tensor(labels, dtype=torch.long),
        seg_positions=torch.tensor(segs, dtype=torch.long),
        turn_ends=tuple(ends),
    )
