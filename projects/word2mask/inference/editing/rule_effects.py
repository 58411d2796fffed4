"""The effect that a rule's match names; ``None`` where the sentence is of another form after all."""

from __future__ import annotations

import re

from word2mask.inference.editing.instruction import TONES, Effect
from word2mask.inference.editing.rules import EMOJI, Quoted
from word2mask.inference.editing.words import COLOR, Z_COLOR, color_of, look_of, verb_of

__all__ = [
    "background",
    "colored",
    "label",
    "look",
    "outline",
    "sticker",
    "tone",
    "tone_look",
    "tone_of_background",
    "verb",
]

#: What isn't a thing but a part of another sentence form: it was cut in the wrong place.
_CUT_WRONG = re.compile(
    r"(?:the\s+)?background\b.*|.*'s\s+background"
    r"|(?:everything|all|anything)\s+(?:but|except|besides|around|apart|other|outside)\b.*"
    r"|.*\s(?:into|to|in|as|like|and)|.*\swith\s+an?\s+\w+\s+(?:line|outline)"
    r"|(?:an?|the)\s+(?:\w+\s+)?(?:outline|spotlight)\b.*"
    r"|.*背景|.*(?:以外|之外).*|除.*外.*|.*(?:变成?|变为|变得|改成|改为|换成|转成|做成|画成|弄成|调成|处理成)"
    rf"|.*(?:加上?|画上?|描|用)(?:一?[个条圈])?{Z_COLOR}的?",
    re.IGNORECASE,
)


def _is_plain(match: re.Match[str]) -> bool:
    return not _CUT_WRONG.fullmatch(match.groupdict().get("what") or "")


def verb(match: re.Match[str], quoted: Quoted) -> Effect | None:
    """A verb that says all."""
    name = verb_of(match["verb"]) if _is_plain(match) else None
    if name == "outline" and re.search(rf"\sin\s+{COLOR}\s+in\s+{COLOR}$", match.groupdict().get("what") or "", re.I):
        return None  # The last colour is the outline's.
    return None if name is None else Effect(name)


def tone(match: re.Match[str], quoted: Quoted) -> Effect | None:
    """A verb that changes pixels where they are."""
    name = verb_of(match["verb"]) if _is_plain(match) else None
    return Effect(name) if name in TONES and name is not None else None


def look(match: re.Match[str], quoted: Quoted) -> Effect | None:
    """A look or colour of the thing."""
    return look_of(match["look"]) if _is_plain(match) else None


def tone_look(match: re.Match[str], quoted: Quoted) -> Effect | None:
    """A look that changes pixels where they are."""
    effect = look_of(match["look"]) if _is_plain(match) else None
    return effect if effect is not None and effect.name in TONES else None


def tone_of_background(match: re.Match[str], quoted: Quoted) -> Effect | None:
    """A tone, but no colour: that replaces the background."""
    effect = tone_look(match, quoted)
    return None if effect is None or effect.name == "recolor" else effect


def background(match: re.Match[str], quoted: Quoted) -> Effect | None:
    """A colour or picture behind the thing."""
    color, picture = match["color"], match["picture"]
    if not _is_plain(match):
        return None
    if color:
        rgb = color_of(color)
        return None if rgb is None else Effect("background", color=rgb)
    return Effect("background", picture=quoted.back(picture)) if quoted.is_picture(picture) else None


def colored(match: re.Match[str], quoted: Quoted) -> Effect | None:
    """Another colour."""
    rgb = color_of(match["color"])
    return Effect("recolor", color=rgb) if rgb is not None and _is_plain(match) else None


def outline(match: re.Match[str], quoted: Quoted) -> Effect | None:
    """A line, and its colour where it is said."""
    color = match.groupdict().get("color") or match.groupdict().get("other")
    return Effect("outline", color=color_of(color)) if color else Effect("outline")


def label(match: re.Match[str], quoted: Quoted) -> Effect | None:
    """Words that go along."""
    text = quoted.back(match["text"]).strip()
    return None if not text or quoted.is_picture(match["text"]) else Effect("label", text=text)


def sticker(match: re.Match[str], quoted: Quoted) -> Effect | None:
    """An emoji or picture that goes along."""
    if not _is_plain(match):
        return None
    text = quoted.back(match["sticker"])
    if quoted.is_picture(text):
        return Effect("sticker", picture=text)
    return Effect("sticker", text=text) if re.fullmatch(EMOJI, text) else None
