"""Scenes whose colours or shapes have no name: nothing in them is, or looks like, a held-out pair."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from word2mask.data.shapes_world.geometry import UNNAMED_OVERLAP, unit_area, unit_outline
from word2mask.data.shapes_world.scene import sample_scene
from word2mask.data.shapes_world.splits import HELD_OUT, scene_rng
from word2mask.data.shapes_world.unnamed import (
    BACKGROUND_DISTANCE,
    UNNAMED_DISTANCE,
    with_more_names,
    with_some_unnamed,
    with_unnamed_colours,
    with_unnamed_shapes,
)
from word2mask.data.shapes_world.vocabulary import COLOURS, MORE_COLOURS, MORE_SHAPES, SHAPES, UNNAMED


def filled(shape: str, degrees: float = 0.0) -> np.ndarray:
    """Bool ``[200,200]``: the shape, turned."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    canvas = np.zeros((200, 200), dtype=np.uint8)
    cv2.fillPoly(canvas, [np.round(contour @ turn * 150 + 100).astype(np.int32) for contour in unit_outline(shape)], 1)
    return canvas.astype(bool)


def test_unnamed_colours_never_show_a_held_out_pair():
    partners = {shape: np.array(COLOURS[colour], dtype=float) for colour, shape in HELD_OUT}
    named = np.array(list(COLOURS.values()), dtype=float)
    for index in range(60):
        rng = scene_rng(3, "train", index)
        scene = with_unnamed_colours(sample_scene(rng), rng)
        for thing in scene.objects:
            rgb = np.array(thing.rgb)
            away = np.linalg.norm(rgb - partners[thing.shape])
            assert away >= UNNAMED_DISTANCE and away > np.linalg.norm(named - rgb, axis=1).min()
            assert np.linalg.norm(rgb - np.array(scene.background.rgb)) >= BACKGROUND_DISTANCE


@pytest.mark.parametrize("number", range(0, 60, 4))
def test_an_unnamed_shape_looks_like_none_with_a_name(number):
    mine = filled(f"unnamed-{number}")
    for shape in SHAPES:
        overlaps = [
            (mine & other).sum() / (mine | other).sum()
            for other in (filled(shape, degrees) for degrees in range(0, 360, 15))
        ]
        assert max(overlaps) < UNNAMED_OVERLAP + 0.05  # chosen on a coarse grid


def test_unnamed_shapes_are_pure_and_differ():
    outlines = [unit_outline.__wrapped__(f"unnamed-{number}")[0] for number in range(12)]
    assert all(np.array_equal(mine, unit_outline(f"unnamed-{i}")[0]) for i, mine in enumerate(outlines))
    areas = [unit_area(f"unnamed-{number}") for number in range(12)]
    assert len({round(area, 6) for area in areas}) == 12 and all(0.3 < area < 0.9 for area in areas)
    assert all(np.isclose(np.ptp(outline, axis=0).max(), 1.0) for outline in outlines)


def test_shares_decide_what_is_drawn():
    drawn = {"colours": 0, "shapes": 0, "neither": 0}
    for index in range(300):
        rng = scene_rng(1, "train", index)
        scene = sample_scene(rng)
        other = with_some_unnamed(scene, rng, colour_share=0.3, shape_share=0.2)
        if other is scene:
            drawn["neither"] += 1
        elif all(thing.colour in COLOURS for thing in other.objects):
            drawn["shapes"] += 1
            assert any(thing.shape not in SHAPES for thing in other.objects)
        else:
            drawn["colours"] += 1
            assert all(thing.shape in SHAPES for thing in other.objects)
    assert abs(drawn["colours"] - 90) < 25 and abs(drawn["shapes"] - 60) < 25


def test_only_the_shape_changes():
    rng = scene_rng(5, "train", 0)
    scene = sample_scene(rng)
    for before, after in zip(scene.objects, with_unnamed_shapes(scene, rng).objects, strict=True):
        assert (before.colour, before.rgb, before.size_px) == (after.colour, after.rgb, after.size_px)
        assert np.array_equal(before.centre, after.centre)


def test_more_names_never_show_a_held_out_pair_and_all_are_drawn():
    partners = {shape: np.array(COLOURS[colour], dtype=float) for colour, shape in HELD_OUT}
    colours, shapes = set(), set()
    for index in range(300):
        rng = scene_rng(5, "train", index)
        scene = with_more_names(sample_scene(rng), rng)
        for thing in scene.objects:
            colours.add(thing.colour)
            shapes.add(thing.shape)
            assert (thing.colour, thing.shape) not in HELD_OUT and thing.colour != UNNAMED
            if thing.colour in MORE_COLOURS:
                rgb = np.array(MORE_COLOURS[thing.colour])
                assert np.abs(np.array(thing.rgb) - rgb).max() <= 8
                assert np.linalg.norm(rgb - np.array(scene.background.rgb)) >= BACKGROUND_DISTANCE
                if thing.shape in partners:
                    assert np.linalg.norm(rgb - partners[thing.shape]) >= UNNAMED_DISTANCE
    assert colours == {*COLOURS, *MORE_COLOURS} and shapes == {*SHAPES, *MORE_SHAPES}


def test_words_are_of_one_colour_each():
    # Jitter moves a channel by at most 10 (named) or 8: no colour comes nearer to another word's than to its own.
    everything = np.array([*COLOURS.values(), *MORE_COLOURS.values()], dtype=float)
    distances = np.linalg.norm(everything[:, None] - everything[None], axis=-1)
    assert distances[~np.eye(len(everything), dtype=bool)].min() > 2 * np.sqrt(3) * 10
    assert not set(MORE_COLOURS) & set(COLOURS) and not set(MORE_SHAPES) & set(SHAPES)
