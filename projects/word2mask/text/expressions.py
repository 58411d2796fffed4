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

__all__ = ["expression_of", "says_nothing_is_there"]

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
    """
    text = question.strip()
    for form in _FORMS:
        if (match := form.fullmatch(text)) is not None:
            return match[1].strip(" ,;:")
    return _SUFFIX.sub("", text) or text


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
