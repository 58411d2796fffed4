"""Exact match of short answers.

Answers are normalised first, in the manner of the VQA evaluation (Antol et al., "VQA", ICCV 2015; code at
https://visualqa.org/evaluation.html): case, punctuation and articles don't count, and number words equal their digits.
Unlike it, any script is kept (Unicode compatibility form and case folding instead of ASCII lower case).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

_ARTICLES = frozenset({"a", "an", "the"})
_NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBERS = {word: str(number) for number, word in enumerate(_NUMBER_WORDS)}


def normalise(text: str) -> str:
    """The words that count, in one spelling, separated by single spaces.

    >>> normalise(" The  red Circle. ")
    'red circle'
    >>> normalise("Two!")
    '2'
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    # An apostrophe joins ("it's" → "its"), any other punctuation separates ("red/blue" → "red blue").
    joined = folded.replace("'", "").replace("\u2019", "")
    spaced = "".join(" " if unicodedata.category(character)[0] in "PSZC" else character for character in joined)
    return " ".join(_NUMBERS.get(word, word) for word in spaced.split() if word not in _ARTICLES)


def exact_match(answer: str, references: str | Iterable[str]) -> bool:
    """Whether the answer equals a reference after :func:`normalise`.

    >>> exact_match("It is blue.", "it is Blue")
    True
    >>> exact_match("red", ["green", "a red"])
    True
    """
    if isinstance(references, str):
        references = (references,)
    normalised = normalise(answer)
    return any(normalised == normalise(reference) for reference in references)


def word_overlap(one: str, other: str) -> float:
    """F1 of the two texts' words after :func:`normalise`, counting repeats; 1 where both have none.

    >>> word_overlap("the small red circle", "a red circle")
    0.8
    """
    words, other_words = normalise(one).split(), normalise(other).split()
    if not words and not other_words:
        return 1.0
    common = sum(min(words.count(word), other_words.count(word)) for word in set(words))
    return 2 * common / (len(words) + len(other_words))
