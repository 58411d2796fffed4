"""Wording of questions and answers, drawn by a generator. Sources with conversations of their own don't need it."""

from __future__ import annotations

import numpy as np

from word2mask.text.special_tokens import PHRASE_END, PHRASE_START, SEG

#: ``{}`` is the expression, ``{medium}`` is "picture" or "video".
SEGMENTATION_QUESTIONS = (
    "Can you segment {} in this {medium}?",
    "Please segment {} in this {medium}.",
    "What is {} in this {medium}? Please answer with its mask.",
    "Could you provide the mask of {}?",
    "Identify {} and segment it.",
    "Where is {}? Answer with its mask.",
    "Please highlight {} in the {medium}.",
    "Can you mark {}?",
)

#: Follows an expression that is a question itself ("which of them would roll away?").
MASK_SUFFIXES = (
    "Please answer with a mask.",
    "Answer with its mask.",
    "Please segment it.",
)

#: The same where the answer is to give its reasons.
EXPLANATION_SUFFIXES = (
    "Please answer with a mask and say why.",
    "Answer with its mask and give your reasons.",
    "Please segment it and explain your choice.",
)

SEGMENTATION_ANSWERS = ("{}.", "It is {}.", "Sure, {}.", "Sure, it is {}.", "Here it is: {}.")
SEVERAL_ANSWERS = ("{}.", "They are {}.", "Sure, {}.", "Sure, they are {}.", "Here they are: {}.")

NO_TARGET_ANSWERS = (
    "There is no {} in the {medium}.",
    "I can't find {} in the {medium}.",
    "Nothing in the {medium} is {}.",
)

#: The same where the expression is a question, which fits into no sentence.
NO_TARGET_REPLIES = (
    "There is no such thing in the {medium}.",
    "I can't find anything like that in the {medium}.",
    "Nothing in the {medium} fits that.",
)

#: One wording for training and evaluation alike.
CAPTION_QUESTIONS = (
    "Please describe this {medium} and mark what you name with masks.",
    "Could you describe the {medium}? Give the mask of each thing you mention.",
    "What does the {medium} show? Interleave your answer with masks.",
    "Describe the {medium} with a mask for each phrase.",
)

REGION_QUESTIONS = (
    "Can you describe {}?",
    "What is {}?",
    "Please describe {} in the picture.",
    "What do you see in {}?",
)

#: Follows a question whose reference answer is a word or phrase (Liu et al., "Improved Baselines with Visual
#: Instruction Tuning", 2023: the wording is part of the published training data).
SHORT_ANSWER = "Answer the question using a single word or phrase."


def segmentation_question(expression: str, rng: np.random.Generator, medium: str = "picture") -> str:
    """Asks for the mask of ``expression``; a text that is a question itself is kept, with a request for the mask."""
    if expression.rstrip().endswith("?"):
        return sentence_question(expression, rng)
    return _draw(SEGMENTATION_QUESTIONS, rng).format(expression, medium=medium)


def sentence_question(sentence: str, rng: np.random.Generator, explained: bool = False) -> str:
    """Keeps a whole sentence, with a request for the mask after it, and for the reasons where they are wanted."""
    return f"{sentence.strip()} {_draw(EXPLANATION_SUFFIXES if explained else MASK_SUFFIXES, rng)}"


def named_class(name: str) -> str:
    """The expression for all of a class, ``the chair``."""
    return f"the {name}"


def named_part(whole: str, part: str, rng: np.random.Generator) -> str:
    """The expression for a part of an object, ``the cat ear`` or ``the ear of the cat``."""
    return named_class(f"{whole} {part}" if rng.random() < 0.5 else f"{part} of the {whole}")


def video_segmentation_question(expression: str, rng: np.random.Generator) -> str:
    """The same for a video."""
    return segmentation_question(expression, rng, medium="video")


def segmentation_answer(num_objects: int, rng: np.random.Generator) -> str:
    """An answer with ``num_objects`` ``[SEG]``, one or more."""
    if num_objects < 1:
        raise ValueError(f"an answer with masks needs one object at least, got {num_objects}")
    templates = SEGMENTATION_ANSWERS if num_objects == 1 else SEVERAL_ANSWERS
    return _draw(templates, rng).format(", ".join([SEG] * num_objects))


def no_target_answer(expression: str, rng: np.random.Generator, medium: str = "picture") -> str:
    """Says in words that nothing fits ``expression`` (given without its article where the wording needs none)."""
    if expression.rstrip().endswith("?"):
        return _draw(NO_TARGET_REPLIES, rng).format(medium=medium)
    bare = expression.strip().rstrip(".!")
    template = _draw(NO_TARGET_ANSWERS, rng)
    if template.startswith("There is no"):
        bare = _without_article(bare)
    return template.format(bare, medium=medium)


def grounded_phrase(phrase: str, num_objects: int = 1) -> str:
    """A phrase of a caption with its ``[SEG]``: ``<p> phrase </p> [SEG]``."""
    return f"{PHRASE_START} {phrase} {PHRASE_END} " + " ".join([SEG] * num_objects)


def grounded_caption_question(rng: np.random.Generator, medium: str = "picture") -> str:
    """Asks for a caption with a mask for each phrase."""
    return _draw(CAPTION_QUESTIONS, rng).format(medium=medium)


def region_question(region: str, rng: np.random.Generator) -> str:
    """Asks what a marked region shows, e.g. ``region1``."""
    return _draw(REGION_QUESTIONS, rng).format(region)


def wordings() -> list[str]:
    """The templates that shapes world uses, each once with a word in its place: for training its tokenizer."""
    groups = (
        SEGMENTATION_QUESTIONS,
        MASK_SUFFIXES,
        SEGMENTATION_ANSWERS,
        SEVERAL_ANSWERS,
        NO_TARGET_ANSWERS,
        NO_TARGET_REPLIES,
        CAPTION_QUESTIONS,
        REGION_QUESTIONS,
    )
    return [text.format("the object", medium="picture") for group in groups for text in group]


def _draw(templates: tuple[str, ...], rng: np.random.Generator) -> str:
    return templates[int(rng.integers(len(templates)))]


def _without_article(phrase: str) -> str:
    first, _, rest = phrase.partition(" ")
    return rest if rest and first.lower() in ("the", "a", "an", "any") else phrase
