"""Referring expressions: phrases that mean exactly their targets, or nothing in the scene."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from word2mask.data.shapes_world.language.motion import absent_motions, motions, motions_of_several
from word2mask.data.shapes_world.language.space import ordinals, positions, relations
from word2mask.data.shapes_world.language.words import (
    ATTRIBUTES,
    Description,
    describe,
    groups,
    join_words,
    left_to_right,
    match,
    may_be_said,
    noun,
    pick,
    shortest_name,
    unique_descriptions,
)
from word2mask.data.shapes_world.scene import Scene
from word2mask.data.shapes_world.vocabulary import COLOURS, SHAPES, SIZES, TEXTURES
from word2mask.errors import UserError

#: Kinds of expressions that pictures and videos can have.
IMAGE_KINDS = ("attribute", "position", "ordinal", "relation", "size", "texture", "several", "none")
VIDEO_KINDS = ("attribute", "motion", "size", "texture", "several", "none")
KINDS = ("attribute", "position", "ordinal", "relation", "size", "texture", "motion", "several", "none")

#: Least ratio of areas, and of extents, between the biggest object and the next.
AREA_MARGIN, EXTENT_MARGIN = 1.35, 1.15
#: Least distance in pixels between the centres' x of several targets, so that their order is plain to see.
ORDER_MARGIN = 4.0


@dataclass(frozen=True)
class Expression:
    """A phrase and what it means.

    Attributes:
        text: lower case, with or without article, no final dot.
        targets: indices of ``Scene.objects``, left to right; empty for kind ``"none"``.
        kind: one of ``KINDS``.
        anchor: the object that a relation is to; ``None`` in the other kinds.
    """

    text: str
    targets: tuple[int, ...]
    kind: str
    anchor: int | None = None

    @property
    def bare(self) -> str:
        """The text without a leading article, for ``"There is no {bare} in the picture."``."""
        first, _, rest = self.text.partition(" ")
        return rest if first in ("the", "a", "an") and rest else self.text


def referring(scene: Scene, rng: np.random.Generator, kind: str | None = None) -> list[Expression]:
    """Unambiguous expressions about a scene, each meaning in one wording, in random order.

    In ``combo`` scenes only those with a held-out pair among their targets, and those of kind ``"none"``.

    Args:
        kind: one of ``KINDS``; all that fit the scene when not given.

    Returns:
        Possibly empty: not every scene has, say, a clear second object from the left.

    Raises:
        UserError: the kind is unknown.
    """
    if kind is not None and kind not in KINDS:
        raise UserError(f"shapes world: unknown kind of expression {kind!r}; expected one of {', '.join(KINDS)}")
    available = IMAGE_KINDS if scene.kind == "image" else VIDEO_KINDS
    found: dict[str, Expression] = {}
    for name in (kind,) if kind else available:
        if name not in available:
            continue
        for text, targets, *anchor in _FINDERS[name](scene, rng):
            if targets and scene.focus and not set(targets) & set(scene.focus):
                continue
            found.setdefault(text, Expression(text, left_to_right(scene, targets), name, *anchor))
    expressions = list(found.values())
    return [expressions[i] for i in rng.permutation(len(expressions))]


Found = Iterator[tuple[str, tuple[int, ...]]]


def _by_attribute(scene: Scene, rng: np.random.Generator) -> Found:
    """One minimal and one redundant unique description of each object that has one."""
    for i in range(len(scene.objects)):
        options = [d for d in unique_descriptions(scene, i) if d.colour or d.shape]
        if not options:
            continue
        shortest = [d for d in options if d.length == options[0].length]
        drawn = (shortest[rng.integers(len(shortest))], options[rng.integers(len(options))])
        for description in dict.fromkeys(drawn):
            yield _name_one(description, rng), (i,)


def _by_needed(attribute: str) -> Callable[[Scene, np.random.Generator], Found]:
    def find(scene: Scene, rng: np.random.Generator) -> Found:
        """Descriptions that would fit others too without this attribute."""
        for i, thing in enumerate(scene.objects):
            for description in unique_descriptions(scene, i):
                said = [name for name in ATTRIBUTES if getattr(description, name) and name != attribute]
                if getattr(description, attribute) and not match(scene, describe(thing, said)).means(i):
                    yield _name_one(description, rng), (i,)

    return find


def _by_size(scene: Scene, rng: np.random.Generator) -> Found:
    yield from _by_needed("size")(scene, rng)
    for description, members in groups(scene):
        things = [scene.objects[i] for i in members]
        if any(thing.motion in ("grows", "shrinks") for thing in things):
            continue
        order = sorted(range(len(members)), key=lambda k: things[k].area)
        for word, (best, second) in (("big", (order[-1], order[-2])), ("small", (order[0], order[1]))):
            small, large = sorted((things[best], things[second]), key=lambda thing: thing.area)
            if large.area < AREA_MARGIN * small.area or large.size_px < EXTENT_MARGIN * small.size_px:
                continue
            superlatives = ("biggest", "largest") if word == "big" else ("smallest",)
            comparative = (("bigger", "larger") if word == "big" else ("smaller",)) if len(members) == 2 else ()
            adjective, n = pick(rng, superlatives + comparative), noun(description, rng)
            yield pick(rng, (f"the {adjective} {n}", f"{adjective} {n}")), (members[best],)


def _several(scene: Scene, rng: np.random.Generator) -> Found:
    for text, targets in _several_candidates(scene, rng):
        x = sorted(float(scene.objects[i].centre[0, 0]) for i in targets)
        if min(np.diff(x)) >= ORDER_MARGIN:
            yield text, targets


def _several_candidates(scene: Scene, rng: np.random.Generator) -> Found:
    descriptions = dict.fromkeys(describe(t, names) for t in scene.objects for names in _SUBSETS)
    for description in descriptions:
        found = match(scene, description)
        if not found.is_clear or not 2 <= len(found.definite) <= 3:
            continue
        count = len(found.definite)
        one, many = noun(description, rng), noun(description, rng, plural=True)
        wordings = [f"all the {many}", f"all {many}", f"the {many}", f"{many}", f"every {one}"]
        wordings += [f"both {many}", f"the two {many}"] if count == 2 else [f"the three {many}", f"all three {many}"]
        yield pick(rng, wordings), found.definite
    if len(scene.objects) >= 3:
        first, second = (int(i) for i in rng.permutation(len(scene.objects))[:2])
        names = [shortest_name(scene, i, rng) for i in (first, second)]
        if names[0] and names[1]:
            yield join_words([name for name in names if name]), (first, second)
    if scene.kind == "video":
        yield from motions_of_several(scene, rng)


_SUBSETS = (
    ("shape",),
    ("colour",),
    ("texture",),
    ("colour", "shape"),
    ("texture", "shape"),
    ("size", "shape"),
    ("size",),
)


def _none(scene: Scene, rng: np.random.Generator) -> Found:
    """Plausible and absent: words of this scene in a pair that is not there, or one foreign word."""
    colours, shapes = {t.colour for t in scene.objects}, {t.shape for t in scene.objects}
    near = [Description(colour=c, shape=s) for c in sorted(colours) for s in sorted(shapes)]
    near += [Description(colour=c, shape=str(rng.choice(SHAPES))) for c in sorted(colours)]
    near += [Description(colour=str(rng.choice(list(COLOURS))), shape=s) for s in sorted(shapes)]
    near += [Description(shape=str(rng.choice(SHAPES))), Description(colour=str(rng.choice(list(COLOURS))))]
    for thing in scene.objects:
        near.append(Description(texture=str(rng.choice(TEXTURES)), colour=thing.colour, shape=thing.shape))
        near.append(Description(texture=str(rng.choice(TEXTURES)), shape=thing.shape))
        near.append(Description(size=str(rng.choice(SIZES)), colour=thing.colour, shape=thing.shape))
    for description in dict.fromkeys(near):
        if may_be_said(scene, description) and not match(scene, description).possible:
            yield _name_one(description, rng), ()
    if scene.kind == "video":
        for text in absent_motions(scene, rng):
            if rng.random() < 0.3:
                yield text, ()


def _name_one(description: Description, rng: np.random.Generator) -> str:
    n = noun(description, rng)
    return f"the {n}" if rng.random() < 0.55 else n


_FINDERS: dict[str, Callable[[Scene, np.random.Generator], Iterator[tuple[Any, ...]]]] = {
    "attribute": _by_attribute,
    "position": positions,
    "ordinal": ordinals,
    "relation": relations,
    "size": _by_size,
    "texture": _by_needed("texture"),
    "motion": motions,
    "several": _several,
    "none": _none,
}
