"""Single times in words, English and Chinese: "second three", "2.5 s", 0:03, 第三秒, 第10帧."""

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

__all__ = ["CLOCK", "COUNTED", "MOMENT", "SECONDS", "Z_COUNTED", "Z_MOMENT", "Time", "Unit", "number_of", "time_of"]

CLOCK = r"\d{1,2}:\d{2}(?::\d{2})?(?:\.\d+)?"
SECONDS = r"(?:seconds?|secs?|s)\b"
_MINUTES = r"(?:minutes?|mins?)\b"
#: A moment: 0:03, 2.5 s, 1 min 20 s; Z is Chinese.
MOMENT = rf"(?:{CLOCK}|{ENGLISH}\s*{_MINUTES}(?:\s*(?:and\s+)?{ENGLISH}\s*{SECONDS})?|{ENGLISH}\s*{SECONDS})"
Z_MOMENT = rf"(?:{CLOCK}|{CHINESE}分钟?(?:{CHINESE}秒)?|{CHINESE}秒钟?)"
#: Something counted: second three, the third second, frame 10.
COUNTED = rf"(?:the\s+)?(?:seconds?\s+{ENGLISH}|{ORDINAL}\s+second\b|frames?\s+{ENGLISH}|{ORDINAL}\s+frame\b)"
Z_COUNTED = rf"第{CHINESE}(?:秒钟?|帧)"

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


def number_of(text: str) -> float:
    """A number in either language."""
    return english_number(text) if text.isascii() else chinese_number(text)


def time_of(text: str, like: str = "") -> Time:
    """Reads a time.

    Args:
        text: what one of the patterns above matched, or a bare number.
        like: the other end of a range, from which a bare number takes its unit.

    Raises:
        UserError: a count that isn't whole, or a second before the first.
    """
    text = _with_unit(re.sub(r"^the\s+", "", text.strip(), flags=re.IGNORECASE).lower(), like.strip().lower())
    if re.fullmatch(CLOCK, text):
        return _moment(_clock(text), text)
    if minutes := re.match(rf"(?:({ENGLISH})\s*min|({CHINESE})分)", text):
        return _minutes(text, minutes)
    ordinal = re.match(ORDINAL + r"(?=\s+(?:second|frame))", text)
    bare = re.sub(r"^(?:seconds?|frames?)\s+|^第", "", text)
    digits = ordinal[0] if ordinal else re.match(rf"{ENGLISH}|{CHINESE}", bare)[0]  # type: ignore[index]
    number = ordinal_number(digits) if ordinal else number_of(digits)
    is_counted = bool(ordinal) or bare != text
    if is_counted and number != int(number):
        raise UserError(f'the time "{text}" isn\'t understood: seconds and frames are counted in whole numbers')
    if "frame" in text or "帧" in text:
        first = number - 1 if ordinal else number
        return Time("frames", first, first + 1, first + 1)
    if is_counted:
        if number < 1:
            raise UserError(
                f'the time "{text}" isn\'t understood: seconds are counted from 1; a moment is "0:00" or "0 s"'
            )
        return Time("seconds", number - 1, number, number)
    return _moment(number, digits)


def _with_unit(text: str, like: str) -> str:
    """A bare number with the unit of the other end: behind both ends in "2-5 s", before both in "second 2 to 5"."""
    if re.fullmatch(rf"第{CHINESE}", text):
        return text + ("帧" if "帧" in like else "秒")
    if not re.fullmatch(rf"{ENGLISH}|{CHINESE}", text):
        return text
    if counted := re.match(r"(?:the\s+)?(seconds?|frames?)\s", like):
        return f"{counted[1]} {text}"
    if like.startswith("第"):
        return f"第{text}{'帧' if '帧' in like else '秒'}"
    if "帧" in like:
        return f"第{text}帧"
    if "分" in like or "min" in like:
        return f"{text} min"
    return f"{text} s" if text.isascii() else f"{text}秒"


def _minutes(text: str, minutes: re.Match[str]) -> Time:
    """Minutes, and the seconds behind them."""
    whole = 60 * number_of(minutes[1] or minutes[2])
    rest = re.search(rf"({ENGLISH})\s*{SECONDS}|({CHINESE})秒", text[minutes.end() :])
    if rest is None:
        return Time("seconds", whole, whole, whole + 60)
    digits = rest[1] or rest[2]
    return _moment(whole + number_of(digits), digits)


def _clock(text: str) -> float:
    seconds = 0.0
    for part in text.split(":"):
        seconds = 60 * seconds + float(part)
    return seconds


def _moment(seconds: float, digits: str) -> Time:
    """A moment, whose last digit says how exact it is meant."""
    decimals = len(digits.partition("." if "." in digits else "点")[2])
    return Time("seconds", seconds, seconds, round(seconds + 10.0**-decimals, decimals + 3))
