"""A raw answer → readable text and its groundings: which phrase each ``[SEG]`` stands for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from word2mask.text.special_tokens import BOX_START, PHRASE_END, PHRASE_START, SEG

#: ``<box>`` right before a ``[SEG]`` goes with it: a model that reads the state before ``[SEG]`` may have learned it.
_TOKENS = re.compile(f"(?:{re.escape(BOX_START)})?{re.escape(SEG)}|{re.escape(PHRASE_START)}|{re.escape(PHRASE_END)}")
_PUNCTUATION = frozenset(".,;:!?")


@dataclass(frozen=True)
class Grounding:
    """One ``[SEG]`` of an answer.

    Attributes:
        phrase: the words between ``<p>`` and ``</p>`` before it; empty where there are none.
        span: character range of the phrase in :attr:`ParsedAnswer.text`, or ``None``.
    """

    phrase: str
    span: tuple[int, int] | None


@dataclass(frozen=True)
class ParsedAnswer:
    """An answer without its markup.

    Attributes:
        text: without ``[SEG]``, ``<p>``, ``</p>``; empty where only punctuation is left.
        groundings: one per ``[SEG]``, in order. Several ``[SEG]`` after one phrase share it.
    """

    text: str
    groundings: tuple[Grounding, ...]


def parse_answer(raw: str) -> ParsedAnswer:
    """Takes the markup out of a raw answer.

    Markup that doesn't match (a ``</p>`` without ``<p>``) is dropped; the text around it stays.

    >>> parse_answer("<p>A red circle</p> [SEG] is here.")
    ParsedAnswer(text='A red circle is here.', groundings=(Grounding(phrase='A red circle', span=(0, 12)),))
    >>> parse_answer("It is [SEG].").text
    'It is.'
    >>> parse_answer("[SEG].").text
    ''
    """
    text = ""
    groundings: list[Grounding] = []
    opened: int | None = None
    span: tuple[int, int] | None = None
    position = 0
    for match in _TOKENS.finditer(raw):
        text = _join(text, raw[position : match.start()], fixed=_end(groundings, opened, span))
        position = match.end()
        if match.group() == PHRASE_START:
            opened, span = len(text), None
        elif match.group() == PHRASE_END:
            span, opened = (None if opened is None else _trimmed(text, opened)), None
        else:
            groundings.append(Grounding("" if span is None else text[slice(*span)], span))
    text = _join(text, raw[position:], fixed=_end(groundings, opened, span)).rstrip()
    if groundings and not any(grounding.span for grounding in groundings) and set(text) <= _PUNCTUATION | {" "}:
        text = ""
    return ParsedAnswer(text=text, groundings=tuple(groundings))


def _end(groundings: list[Grounding], opened: int | None, span: tuple[int, int] | None) -> int:
    """How much of the text may no longer change, because a phrase points into it."""
    spans = [grounding.span for grounding in groundings if grounding.span] + ([span] if span else [])
    return max([opened or 0, *(end for _, end in spans)])


def _join(text: str, piece: str, fixed: int) -> str:
    """Appends a piece, without the double spaces and the stray commas that a token taken out leaves behind."""
    if piece[:1] in _PUNCTUATION:
        text = text[:fixed] + text[fixed:].rstrip(" ,;:")
    if not text or text[-1].isspace():
        piece = piece.lstrip(" ")
    return text + piece


def _trimmed(text: str, start: int) -> tuple[int, int] | None:
    """The range from ``start`` to the end without surrounding spaces; ``None`` if nothing is left."""
    phrase = text[start:]
    left = start + len(phrase) - len(phrase.lstrip())
    right = start + len(phrase.rstrip())
    return (left, right) if right > left else None
