"""From tokens as they are written to pieces of readable text."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

from word2mask.text.answers import parse_answer
from word2mask.text.special_tokens import ANSWER_MARKUP
from word2mask.text.templates import ChatTemplate

__all__ = ["TextPieces", "readable_text"]

#: What the decoder gives for bytes that are no whole character yet.
BROKEN = "\ufffd"
#: What the next words may take back from the end of a text.
WAITING = string.whitespace + ",;:"


def readable_text(ids: Sequence[int], tokenizer: Any) -> str:
    """An answer with its markup, but without the tokenizer's other special tokens, should it have written any."""
    hidden = {
        index
        for index, token in tokenizer.added_tokens_decoder.items()
        if token.special and token.content not in ANSWER_MARKUP
    }
    return tokenizer.decode([index for index in ids if index not in hidden], skip_special_tokens=False)


class TextPieces:
    """Cuts an answer that is being written into pieces which, joined, are :attr:`word2mask.types.Result.text`.

    A piece is given when nothing that follows can change it: never half a character, half of some markup, or the comma
    before a token that is taken out.

    Args:
        tokenizer: a transformers tokenizer.
        template: whose stop strings may be many tokens.
    """

    def __init__(self, tokenizer: Any, template: ChatTemplate) -> None:
        self._tokenizer = tokenizer
        self._markers = (*ANSWER_MARKUP, *template.stop)
        self._given = 0

    def more(self, ids: Sequence[int]) -> str:
        """What has become readable; ``ids`` are all tokens so far."""
        raw = readable_text(ids, self._tokenizer).rstrip(BROKEN)
        starts = [
            len(raw) - length
            for marker in self._markers
            for length in range(1, len(marker))
            if raw.endswith(marker[:length])
        ]
        text = parse_answer(raw[: min(starts, default=len(raw))]).text.rstrip(WAITING)
        piece, self._given = text[self._given :], max(self._given, len(text))
        return piece

    def rest(self, text: str) -> str:
        """What is left of the whole text."""
        piece, self._given = text[self._given :], len(text)
        return piece
