"""Plain talk about a scene: captions with grounded phrases, short questions and answers, regions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from word2mask.data.shapes_world.language.motion import VERBS, does, match_motion
from word2mask.data.shapes_world.language.space import MAYBE_OFFSET, SURE_OFFSET, centres
from word2mask.data.shapes_world.language.words import (
    ATTRIBUTES,
    Description,
    full_name,
    groups,
    left_to_right,
    match,
    may_be_said,
    medium,
    noun,
    pick,
    shortest_name,
    with_article,
)
from word2mask.data.shapes_world.scene import Scene
from word2mask.data.shapes_world.vocabulary import COLOURS, DIRECTIONS, SHAPES, TEXTURES


@dataclass(frozen=True)
class GroundedPhrase:
    """Words of a caption that name one object: ``caption.text[span[0]:span[1]] == phrase``."""

    phrase: str
    span: tuple[int, int]
    index: int


@dataclass(frozen=True)
class GroundedCaption:
    """A sentence that names every object once, left to right."""

    text: str
    phrases: tuple[GroundedPhrase, ...]


@dataclass(frozen=True)
class QuestionAnswer:
    """A question and its one right answer, fit for exact match; ``topic`` such as ``"count"``."""

    question: str
    answer: str
    topic: str


def grounded_caption(scene: Scene, rng: np.random.Generator) -> GroundedCaption:
    """``A large red circle and a small striped blue star on a grey background.``; videos say what moves and how."""
    order = left_to_right(scene, range(len(scene.objects)))
    names = [with_article(full_name(scene.objects[i])) for i in order]
    tails = [""] * len(order)
    if scene.kind == "video":
        tails = [" that " + VERBS[scene.objects[i].motion][0][0] for i in order]
    lead = pick(rng, ("", "", f"The {medium(scene)} shows ", f"In this {medium(scene)} there is "))
    if not lead:
        names[0] = names[0][0].upper() + names[0][1:]
    text, phrases = lead, []
    for position, (i, name, tail) in enumerate(zip(order, names, tails, strict=True)):
        if position:
            text += " and " if position == len(order) - 1 else ", "
        phrases.append(GroundedPhrase(name, (len(text), len(text) + len(name)), i))
        text += name + tail
    text += f" on {with_article(scene.background.colour)} background."
    return GroundedCaption(text, tuple(phrases))


def region(scene: Scene, index: int, rng: np.random.Generator) -> QuestionAnswer:
    """A question about the marked object and its full name as a sentence, ``A large striped red circle.``"""
    questions = (
        "What is marked here?",
        "Describe the marked region.",
        "What is the object in the marked region?",
        "Give a short description of the marked object.",
        "What do you see in this region?",
    )
    name = with_article(full_name(scene.objects[index]))
    return QuestionAnswer(pick(rng, questions), name[0].upper() + name[1:] + ".", "region")


def chat(scene: Scene, rng: np.random.Generator) -> list[QuestionAnswer]:
    """Short questions with canonical answers (``red``, ``2``, ``yes``, ``the blue star``), in random order."""
    found = [*_attributes(scene, rng), *_counts(scene, rng), *_existence(scene, rng), *_comparisons(scene, rng)]
    question = pick(rng, ("What colour is the background?", "Which colour does the background have?"))
    found.append(QuestionAnswer(question, scene.background.colour, "background"))
    if scene.kind == "video":
        found += _motion(scene, rng)
    return [found[i] for i in rng.permutation(len(found))]


def _attributes(scene: Scene, rng: np.random.Generator) -> Iterator[QuestionAnswer]:
    questions = {
        "colour": ("What colour is {n}?", "Which colour does {n} have?"),
        "shape": ("What shape is {n}?", "Which shape does {n} have?"),
        "texture": ("Is {n} plain, striped or dotted?", "What pattern does {n} have: plain, striped or dotted?"),
        "size": ("Is {n} small or large?", "What size is {n}, small or large?"),
    }
    for i in scene.focus or range(len(scene.objects)):
        thing = scene.objects[i]
        for attribute in ATTRIBUTES:
            name = shortest_name(scene, i, rng, without=attribute)
            if name is None or (attribute == "size" and thing.motion in ("grows", "shrinks")):
                continue
            answer = thing.size_name if attribute == "size" else getattr(thing, attribute)
            yield QuestionAnswer(pick(rng, questions[attribute]).format(n=name), answer, attribute)


def _counts(scene: Scene, rng: np.random.Generator) -> Iterator[QuestionAnswer]:
    descriptions = [description for description, _ in groups(scene)]
    descriptions += [Description(texture=str(t)) for t in TEXTURES if rng.random() < 0.4]
    descriptions += [Description(shape=str(rng.choice(SHAPES))), Description(colour=str(rng.choice(list(COLOURS))))]
    for description in dict.fromkeys(descriptions):
        many = noun(description, plural=True)
        question = pick(rng, (f"How many {many} are there?", f"How many {many} does the {medium(scene)} show?"))
        yield QuestionAnswer(question, str(len(match(scene, description).definite)), "count")


def _existence(scene: Scene, rng: np.random.Generator) -> Iterator[QuestionAnswer]:
    """As many ``yes`` as ``no``; half of the ``no`` use a colour and a shape that are both there."""
    there = sorted({(t.colour, t.shape) for t in scene.objects})
    if scene.focus:
        there = sorted({(scene.objects[i].colour, scene.objects[i].shape) for i in scene.focus})
    colours, shapes = sorted({t.colour for t in scene.objects}), sorted({t.shape for t in scene.objects})
    near = [Description(colour=c, shape=s) for c in colours for s in shapes]
    far = [Description(colour=str(rng.choice(list(COLOURS))), shape=str(rng.choice(SHAPES))) for _ in range(12)]
    near, far = ([d for d in pool if may_be_said(scene, d) and not match(scene, d).possible] for pool in (near, far))
    for colour, shape in there:
        pool = near if near and (rng.random() < 0.6 or not far) else far
        if not pool:
            continue
        absent = pool[rng.integers(len(pool))]
        for description, answer in ((Description(colour=colour, shape=shape), "yes"), (absent, "no")):
            name = with_article(noun(description))
            question = pick(
                rng, (f"Is there {name}?", f"Does the {medium(scene)} show {name}?", f"Can you see {name}?")
            )
            yield QuestionAnswer(question, answer, "existence")


def _comparisons(scene: Scene, rng: np.random.Generator) -> Iterator[QuestionAnswer]:
    points = centres(scene)
    for first in scene.focus or range(len(scene.objects)):
        second = int(rng.integers(len(scene.objects)))
        a, b = shortest_name(scene, first, rng), shortest_name(scene, second, rng)
        if first == second or a is None or b is None:
            continue
        if rng.random() < 0.5:
            a, b, first, second = b, a, second, first
        one, two = scene.objects[first], scene.objects[second]
        steady = not {one.motion, two.motion} & {"grows", "shrinks"}
        ratio = one.size_px / two.size_px
        bigger, smaller = (one, two) if ratio > 1 else (two, one)
        if steady and bigger.size_px > 1.25 * smaller.size_px and bigger.area > 1.25 * smaller.area:
            yield QuestionAnswer(f"Which is bigger, {a} or {b}?", a if ratio > 1 else b, "comparison")
        if scene.kind == "video":
            continue
        for axis, (low, high) in enumerate((("left", "right"), ("higher", "lower"))):
            offset = float(points[first, axis] - points[second, axis])
            if abs(offset) < SURE_OFFSET:
                continue
            word = pick(rng, (low, high))
            is_so = (offset < -MAYBE_OFFSET) == (word == low)
            relation = f"to the {word} of" if axis == 0 else {"higher": "above", "lower": "below"}[word]
            if rng.random() < 0.5:
                yield QuestionAnswer(f"Is {a} {relation} {b}?", "yes" if is_so else "no", "comparison")
            else:
                further = f"further {word}" if axis == 0 else word
                yield QuestionAnswer(f"Which is {further}, {a} or {b}?", a if is_so else b, "comparison")


def _motion(scene: Scene, rng: np.random.Generator) -> Iterator[QuestionAnswer]:
    for i in scene.focus or range(len(scene.objects)):
        thing, name = scene.objects[i], shortest_name(scene, i, rng)
        if name is None:
            continue
        if thing.motion in DIRECTIONS:
            question = pick(rng, (f"In which direction does {name} move?", f"Where does {name} move to?"))
            yield QuestionAnswer(question, thing.heading, "direction")
        if thing.motion in DIRECTIONS or thing.motion == "still":
            yield QuestionAnswer(f"Does {name} move?", "no" if thing.motion == "still" else "yes", "moves")
        if thing.motion not in ("leaves", "returns"):
            size = {"grows": "it grows", "shrinks": "it shrinks"}.get(thing.motion, "it keeps its size")
            if thing.motion in ("grows", "shrinks") or rng.random() < 0.3:
                yield QuestionAnswer(f"Does {name} grow, shrink or keep its size?", size, "scale")
        if thing.motion == "leaves" or (thing.motion in ("still", *DIRECTIONS) and rng.random() < 0.4):
            answer = "yes" if thing.motion == "leaves" else "no"
            yield QuestionAnswer(f"Does {name} leave the picture?", answer, "leaves")
    for verb, (act, acts, _) in VERBS.items():
        found = match_motion(scene, Description(), verb)
        if not found.is_clear:
            continue
        if len(found.definite) == 1 and (not scene.focus or found.definite[0] in scene.focus):
            thing = scene.objects[found.definite[0]]
            answer = "the " + noun(Description(colour=thing.colour, shape=thing.shape))
            yield QuestionAnswer(f"Which object {pick(rng, act)}?", answer, "who")
        if found.definite or rng.random() < 0.2:
            yield QuestionAnswer(f"How many objects {pick(rng, acts)}?", str(len(found.definite)), "count")
    if all((thing.motion in ("still", "leaves", "returns")) or thing.heading for thing in scene.objects):
        moving = sum(does(thing, "still") is False for thing in scene.objects)
        yield QuestionAnswer("How many objects move?", str(moving), "count")
