"""Questions that name no shape and no colour: the answer takes everyday knowledge."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from word2mask.data.shapes_world.language.motion import match_motion
from word2mask.data.shapes_world.language.words import Description, describe, join_words, left_to_right, noun, pick
from word2mask.data.shapes_world.scene import Scene


@dataclass(frozen=True)
class Topic:
    """A piece of knowledge: which attribute values answer, the fact, and the questions."""

    name: str
    attribute: str
    values: tuple[str, ...]
    fact: str
    questions: tuple[str, ...]


@dataclass(frozen=True)
class ReasoningQuestion:
    """A question, its targets (indices, left to right, one to three) and one sentence that says why.

    ``topic`` is the name of the piece of knowledge, e.g. ``"rolling"``.
    """

    question: str
    targets: tuple[int, ...]
    explanation: str
    topic: str


TOPICS = (
    Topic(
        "rolling",
        "shape",
        ("circle", "ring"),
        "Round things roll",
        (
            "What would roll away if the table tilted?",
            "Which of these could be used as a wheel?",
            "What would roll down a hill most easily?",
            "Which of these has no corner at all and would roll?",
        ),
    ),
    Topic(
        "christmas tree",
        "shape",
        ("star",),
        "A star is put on top of a Christmas tree",
        (
            "What belongs on top of a Christmas tree?",
            "What would you put on the tip of a fir tree in December?",
            "Which of these do people hang at the top of the tree at Christmas?",
        ),
    ),
    Topic(
        "love",
        "shape",
        ("heart",),
        "A heart stands for love",
        (
            "What would you draw on a valentine card?",
            "Which of these stands for love?",
            "What would you send to someone you are in love with?",
        ),
    ),
    Topic(
        "first aid",
        "shape",
        ("cross",),
        "A cross marks medical help",
        (
            "What would you find on the sign of a pharmacy?",
            "Which of these is printed on a first-aid kit?",
            "What is the symbol on an ambulance or a hospital?",
        ),
    ),
    Topic(
        "pizza",
        "shape",
        ("triangle",),
        "Three corners make that outline",
        (
            "What has the outline of a slice of pizza?",
            "Which of these looks like the sail of a small boat?",
            "What is shaped like a pyramid seen from the side?",
        ),
    ),
    Topic(
        "box",
        "shape",
        ("square",),
        "Four equal sides make that outline",
        (
            "What is shaped like a box or a window?",
            "Which of these would fit a chess board?",
            "What looks like the side of a dice?",
        ),
    ),
    Topic(
        "finger",
        "shape",
        ("ring",),
        "A ring is worn on the hand",
        (
            "What could be worn on a finger?",
            "Which of these would a bride and a groom exchange?",
            "What could be a piece of jewellery for the hand?",
        ),
    ),
    Topic(
        "night",
        "shape",
        ("moon",),
        "That is said of the moon",
        (
            "What waxes and wanes in the night sky?",
            "Which of these have astronauts walked on?",
            "What moves the tides of the sea?",
        ),
    ),
    Topic(
        "fire engine",
        "colour",
        ("red",),
        "That colour is red",
        (
            "Which of these is coloured like a fire engine?",
            "What has the colour of a ripe strawberry?",
            "What is painted like a stop sign?",
        ),
    ),
    Topic(
        "carrot",
        "colour",
        ("orange",),
        "That colour is orange",
        (
            "What has the colour of a carrot?",
            "Which of these is coloured like a pumpkin?",
            "What looks like the fur of a tiger or a fox in colour?",
        ),
    ),
    Topic(
        "banana",
        "colour",
        ("yellow",),
        "That colour is yellow",
        (
            "What has the colour of a ripe banana?",
            "Which of these is coloured like a lemon?",
            "What would match a sunflower or a canary?",
        ),
    ),
    Topic(
        "grass",
        "colour",
        ("green",),
        "That colour is green",
        (
            "What has the colour of grass?",
            "Which of these would be hard to see on a lawn?",
            "What is coloured like a frog or a leaf in spring?",
        ),
    ),
    Topic(
        "sky",
        "colour",
        ("blue",),
        "That colour is blue",
        (
            "What has the colour of a clear sky?",
            "Which of these is coloured like the deep sea?",
            "What matches the sky on a sunny day?",
        ),
    ),
    Topic(
        "eggplant",
        "colour",
        ("purple",),
        "That colour is purple",
        (
            "What has the colour of an eggplant?",
            "Which of these is coloured like a plum?",
            "What would match lavender in bloom?",
        ),
    ),
    Topic(
        "snow",
        "colour",
        ("white",),
        "That colour is white",
        (
            "What has the colour of fresh snow?",
            "Which of these is coloured like milk?",
            "What would be hard to find on a field of snow?",
        ),
    ),
    Topic(
        "coal",
        "colour",
        ("black",),
        "That colour is black",
        (
            "What has the colour of coal?",
            "Which of these is coloured like a raven?",
            "What would be hard to see on a dark night?",
        ),
    ),
    Topic(
        "zebra",
        "texture",
        ("striped",),
        "That pattern is stripes",
        (
            "What is patterned like a zebra?",
            "Which of these reminds you of a barber's pole?",
            "What would match the pattern of a pedestrian crossing?",
        ),
    ),
    Topic(
        "ladybird",
        "texture",
        ("dotted",),
        "That pattern is dots",
        (
            "What is patterned like a ladybird?",
            "Which of these reminds you of a leopard's fur?",
            "What would match the pattern of a dalmatian?",
        ),
    ),
    Topic(
        "gone",
        "motion",
        ("leaves",),
        "It has left the picture",
        (
            "What can no longer be photographed at the end?",
            "What would you have to look for elsewhere after the last frame?",
            "What is missing when the video ends?",
        ),
    ),
    Topic(
        "approaching",
        "motion",
        ("grows",),
        "What comes nearer looks bigger",
        (
            "What seems to come closer to the camera?",
            "Which of these should you step back from?",
            "What looks as if it were approaching?",
        ),
    ),
    Topic(
        "receding",
        "motion",
        ("shrinks",),
        "What goes away looks smaller",
        (
            "What seems to drift away into the distance?",
            "Which of these looks as if it were receding?",
            "What would soon be too tiny to see?",
        ),
    ),
)


def reasoning(scene: Scene, rng: np.random.Generator) -> list[ReasoningQuestion]:
    """Every question of knowledge that one to three objects of the scene answer, in one wording each, in random order.

    In ``combo`` scenes only those with a held-out pair among their targets.
    """
    found = []
    for topic in TOPICS:
        targets = _targets(scene, topic)
        if not 1 <= len(targets) <= 3 or (scene.focus and not set(targets) & set(scene.focus)):
            continue
        verb = "it is" if len(targets) == 1 else "they are"
        explanation = f"{topic.fact}, so {verb} {_names(scene, targets)}."
        found.append(ReasoningQuestion(pick(rng, topic.questions), targets, explanation, topic.name))
    return [found[i] for i in rng.permutation(len(found))]


def _targets(scene: Scene, topic: Topic) -> tuple[int, ...]:
    if topic.attribute != "motion":
        hits = [i for i, t in enumerate(scene.objects) if getattr(t, topic.attribute) in topic.values]
        return left_to_right(scene, hits)
    if scene.kind != "video":
        return ()
    hits_of = [match_motion(scene, Description(), value) for value in topic.values]
    return left_to_right(scene, {i for found in hits_of for i in found.definite})


def _names(scene: Scene, targets: tuple[int, ...]) -> str:
    """``the white ring and the two white triangles``: equal names are counted, in order of the first of each."""
    counts = Counter(describe(scene.objects[i], ("colour", "shape")) for i in targets)
    numbers = {2: "two", 3: "three"}
    parts = ["the " + (noun(d) if n == 1 else f"{numbers[n]} {noun(d, plural=True)}") for d, n in counts.items()]
    return join_words(parts)
