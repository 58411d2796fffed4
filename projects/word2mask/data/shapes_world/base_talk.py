"""Conversations about a scene for pretraining a base MLLM: which turns, in which words, with which boxes.

A box stands in an answer in one of two ways: spelt out, ``<box>[[12, 30, 45, 61]]</box>``, when numbers are asked for,
and else as the token ``<box>`` alone, whose state a regression head reads
(:class:`word2mask.models.mllm_pretraining.MLLMPretraining`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from word2mask.data.shapes_world.language import (
    IMAGE_KINDS,
    VIDEO_KINDS,
    chat,
    grounded_caption,
    object_boxes,
    reasoning,
    referring,
    region,
)
from word2mask.data.shapes_world.language.referring import Expression
from word2mask.data.shapes_world.language.words import medium, pick
from word2mask.data.shapes_world.scene import Scene, sample_scene
from word2mask.data.shapes_world.unnamed import is_named
from word2mask.data.shapes_world.vocabulary import ALL_COLOURS, UNNAMED
from word2mask.text.questions import no_target_answer, region_question
from word2mask.text.special_tokens import BOX_END, BOX_START, REFERENCE_END, REFERENCE_START

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Mark:
    """What a token ``<box>`` stands for.

    Attributes:
        target: index of the object.
        anchor: index of the object that the question relates it to, where it does.
    """

    target: int
    anchor: int | None = None


#: Question, answer, and what the tokens ``<box>`` in the answer stand for.
Exchange = tuple[str, str, list[Mark]]

LOCATE_QUESTIONS = (
    "Where is {}?",
    "Can you find {} in this {medium}?",
    "Please find {} in this {medium}.",
    "Can you segment {} in this {medium}?",
    "Please segment {} in this {medium}.",
    "What is {} in this {medium}?",
    "Could you provide the place of {}?",
    "Identify {} and point at it.",
    "Please highlight {} in the {medium}.",
    "Can you mark {}?",
    "Locate {}.",
)
LOCATE_ANSWER = "{}."
NUMBER_QUESTIONS = ("Give the box of {} in numbers.", "Where is {}? Answer with numbers.")
CAPTION_QUESTIONS = ("Describe the {medium} and locate what you name.", "Describe everything and point at it.")
_NEAR = re.compile(r"\b(closest|nearest|next) to\b")
REASON_SUFFIXES = ("", "", " Please point at it.", " Please segment it.")
EXPLAIN_SUFFIXES = (" Explain and point at it.", " Say why.")


@dataclass(frozen=True)
class BaseMix:
    """How many turns of each kind a picture or video gets.

    Attributes:
        locate: expressions to locate; their kinds are drawn by ``kind_weights``.
        numbers: expressions whose box is asked for in numbers.
        chat: short questions and answers.
        reason: questions of everyday knowledge.
        explained: the same with the reason in the answer.
        captions: captions.
        kind_weights: weight of each kind of expression; 1 where it isn't named.
        nearness_weight: weight of "closest to the white ring" among the relations; 1 of those that name a direction.
    """

    locate: int = 8
    numbers: int = 0
    chat: int = 4
    reason: int = 1
    explained: int = 0
    captions: int = 0
    kind_weights: tuple[tuple[str, float], ...] = (
        ("relation", 9.0),
        ("ordinal", 4.0),
        ("position", 1.3),
        ("size", 1.4),
        ("motion", 3.0),
        ("several", 1.6),
        ("none", 0.3),
    )
    nearness_weight: float = 4.0


#: Many short turns, and a few long ones. Turns of a block are padded to its longest one.
SHORT_MIX = BaseMix()
LONG_MIX = BaseMix(locate=0, numbers=2, chat=0, reason=0, explained=1, captions=3)


def compose(scene: Scene, rng: np.random.Generator, mix: BaseMix) -> tuple[list[tuple[str, str]], list[Mark]]:
    """Draws the conversation about a scene.

    Returns:
        Questions and answers in random order, and what the tokens ``<box>`` in the answers stand for.
    """
    boxes = object_boxes(scene)
    exchanges: list[Exchange] = []
    for number in range(mix.locate + mix.numbers):
        exchanges += _locate(scene, rng, boxes, mix, spelt=number >= mix.locate)
    if mix.chat:
        exchanges += [(item.question, item.answer, []) for item in _varied(chat(scene, rng), mix.chat, rng)]
    if mix.reason + mix.explained and is_named(scene):  # what rolls, what has corners: unnamed shapes may, too
        exchanges += _reason(scene, rng, boxes, mix)
    exchanges += [_caption(scene, rng, boxes) for _ in range(mix.captions)]
    unsayable = UNNAMED
    if any(thing.colour == UNNAMED for thing in scene.objects):
        unsayable = rf"\b({'|'.join([*ALL_COLOURS, UNNAMED])})\b"
    exchanges = [exchange for exchange in exchanges if not re.search(unsayable, f"{exchange[0]} {exchange[1]}")]
    order = rng.permutation(len(exchanges))
    return [exchanges[i][:2] for i in order], [mark for i in order for mark in exchanges[i][2]]


def _locate(
    scene: Scene, rng: np.random.Generator, boxes: Sequence[Box | None], mix: BaseMix, spelt: bool
) -> list[Exchange]:
    kinds = IMAGE_KINDS if scene.kind == "image" else VIDEO_KINDS
    named = dict(mix.kind_weights)
    weights = np.array([named.get(kind, 1.0) for kind in kinds])
    kind = str(rng.choice(kinds, p=weights / weights.sum()))
    found = referring(scene, rng, kind)
    expression = _draw(found, rng, mix.nearness_weight)
    if expression is None:
        return []
    targets = list(expression.targets)
    if any(boxes[i] is None for i in targets):
        return []
    questions = NUMBER_QUESTIONS if spelt else LOCATE_QUESTIONS
    question = pick(rng, questions).format(expression.text, medium=medium(scene))
    if not targets:
        return [(question, no_target_answer(expression.text, rng, medium(scene)), [])]
    text = ", ".join(_spelt(boxes[i]) if spelt else BOX_START for i in targets)
    marks = [Mark(target, expression.anchor) for target in targets]
    return [(question, text if spelt else LOCATE_ANSWER.format(text), marks)]


def _draw(found: Sequence[Expression], rng: np.random.Generator, nearness_weight: float) -> Expression | None:
    """One of the expressions; those of nearness to another object have a weight of their own."""
    near = [expression.anchor is not None and bool(_NEAR.search(expression.text)) for expression in found]
    weights = np.where(near, nearness_weight, 1.0)
    return found[int(rng.choice(len(found), p=weights / weights.sum()))] if weights.any() else None


def _reason(scene: Scene, rng: np.random.Generator, boxes: Sequence[Box | None], mix: BaseMix) -> list[Exchange]:
    found: list[Exchange] = []
    for asked in reasoning(scene, rng):
        targets = list(asked.targets)
        if all(boxes[i] is not None for i in targets) and len(found) < mix.reason + mix.explained:
            boxes_said = ", ".join([BOX_START] * len(targets))
            explained = len(found) >= mix.reason
            suffixes, answer = (
                (EXPLAIN_SUFFIXES, f"{asked.explanation} {boxes_said}.")
                if explained
                else (REASON_SUFFIXES, f"{boxes_said}.")
            )
            found.append((asked.question + pick(rng, suffixes), answer, [Mark(target) for target in targets]))
    return found


def _caption(scene: Scene, rng: np.random.Generator, boxes: Sequence[Box | None]) -> Exchange:
    caption = grounded_caption(scene, rng)
    if rng.random() < 0.2:
        return f"Describe the {medium(scene)}.", caption.text, []
    text, done, marks = "", 0, []
    for phrase in caption.phrases:
        text += caption.text[done : phrase.span[0]] + f"{REFERENCE_START}{phrase.phrase}{REFERENCE_END}"
        if boxes[phrase.index] is not None:
            text += BOX_START
            marks.append(Mark(phrase.index))
        done = phrase.span[1]
    return pick(rng, CAPTION_QUESTIONS).format(medium=medium(scene)), text + caption.text[done:], marks


def about_regions(
    scene: Scene, order: np.ndarray, rng: np.random.Generator
) -> tuple[list[tuple[str, str]], list[Mark]]:
    """A question about each marked object; the regions are in this order."""
    described = [region(scene, int(index), rng) for index in order]
    if len(order) == 1:
        return [(described[0].question, described[0].answer)], []
    numbers = [region_question(f"region{number + 1}", rng) for number in range(len(order))]
    return [(question, item.answer) for question, item in zip(numbers, described, strict=True)], []


def _varied(items: Sequence, count: int, rng: np.random.Generator) -> list:
    """``count`` of the questions, the topics drawn evenly."""
    topics = sorted({item.topic for item in items})
    chosen: dict[str, object] = {}
    for _ in range(4 * count):
        topic = topics[int(rng.integers(len(topics)))]
        pool = [item for item in items if item.topic == topic and item.question not in chosen]
        if pool:
            chosen[pool[0].question] = pool[0]
        if len(chosen) == count:
            break
    return list(chosen.values())


def _spelt(box: Box) -> str:
    return f"{BOX_START}[[{', '.join(map(str, box))}]]{BOX_END}"


def base_lines(rng: np.random.Generator, num_lines: int) -> list[str]:
    """Questions and answers of training scenes, for training a tokenizer."""
    lines: list[str] = []
    while len(lines) < num_lines:
        scene = sample_scene(rng, "video" if rng.random() < 0.3 else "image", "train")
        lines += [text for mix in (SHORT_MIX, LONG_MIX) for turn in compose(scene, rng, mix)[0] for text in turn]
    return lines[:num_lines]
