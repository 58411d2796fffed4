"""Time spans found in sentences, in English and Chinese."""

from __future__ import annotations

import re
from collections.abc import Callable

from word2mask.errors import UserError
from word2mask.inference.editing.numbers import CHINESE, ENGLISH, ORDINAL
from word2mask.inference.editing.time_words import (
    CLOCK,
    COUNTED,
    MOMENT,
    Z_COUNTED,
    Z_MOMENT,
    Unit,
    number_of,
    time_of,
)
from word2mask.inference.editing.times import TimeSpan

__all__ = ["EXAMPLES", "find_span"]

EXAMPLES = '"in second three", "from 2 s to 5 s", "the first half", "frames 10-20", 第三秒, 从2秒到5秒, 前半段'

_HAN = re.compile("[\u4e00-\u9fff]")
_Maker = Callable[[re.Match[str]], "TimeSpan | None"]


def find_span(text: str) -> tuple[TimeSpan | None, str]:
    """Takes the time span out of a sentence.

    Args:
        text: the sentence; full-width characters already made narrow.

    Returns:
        the span, or ``None`` where the sentence says none or the whole video; and the rest of the sentence.

    Raises:
        UserError: two spans, or a time that can't be counted ("at the end", "from 2 to 5").
    """
    found: list[TimeSpan] = []
    for pattern, make in _PATTERNS:
        while (match := pattern.search(text)) is not None:
            span = make(match)
            if span is not None:
                found.append(span)
            text = _without(text, match)
    if len(found) > 1:
        said = " and ".join(f'"{span.words}"' for span in found)
        raise UserError(f"the instruction names {len(found)} time spans, {said}; give one at a time")
    vague = _VAGUE.search(text)
    if vague is not None:
        raise UserError(
            f'the time "{vague[0].strip(" ,")}" isn\'t understood: from where to where? Say it like {EXAMPLES}'
        )
    return (found[0] if found else None), text


def _without(text: str, match: re.Match[str]) -> str:
    """The sentence without what was matched and the commas around it."""
    before, after = text[: match.start()].rstrip(" ,"), text[match.end() :].lstrip(" ,")
    # Chinese has no spaces.
    return f"{before}{after}" if _HAN.search(before[-1:] + after[:1]) else f"{before} {after}".strip()


def _words(match: re.Match[str]) -> str:
    return match[0].strip(" ,").removesuffix("的")


def _range(match: re.Match[str]) -> TimeSpan:
    first, last = match["first"], match["last"]
    start, stop = time_of(first, like=last), time_of(last, like=first)
    if start.unit != stop.unit:
        raise UserError(
            f'the time span "{_words(match)}" begins in {start.unit} and ends in {stop.unit}; use one of them'
        )
    return TimeSpan(_words(match), start.unit, start.start, stop.end)


def _alone(match: re.Match[str]) -> TimeSpan:
    time = time_of(match["time"])
    return TimeSpan(_words(match), time.unit, time.start, time.alone)


def _after(match: re.Match[str]) -> TimeSpan:
    time = time_of(match["time"])
    return TimeSpan(_words(match), time.unit, time.end)


def _since(match: re.Match[str]) -> TimeSpan:
    time = time_of(match["time"])
    return TimeSpan(_words(match), time.unit, time.start)


def _before(match: re.Match[str]) -> TimeSpan:
    time = time_of(match["time"])
    return TimeSpan(_words(match), time.unit, 0.0, time.start)


def _until(match: re.Match[str]) -> TimeSpan:
    time = time_of(match["time"])
    return TimeSpan(_words(match), time.unit, 0.0, time.end)


def _unit(match: re.Match[str]) -> Unit:
    return "frames" if re.search("frame|帧", match[0], re.IGNORECASE) else "seconds"


def _first(match: re.Match[str]) -> TimeSpan:
    return TimeSpan(_words(match), _unit(match), 0.0, number_of(match["count"].lower()))


def _last(match: re.Match[str]) -> TimeSpan:
    return TimeSpan(_words(match), _unit(match), -number_of((match["count"] or "one").lower()))


#: Which part of how many, by the words that say it.
_PARTS = {"half": 2, "third": 3, "quarter": 4, "半": 2, "一半": 2, "三分之一": 3, "四分之一": 4}
_PLACES = {"first": 0, "second": 1, "third": 2, "middle": 1, "last": -1}
_PLACES |= {"前": 0, "上": 0, "中间": 1, "后": -1, "下": -1, "最后": -1}


def _part(match: re.Match[str]) -> TimeSpan:
    parts, place = _PARTS[match["part"].lower()], match["place"].lower()
    index = _PLACES[place] % parts
    if _PLACES[place] >= parts or (place in ("middle", "中间") and parts != 3):
        raise UserError(f'the time "{_words(match)}" isn\'t understood: a whole has {parts} such parts; say which')
    return TimeSpan(_words(match), "share", index / parts, (index + 1) / parts)


def _whole(match: re.Match[str]) -> None:
    return None


_TIME = rf"(?:{MOMENT}|{COUNTED})"
_TO = r"\s*(?:to|until|till|through|-|–|—|~)\s*"
_IN = r"\b(?:in|during|for|at|on|over)\s+"
_OF_VIDEO = r"(?:\s+of\s+the\s+(?:video|clip)\b|(?!\s+of\b))"
_END = r"the\s+(?:very\s+)?end\b"
_Z_TIME = rf"(?:{Z_COUNTED}|{Z_MOMENT})"
_Z_TO = r"\s*(?:到|至|-|–|—|~)\s*"
_Z_IN = r"(?:的时候|期间|之间|里面|里|内|中|时|处)?的?"
_NOT_A_PLACE = r"(?![面方排边轮座])"

