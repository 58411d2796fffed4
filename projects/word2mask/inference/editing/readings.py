"""An instruction in words, English or Chinese, becomes an :class:`Instruction`: by rules, and never by a guess.

Every rule reads the whole sentence. Where two readings differ, or none fits, the user is told which part it was.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from difflib import get_close_matches

from word2mask.errors import UserError
from word2mask.inference.editing.chinese import LEADING_VERBS as CHINESE_VERBS
from word2mask.inference.editing.chinese import RULES as CHINESE_RULES
from word2mask.inference.editing.english import LEADING_VERBS as ENGLISH_VERBS
from word2mask.inference.editing.english import RULES as ENGLISH_RULES
from word2mask.inference.editing.instruction import EFFECTS, Instruction
from word2mask.inference.editing.numbers import PERCENT, percent_of
from word2mask.inference.editing.rules import Quoted, Rule, holding
from word2mask.inference.editing.spans import find_span
from word2mask.inference.editing.words import EMOJI_NAMES, UNCLEAR

__all__ = ["EXAMPLES", "read_instruction"]

EXAMPLES = (
    '"turn the woman in red into ink-wash style in second three", "blur the car from 2 s to 5 s", "remove the dog", '
    '"replace the background of the dog with beach.jpg", 把第三秒穿红衣服的女人变成水墨风格, 给狗打马赛克'
)
#: Effects whose strength can be said.
_WITH_STRENGTH = frozenset({"blur", "pixelate", "brighten", "darken", "ink_wash"})
_SLIGHT, _STRONG = 0.3, 0.9

_POLITE = re.compile(
    r"^(?:(?:(?:please|kindly|can you|could you|would you|will you|i want (?:you )?to|i(?:'d| would) like (?:you )?to"
    r"|i need you to|let's|help me(?: to)?|go ahead and|now|then|also|next|and|ok(?:ay)?|so|again"
    r"|(?:only|just)(?!\s+(?:keep|leave|show)\b))\b"
    r"|请你?|麻烦你?|帮忙|帮我|我想要?|我要|我希望|你?能不能|你?能否|你能|可不可以|可以|然后|再(?!见)|[只仅](?=[把将给对让在]))\s*,?\s*)+"
    r"|(?:\s*,?\s*(?:please|thanks|thank you|for me))?"
    r"(?:[,\s]*(?:好吗|好不好|可以吗|行吗|谢谢|多谢|吧|吗|呢))?[\s.!?。]*$",
    re.IGNORECASE,
)
#: That a mark goes along with its thing is so anyway.
_GOING_ALONG = re.compile(
    r"\s*,?\s*(?:(?:and|that|which|so\s+that)\s+)?(?:(?:let|make|have)\s+it\s+|it\s+(?:should\s+)?)?"
    r"(?:follows?|following|tracks?|moves?\s+with|moving\s+with|goes\s+along\s+with|stays?\s+on)\s+(?:it|him|her|them)$"
    r"|[,,]?(?:并且?|然后)?[让使]它(?:一直)?(?:跟着|跟随)(?:它|他|她)?(?:一起)?(?:移动|走|动)?$|[,,]?并?(?:一直)?(?:跟着|跟随)[它他她](?:移动|走|动)?$",
    re.IGNORECASE,
)
_SPACES = re.compile(r"(?<=[\u4e00-\u9fff])\s+|\s+(?=[\u4e00-\u9fff])")
_TWO_EDITS = re.compile(
    rf"(?:\s+and(?:\s+then)?|\s*[,;]\s*(?:and\s+)?(?:then)?|\s+then)\s+{ENGLISH_VERBS}\s+(?=\S)"
    rf"|[,;。、]\s*(?:并且?|再|然后|接着|同时)*[把将给对让]|(?:并且|然后|接着|同时|再){CHINESE_VERBS}",
    re.IGNORECASE,
)
_GRAY = r"(?:black[- ]and[- ]white|b&w|gr[ae]y(?:[- ]?scale)?|monochrome|colou?rless)"
_ELSE = r"(?:the\s+rest|everything(?:\s+else)?|all\s+else|the\s+background)"
#: What is said as two and is one, and how it is said as one.
_ONE_EDIT = tuple(
    (re.compile(pattern, re.IGNORECASE), wording)
    for pattern, wording in (
        (
            r"^(?:keep|leave)\s+(?P<what>.+?)\s+(?:in\s+colou?r|colou?red)\s*,?\s*(?:and|but|while|with)?\s*"
            rf"(?:(?:mak|turn|sett|render)(?:e|ing)?\s+)?{_ELSE}\s+(?:is\s+|in\s+|to\s+|into\s+)?{_GRAY}$",
            r"keep only \g<what> in color",
        ),
        (
            rf"^(?:make|turn|set|render)\s+{_ELSE}\s+(?:in\s+|to\s+|into\s+)?{_GRAY}\s*,?\s*(?:but|and|while)?\s*"
            r"(?:keep(?:ing)?|leav(?:e|ing))\s+(?P<what>.+?)\s+(?:in\s+colou?r|colou?red)$",
            r"keep only \g<what> in color",
        ),
        (
            r"^(?:keep|leave)\s+(?P<what>.+?)(?:\s+as\s+(?:it|they)\s+(?:is|are))?\s*,?\s*(?:and|but)?\s*"
            rf"(?P<verb>blur|pixelate|darken|dim|desaturate)\s+{_ELSE}$",
            r"\g<verb> everything but \g<what>",
        ),
        (r"^除了?(?P<what>[^,]+?)(?:以外|之外|外)?,\s*[把将]?", r"除了\g<what>以外"),
    )
)
_PLACE = re.compile(
    r"\s+(?:in|from|of)\s+(?:the|this)\s+(?:video|clip|picture|image|photo|scene)\b"
    r"|(?:这个)?(?:视频|画面|图片?|照片)[里中]的?",
    re.IGNORECASE,
)
_PRONOUNS = frozenset("it them that this these those her him 它 它们 他 她 他们 她们 这个 那个 这些 那些 其".split())
_PERCENT = re.compile(
    rf"\s*(?:,?\s*\b(?:by|at|with|to)\s+(?:an?\s+)?(?:(?:strength|intensity)\s+(?:of\s+)?)?|,?(?:强度|程度)(?:为|是|设为|调到)?)?"
    rf"({PERCENT})(?:\s+(?:strength|intensity)\b|的?(?:强度|程度))?",
    re.IGNORECASE,
)
_ADVERB = re.compile(
    r"^(?P<a>slightly|a (?:bit|little)|somewhat|strongly|heavily|greatly)\s+"
    r"|\s+(?P<b>slightly|a (?:bit|little)|somewhat|strongly|heavily|greatly|a lot|very much)$"
    r"|\b(?P<c>slightly|a (?:bit|little)|somewhat|much|very|a lot)\s+(?=(?:brighter|darker|lighter|blurr|pixelated))"
    r"|(?P<f>得?(?:更?[强重]|厉害|狠)(?:一些|一点儿?|点)?)$|(?P<g>得?更?[轻弱](?:一些|一点儿?|点)?)$"
    r"|(?P<d>稍微|轻微|略微|轻度|大幅|强烈|重度)地?|(?P<e>一点点?|一些)$",
    re.IGNORECASE,
)
_STRONG_WORDS = frozenset("strongly heavily greatly much very 大幅 强烈 重度".split()) | {"a lot", "very much"}


def read_instruction(text: str) -> Instruction:
    """Understands an instruction.

    Args:
        text: e.g. ``"turn the woman in red into ink-wash style in second three"`` or ``"blur"``.

    Returns:
        what, when and how. ``what`` is in the user's own words; empty for "it" and where nothing is named.

    Raises:
        UserError: it is empty, a part of it isn't understood, or it can be understood in two ways.
    """
    plain = re.sub(r"(?<=\w)’(?=\w)", "'", unicodedata.normalize("NFKC", text).strip())
    sentence, quoted = holding(plain)
    if not sentence:
        raise UserError(f"the instruction is empty; say what to change and how, like {EXAMPLES}")
    sentence = _POLITE.sub("", sentence).strip()
    when, sentence = find_span(sentence)
    strength, sentence = _strength(sentence)
    sentence = re.sub("一下", "", re.sub(r"\s+", " ", sentence)).strip(" ,")
    sentence = re.sub(r"(\b(?:the|my|a|an)\s+(?:[\w-]+\s+)*[\w-]+)'s\s+background\b", r"the background of \1", sentence)
    for pattern, plain_wording in _ONE_EDIT:
        sentence = pattern.sub(plain_wording, sentence)
    # A time at the beginning hides the politeness behind it.
    sentence = _POLITE.sub("", sentence).strip(" ,")
    if (second := _TWO_EDITS.search(_GOING_ALONG.sub("", sentence))) is not None:
        first = quoted.back(sentence[: second.start()])
        raise UserError(
            f'"{text.strip()}" asks for two edits, the second one behind "{first}"; give one at a time, the next '
            "for the file that the first wrote"
        )
    readings: list[Instruction] = []
    for wording in _wordings(sentence):
        for rule in (*ENGLISH_RULES, *CHINESE_RULES):
            reading = _read(rule, wording, quoted)
            if reading is not None and reading not in readings:
                readings.append(reading)
        if readings:
            break
    if len(readings) > 1:
        said = "; or ".join(_described(reading) for reading in readings)
        raise UserError(f'"{text.strip()}" can be understood in two ways: {said}. Say it in other words')
    if not readings:
        raise UserError(_reason(text.strip(), sentence))
    reading = readings[0]
    if strength is not None:
        if reading.effect.name not in _WITH_STRENGTH:
            raise UserError(f'"{text.strip()}": {reading.effect.name} can\'t be more or less; leave out how much')
        reading = replace(reading, effect=replace(reading.effect, strength=strength))
    return replace(reading, when=when)


def _wordings(sentence: str) -> tuple[str, ...]:
    """The sentence in the wordings in which it may be understood, the first one that is counts.

    Without "and make it follow it", which goes without saying, but not in "make it follow it"; and without spaces
    around Chinese.
    """
    wordings = (_GOING_ALONG.sub("", sentence), sentence)
    return tuple(dict.fromkeys([*wordings, *(_SPACES.sub("", wording) for wording in wordings)]))


def _read(rule: Rule, sentence: str, quoted: Quoted) -> Instruction | None:
    """What one rule makes of a sentence."""
    match = rule.pattern.fullmatch(sentence)
    if match is None:
        return None
    effect = rule.effect(match, quoted)
    if effect is None:
        return None
    what = _PLACE.sub("", quoted.back(match.groupdict().get("what") or "")).strip(" ,:")
    what = re.sub(r"^(?:都|(?:only|just|of)\s+)|都$", "", what)
    if what.lower() in _PRONOUNS:
        what = ""
    return Instruction(effect, what, is_inverted=rule.is_inverted)


def _strength(sentence: str) -> tuple[float | None, str]:
    """How much, taken out of a sentence."""
    percent = _PERCENT.search(sentence)
    if percent is not None:
        value = percent_of(percent[1])
        if not 0 < value <= 1:
            raise UserError(f'"{percent[0].strip()}": expected more than 0 and at most 100 %')
        return value, sentence[: percent.start()] + sentence[percent.end() :]
    adverb = _ADVERB.search(sentence)
    if adverb is None:
        return None, sentence
    word = next(group for group in adverb.groups() if group)
    value = _STRONG if word.lower() in _STRONG_WORDS or adverb["f"] else _SLIGHT
    return value, sentence[: adverb.start()] + sentence[adverb.end() :]


def _described(reading: Instruction) -> str:
    effect = reading.effect
    how = f"{effect.name} #{''.join(f'{part:02x}' for part in effect.color)}" if effect.color else effect.name
    return f'{how} on {"everything but " if reading.is_inverted else ""}"{reading.what or "it"}"'


#: What a sentence lacks, by its words.
_LACKING = (
    (
        r"^(?:label|tag|caption|annotate)\b|^(?:add|put|give|write)\b.*\b(?:label|tag|caption|text)\b|标签|标注|字幕",
        "which words? Say them in quotation marks, and a colour before the word label: "
        'give the dog a red label saying "Rex", 给狗加红色标签“小黑”',
    ),
    (
        r"\b(?:emojis?|stickers?)\b|表情|贴纸",
        "which emoji? Give it, or the name of a picture: put 😀 on the dog, 给狗贴😀",
    ),
    (
        rf"\b(?:put|place|add|stick)\s+(?:an?\s+|some\s+|the\s+)?(?:{'|'.join(EMOJI_NAMES)})\b"
        rf"|[戴贴放加]上?(?:一?[个副顶])?(?:{'|'.join(EMOJI_NAMES)})",
        "an emoji is called so: put a crown emoji on the dog's head, 给狗的头贴上皇冠表情. It covers what it is put on",
    ),
    (
        r"\b(?:box|rectangle|bounding)\b|框",
        "no box is drawn; outline draws a line along the thing's border: outline the dog in red, 给狗加红色描边",
    ),
    (
        r"\b(?:background|backdrop)\b|背景",
        "a background is a colour, the name of a picture, a blur or nothing: replace the background with blue, replace "
        "the background with beach.jpg, 把背景换成蓝色",
    ),
)


def _reason(text: str, sentence: str) -> str:
    """Why nothing was understood, as well as can be told."""
    for pattern, names in UNCLEAR.items():
        if (
            match := re.search(rf"^(?:{pattern})(?![a-z])|(?<=[\u4e00-\u9fff])(?:{pattern})", sentence, re.IGNORECASE)
        ) is not None:
            return f'"{text}": "{match[0]}" could be {", ".join(names[:-1])} or {names[-1]}; say which of them'
    wanted = re.search(
        r"^(?:turn|change|make|render|paint|draw|convert|transform)\s+.+?\s(?:into|to|in|as|like)\s+(?P<look>.+)$"
        r"|^[把将让使].+?(?:变成|变为|改成|改为|换成|画成|转成)(?P<z>.+)$",
        sentence,
        re.IGNORECASE,
    )
    known = ", ".join(EFFECTS)
    if wanted is not None and not re.search(r"\bbackground\b|背景", sentence):
        look = (wanted["look"] or wanted["z"]).strip()
        return (
            f'"{text}": unknown effect "{look}"{_meant(look)}; the effects are {known}, and colours. '
            f"Examples: {EXAMPLES}"
        )
    for pattern, advice in _LACKING:
        if re.search(pattern, sentence, re.IGNORECASE):
            return f'"{text}": {advice}'
    first = sentence.split()[0] if sentence else ""
    return (
        f'"{text}" isn\'t understood: no effect was found in it{_meant(first)}; the effects are {known}. '
        f"Examples: {EXAMPLES}"
    )


def _meant(word: str) -> str:
    """``, did you mean "blur"?`` where something is close."""
    spelled = {name.replace("_", " "): name for name in EFFECTS} | {"black and white": "grayscale"}
    close = get_close_matches(re.sub(r"^(?:an?|the)\s+|\s+style$", "", word.lower()), list(spelled), 1, 0.75)
    return f' (did you mean "{close[0]}"?)' if close else ""
