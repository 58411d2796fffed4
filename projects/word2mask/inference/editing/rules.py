"""How one sentence form is read: a pattern over the whole sentence, and the effect that it names."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from word2mask.data.pictures import IMAGE_SUFFIXES
from word2mask.inference.editing.instruction import Effect

__all__ = ["EMOJI", "HELD", "Quoted", "Rule", "holding", "rule"]

#: Quoted words and names of pictures are held apart while the rest is read: one private character for each.
_FIRST = 0xE000
HELD = r"[\ue000-\uf8ff]"
_QUOTES = re.compile(
    r'"([^"]*)"|“([^”]*)”|「([^」]*)」|『([^』]*)』|《([^》]*)》|‘([^’]*)’|(?<!\w)\'([^\']+)\'(?!\w)|'
    rf"((?:[A-Za-z]:)?[\w./\\~-]+(?:{'|'.join(re.escape(suffix) for suffix in IMAGE_SUFFIXES)})\b)",
    re.ASCII | re.IGNORECASE,
)
_PICTOGRAPH = "[\u2600-\u27bf\u2b50\u2b55\U0001f000-\U0001faff]"
EMOJI = rf"(?:{_PICTOGRAPH}[\ufe0f\U0001f3fb-\U0001f3ff]?(?:\u200d{_PICTOGRAPH}\ufe0f?)*)".replace("\u200d", "\\u200d")


@dataclass(frozen=True)
class Quoted:
    """What was held apart.

    Attributes:
        texts: by the character that stands for it.
    """

    texts: dict[str, str]

    def back(self, text: str) -> str:
        """The text with everything in its place again."""
        for mark, held in self.texts.items():
            text = text.replace(mark, held)
        return text

    def is_picture(self, text: str) -> bool:
        """Whether it is the name of a picture file."""
        return self.back(text).lower().endswith(IMAGE_SUFFIXES)


def holding(text: str) -> tuple[str, Quoted]:
    """A sentence with one character for each quotation and each name of a picture, and what they stand for."""
    texts: dict[str, str] = {}

    def hold(match: re.Match[str]) -> str:
        mark = chr(_FIRST + len(texts))
        texts[mark] = next((group for group in match.groups() if group), "")
        return mark

    return _QUOTES.sub(hold, text), Quoted(texts)


@dataclass(frozen=True)
class Rule:
    """One sentence form.

    Attributes:
        pattern: of the whole sentence; its group ``what`` is the thing.
        effect: from the match, ``None`` where it isn't this form after all.
        is_inverted: the effect is for everything but the thing.
    """

    pattern: re.Pattern[str]
    effect: Callable[[re.Match[str], Quoted], Effect | None]
    is_inverted: bool = False


def rule(
    pattern: str, effect: Callable[[re.Match[str], Quoted], Effect | None] | str, is_inverted: bool = False
) -> Rule:
    """A rule whose effect is made by a function, or has nothing but a name."""
    if isinstance(effect, str):
        name = effect
        return Rule(re.compile(pattern, re.IGNORECASE), lambda match, quoted: Effect(name), is_inverted)
    return Rule(re.compile(pattern, re.IGNORECASE), effect, is_inverted)