#: The more that a pattern takes, the earlier it stands.
_ALL: list[tuple[str, _Maker]] = [
    (r"\b(?:throughout|in|during|for|over)\s+the\s+(?:whole|entire)\s+(?:video|clip)\b|\bthroughout\b", _whole),
    (r"在?(?:全程|从头到尾|始终|整个视频)[里中]?", _whole),
    (rf"\bbetween\s+(?P<first>{_TIME}|{ENGLISH})\s+and\s+(?P<last>{_TIME})", _range),
    (rf"\bbetween\s+(?P<first>{COUNTED})\s+and\s+(?P<last>{ENGLISH})", _range),
    (rf"(?:\bfrom\s+|{_IN})?(?<![\w.:])(?P<first>{_TIME}|{ENGLISH}){_TO}(?P<last>{_TIME})", _range),
    (rf"(?:\bfrom\s+|{_IN})?(?<![\w.:])(?P<first>{COUNTED}){_TO}(?P<last>{ENGLISH})(?![\w:])", _range),
    (rf"[从在]?(?P<first>{Z_COUNTED}|第{CHINESE}){_Z_TO}(?P<last>{Z_COUNTED}|{CHINESE}(?:秒|帧)){_Z_IN}", _range),
    (rf"[从在]?(?P<first>{Z_MOMENT}|{CHINESE}){_Z_TO}(?P<last>{Z_MOMENT}|{CHINESE}帧){_Z_IN}", _range),
    (rf"\b(?:from|since|starting\s+(?:at|from|in))\s+(?P<time>{_TIME})(?:\s+on(?:wards?)?\b|{_TO}{_END})?", _since),
    (rf"[从自]?(?P<time>{_Z_TIME})(?:之后|以后|后{_NOT_A_PLACE})(?:开始)?的?", _after),
    (rf"[从自](?P<time>{_Z_TIME})(?:开始|起)?(?:直?到(?:最后|结尾|结束))?", _since),
    (rf"(?P<time>{_Z_TIME})(?:开始|起)", _since),
    (rf"\bafter\s+(?P<time>{_TIME})", _after),
    (rf"\bbefore\s+(?P<time>{_TIME})", _before),
    (rf"(?:\bfrom\s+the\s+(?:start|beginning)\s+)?\b(?:until|till|up\s+to|to)\s+(?P<time>{_TIME})", _until),
    (rf"(?P<time>{_Z_TIME})(?:之前|以前|前{_NOT_A_PLACE})的?", _before),
    (rf"(?:从(?:开头|头|开始))?直?到(?P<time>{_Z_TIME})(?:为止)?的?", _until),
    (rf"(?:{_IN})?\bthe\s+first\s+(?P<count>{ENGLISH})\s+(?:seconds?|secs?|frames?|s)\b", _first),
    (rf"(?:{_IN})?\bthe\s+last\s+(?:(?P<count>{ENGLISH})\s+)?(?:seconds?|secs?|frames?|s)\b", _last),
    (rf"在?(?:最初|最开始|开头|前)的?(?P<count>{CHINESE})(?:秒钟?|帧){_Z_IN}", _first),
    (rf"在?(?:最后|末尾|后)的?(?P<count>{CHINESE})(?:秒钟?|帧){_Z_IN}", _last),
    (
        rf"(?:{_IN})?\bthe\s+(?P<place>first|second|third|middle|last)\s+(?P<part>half|third|quarter)\b{_OF_VIDEO}",
        _part,
    ),
    (r"在?(?:视频的?|(?<!的))(?P<place>[前后上下])(?P<part>半)(?:段|程|截|部分)[里内中]?的?", _part),
    (r"在?(?:视频的?|(?<!的))(?P<place>前|中间|最后|后)的?(?P<part>一半|三分之一|四分之一)[里内中]?的?", _part),
    (rf"{_IN}(?P<time>{COUNTED})", _alone),
    (rf"\b(?:in|during|at|on)\s+(?P<time>{CLOCK})", _alone),
    (rf"\bat\s+(?P<time>{MOMENT})", _alone),
    (rf"在?(?P<time>{Z_COUNTED}){_Z_IN}", _alone),
    (rf"在(?P<time>{CLOCK})(?:的时候|时|处)?的?", _alone),
    (rf"(?P<time>{CLOCK})(?:的时候|时|处)的?", _alone),
    (rf"在(?P<time>{Z_MOMENT})(?:的时候|时|处)的?", _alone),
]
_PATTERNS = [(re.compile(pattern, re.IGNORECASE), make) for pattern, make in _ALL]

#: What speaks of time and was taken by none of the patterns.
_VAGUE = re.compile(
    rf"\b(?:at|in|near|towards)\s+the\s+(?:very\s+)?(?:beginning|start|end)\b{_OF_VIDEO}"
    rf"|\bfrom\s+{ENGLISH}{_TO}{ENGLISH}(?!\w)|\b(?:for|in|within)\s+{MOMENT}|\b{MOMENT}|\b{ENGLISH}\s+frames\b"
    rf"|\b(?:seconds?|frames?)\s+\d+|,\s*(?:the\s+)?(?:seconds?\s+{ENGLISH}|{ORDINAL}\s+second\b)"
    rf"|(?:视频的?)?(?:开头|结尾|片头|片尾)|{CHINESE}\s*(?:秒|帧|分钟)|[前后]半段",
    re.IGNORECASE,
)
