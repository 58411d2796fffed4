"""Scenes in colours and shapes that have no name.

From named pairs alone a model learns which pairs there are, guesses a shape by its colour, and fails on pairs that it
has never seen. Here nothing can be guessed: colours are any but the held-out partner's, shapes like none with a name.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from word2mask.data.shapes_world.scene import Scene
from word2mask.data.shapes_world.splits import HELD_OUT
from word2mask.data.shapes_world.vocabulary import COLOURS, SHAPES, UNNAMED

#: Least distance in RGB of an unnamed colour from the colour that is never paired with the object's shape, and from
#: the background.
UNNAMED_DISTANCE, BACKGROUND_DISTANCE = 90.0, 60.0
#: Number of shapes without a name.
NUM_UNNAMED_SHAPES = 400
#: Share of the objects of a scene that get such a shape.
UNNAMED_OBJECTS = 0.6


def with_some_unnamed(scene: Scene, rng: np.random.Generator, colour_share: float, shape_share: float) -> Scene:
    """The scene in unnamed colours, with unnamed shapes, or as it is; drawn with these probabilities."""
    drawn = rng.random()
    if drawn < colour_share:
        return with_unnamed_colours(scene, rng)
    return with_unnamed_shapes(scene, rng) if drawn < colour_share + shape_share else scene


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
        shade = rgb * 0.62 if rgb.max() > 60 else rgb + 66
        colours = {"rgb": tuple(map(float, rgb)), "shade": tuple(map(float, shade))}
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
    """Whether every object's shape has a name."""
    return all(thing.shape in SHAPES for thing in scene.objects)
