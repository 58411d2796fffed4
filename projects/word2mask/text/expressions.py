"""What a question asks the mask of: "Please segment the red circle in this picture." → "the red circle"."""

from __future__ import annotations

import re

from word2mask.text.questions import (
    EXPLANATION_SUFFIXES,
    MASK_SUFFIXES,
    NO_TARGET_ANSWERS,
    NO_TARGET_REPLIES,
    SEGMENTATION_QUESTIONS,
)

__all__ = ["expression_of", "names_of", "says_nothing_is_there"]

_MEDIUM = r"(?:picture|image|photo|photograph|video|clip|scene|frame|footage)"
_PLACE = rf"(?:\s+(?:in|from|on|of)\s+(?:this|the)\s+{_MEDIUM})?"
_ASKED = r"(?:please\s+|(?:can|could|would|will)\s+you\s+(?:please\s+)?|i\s+want\s+(?:you\s+)?to\s+)?"
_VERB = (
    r"(?:segment(?:\s+out)?|mask(?:\s+out)?|find|locate|highlight|mark|show(?:\s+me)?|identify|point\s+(?:at|to|out)|ground"
    r"|track|select|detect|outline)"
)
_MASK_OF = r"(?:(?:the\s+|a\s+)?(?:segmentation\s+)?masks?\s+(?:of|for)\s+)?"
#: What is asked for besides: "and segment it", "please answer with its mask".
_BESIDES = r"(?:[,.?]?\s*(?:and\s+)?(?:please\s+)?(?:segment|answer|respond|output|give|mark|show)\b.*)?"


def _template(text: str) -> str:
    """A template of training as a pattern."""
    return re.escape(text).replace(r"\{\}", "(.+?)").replace(r"\{medium\}", _MEDIUM)


_REGION = re.compile(r"region\d+", re.IGNORECASE)
#: All that a question says besides when it asks what marked regions are.
_ASKS_WHAT = frozenset(
    "a about an and are can clip could describe do does explain frame image in is me name of or photo picture please s "
    "say scene see show shows tell the there this us video what which who you "
    "一下 什么 和 是什么 是谁 描述 有什么 请描述 里有什么".split()
)
_SUFFIX = re.compile(rf"\s*(?:{'|'.join(map(re.escape, (*MASK_SUFFIXES, *EXPLANATION_SUFFIXES)))})$", re.IGNORECASE)
_FORMS = [
    re.compile(form, re.IGNORECASE)
    for form in (
        *map(_template, SEGMENTATION_QUESTIONS),
        rf"{_ASKED}{_VERB}\s+{_MASK_OF}(.+?){_PLACE}{_BESIDES}[\s.?!]*",
        rf"{_ASKED}(?:give|provide|output|show)\s+(?:me\s+)?(?:the\s+|a\s+)?(?:segmentation\s+)?masks?\s+(?:of|for)\s+(.+?)"
        rf"{_PLACE}[\s.?!]*",
        rf"where\s+(?:is|are)\s+(.+?){_PLACE}{_BESIDES}[\s.?!]*",
        rf"what\s+(?:is|are)\s+(.+?){_PLACE}\?\s*(?:please\s+)?(?:answer|respond|output|segment)\b.*",
        r"(?:请|请你|麻烦|帮我|能不能)*(?:分割|找到|找出|标出|圈出|指出|定位|抠出|框出|识别)(?:出来?|一下)?"
        r"(?:(?:图|图片|画面|视频|照片)[中里]的?)?(.+?)[。.?!\s]*",
        r"(.+?)(?:在哪里?|在哪儿)[。.?!\s]*",
    )
]


def expression_of(question: str) -> str:
    """The words in a question that name what is to be masked; the question itself where it has another form.

    >>> expression_of("Please segment the red circle in this picture.")
    'the red circle'
    >>> expression_of("Which of them would roll away? Please answer with a mask.")
    'Which of them would roll away?'
    >>> expression_of("请分割图中红色的圆。")
    '红色的圆'
    >>> expression_of("What is region1?"), expression_of("What is left of region1?")
    ('region1', 'What is left of region1?')
    """
    text = question.strip()
    for form in _FORMS:
        if (match := form.fullmatch(text)) is not None:
            return match[1].strip(" ,;:")
    if regions := _regions_alone(text):
        return ", ".join(regions)
    return _SUFFIX.sub("", text) or text


def names_of(question: str, count: int) -> tuple[str, ...]:
    """What ``count`` masks are called that an answer has no words for: what was asked for, each region by itself.

    >>> names_of("Please segment region1 and region2.", 2)
    ('region1', 'region2')
    >>> names_of("Please segment both cats.", 2)
    ('both cats', 'both cats')
    """
    expression = expression_of(question)
    regions = _regions_alone(expression)
    return tuple(regions) if len(regions) == count else (expression,) * count


def _regions_alone(text: str) -> list[str]:
    """The marked regions that a text names, where it says nothing else of them than what they are; or none."""
    others = re.findall(r"\w+", _REGION.sub(" ", text).lower())
    return [name.lower() for name in _REGION.findall(text)] if _ASKS_WHAT.issuperset(others) else []


_NOTHING = re.compile(
    "|".join(
        re.escape(text.partition("{}")[0] if "{}" in text else text).replace(r"\{medium\}", _MEDIUM)
        for text in (*NO_TARGET_ANSWERS, *NO_TARGET_REPLIES)
    ),
    re.IGNORECASE,
)


def says_nothing_is_there(answer: str) -> bool:
    """Whether an answer begins as those do that say in words that nothing fits.

    >>> says_nothing_is_there("There is no red dog in the picture."), says_nothing_is_there("Sure, it is.")
    (True, False)
    """
    return _NOTHING.match(answer.strip()) is not None
