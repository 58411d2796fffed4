"""Nouns: how an object is named, and which objects of a scene a name may mean."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from itertools import combinations

import numpy as np

from word2mask.data.shapes_world.scene import Scene, ShapeObject
from word2mask.data.shapes_world.splits import HELD_OUT

#: Attributes in the order in which they are spoken.
ATTRIBUTES = ("size", "texture", "colour", "shape")

_SYNONYMS = {
    "large": ("large", "big"),
    "small": ("small", "little"),
    "object": ("object", "thing", "shape"),
    "dotted": ("dotted", "spotted"),
    "plain": ("plain", "solid"),
}
_TEXTURE_TAILS = {"striped": "with stripes", "dotted": "with dots", "plain": "without a pattern"}


@dataclass(frozen=True)
class Description:
    """A set of attributes; an empty one is not said. All empty: any object."""

    size: str = ""
    texture: str = ""
    colour: str = ""
    shape: str = ""

    @property
    def length(self) -> int:
        """How many attributes are said."""
        return sum(bool(getattr(self, f.name)) for f in fields(self))


@dataclass(frozen=True)
class Match:
    """Indices of the objects that surely fit, and of all that a reader might take to fit. Clear only when equal."""

    definite: tuple[int, ...]
    possible: tuple[int, ...]

    @property
    def is_clear(self) -> bool:
        """Whether no object is in doubt."""
        return self.definite == self.possible

    def means(self, index: int) -> bool:
        """Whether it is this object without doubt, and no other."""
        return self.definite == self.possible == (index,)


def describe(thing: ShapeObject, attributes: Iterable[str] = ATTRIBUTES) -> Description:
    """The description of an object by the named attributes."""
    values = {"size": thing.size_name, "texture": thing.texture, "colour": thing.colour, "shape": thing.shape}
    return Description(**{name: values[name] for name in attributes})


def full_name(thing: ShapeObject) -> str:
    """Canonical full name, e.g. ``"large striped red circle"``; a plain texture is not said."""
    attributes = [name for name in ATTRIBUTES if not (name == "texture" and thing.texture == "plain")]
    return noun(describe(thing, attributes))


@lru_cache(maxsize=1024)  # of the last few scenes, about which the same is asked many times
def match(scene: Scene, description: Description) -> Match:
    """Which objects fit a description. A growing or shrinking object fits both size words, but not surely."""
    definite, possible = [], []
    for i, thing in enumerate(scene.objects):
        if description.shape not in ("", thing.shape) or description.colour not in ("", thing.colour):
            continue
        if description.texture not in ("", thing.texture):
            continue
        if description.size and thing.motion in ("grows", "shrinks"):
            possible.append(i)
        elif description.size in ("", thing.size_name):
            definite.append(i)
            possible.append(i)
    return Match(tuple(definite), tuple(possible))


@lru_cache(maxsize=64)
def unique_descriptions(scene: Scene, index: int) -> tuple[Description, ...]:
    """All descriptions that mean this object and no other, shortest first."""
    thing = scene.objects[index]
    candidates = [describe(thing, names) for size in range(1, 5) for names in combinations(ATTRIBUTES, size)]
    return tuple(description for description in candidates if match(scene, description).means(index))


def shortest_name(scene: Scene, index: int, rng: np.random.Generator, without: str = "") -> str | None:
    """A unique name with the article, by colour and shape where they suffice; ``None`` when there is none.

    Args:
        without: an attribute that must not be said, because the question asks for it.
    """
    options = [d for d in unique_descriptions(scene, index) if not (without and getattr(d, without))]
    if not options:
        return None
    usual = [d for d in options if d == describe(scene.objects[index], ("colour", "shape"))]
    return "the " + noun((usual or options)[0] if rng.random() < 0.6 or not usual else options[0])


def groups(scene: Scene) -> list[tuple[Description, tuple[int, ...]]]:
    """Descriptions by colour, shape, both or neither that fit two objects or more, and those objects."""
    found: dict[Description, tuple[int, ...]] = {Description(): tuple(range(len(scene.objects)))}
    for thing in scene.objects:
        for names in (("shape",), ("colour",), ("colour", "shape")):
            description = describe(thing, names)
            found[description] = match(scene, description).definite
    return [(description, members) for description, members in found.items() if len(members) >= 2]


def may_be_said(scene: Scene, description: Description) -> bool:
    """Whether this split may speak of the pair: held-out pairs are named in ``combo`` only."""
    return scene.split == "combo" or (description.colour, description.shape) not in HELD_OUT


def noun(description: Description, rng: np.random.Generator | None = None, *, plural: bool = False) -> str:
    """A noun phrase without article; canonical without ``rng``, in one of several wordings with it."""
    head = description.shape or "object"
    size, texture, tail = description.size, description.texture, ""
    if rng is not None:
        head, size = (_synonym(word, rng) for word in (head, size))
        if texture and rng.random() < 0.3:
            texture, tail = "", " " + _TEXTURE_TAILS[texture]
        else:
            texture = _synonym(texture, rng)
        if not plural and not description.shape and (size or texture or description.colour) and rng.random() < 0.3:
            head = "one"
    if plural:
        head += "es" if head.endswith("s") else "s"
    return " ".join(word for word in (size, texture, description.colour, head) if word) + tail


def _synonym(word: str, rng: np.random.Generator) -> str:
    options = _SYNONYMS.get(word)
    return word if options is None or rng.random() < 0.5 else pick(rng, options)


def pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    """One of the wordings."""
    return options[int(rng.integers(len(options)))]


def with_article(text: str) -> str:
    """``"a red circle"``, ``"an orange circle"``."""
    return ("an " if text[0] in "aeiou" else "a ") + text


def join_words(parts: Sequence[str]) -> str:
    """``"a, b and c"``."""
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def left_to_right(scene: Scene, indices: Iterable[int]) -> tuple[int, ...]:
    """Indices ordered by their centre's x in the first frame: the order of every answer."""
    return tuple(sorted(indices, key=lambda i: float(scene.objects[i].centre[0, 0])))


def medium(scene: Scene) -> str:
    """``"picture"`` or ``"video"``."""
    return "picture" if scene.kind == "image" else "video"
