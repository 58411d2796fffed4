"""Outlines and masks against areas and extents worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from word2mask.data.shapes_world.geometry import unit_area, unit_outline, visible_masks
from word2mask.data.shapes_world.scene import ShapeObject
from word2mask.data.shapes_world.vocabulary import SHAPES

SQUARE = ShapeObject(
    shape="square",
    colour="red",
    texture="plain",
    size_name="large",
    size_px=40.0,
    centre=np.array([[64.0, 50.0]]),
    scale=np.ones(1),
    rotation=np.zeros(1),
    motion="still",
    heading="",
    z_order=0,
    rgb=(200.0, 0.0, 0.0),
    shade=(100.0, 0.0, 0.0),
    texture_angle=0.0,
    texture_phase=0.0,
)


def test_square_covers_exactly_its_pixels():
    # A square of nominal size 40 has sides of 0.9 * 40 = 36: x in [46, 82), y in [32, 68).
    (mask,) = visible_masks([SQUARE], 128, 100, [0])[:, 0]
    expected = np.zeros((100, 128), dtype=bool)
    expected[32:68, 46:82] = True
    assert np.array_equal(mask, expected)


def test_nearer_object_hides_farther_one():
    near = replace(SQUARE, centre=np.array([[82.0, 50.0]]), z_order=1)
    far_mask, near_mask = visible_masks([SQUARE, near], 128, 100, [0])[:, 0]
    assert near_mask.sum() == 36 * 36
    assert far_mask.sum() == 18 * 36  # half of it is under the nearer one, which starts at x = 64
    assert not far_mask[:, 64:].any()


def test_canvas_cuts_off_what_leaves_it():
    half_out = replace(SQUARE, centre=np.array([[0.0, 50.0]]))
    gone = replace(SQUARE, centre=np.array([[-30.0, 50.0]]))
    masks = visible_masks([half_out, gone], 128, 100, [0])
    assert masks[0].sum() == 18 * 36
    assert masks[1].sum() == 0


def test_ring_has_a_hole_and_shows_what_is_behind():
    # Outer radius 0.52 * 50 = 26, inner 0.27 * 50 = 13.5.
    ring = replace(SQUARE, shape="ring", size_px=50.0, z_order=1)
    ring_mask, behind = visible_masks([ring, SQUARE], 128, 100, [0])[:, 0]
    assert ring_mask.sum() == pytest.approx(np.pi * (26**2 - 13.5**2), rel=0.02)
    assert not ring_mask[50, 64]
    assert behind[50, 64]
    assert not (ring_mask & behind).any()


@pytest.mark.parametrize("shape", SHAPES)
def test_mask_area_is_the_outline_area(shape):
    # Tilted and off the grid, so that no edge runs along the middle of a row of pixels. cv2 fills what an edge touches,
    # which adds about 0.15 pixels all around.
    thing = replace(SQUARE, shape=shape, size_px=50.0, centre=np.array([[64.3, 50.4]]), rotation=np.array([0.2]))
    area = visible_masks([thing], 128, 100, [0]).sum()
    assert area == pytest.approx(unit_area(shape) * 2500, rel=0.04)


def test_areas_known_by_formula():
    assert unit_area("circle") == pytest.approx(np.pi / 4, rel=0.01)
    assert unit_area("square") == pytest.approx(0.81)
    assert unit_area("triangle") == pytest.approx(0.5 * 1.08 * 1.08 * 0.9)
    # A cross: two bars of 1 x 0.34, their common square counted once.
    assert unit_area("cross") == pytest.approx(2 * 0.34 - 0.34**2)


@pytest.mark.parametrize("shape", SHAPES)
def test_outlines_are_centred(shape):
    points = unit_outline(shape)[0]
    assert np.allclose(points.min(0), -points.max(0), atol=0.01)


def test_rotation_is_clockwise_on_the_screen():
    # A heart points down; turned by a quarter clockwise its tip points left.
    heart = replace(SQUARE, shape="heart", rotation=np.array([np.pi / 2]))
    (mask,) = visible_masks([heart], 128, 100, [0])[:, 0]
    columns = np.flatnonzero(mask.any(axis=0))
    assert mask[:, columns[0]].sum() < mask[:, columns[-1]].sum()
    tip_rows = np.flatnonzero(mask[:, columns[0]])
    assert abs(tip_rows.mean() - 50) <= 1
