"""Pixels: deterministic, of the right colour, and in step with the masks."""

from itertools import combinations

import cv2
import numpy as np
import pytest

from word2mask.data.shapes_world import render, render_masks, sample_scene, scene_rng
from word2mask.data.shapes_world.vocabulary import BACKGROUNDS, COLOURS


@pytest.mark.parametrize("kind", ["image", "video"])
def test_shapes_dtypes_and_determinism(kind):
    scene = sample_scene(scene_rng(2, "train", 1), kind)
    frames, masks = render(scene)
    num_frames = 1 if kind == "image" else 16
    assert frames.shape == (num_frames, scene.height, scene.width, 3)
    assert frames.dtype == np.uint8
    assert masks.shape == (len(scene.objects), num_frames, scene.height, scene.width)
    assert masks.dtype == bool
    again, masks_again = render(scene)
    assert np.array_equal(frames, again)
    assert np.array_equal(masks, masks_again)


@pytest.mark.parametrize("kind", ["image", "video"])
def test_masks_are_those_of_the_fast_way_and_disjoint(kind):
    for i in range(10):
        scene = sample_scene(scene_rng(3, "train", i), kind)
        masks = render(scene)[1]
        assert np.array_equal(masks, render_masks(scene))
        assert masks.sum(axis=0).max() <= 1


def nearest_colour(pixel):
    names = [*COLOURS, *BACKGROUNDS]
    palette = np.array([*COLOURS.values(), *BACKGROUNDS.values()], dtype=float)
    return names[int(np.abs(palette - pixel).sum(axis=1).argmin())]


def test_every_object_shows_its_colour():
    for i in range(60):
        scene = sample_scene(scene_rng(4, "train", i), "image")
        frames, masks = render(scene)
        for thing, mask in zip(scene.objects, masks[:, 0], strict=True):
            inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
            pixels = frames[0][inner].astype(float)
            main = np.median(pixels, axis=0) if thing.texture == "plain" else np.percentile(pixels, 70, axis=0)
            if thing.colour == "black":
                main = np.percentile(pixels, 30, axis=0)
            assert nearest_colour(main) == thing.colour, (i, thing.colour, main)


def test_colours_are_far_apart():
    table = {**COLOURS, **BACKGROUNDS}
    for first, second in combinations(COLOURS, 2):
        assert np.abs(np.subtract(COLOURS[first], COLOURS[second])).sum() > 90
    for first in COLOURS:
        for second in BACKGROUNDS:
            assert np.abs(np.subtract(table[first], table[second])).sum() > 90


def test_empty_places_show_the_background():
    scene = sample_scene(scene_rng(4, "train", 8), "image")
    frames, masks = render(scene)
    outside = ~cv2.dilate(masks.any(axis=(0, 1)).astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    mean = frames[0][outside].mean(axis=0)
    assert np.abs(mean - np.array(BACKGROUNDS[scene.background.colour])).max() < 30
