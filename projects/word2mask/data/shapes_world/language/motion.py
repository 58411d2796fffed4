"""What things do in a video: expressions by motion."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from word2mask.data.shapes_world.geometry import visible_masks
from word2mask.data.shapes_world.language.words import Description, Match, describe, match, may_be_said, noun, pick
from word2mask.data.shapes_world.scene import Scene, ShapeObject
from word2mask.data.shapes_world.vocabulary import DIRECTIONS

#: Third person, plural and participle of every motion, in several wordings.
VERBS = {
    "left": (
        ("moves to the left", "moves left", "goes to the left"),
        ("move to the left", "move left", "go to the left"),
        ("moving left", "moving to the left"),
    ),
    "right": (
        ("moves to the right", "moves right", "goes to the right"),
        ("move to the right", "move right", "go to the right"),
        ("moving right", "moving to the right"),
    ),
    "up": (("moves up", "moves upwards", "goes up"), ("move up", "move upwards", "go up"), ("moving up",)),
    "down": (("moves down", "moves downwards", "goes down"), ("move down", "go down"), ("moving down",)),
    "grows": (("grows", "gets bigger", "becomes larger"), ("grow", "get bigger"), ("growing", "getting bigger")),
    "shrinks": (("shrinks", "gets smaller"), ("shrink", "get smaller"), ("shrinking", "getting smaller")),
    "spins": (("spins", "turns on the spot", "rotates"), ("spin", "rotate"), ("spinning", "rotating")),
    "leaves": (
        ("leaves the picture", "goes out of view for good", "leaves and stays away"),
        ("leave the picture", "leave and stay away"),
        ("leaving the picture",),
    ),
    "returns": (
        ("leaves and comes back", "disappears and returns", "goes away and comes back"),
        ("leave and come back", "disappear and return"),
        ("coming back into the picture",),
    ),
    "still": (
        ("stays still", "does not move", "stays where it is"),
        ("stay still", "do not move", "stay where they are"),
        ("standing still", "not moving"),
    ),
}
_OPPOSITE = {"left": "right", "right": "left", "up": "down", "down": "up"}


def does(thing: ShapeObject, verb: str) -> bool | None:
    """Whether an object does what the verb says; ``None`` where a viewer might say either."""
    if verb in DIRECTIONS:
        if thing.motion == "returns":
            return None if thing.heading in (verb, _OPPOSITE[verb]) else False
        return thing.heading == verb
    if verb == "leaves":
        return None if thing.motion == "returns" else thing.motion == "leaves"
    if verb == "still":
        return None if thing.motion in ("spins", "grows", "shrinks") else thing.motion == "still"
    return thing.motion == verb


@lru_cache(maxsize=16)
def hidden_for_a_while(scene: Scene) -> tuple[int, ...]:
    """Objects that others hide wholly in some frame, though they never leave the picture."""
    areas = visible_masks(scene.objects, scene.width, scene.height, range(scene.num_frames)).sum(axis=(2, 3))
    return tuple(
        i for i, thing in enumerate(scene.objects) if thing.motion not in ("leaves", "returns") and not areas[i].all()
    )


def match_motion(scene: Scene, description: Description, verb: str) -> Match:
    """Which objects fit a description and do what the verb says."""
    named = match(scene, description)
    answers = {i: does(scene.objects[i], verb) for i in named.possible}
    if verb in ("leaves", "returns"):
        # What is wholly hidden for a while might be said to have gone and come back.
        answers |= {i: None for i in hidden_for_a_while(scene) if answers.get(i) is False}
    return Match(
        tuple(i for i in named.definite if answers[i]),
        tuple(i for i in named.possible if answers[i] is not False),
    )


def motions(scene: Scene, rng: np.random.Generator) -> Iterator[tuple[str, tuple[int, ...]]]:
    """``the object that moves to the right``, ``what grows``, ``red circle standing still``."""
    for description in _descriptions(scene):
        for verb in VERBS:
            found = match_motion(scene, description, verb)
            if found.is_clear and len(found.definite) == 1:
                yield word_motion(description, verb, rng), found.definite


def motions_of_several(scene: Scene, rng: np.random.Generator) -> Iterator[tuple[str, tuple[int, ...]]]:
    """``all objects that stay still``: two or three of them."""
    for description in _descriptions(scene):
        for verb in VERBS:
            found = match_motion(scene, description, verb)
            if found.is_clear and 2 <= len(found.definite) <= 3:
                n, act = noun(description, rng, plural=True), pick(rng, VERBS[verb][1])
                yield (
                    pick(rng, (f"all {n} that {act}", f"all the {n} that {act}", f"the {n} that {act}")),
                    found.definite,
                )


def absent_motions(scene: Scene, rng: np.random.Generator) -> Iterator[str]:
    """``the red circle that moves to the left`` where there is a red circle, but none that might be said to do so."""
    for description in _descriptions(scene):
        for verb in VERBS:
            if not match_motion(scene, description, verb).possible:
                yield word_motion(description, verb, rng)


def word_motion(description: Description, verb: str, rng: np.random.Generator) -> str:
    """Name one object by what it does."""
    n, act = noun(description, rng), pick(rng, VERBS[verb][0])
    wordings = [f"the {n} that {act}", f"{n} that {act}", f"the {n} {pick(rng, VERBS[verb][2])}"]
    if not description.length:
        wordings += [f"the one that {act}", f"what {act}"]
    return pick(rng, wordings)


def _descriptions(scene: Scene) -> list[Description]:
    found = dict.fromkeys([Description()])
    for thing in scene.objects:
        for names in (("shape",), ("colour",), ("colour", "shape")):
            found[describe(thing, names)] = None
    return [description for description in found if may_be_said(scene, description)]
