"""Time spans found in sentences, in English and Chinese."""

from __future__ import annotations

import re
from collections.abc import Callable

from word2mask.errors import UserError
from word2mask.inference.editing.numbers import CHINESE, ENGLISH, ORDINAL, PERCENT, percent_of
from word2mask.inference.editing.time_words import (
    AND,
    AT_START,
    BEGINNING,
    CLOCK,
    COUNTED,
    DURATION,
    END,
    IN,
    MOMENT,
    OF_VIDEO,
    ONLY,
    ONLY_BEHIND,
    TIME,
    TO,
    UNITS,
    Z_BEHIND,
    Z_COUNTED,
    Z_DURATION,
    Z_MOMENT,
    Z_NOT_A_PLACE,
    Z_ONLY,
    Z_TIME,
    Z_TO,
    Z_UNITS,
    Z_VIDEO,
    length_of,
    time_of,
    with_halves,
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
    text = with_halves(text)
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
    before, after = text[: match.start()].rstrip(" ,:"), text[match.end() :].lstrip(" ,:")
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


def _pair(match: re.Match[str]) -> TimeSpan:
    """Two seconds or frames, which must be neighbours to be one span."""
    start, stop = time_of(match["first"], like=match["last"]), time_of(match["last"], like=match["first"])
    if start.end != stop.start or start.unit != stop.unit:
        raise UserError(f'the instruction names two time spans, "{_words(match)}"; give one at a time')
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


def _lasting(match: re.Match[str]) -> TimeSpan:
    """So long, from a time on."""
    time, (unit, length) = time_of(match["time"]), length_of(match["length"])
    if time.unit != unit:
        raise UserError(f'the time span "{_words(match)}" begins in {time.unit} and lasts {unit}; use one of them')
    return TimeSpan(_words(match), unit, time.start, time.start + length)


def _first(match: re.Match[str]) -> TimeSpan:
    unit, length = length_of(match["length"])
    return TimeSpan(_words(match), unit, 0.0, length)


def _after_first(match: re.Match[str]) -> TimeSpan:
    unit, length = length_of(match["length"])
    return TimeSpan(_words(match), unit, length)


def _last(match: re.Match[str]) -> TimeSpan:
    length = match["length"]
    unit, count = length_of(length if re.match(rf"{ENGLISH}|{CHINESE}", length, re.IGNORECASE) else f"one {length}")
    return TimeSpan(_words(match), unit, -count)


def _from_the_end(match: re.Match[str]) -> TimeSpan:
    """Counted from the end: the last one is."""
    time = time_of(match["time"])
    if time.start:
        raise UserError(
            f'the time "{_words(match)}" isn\'t understood: only the last one is counted from the end; count from the '
            "beginning, or say 最后两秒"
        )
    return TimeSpan(_words(match), time.unit, -time.end)


#: Which part of how many, by the words that say it.
_PARTS = {"half": 2, "third": 3, "quarter": 4, "半": 2, "一半": 2, "三分之一": 3, "四分之一": 4}
_PLACES = {"first": 0, "second": 1, "third": 2, "middle": 1, "last": -1, "opening": 0, "final": -1}
_PLACES |= {"前": 0, "上": 0, "中间": 1, "后": -1, "下": -1, "最后": -1}


def _part(match: re.Match[str]) -> TimeSpan:
    parts, place = _PARTS[match["part"].lower()], match["place"].lower()
    index = _PLACES[place] % parts
    if _PLACES[place] >= parts or (place in ("middle", "中间") and parts != 3):
        raise UserError(f'the time "{_words(match)}" isn\'t understood: a whole has {parts} such parts; say which')
    return TimeSpan(_words(match), "share", index / parts, (index + 1) / parts)


def _percent(match: re.Match[str]) -> TimeSpan:
    share = percent_of(match["percent"])
    if not 0 < share <= 1:
        raise UserError(f'the time "{_words(match)}" isn\'t understood: expected more than 0 and at most 100 %')
    is_last = _PLACES[match["place"].lower()] == -1
    return TimeSpan(_words(match), "share", *((1 - share, 1.0) if is_last else (0.0, share)))


def _later_half(match: re.Match[str]) -> TimeSpan:
    return TimeSpan(_words(match), "share", 0.5, 1.0)


def _whole(match: re.Match[str]) -> None:
    return None


#: "The second half of the pizza" is no time.
_OF_NOTHING_ELSE = rf"(?:{OF_VIDEO}|(?!\s+of\b))"
_FIRST = r"(?:first|opening|initial)"
_LAST = r"(?:last|final|closing)"
_LENGTH = rf"(?:{DURATION}|{ENGLISH}\s+{UNITS})"
_Z_LENGTH = rf"(?:{Z_DURATION}|{CHINESE}{Z_UNITS})"

TO_END = rf"\s+{END}{_OF_NOTHING_ELSE}"

#: English, then Chinese; of both, the more that a pattern takes, the earlier it stands.
_ENGLISH_FORMS: list[tuple[str, _Maker]] = [
    (rf"{IN}the\s+(?:whole|entire|full)\s+(?:video|clip|time)\b|\bthroughout(?:\s+the\s+(?:video|clip))?\b", _whole),
    (r"\b(?:all|the\s+whole)\s+(?:the\s+)?time\b|\bfrom\s+start\s+to\s+(?:end|finish)\b", _whole),
    (rf"{IN}(?:all|every|each)(?:\s+(?:of\s+the\s+)?(?:single\s+)?frames?)\b", _whole),
    (
        rf"{AT_START}(?P<first>{TIME}),?\s+(?:and\s+)?(?:end|stop|finish)(?:p?ing|e?s)?\s+(?:at|in|with|on|after)\s+"
        rf"(?P<last>{TIME})",
        _range,
    ),
    (rf"{AT_START}(?:the\s+)?(?P<first>{ORDINAL}\s+{UNITS}){TO}(?P<last>(?:the\s+)?{ORDINAL})\b(?!\s+{UNITS})", _range),
    (rf"(?:{IN})?(?:the\s+)?(?:last\s+)?(?P<length>{_LENGTH})\s+before\s+{END}", _last),
    (
        rf"(?:{AT_START})?(?P<length>{_LENGTH})\s+(?:in|into\s+(?:it|the\s+(?:video|clip)))(?:\s+on(?:wards?)?)?"
        r"(?=[\s,.:]*$)",
        _after_first,
    ),
    (rf"{AT_START}(?:half\s?way|the\s+middle)(?:\s+(?:through|in))?(?:\s+on(?:wards?)?|,?{TO}{END})?", _later_half),
    (rf"{AT_START}(?P<time>{TIME}),?\s+for\s+(?P<length>{_LENGTH})", _lasting),
    (rf"\bfor\s+(?P<length>{_LENGTH})\s+{AT_START}(?P<time>{TIME})", _lasting),
    (rf"\bbetween\s+(?:the\s+)?(?P<first>{TIME}|{ENGLISH}|{ORDINAL}){AND}(?P<last>{TIME})", _range),
    (rf"\bbetween\s+(?P<first>{COUNTED}){AND}(?P<last>{ENGLISH})(?![\w:])", _range),
    (rf"(?:{AT_START}|{IN})(?:the\s+)?(?P<first>{ORDINAL}){TO}(?P<last>(?:the\s+)?{ORDINAL}\s+\w+\b)", _range),
    (rf"(?:{AT_START}|{IN})(?:the\s+)?(?P<first>{ORDINAL})\s+and\s+(?P<last>(?:the\s+)?{ORDINAL}\s+\w+\b)", _pair),
    (rf"(?:{AT_START}|{IN})?(?<![\w.:])(?P<first>{TIME}|{ENGLISH}){TO}(?P<last>{TIME})", _range),
    (rf"(?:{AT_START}|{IN})?(?<![\w.:])(?P<first>{COUNTED}){TO}(?P<last>{ENGLISH})(?![\w:])", _range),
    (rf"{IN}(?P<first>(?:seconds|frames)\s+{ENGLISH})\s+and\s+(?P<last>{ENGLISH})(?![\w:])", _pair),
    (rf"\bafter\s+the\s+{_FIRST}\s+(?P<length>{_LENGTH})", _after_first),
    (rf"{AT_START}(?P<time>{TIME})(?:\s+(?:on(?:wards?)?|forward)\b|,?{TO}{END})?", _since),
    (rf"\bafter\s+(?P<time>{TIME})", _after),
    (rf"\bbefore\s+(?P<time>{TIME})", _before),
    (rf"(?:\bfrom\s+{BEGINNING}\s*)?(?:\b(?:until|till|up\s+(?:to|until)|to|through)\s+)(?P<time>{TIME})", _until),
    (rf"(?:{IN})?\bthe\s+{_FIRST}\s+(?P<length>{_LENGTH})", _first),
    (rf"(?:{IN})?\bthe\s+(?:very\s+)?{_LAST}\s+(?P<length>{_LENGTH}|{UNITS})", _last),
    (
        rf"(?:{IN})?\bthe\s+(?P<place>first|second|third|middle|last|opening|final)\s+(?P<part>half|third|quarter)\b"
        rf"{_OF_NOTHING_ELSE}",
        _part,
    ),
    (rf"{IN}the\s+(?P<place>first|last|opening|final)\s+(?P<percent>{PERCENT}){_OF_NOTHING_ELSE}", _percent),
    (rf"{IN}(?P<time>{COUNTED})", _alone),
    (rf"{IN}(?P<time>{CLOCK})", _alone),
    (rf"\bat\s+(?P<time>{MOMENT})", _alone),
    (rf"(?:^|,\s*)(?P<time>{COUNTED})(?=\s*(?:,|:|$))", _alone),
    (rf"\b(?:all\s+the\s+way\s+)?(?:until|till|up\s+to|to){TO_END}", _whole),
]
_CHINESE_FORMS: list[tuple[str, _Maker]] = [
    (r"在?(?:全程|全片|从头到尾|始终|自始至终|整[个段](?:视频|影片|片子|过程))[里中]?的?", _whole),
    (rf"[从自]?(?P<first>{Z_TIME})(?:开始|起)?[,,]?(?:一?直?到|至|在)(?P<last>{Z_TIME})(?:结束|停止|为止)的?", _range),
    (rf"[从自]?(?P<first>{Z_TIME})(?:开始|起)[,,]?(?:一?直?到|至)(?P<last>{Z_TIME}){Z_BEHIND}", _range),
    (rf"在?(?:结束|结尾|片尾|末尾)(?:之前|以?前)的?(?P<length>{_Z_LENGTH}){Z_BEHIND}", _last),
    (rf"[从自](?P<time>{Z_TIME})(?:开始|起)?的?[,,]?(?:持续|延续|接下来的?)(?P<length>{_Z_LENGTH})", _lasting),
    (rf"[从自](?P<time>{Z_TIME})(?:开始|起)的(?P<length>{_Z_LENGTH}){Z_BEHIND}", _lasting),
    (rf"[从在]?(?P<first>{Z_COUNTED}|第{CHINESE}){Z_TO}(?P<last>{Z_COUNTED}|{CHINESE}(?:{Z_UNITS})){Z_BEHIND}", _range),
    (rf"[从在]?(?P<first>{Z_MOMENT}|{CHINESE}){Z_TO}(?P<last>{Z_MOMENT}|{CHINESE}帧){Z_BEHIND}", _range),
    (rf"在?(?P<first>{Z_COUNTED}|第{CHINESE})[和与、](?P<last>{Z_COUNTED})之间的?", _range),
    (rf"在?(?P<first>{Z_MOMENT}|{CHINESE})[和与](?P<last>{Z_MOMENT})之间的?", _range),
    (rf"在?(?P<first>{Z_COUNTED}|第{CHINESE})[和与、](?P<last>{Z_COUNTED}){Z_BEHIND}", _pair),
    (rf"[从自]?(?P<time>{Z_TIME})(?:之后|以后|过后|后{Z_NOT_A_PLACE})(?:开始)?的?", _after),
    (rf"[从自](?P<time>{Z_TIME})(?:开始|起)?[,,]?(?:一?直?到(?:最后|结尾|结束|末尾|片尾))?的?", _since),
    (rf"(?P<time>{Z_TIME})(?:开始|起)[,,]?(?:一?直?到(?:最后|结尾|结束|末尾|片尾))?的?", _since),
    (rf"(?P<time>{Z_TIME})一?直?到(?:最后|结尾|结束|末尾|片尾)的?", _since),
    (rf"(?P<time>{Z_TIME})(?:之前|以前|前{Z_NOT_A_PLACE})的?", _before),
    (rf"(?:从(?:开头|头|开始))?一?直?到(?P<time>{Z_TIME})(?:为止)?的?", _until),
    (rf"在?(?:最初|最开始|开头|开始|前|(?<!的)头)的?(?P<length>{_Z_LENGTH}){Z_BEHIND}", _first),
    (rf"在?(?:最后|末尾|结尾|(?<![一-鿿])倒数|后)的?(?P<length>{_Z_LENGTH}){Z_BEHIND}", _last),
    (rf"(?P<length>{_Z_LENGTH})(?:之内|以内)的?", _first),
    (r"在?(?:视频的?|(?<!的))(?P<place>[前后上下])(?P<part>半)(?:段|程|截|部分)[里内中]?的?", _part),
    (r"在?(?:视频的?|(?<!的))(?P<place>前|中间|最后|后)的?(?P<part>一半|三分之一|四分之一)[里内中]?的?", _part),
    (rf"在?(?:视频的?|(?<!的))(?P<place>前|最后|后)的?(?P<percent>{PERCENT})[里内中]?的?", _percent),
    (rf"在?倒数(?P<time>{Z_COUNTED}){Z_BEHIND}", _from_the_end),
    (rf"在?(?P<time>{Z_COUNTED}){Z_BEHIND}", _alone),
    (rf"在(?P<time>{CLOCK})(?:的时候|时|处)?的?", _alone),
    (rf"(?P<time>{CLOCK})(?:的时候|时|处)的?", _alone),
    (rf"在(?P<time>{Z_MOMENT})(?:的时候|时|处)的?", _alone),
    (r"一?直?到(?:最后|结尾|结束|末尾|片尾)(?:为止)?(?![一-鿿]?[秒帧分])", _whole),
]


_PATTERNS = [
    *(
        (re.compile(rf"{ONLY}(?:{pattern}){OF_VIDEO}?{ONLY_BEHIND}", re.IGNORECASE), make)
        for pattern, make in _ENGLISH_FORMS
    ),
    *((re.compile(rf"{Z_ONLY}{Z_VIDEO}(?:{pattern})", re.IGNORECASE), make) for pattern, make in _CHINESE_FORMS),
]

#: What speaks of time and was taken by none of the patterns.
_VAGUE = re.compile(
    rf"\b(?:at|in|near|towards?|around|about)\s+(?:{BEGINNING}|{END}){_OF_NOTHING_ELSE}"
    rf"|\bfrom\s+{ENGLISH}{TO}{ENGLISH}(?!\w)|\b(?:for|in|within|around|about)\s+{MOMENT}|\b{MOMENT}"
    rf"|\b{ENGLISH}\s+frames\b|\b(?:seconds?|frames?)\s+\d+"
    rf"|,\s*(?:the\s+)?(?:seconds?\s+{ENGLISH}|{ORDINAL}\s+second\b)"
    rf"|\bevery\s+(?:{ENGLISH}\s+|other\s+)?(?:seconds?|frames?)\b"
    rf"|\bin\s+the\s+(?:second|frame)\s+before\b"
    r"|\b(?:for\s+(?:a\s+(?:moment|while|bit)|some\s+time)|briefly|at\s+some\s+point|halfway(?:\s+through)?"
    r"|in\s+the\s+middle\s+of\s+the\s+(?:video|clip)|later\s+on|(?:early|late)\s+in\s+the\s+(?:video|clip))\b"
    rf"|(?:视频的?)?(?:开头|结尾|片头|片尾|中途)|{CHINESE}\s*(?:秒|帧|分钟)|[前后]半段|一会儿|片刻",
    re.IGNORECASE,
)
