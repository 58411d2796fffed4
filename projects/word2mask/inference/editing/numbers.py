"""Numbers as people write them: digits, English words, Chinese characters."""

from __future__ import annotations

import re

__all__ = [
    "CHINESE",
    "ENGLISH",
    "ORDINAL",
    "PERCENT",
    "chinese_number",
    "english_number",
    "ordinal_number",
    "percent_of",
]

_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
_ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth "
    "sixteenth seventeenth eighteenth nineteenth twentieth"
).split()
_DIGITS = {character: value for value, character in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}

#: Patterns of the three kinds, for regular expressions. Longer words stand first, so that "sixteen" isn't "six".
ENGLISH = (
    r"(?:\d+(?:\.\d+)?|(?:" + "|".join(_TENS) + r")(?:[- ](?:" + "|".join(_SMALL[1:10]) + r"))?|(?:"
    r"" + "|".join(sorted(_SMALL, key=len, reverse=True)) + r")\b)"
)
ORDINAL = r"(?:\d+(?:st|nd|rd|th)|(?:" + "|".join(sorted(_ORDINALS, key=len, reverse=True)) + r")\b)"
CHINESE = r"(?:\d+(?:\.\d+)?|[零〇一二两三四五六七八九十百]+(?:点[零〇一二三四五六七八九]+)?)"
#: A share of a hundred.
PERCENT = rf"(?:\d+(?:\.\d+)?\s*(?:%|per\s?cent\b)|{ENGLISH}\s+per\s?cent\b|百分之{CHINESE})"


def english_number(text: str) -> float:
    """``"12"``, ``"2.5"``, ``"three"`` or ``"twenty-four"`` as a number.

    >>> english_number("twenty-four")
    24.0
    """
    text = text.lower().strip()
    if text[0].isdigit():
        return float(text)
    if text in _SMALL:
        return float(_SMALL.index(text))
    tens, _, ones = text.replace(" ", "-").partition("-")
    return float(_TENS[tens] + (_SMALL.index(ones) if ones else 0))


def ordinal_number(text: str) -> int:
    """``"3rd"`` or ``"third"`` as a number.

    >>> ordinal_number("third")
    3
    """
    text = text.lower()
    return int(text[:-2]) if text[0].isdigit() else _ORDINALS.index(text) + 1


def chinese_number(text: str) -> float:
    """``"12"``, ``"十二"``, ``"两百零五"`` or ``"二点五"`` as a number.

    >>> chinese_number("二十三"), chinese_number("两百零五"), chinese_number("二点五")
    (23.0, 205.0, 2.5)
    """
    if text[0].isdigit():
        return float(text)
    whole, _, part = text.partition("点")
    if len(whole) > 1 and not set(whole) & {"十", "百"}:  # 一二〇: digit by digit
        total = int("".join(str(_DIGITS[character]) for character in whole))
    else:
        total, digit = 0, None
        for character in whole:
            if character in ("十", "百"):
                total += (1 if digit is None else digit) * (10 if character == "十" else 100)
                digit = None
            else:
                digit = _DIGITS[character]
        total += digit or 0
    return float(f"{total}.{''.join(str(_DIGITS[character]) for character in part) or 0}")


def percent_of(text: str) -> float:
    """``"30%"``, ``"30 percent"``, ``"thirty percent"`` or ``"百分之三十"`` as a share.

    >>> percent_of("30 %"), percent_of("百分之三十")
    (0.3, 0.3)
    """
    number = re.sub(r"\s*(?:%|per\s?cent)$|^百分之", "", text.strip(), flags=re.IGNORECASE)
    return (english_number(number) if number.isascii() else chinese_number(number)) / 100
