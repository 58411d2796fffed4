"""Masklets read all at once: the masks, areas and boxes that pycocotools gives one by one."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("aiohttp", reason="annotation needs the extra annotate")

from word2mask.annotate.masklets import Masklets, overlaps
from word2mask.ops.masks import box_to_mask, encode_rle, mask_to_box


@pytest.mark.parametrize("size", [(7, 5), (1, 9), (9, 1), (48, 64)])
def test_any_mask(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    masks = [[rng.random(size) < share for share in (0, 0.05, 0.5, 1)] for _ in range(3)]
    found = Masklets([[encode_rle(mask) for mask in objects] for objects in masks], size)
    assert found.areas.tolist() == [[int(mask.sum()) for mask in objects] for objects in masks]
    for frame, objects in enumerate(masks):
        for number, mask in enumerate(objects):
            assert np.array_equal(found.small(frame, number, size), mask)
            box = mask_to_box(mask)
            assert found.box(frame, number) == (None if box is None else tuple(box))


def test_smaller_masks_are_nearest_pixels() -> None:
    mask = box_to_mask((6, 3, 17, 9), 12, 20)
    found = Masklets([[encode_rle(mask)]], (12, 20)).small(0, 0, (4, 5))
    # Rows 0 3 6 9 and columns 0 4 8 12 16 of the mask, written out.
    assert found.tolist() == [[0, 0, 0, 0, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 1], [0, 0, 0, 0, 0]]


def test_other_forms_and_what_is_wrong() -> None:
    plain = {"size": [2, 3], "counts": [1, 2, 3]}
    found = Masklets([[plain, encode_rle(np.ones((2, 3), bool))]], (2, 3))
    assert found.areas.tolist() == [[2, 6]]
    assert found.small(0, 0, (2, 3)).tolist() == [[0, 1, 0], [1, 0, 0]]  # down the columns: pixels 1 and 2
    good = encode_rle(np.ones((2, 3), bool))
    for wrong, message in (
        ({"size": [2, 3], "counts": [1, 2]}, "add up to 3 pixels"),
        ({"size": [3, 2], "counts": [6]}, r"masks of \[3, 2\] for a video of \[2, 3\]"),
        ({"size": [2, 3], "counts": "0"}, "add up to 0 pixels"),
        ({"size": [2, 3], "counts": "h"}, "cut short"),
        ({"size": [2, 3], "counts": "é"}, "can't encode|not a string"),
        ({"size": [2, 3]}, "expected run lengths"),
        (None, "expected run lengths"),
    ):
        with pytest.raises(ValueError, match=message):
            Masklets([[good, wrong]], (2, 3))


def test_overlaps_are_over_all_frames() -> None:
    rng = np.random.default_rng(1)
    masks = rng.random((4, 3, 9, 11)) < 0.4  # [T,N,H,W]
    masks[:, 2] = masks[:, 0]
    masks[0, 1] = False
    one = Masklets([[encode_rle(mask) for mask in objects] for objects in masks], (9, 11))
    other = Masklets([[encode_rle(mask) for mask in objects[:2]] for objects in masks], (9, 11))
    for n in range(3):
        for m in range(2):
            common, either = (masks[:, n] & masks[:, m]).sum(), (masks[:, n] | masks[:, m]).sum()
            assert overlaps(one, other)[n, m] == pytest.approx(common / either, abs=1e-12)
    never = Masklets([[encode_rle(np.zeros((9, 11), bool))] for _ in range(4)], (9, 11))
    assert overlaps(never, never).tolist() == [[0.0]]
    assert overlaps(Masklets([[], [], [], []], (9, 11)), one).shape == (0, 3)
