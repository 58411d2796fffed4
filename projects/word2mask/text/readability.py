"""Words that a tokenizer has no piece of: no text of its training had them often enough, and a model that was trained
with it can't have learned what they mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

__all__ = ["doubtful_words", "unread_words"]

_WORD = re.compile(r"[^\W\d_]+")
#: A byte that a SentencePiece vocabulary falls back to.
_FALLEN_BACK = re.compile(r"<0x[0-9A-F]{2}>")
#: Byte-level vocabularies write each byte as one of the first 0x180 characters; what stands for a space at a word's
#: beginning.
_LAST_OF_BYTES, _SPACES = 0x17F, "Ġ▁"
#: Words of fewer bytes are pieces of their own in no vocabulary, and needn't be.
_LEAST_BYTES = 3
#: A vocabulary of fewer pieces has the words that it was made from as pieces of their own; language models have 30,000
#: pieces and more, and know words of several.
_SMALL = 2048
#: Whether a vocabulary has words at all is seen by one that no question with a mask is without.
_USUAL = "the picture"


def unread_words(text: str, tokenizer: Any) -> tuple[str, ...]:
    """The words of a text that fall apart into single letters, bytes or unknown tokens.

    What isn't among them may still be unknown to the model: a word of known pieces, in a language that it hasn't
    learned, can't be told from a known word here.

    Args:
        text: in any language; a run of letters is a word, so that Chinese between two marks is one.
        tokenizer: of transformers.

    Returns:
        the words, in order; none for a vocabulary of letters or bytes alone, where every word falls apart.
    """
    if _falls_apart(_pieces(_USUAL, tokenizer), tokenizer):
        return ()
    words = (word for word in _WORD.findall(text) if len(word.encode()) >= _LEAST_BYTES)
    return tuple(word for word in dict.fromkeys(words) if _falls_apart(_pieces(word, tokenizer), tokenizer))


def doubtful_words(text: str, tokenizer: Any) -> tuple[str, ...]:
    """The words of a text that are read but are no piece of a small vocabulary, which has a piece for most it has seen.

    A model may have learned such a word all the same, when it was trained on; whether it has can't be told.

    Args:
        text: in any language.
        tokenizer: of transformers.

    Returns:
        the words, in order; none for the large vocabulary of a real language model.
    """
    if len(tokenizer) >= _SMALL or _falls_apart(_pieces(_USUAL, tokenizer), tokenizer):
        return ()
    unread = unread_words(text, tokenizer)
    words = (word for word in _WORD.findall(text) if len(word.encode()) >= _LEAST_BYTES and word not in unread)
    return tuple(
        word for word in dict.fromkeys(words) if min(len(_pieces(form, tokenizer)) for form in (word, word.lower())) > 1
    )


def _pieces(text: str, tokenizer: Any) -> list[str]:
    """The tokens of a text, as behind another word."""
    return tokenizer.convert_ids_to_tokens(tokenizer(f" {text}", add_special_tokens=False)["input_ids"])


def _falls_apart(pieces: Sequence[str], tokenizer: Any) -> bool:
    return all(
        piece == tokenizer.unk_token
        or _FALLEN_BACK.fullmatch(piece) is not None
        or (len(bare := piece.lstrip(_SPACES)) <= 1 and all(ord(letter) <= _LAST_OF_BYTES for letter in bare))
        for piece in pieces
    )
