"""Scenes in colours and shapes that have no name, or a name that the data set's scenes don't use.

From its 56 pairs alone a model learns which pairs there are, guesses a shape by its colour, and fails on pairs that it
has never seen. Here nothing can be guessed: colours are any but the held-out partner's, shapes like none with a name.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from word2mask.data.shapes_world.scene import Scene
from word2mask.data.shapes_world.splits import HELD_OUT
from word2mask.data.shapes_world.vocabulary import (
    COLOURS,
    MORE_COLOURS,
    MORE_SHAPES,
    SHAPES,
    UNNAMED,
)

#: Least distance in RGB of an unnamed colour from the colour that is never paired with the object's shape, and from
#: the background.
UNNAMED_DISTANCE, BACKGROUND_DISTANCE = 90.0, 60.0
#: Number of shapes without a name.
NUM_UNNAMED_SHAPES = 400
#: Share of the objects of a scene that get such a shape.
UNNAMED_OBJECTS = 0.6
#: Share of the objects of a scene with more names that get one of the further colours, and one of the further shapes.
MORE_COLOUR_OBJECTS, MORE_SHAPE_OBJECTS = 0.65, 0.4


def with_some_unnamed(
    scene: Scene, rng: np.random.Generator, colour_share: float, shape_share: float, more_share: float = 0.0
) -> Scene:
    """The scene in unnamed colours, with unnamed shapes, with more names, or as it is; drawn with these shares."""
    drawn = rng.random()
    if drawn < colour_share:
        return with_unnamed_colours(scene, rng)
    if drawn < colour_share + shape_share:
        return with_unnamed_shapes(scene, rng)
    return with_more_names(scene, rng) if drawn < colour_share + shape_share + more_share else scene


def with_more_names(scene: Scene, rng: np.random.Generator) -> Scene:
    """The scene with further colours and shapes for some of its objects, all of which have words.

    A further colour keeps its distance from the held-out partner of the object's shape, and from the background.

    >>> from word2mask.data.shapes_world.scene import sample_scene
    >>> rng = np.random.default_rng(1)
    >>> [f"{thing.colour} {thing.shape}" for thing in with_more_names(sample_scene(rng), rng).objects]
    ['rust square', 'charcoal mip', 'salmon square', 'lemon vash', 'blue square']
    """
    partners = {shape: np.array(COLOURS[colour], dtype=float) for colour, shape in HELD_OUT}
    things = []
    for thing in scene.objects:
        if rng.random() < MORE_SHAPE_OBJECTS:
            thing = replace(thing, shape=str(rng.choice(MORE_SHAPES)))
        if rng.random() < MORE_COLOUR_OBJECTS:
            away = [(scene.background.rgb, BACKGROUND_DISTANCE)]
            away += [(partners[thing.shape], UNNAMED_DISTANCE)] if thing.shape in partners else []
            fit = [
                word
                for word, rgb in MORE_COLOURS.items()
                if all(np.linalg.norm(np.array(rgb, dtype=float) - other) >= least for other, least in away)
            ]
            word = str(rng.choice(fit))
            rgb = np.clip(np.array(MORE_COLOURS[word]) + rng.uniform(-8, 8, size=3), 5, 250)
            thing = replace(thing, colour=word, rgb=tuple(map(float, rgb)), shade=_shade(rgb))
        things.append(thing)
    return replace(scene, objects=tuple(things))


def _shade(rgb: np.ndarray) -> tuple[float, ...]:
    """The second colour of a texture: darker, or lighter where it is dark already."""
    return tuple(map(float, rgb * 0.62 if rgb.max() > 60 else rgb + 66))


def with_unnamed_colours(scene: Scene, rng: np.random.Generator) -> Scene:
    """The scene with every object in any colour but that of the held-out pair of its shape.

    >>> from word2mask.data.shapes_world.scene import sample_scene
    >>> rng = np.random.default_rng(0)
    >>> with_unnamed_colours(sample_scene(rng), rng).objects[0].colour  # the word no longer holds
    'unnamed'
    """
    partners = {shape: np.array(COLOURS[colour], dtype=float) for colour, shape in HELD_OUT}
    named = np.array(list(COLOURS.values()), dtype=float)
    things = []
    for thing in scene.objects:
        while True:
            rgb = rng.uniform(5, 250, size=3)
            from_partner = np.linalg.norm(rgb - partners[thing.shape])
            is_nearest = from_partner <= np.linalg.norm(named - rgb, axis=1).min() + 1e-9
            from_background = np.linalg.norm(rgb - np.array(scene.background.rgb))
            if from_partner >= UNNAMED_DISTANCE and from_background >= BACKGROUND_DISTANCE and not is_nearest:
                break
        colours = {"rgb": tuple(map(float, rgb)), "shade": _shade(rgb)}
        things.append(replace(thing, colour=UNNAMED, **colours))
    return replace(scene, objects=tuple(things))


def with_unnamed_shapes(scene: Scene, rng: np.random.Generator) -> Scene:
    """The scene with shapes without a name for some of its objects, one at least.

    >>> from word2mask.data.shapes_world.scene import sample_scene
    >>> rng = np.random.default_rng(0)
    >>> things = with_unnamed_shapes(sample_scene(rng), rng).objects
    >>> any(thing.shape.startswith("unnamed-") for thing in things)
    True
    """
    chosen = rng.random(len(scene.objects)) < UNNAMED_OBJECTS
    chosen[int(rng.integers(len(chosen)))] = True
    things = [
        replace(thing, shape=f"{UNNAMED}-{rng.integers(NUM_UNNAMED_SHAPES)}") if swap else thing
        for thing, swap in zip(scene.objects, chosen, strict=True)
    ]
    return replace(scene, objects=tuple(things))


def is_named(scene: Scene) -> bool:
    """Whether every object's shape is one of the data set's, of which everyday knowledge is asked."""
    return all(thing.shape in SHAPES for thing in scene.objects)
