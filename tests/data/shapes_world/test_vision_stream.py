"""What every patch of a picture says: what it shows, and standings among the objects."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from word2mask.data.shapes_world.render import render
from word2mask.data.shapes_world.scene import sample_scene
from word2mask.data.shapes_world.splits import scene_rng
from word2mask.data.shapes_world.unnamed import with_unnamed_colours, with_unnamed_shapes
from word2mask.data.shapes_world.vision_stream import (
    NUM_STANDINGS,
    STANDING_AXES,
    STANDING_GROUPS,
    describe_patches,
    silhouettes,
    standings,
)
from word2mask.data.shapes_world.vocabulary import BACKGROUND_PATTERNS, BACKGROUNDS, SHAPES, UNNAMED


@pytest.fixture
def row():
    """Three objects from left to right: a small red circle, a large red star, a small blue circle; and their masks."""
    scene = next(
        scene
        for scene in (sample_scene(scene_rng(0, "train", i), num_objects=3) for i in range(50))
        if len(scene.objects) == 3
    )
    looks = (("red", "circle", 24.0), ("red", "star", 52.0), ("blue", "circle", 24.0))
    things = tuple(
        replace(thing, colour=colour, shape=shape, size_px=size, centre=np.array([[20.0 + 40 * i, 60.0 + 10 * i]]))
        for i, (thing, (colour, shape, size)) in enumerate(zip(scene.objects, looks, strict=True))
    )
    return replace(scene, objects=things), np.ones((3, 8, 8), dtype=bool)


def standing(table: torch.Tensor, thing: int, axis: str, group: str) -> list[int]:
    """How many are lower, and how many higher."""
    place = 2 * (STANDING_AXES.index(axis) * len(STANDING_GROUPS) + STANDING_GROUPS.index(group))
    return table[thing, place : place + 2].tolist()


def test_silhouettes_by_hand():
    masks = np.zeros((3, 20, 20), dtype=bool)
    masks[0, 2:18, 3:11] = True  # a full box
    masks[1, 4:20, 4:20] = np.tri(16, dtype=bool)  # its lower left half
    stamps = silhouettes(masks).reshape(4, 8, 8)
    assert (stamps[0] == 1).all() and not stamps[2:].any()
    expected = torch.ones(8, 8).tril(-1) + 0.75 * torch.eye(8)  # 3 of the 4 pixels of a part on the diagonal
    assert torch.equal(stamps[1], expected)


def test_standings_by_hand(row):
    scene, masks = row
    table = standings(scene, masks)
    assert table.shape == (4, NUM_STANDINGS)
    assert [standing(table, i, "x", "all") for i in range(3)] == [[0, 2], [1, 1], [2, 0]]
    assert [standing(table, i, "x", "shape") for i in range(3)] == [[0, 1], [0, 0], [1, 0]]
    assert [standing(table, i, "y", "colour") for i in range(3)] == [[0, 1], [1, 0], [0, 0]]
    # The circles are of one size, which is too close to tell; the star is bigger than both.
    assert [standing(table, i, "area", "all") for i in range(3)] == [[-100, -100], [2, 0], [-100, -100]]
    assert (table[3] == -100).all()


def test_standings_count_what_is_seen_and_has_a_name(row):
    scene, masks = row
    masks[1] = False
    first, *others = scene.objects
    table = standings(replace(scene, objects=(replace(first, colour=UNNAMED), *others)), masks)
    assert [standing(table, i, "x", "all") for i in (0, 2)] == [[0, 1], [1, 0]]
    assert standing(table, 0, "x", "colour") == [-100, -100]


def test_what_has_no_name_has_no_label():
    rng = scene_rng(3, "train", 59)
    scene = with_unnamed_colours(sample_scene(rng), rng)
    _, masks = render(scene)
    described = describe_patches(scene, masks[:, 0], 16)
    seen = described["object"] == 1
    assert (described["colour"] == -100).all() and (described["shape"][seen] >= 0).all()
    for name, words, word in (
        ("background", list(BACKGROUNDS), scene.background.colour),
        ("pattern", list(BACKGROUND_PATTERNS), scene.background.pattern),
    ):
        assert (described[name][~seen] == words.index(word)).all() and (described[name][seen] == -100).all()
    assert described["standing"].shape == (256, NUM_STANDINGS) and (described["standing"][~seen] == -100).all()

    scene = with_unnamed_shapes(sample_scene(rng), rng)
    _, masks = render(scene)
    described = describe_patches(scene, masks[:, 0], 16)
    seen = described["object"] == 1
    labels = {SHAPES.index(thing.shape) for thing in scene.objects if thing.shape in SHAPES}
    assert set(described["shape"][seen].tolist()) == labels | {-100}
    assert (described["colour"][seen] >= 0).all()
