"""The words of time, English and Chinese: units, single times and what stands around them; and what a time means.

All vocabulary of time stands here; :mod:`word2mask.inference.editing.spans` puts it together to time spans.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from word2mask.errors import UserError
from word2mask.inference.editing.numbers import (
    CHINESE,
    ENGLISH,
    ORDINAL,
    chinese_number,
    english_number,
    ordinal_number,
)

__all__ = [
    *("AND", "AT_START", "BEGINNING", "CLOCK", "COUNTED", "DURATION", "END", "IN", "MOMENT", "OF_VIDEO", "ONLY"),
    *("ONLY_BEHIND", "TIME", "TO", "Time", "UNITS", "Unit", "Z_BEHIND", "Z_COUNTED", "Z_DURATION", "Z_MOMENT"),
    *("Z_NOT_A_PLACE", "Z_ONLY", "Z_TIME", "Z_TO", "Z_UNITS", "Z_VIDEO", "length_of", "number_of", "time_of"),
    "with_halves",
]

# -- units ---------------------------------------------------------------------------------------------------------

_SECOND, _MINUTE, _MILLI, _FRAME = (
    r"(?:seconds?|secs?|s)\b",
    r"(?:minutes?|mins?)\b",
    r"(?:milliseconds?|ms)\b",
    "frames?",
)
#: Chinese sentences have "s" and "ms" too, with nothing between them and the next word.
_Z_SECOND, _Z_MINUTE, _Z_MILLI, _Z_FRAME = r"(?:秒钟?|s(?![a-z]))", "(?:分钟|分(?!之))", r"(?:毫秒|ms(?![a-z]))", "帧"
#: A unit behind a number: "3 seconds", "10 frames".
UNITS = rf"(?:{_SECOND}|{_MINUTE}|{_MILLI}|{_FRAME}\b)"
Z_UNITS = rf"(?:{_Z_SECOND}|{_Z_MINUTE}|{_Z_MILLI}|{_Z_FRAME})"

# -- single times --------------------------------------------------------------------------------------------------

CLOCK = r"(?<![\d:])\d{1,2}:\d{2}(?::\d{2})?(?:\.\d+)?(?!\d|:\d)"
#: So long: 3 s, 1 min 20 s; Z is Chinese.
DURATION = (
    rf"(?:{ENGLISH}[\s-]*{_MINUTE}(?:\s*(?:and\s+)?{ENGLISH}\s*{_SECOND})?|{ENGLISH}[\s-]*(?:{_SECOND}|{_MILLI}))"
)
Z_DURATION = rf"(?:{CHINESE}\s*{_Z_MINUTE}(?:{CHINESE}{_Z_SECOND})?|{CHINESE}\s*(?:{_Z_SECOND}|{_Z_MILLI}))"
#: A moment: 0:03, 2.5 s, the 3-second mark.
MOMENT = rf"(?:{CLOCK}|{DURATION}|the\s+{ENGLISH}[\s-]*{_SECOND}\s+mark\b)"
Z_MOMENT = rf"(?:{CLOCK}|{Z_DURATION})"
#: Something counted: second three, the third second, frame 10.
COUNTED = (
    rf"(?:the\s+)?(?:(?:seconds?|minutes?|frames?)\s+(?:number\s+|no\.?\s*|#)?{ENGLISH}|"
    rf"{ORDINAL}\s+(?:second|sec|minute|min|frame)\b)"
)
Z_COUNTED = rf"第\s*{CHINESE}\s*(?:{_Z_SECOND}|分钟|{_Z_FRAME}|分{CHINESE}{_Z_SECOND})"
TIME = rf"(?:{MOMENT}|{COUNTED})"
Z_TIME = rf"(?:{Z_COUNTED}|{Z_MOMENT})"

# -- what stands around them ---------------------------------------------------------------------------------------

TO = r"\s*(?:up\s+to|(?:un)?till?|until|to|through|thru|-|–|—|~|\.\.\.?)\s*"
AND = r"\s+(?:and|to)\s+"
IN = r"\b(?:in|within|during|for|at|on|over|throughout|across)\s+"
BEGINNING = r"the\s+(?:very\s+)?(?:start|beginning)\b"
END = r"(?:the\s+(?:very\s+)?(?:end|finish)|the\s+last\s+frame)\b"
#: From this time on.
AT_START = r"\b(?:from|since|(?:starting|beginning)(?:\s+(?:at|from|in|with))?|as\s+of)\s+"
OF_VIDEO = r"(?:\s+(?:of|in|into)\s+(?:the|this)\s+(?:video|clip|film|movie|footage)\b)"
ONLY = r"(?:\b(?:but\s+)?(?:only|just|exactly|precisely|solely|merely)\s+)?"
ONLY_BEHIND = r"(?:\s+(?:only|alone)\b)?"
Z_TO = r"\s*(?:直?到|至|-|–|—|~)\s*"
Z_BEHIND = r"(?:这一?段(?:时间)?)?(?:的时候|期间|之间|之内|以内|里面|里|内|中|时候|时|处)?的?"
Z_ONLY = "(?:只是?|仅仅?|单单|就|刚好|恰好)?"
Z_VIDEO = "(?:在?(?:这个|这段)?(?:视频|影片|片子|短片)[的里中]?)?"
#: 前 and 后 are places too: 前面, 后排.
Z_NOT_A_PLACE = r"(?![面方排边轮座])"

_HALF = re.compile(
    rf"\b(?P<whole>{ENGLISH})\s+and\s+a\s+half\s+(?P<unit>{_SECOND}|{_MINUTE})"
    rf"|\b(?:(?P<before>{ENGLISH}|an?)\s+)?(?P<unit_before>{_SECOND}|{_MINUTE})\s+and\s+a\s+half\b"
    rf"|\b(?:a\s+)?half(?:\s+(?:of\s+)?an?)?[\s-]+(?P<unit_of_half>{_SECOND}|{_MINUTE})"
    rf"|(?<!第)(?P<z_whole>{CHINESE})(?P<z_unit>秒|分)钟?半(?![段场边个])|半(?P<z_unit_of_half>秒|分)钟?",
    re.IGNORECASE,
)

Unit = Literal["seconds", "frames"]


@dataclass(frozen=True)
class Time:
    """A time as it was said.

    Attributes:
        unit: of all three.
        start: where it begins.
        end: where it ends when it is counted, else ``start``: the end of "from … to this".
        alone: where it ends when it is said alone; a moment lasts as long as the last digit that is written.
    """

    unit: Unit
    start: float
    end: float
    alone: float


def with_halves(text: str) -> str:
    """A sentence whose halves of seconds and minutes are digits.

    >>> with_halves("for a second and a half"), with_halves("the last half second"), with_halves("前一秒半")
    ('for 1.5 second', 'the last 0.5 second', '前1.5秒')
    """

    def digits(match: re.Match[str]) -> str:
        groups = match.groupdict()
        if unit := groups["z_unit"] or groups["z_unit_of_half"]:
            whole = chinese_number(groups["z_whole"]) if groups["z_whole"] else 0
            return f"{whole + 0.5:g}{'分钟' if unit == '分' else unit}"
        if unit := groups["unit_of_half"]:
            return f"0.5 {unit}"
        before = groups["whole"] or groups["before"] or "one"
        whole = 1 if before.lower() in ("a", "an") else english_number(before)
        return f"{whole + 0.5:g} {groups['unit'] or groups['unit_before']}"

    return _HALF.sub(digits, text)


def number_of(text: str) -> float:
    """A number in either language."""
    return english_number(text) if text.isascii() else chinese_number(text)


def length_of(text: str) -> tuple[Unit, float]:
    """How long: what :data:`DURATION` matched, or a number with one of the units, frames too.

    >>> length_of("two seconds"), length_of("10 frames"), length_of("1 min")
    (('seconds', 2.0), ('frames', 10.0), ('seconds', 60.0))
    """
    text = text.strip().lower()
    if re.search(f"{_FRAME}|{_Z_FRAME}", text):
        return "frames", number_of(_first_number(text))
    return "seconds", time_of(text).start


def time_of(text: str, like: str = "") -> Time:
    """Reads a time.

    Args:
        text: what one of the patterns above matched, or a bare number.
        like: the other end of a range, from which a bare number takes its unit.

    Raises:
        UserError: a frame that isn't whole, or a second before the first.
    """
    like = like.strip().lower()
    text = _with_unit(re.sub(r"^the\s+|\s+mark$", "", text.strip(), flags=re.IGNORECASE).lower(), like)
    if re.fullmatch(CLOCK, text):
        return _moment(_clock(text), text)
    ordinal = re.match(ORDINAL + r"(?=\s+(?:sec|min|frame))", text)
    bare = re.sub(r"^(?:seconds?|minutes?|frames?)\s+(?:number\s+|no\.?\s*|#)?|^第\s*", "", text)
    digits = ordinal[0] if ordinal else _first_number(bare)
    number = float(ordinal_number(digits)) if ordinal else number_of(digits)
    is_counted = bool(ordinal) or bare != text
    if re.search(f"{_FRAME}|{_Z_FRAME}", text):
        if number != int(number):
            raise UserError(f'the time "{text}" isn\'t understood: frames are counted in whole numbers')
        first = number - 1 if ordinal else number
        return Time("frames", first, first + 1, first + 1)
    if re.search(f"min|{_Z_MINUTE}", text):
        return _minutes(text, digits, number, is_counted)
    if re.search(f"(?:{_MILLI}|{_Z_MILLI})$", text):
        return Time("seconds", number / 1000, number / 1000, (number + 1) / 1000)
    # 第2.5秒 is no second that could be counted but a moment, and so is the other end of 第2.5秒到第3秒.
    is_moment = not is_counted or number != int(number) or _is_fraction(like)
    if is_moment:
        return _moment(number, digits)
    if number == 0 and like:  # from second 0 to second 2, which end where moments would
        return _moment(0.0, "0")
    if number < 1:
        raise UserError(f'the time "{text}" isn\'t understood: seconds are counted from 1; a moment is "0:00" or "0 s"')
    return Time("seconds", number - 1, number, number)


def _first_number(text: str) -> str:
    match = re.search(rf"{ENGLISH}|{CHINESE}", text)
    assert match is not None, text
    return match[0]


def _is_fraction(text: str) -> bool:
    return re.search(r"\d\.\d|点", text) is not None and re.search(f"{_FRAME}|{_Z_FRAME}|:", text) is None


def _with_unit(text: str, like: str) -> str:
    """A bare number with the unit of the other end: behind both ends in "2-5 s", before both in "second 2 to 5"."""
    if re.fullmatch(rf"第\s*{CHINESE}", text):
        unit = re.search(f"{_Z_FRAME}|分钟", like)
        return text + (unit[0] if unit else "秒")
    if re.fullmatch(ORDINAL, text):
        return f"{text} {'frame' if 'frame' in like else 'minute' if 'min' in like else 'second'}"
    if not re.fullmatch(rf"{ENGLISH}|{CHINESE}", text):
        return text
    if counted := re.match(r"(?:the\s+)?(seconds?|minutes?|frames?)\s", like):
        return f"{counted[1]} {text}"
    if like.startswith("第"):
        unit = re.search(f"{_Z_FRAME}|分钟", like)
        return f"第{text}{unit[0] if unit else '秒'}"
    if _Z_FRAME in like:
        return f"第{text}帧"
    if re.search(r"\bframes?$", like):
        return f"frame {text}"
    for unit, pattern in (("分钟", "分"), ("min", "min"), ("ms", r"ms$|milli|毫秒")):
        if re.search(pattern, like):
            return f"{text} {unit}" if unit != "分钟" else f"{text}{unit}"
    return f"{text} s" if text.isascii() else f"{text}秒"


def _minutes(text: str, digits: str, number: float, is_counted: bool) -> Time:
    """Minutes, and the seconds behind them."""
    behind = text[text.index(digits) + len(digits) :]
    rest = re.search(rf"({ENGLISH}|{CHINESE})\s*(?:{_SECOND}|{_Z_SECOND})", behind)
    if rest is not None:
        return _moment(60 * number + number_of(rest[1]), rest[1])
    if is_counted and number == int(number) >= 1:
        return Time("seconds", 60 * (number - 1), 60 * number, 60 * number)
    return Time("seconds", 60 * number, 60 * number, 60 * number + 60)


def _clock(text: str) -> float:
    seconds = 0.0
    for part in text.split(":"):
        seconds = 60 * seconds + float(part)
    return seconds


def _moment(seconds: float, digits: str) -> Time:
    """A moment, whose last digit says how exact it is meant."""
    decimals = len(digits.partition("." if "." in digits else "点")[2])
    return Time("seconds", seconds, seconds, round(seconds + 10.0**-decimals, decimals + 3))
