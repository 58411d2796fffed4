"""Bitmaps against the same on bytes: by hand, and by scipy's exact distances."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from word2mask.metrics import bitmaps


def unpack(bitmap: np.ndarray, width: int) -> np.ndarray:
    return np.unpackbits(bitmap.view(np.uint8), axis=1, count=width, bitorder="little").astype(bool)


@pytest.mark.parametrize("shape", [(1, 1), (3, 63), (3, 64), (2, 65), (7, 200)])
def test_packing_keeps_every_pixel(shape):
    mask = np.random.default_rng(0).random(shape) < 0.5
    packed = bitmaps.pack(mask, margin=0)
    assert packed.dtype == np.uint64 and packed.shape == (shape[0], (shape[1] + 63) // 64)
    np.testing.assert_array_equal(unpack(packed, shape[1]), mask)
    assert bitmaps.count(packed) == mask.sum()


@pytest.mark.parametrize("radius", [0, 1, 2, 3, 8, 17, 36, 70, 150])
@pytest.mark.parametrize("shape", [(1, 1), (40, 61), (33, 130), (5, 300), (90, 3)])
def test_dilation_reaches_as_far_as_the_distance(radius, shape):
    rng = np.random.default_rng(radius)
    for mask in (rng.random(shape) < 0.004, np.zeros(shape, bool)):
        # The corners, where what is shifted leaves the picture.
        mask[0, 0] = mask[-1, -1] = True
        expected = distance_transform_edt(~mask) <= radius
        np.testing.assert_array_equal(unpack(bitmaps.dilate(bitmaps.pack(mask, radius), radius), shape[1]), expected)


def test_nothing_dilates_to_nothing():
    assert bitmaps.count(bitmaps.dilate(bitmaps.pack(np.zeros((9, 70), bool), 4), 4)) == 0


def test_boundary_by_hand():
    mask = np.array([[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 1]], bool)
    # Right, lower or lower right neighbour differs; the last row looks right only, the last column down only.
    expected = np.array([[1, 1, 1, 0], [1, 0, 1, 1], [1, 0, 0, 0]], bool)
    np.testing.assert_array_equal(unpack(bitmaps.boundary(bitmaps.pack(mask), 4), 4), expected)


def test_a_full_mask_has_no_boundary():
    for width in (63, 64, 65):
        assert bitmaps.count(bitmaps.boundary(bitmaps.pack(np.ones((5, width), bool)), width)) == 0
