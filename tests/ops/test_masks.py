"""Expected values by hand, or pycocotools where named."""

import numpy as np
import pytest
from pycocotools import mask as coco

from word2mask.ops import masks


def test_rle_of_a_known_mask_counts_down_the_columns():
    mask = np.zeros((3, 2), dtype=bool)
    mask[1, 0] = mask[2, 0] = mask[0, 1] = True
    # Column-major: 0 1 1 1 0 0, so 1 background, 3 foreground, 2 background.
    assert masks.decode_rle({"size": [3, 2], "counts": [1, 3, 2]}).tolist() == mask.tolist()
    assert masks.encode_rle(mask) == {"size": [3, 2], "counts": "132"}


@pytest.mark.parametrize("density", [0.0, 0.01, 0.5, 0.99, 1.0])
def test_rle_round_trip_and_unpacking_equal_pycocotools(density):
    mask = np.random.default_rng(3).random((417, 333)) < density
    rle = masks.encode_rle(mask)
    assert np.array_equal(masks.decode_rle(rle), mask)
    runs = masks._unpack_counts(rle["counts"].encode())
    assert np.array_equal(masks.decode_rle({"size": rle["size"], "counts": runs.tolist()}), mask)
    assert np.array_equal(coco.decode(rle).astype(bool), mask)


@pytest.mark.parametrize(
    "rle",
    [
        {"size": [2, 2], "counts": [1, 2]},
        {"size": [2, 2], "counts": [5, -1]},
        {"size": [2, 2], "counts": "132"},
        {"size": [2, 2], "counts": ""},
        {"size": [2, 2], "counts": "1é"},
        {"size": [2], "counts": [4]},
        {"counts": [4]},
        None,
    ],
)
def test_wrong_run_lengths_are_refused(rle):
    with pytest.raises(ValueError):
        masks.decode_rle(rle)


def test_packing_gives_what_pycocotools_computes_with():
    mask = np.random.default_rng(4).random((41, 33)) < 0.3
    rle = masks.encode_rle(mask)
    packed = masks.pack_rle(rle)
    assert packed == {"size": [41, 33], "counts": rle["counts"].encode()} == masks.pack_rle(packed)
    runs = masks._unpack_counts(packed["counts"]).tolist()
    assert masks.pack_rle({"size": [41, 33], "counts": runs}) == packed
    with pytest.raises(ValueError, match="run lengths add up to 3 pixels"):
        masks.pack_rle({"size": [2, 2], "counts": [1, 2]})


def test_counts_cut_short_are_refused():
    rle = masks.encode_rle(np.random.default_rng(0).random((64, 64)) < 0.5)
    for cut in (1, 5, 40):
        with pytest.raises(ValueError):
            masks.decode_rle(rle | {"counts": rle["counts"][:-cut]})


def test_polygons_overlap_once_and_are_clipped():
    square = [1, 1, 3, 1, 3, 3, 1, 3]
    mask = masks.polygons_to_mask([square, square], 4, 5)
    assert mask.dtype == bool and mask.sum() == 4 and mask[1:3, 1:3].all()
    with pytest.raises(ValueError, match="4 numbers"):
        masks.polygons_to_mask([[0, 0, 1, 1]], 4, 4)


def test_segmentation_takes_every_form():
    mask = np.zeros((6, 7), dtype=bool)
    mask[1:3, 2:5] = True
    rle = masks.encode_rle(mask)
    assert np.array_equal(masks.segmentation_to_mask(rle, 6, 7), mask)
    assert np.array_equal(masks.segmentation_to_mask([rle, rle], 6, 7), mask)
    assert np.array_equal(masks.segmentation_to_mask([[2, 1, 5, 1, 5, 3, 2, 3]], 6, 7), mask)
    with pytest.raises(ValueError, match=r"\[6, 7\] for a picture of \[7, 6\]"):
        masks.segmentation_to_mask(rle, 7, 6)
    with pytest.raises(ValueError, match="str"):
        masks.segmentation_to_mask("polygon", 7, 6)


def test_boxes():
    mask = np.zeros((6, 7), dtype=bool)
    assert masks.mask_to_box(mask) is None
    mask[1:3, 2:5] = True
    assert masks.mask_to_box(mask) == (2, 1, 5, 3)
    assert np.array_equal(masks.box_to_mask((2, 1, 5, 3), 6, 7), mask)
    assert masks.box_to_mask((-3, -3, 99, 99), 6, 7).all()
    assert not masks.box_to_mask((-5, 0, -2, 3), 6, 7).any()


def test_contours_draw_the_same_mask_again():
    rows, columns = np.mgrid[:40, :50]
    distance = np.hypot(rows - 20, columns - 24)
    ring = (distance < 16) & (distance > 9)
    noise = np.random.default_rng(1).random((40, 50)) < 0.3
    line = np.zeros((40, 50), dtype=bool)
    line[7, 3:30] = True
    for mask in (ring, noise, line, np.zeros_like(ring), np.ones_like(ring)):
        assert np.array_equal(masks.contours_to_mask(masks.mask_to_contours(mask), 40, 50), mask)


def test_union():
    a = np.eye(3, dtype=bool)
    assert np.array_equal(masks.union([a, a[::-1]], 3, 3), a | a[::-1])
    assert not masks.union([], 2, 3).any()
    with pytest.raises(ValueError, match=r"\[3, 3\]"):
        masks.union([a], 2, 3)
