"""What is said about a scene in a written data set: a balanced draw of expressions, questions, captions and regions.

Everything here is a function of the scene and a generator. :mod:`word2mask.data.shapes_world.writers` puts it into the
formats of the real data sets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np

from word2mask.data.shapes_world.language import (
    Expression,
    GroundedCaption,
    QuestionAnswer,
    chat,
    grounded_caption,
    reasoning,
    referring,
    region,
)
from word2mask.data.shapes_world.scene import Scene


@dataclass(frozen=True)
class Amounts:
    """How much is written about a scene. Training takes much, for a sentence is drawn at every read; evaluation little.

    Attributes:
        sentences: expressions for single objects of a picture.
        several, none, single: expressions of a picture in gRefCOCO's format, by number of targets.
        reasoning: wordings of the one reasoning question.
        questions: questions of a conversation.
        regions: most regions marked in one picture.
        motions: expressions of a video, about half of them of motion.
    """

    sentences: int
    several: int
    none: int
    single: int
    reasoning: int
    questions: int
    regions: int
    motions: int


TRAINING = Amounts(sentences=24, several=3, none=3, single=2, reasoning=3, questions=5, regions=3, motions=12)
EVALUATION = Amounts(sentences=3, several=1, none=1, single=1, reasoning=1, questions=2, regions=1, motions=4)


@dataclass(frozen=True)
class Reasoning:
    """One question of knowledge in several wordings.

    Attributes:
        questions: its wordings.
        targets: indices of the objects that answer it, left to right.
        topic: what knowledge it needs.
    """

    questions: tuple[str, ...]
    targets: tuple[int, ...]
    topic: str


@dataclass(frozen=True)
class Regions:
    """Marked objects.

    Attributes:
        indices: the objects, in the order of ``region1``, ``region2`` ….
        answers: the full name of each, as a sentence.
        question: about the one region; ``None`` where there are several.
    """

    indices: tuple[int, ...]
    answers: tuple[str, ...]
    question: str | None


def single_expressions(scene: Scene, rng: np.random.Generator, count: int) -> list[Expression]:
    """At most ``count`` expressions with one target, every kind in turn as long as it lasts."""
    found = [expression for expression in _all_wordings(scene, rng, 2) if len(expression.targets) == 1]
    return _in_turn(found, _kind, count, rng)


def general_expressions(scene: Scene, rng: np.random.Generator, amounts: Amounts) -> list[Expression]:
    """Expressions with several targets, with none and with one."""
    found = _all_wordings(scene, rng, 1)
    several = [expression for expression in found if len(expression.targets) > 1][: amounts.several]
    none = [expression for expression in found if not expression.targets][: amounts.none]
    single = [expression for expression in found if len(expression.targets) == 1]
    return several + none + _in_turn(single, _kind, amounts.single, rng)


def video_expressions(scene: Scene, rng: np.random.Generator, count: int) -> list[Expression]:
    """At most ``count`` expressions with a target, half of them of motion."""
    found = [expression for expression in _all_wordings(scene, rng, 2) if expression.targets]
    motion = [expression for expression in found if expression.kind == "motion"][: (count + 1) // 2]
    others = [expression for expression in found if expression.kind != "motion"]
    return motion + _in_turn(others, _kind, count - len(motion), rng)


def reasoning_question(scene: Scene, rng: np.random.Generator, wordings: int) -> Reasoning | None:
    """One of the questions of knowledge that the scene answers, or ``None``."""
    found = reasoning(scene, rng)
    if not found:
        return None
    chosen = found[0]
    texts = [chosen.question]
    for _ in range(8 * (wordings - 1)):
        other = next(question for question in reasoning(scene, rng) if question.topic == chosen.topic)
        if len(texts) < wordings and other.question not in texts:
            texts.append(other.question)
    return Reasoning(tuple(texts), chosen.targets, chosen.topic)


def caption(scene: Scene, rng: np.random.Generator) -> GroundedCaption | None:
    """The scene's caption; ``None`` where two objects have the same full name, which the format can't tell apart."""
    found = grounded_caption(scene, rng)
    names = {phrase.phrase.lower() for phrase in found.phrases}
    return found if len(names) == len(found.phrases) else None


def questions(scene: Scene, rng: np.random.Generator, count: int) -> list[QuestionAnswer]:
    """At most ``count`` questions, of as many topics as there are."""
    return _in_turn(chat(scene, rng), _topic, count, rng)


def regions(scene: Scene, rng: np.random.Generator, most: int) -> Regions:
    """One marked object with a question, or several to describe one after another."""
    candidates = scene.focus or tuple(range(len(scene.objects)))
    count = min(len(candidates), int(rng.integers(1, most + 1)))
    chosen = tuple(int(index) for index in rng.permutation(candidates)[:count])
    asked = [region(scene, index, rng) for index in chosen]
    return Regions(chosen, tuple(one.answer for one in asked), asked[0].question if count == 1 else None)


def _all_wordings(scene: Scene, rng: np.random.Generator, times: int) -> list[Expression]:
    """The scene's expressions, each meaning in up to ``times`` wordings, in random order."""
    found = {expression.text: expression for _ in range(times) for expression in referring(scene, rng)}
    expressions = list(found.values())
    return [expressions[position] for position in rng.permutation(len(expressions))]


def _in_turn(items: Sequence[Any], key: Callable[[Any], str], count: int, rng: np.random.Generator) -> list[Any]:
    """At most ``count`` of the items, one of each kind after another, from a random kind on."""
    piles: dict[str, list] = {}
    for item in items:
        piles.setdefault(key(item), []).append(item)
    kinds = sorted(piles)
    order = [kinds[position] for position in rng.permutation(len(kinds))]
    taken: list = []
    while len(taken) < count and any(piles.values()):
        taken += [piles[kind].pop(0) for kind in order if piles[kind]]
    return taken[:count]


_kind = attrgetter("kind")
_topic = attrgetter("topic")
