"""The effect that a rule's match names; ``None`` where the sentence is of another form after all."""

from __future__ import annotations

import re

from word2mask.inference.editing.instruction import TONES, Effect
from word2mask.inference.editing.rules import EMOJI, Quoted
from word2mask.inference.editing.words import (
    COLOR,
    Z_COLOR,
    color_of,
    look_of,
    may_wear,
    named_emoji,
    stroke_of,
    verb_of,
)

__all__ = [
    "alone",
    "background",
    "colored",
    "label",
    "look",
    "outline",
    "split_verb",
    "sticker",
    "tone",
    "tone_look",
    "tone_of_background",
    "verb",
]

#: What isn't a thing but a part of another sentence form: it was cut in the wrong place.
_CUT_WRONG = re.compile(
    r"(?:the\s+|its\s+)?(?:background|backdrop|surroundings|bg)\b.*|.*'s\s+(?:background|colou?r)"
    r"|(?:the\s+|all\s+)?colou?rs?\s+(?:of|from|out)\b.*|.*\s(?:in\s+colou?r|colou?red)"
    r"|(?:everything|everyone|all|anything|the\s+rest)\s+"
    r"(?:but|except|besides|around|behind|apart|other|outside|else)\b.*"
    r"|the\s+rest(?:\s+of\s+the\s+(?:picture|image|photo|video|clip|scene|frame))?"
    r"|(?:only|just)\s+(?:the\s+)?(?:colou?rs?|background)\b.*"
    r"|.*\s(?:into|to|in|as|like|and|with|by|look|looks|appear|appears|seem|seems|be|become|become\s+\w+)"
    r"|.*\swith\s+an?\s+(?:\w+\s+){1,4}(?:line|outline|border|contour)"
    r"|.*\s(?:with|as|in)\s+(?:a\s+)?transparen\w+.*|.*\s(?:at|with)\s+(?:an?\s+)?(?:strength|intensity|opacity).*"
    rf"|.*\s(?:in|with)\s+(?:thick|bold|wide|thin|fine|narrow)(?:\s+{COLOR})?"
    r"|on\s+.*|(?:everything|everyone|all)\s+(?:that|who|which)\s+(?:isn't|is\s+not|aren't|are\s+not)\b.*"
    r"|.*\s(?:with|by|using)\s+(?:an?\s+|the\s+|its\s+)?(?:[\w#]+\s+)?"
    r"(?:label|name\s?tag|tag|caption|text|sign|note|title|words?)\b.*"
    r"|(?:an?|the)\s+(?:\w+\s+)?(?:outline|spot\s?light|light\s+(?:on|at|around))\b.*"
    r"|.*背景|.*(?:以外|之外).*|除.*外.*|除了.*|.*的?(?:颜色|色彩)|.*,?(?:强度|程度)|灯打在.*"
    r"|.*(?:变成?|变为|变得|改成|改为|换成|替换成|替换为|转成|做成|画成|弄成|弄得|调成|设成|设为)"
    r"|.*(?:看起来|看上去|显得|呈现).*|(?:其他|其它|其余|别的|剩下)的?.*|.*的?(?:边缘|轮廓线?|外框|边框)"
    rf"|.*(?:加上?|画上?|描上?|添加|用)(?:一?[个条圈层道])?(?:{Z_COLOR}的?)?",
    re.IGNORECASE,
)


def _is_plain(match: re.Match[str]) -> bool:
    return not _CUT_WRONG.fullmatch(match.groupdict().get("what") or "")


def verb(match: re.Match[str], quoted: Quoted) -> Effect | None:
    """A verb that says all."""
    name = verb_of(match["verb"]) if _is_plain(match) else None
    what = match.groupdict().get("what") or ""
    is_split = verb_of(f"{match['verb']} {what.rpartition(' ')[2]}") is not None  # "blur the dog out"
    if is_split or (name == "outline" and _line_color(match)):
        return None
    return None if name is None else Effect(name)


def split_verb(match: re.Match[str], quoted: Quoted) -> Effect | None:
    """A verb whose particle stands behind the thing: "blur the dog out"."""
    name = verb_of(f"{match['verb']} {match['particle']}") if _is_plain(match) else None
    return None if name is None else Effect(name)


def alone(match: re.Match[str], quoted: Quoted) -> Effect | None:
    """Nothing but the thing."""
    return Effect("cutout") if _is_plain(match) else None


def _line_color(match: re.Match[str]) -> bool:
    """Whether the thing's words end in a colour that is the line's: the second one, or of what wears no clothes."""
    what = match.groupdict().get("what") or ""
    if re.fullmatch(rf".+\swith\s+{COLOR}", what, re.IGNORECASE):
        return True
    found = re.fullmatch(rf"(.+?)\sin\s+{COLOR}", what, re.IGNORECASE)
    if found is None:
        return False
    return re.search(rf"\sin\s+{COLOR}$", found[1], re.IGNORECASE) is not None or not may_wear(found[1])


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
    groups = match.groupdict()
    color, picture = groups.get("color"), groups.get("picture")
    if not _is_plain(match):
        return None
    if color:
        rgb = color_of(color)
        return None if rgb is None else Effect("background", color=rgb)
    return Effect("background", picture=quoted.back(picture)) if picture and quoted.is_picture(picture) else None


def colored(match: re.Match[str], quoted: Quoted) -> Effect | None:
    """Another colour."""
    rgb = color_of(match["color"])
    return Effect("recolor", color=rgb) if rgb is not None and _is_plain(match) else None


def outline(match: re.Match[str], quoted: Quoted) -> Effect | None:
    """A line, and its colour where it is said."""
    color = match.groupdict().get("color")
    if not _is_plain(match) or (not color and _line_color(match)):
        return None
    strength = stroke_of(match.groupdict().get("stroke") or match.groupdict().get("stroke_before"))
    return Effect("outline", color=color_of(color) if color else None, strength=strength)


def label(match: re.Match[str], quoted: Quoted) -> Effect | None:
    """Words that go along, and the colour of their plate where it is said."""
    text, color = quoted.back(match["text"]).strip(), match.groupdict().get("color")
    what = re.fullmatch(rf"(.+?)\sin\s+{COLOR}", match["what"], re.IGNORECASE)
    if what is not None and not may_wear(what[1]):  # the words' colour, which can't be had
        return None
    if not text or not _is_plain(match) or quoted.is_picture(match["text"]) or re.fullmatch(EMOJI, text):
        return None
    return Effect("label", text=text, color=color_of(color) if color else None)


def sticker(match: re.Match[str], quoted: Quoted) -> Effect | None:
    """An emoji or picture that goes along."""
    if not _is_plain(match):
        return None
    text = quoted.back(match["sticker"])
    if quoted.is_picture(text):
        return Effect("sticker", picture=text)
    emoji = text if re.fullmatch(EMOJI, text) else named_emoji(text)
    return None if emoji is None else Effect("sticker", text=emoji)
