"""J and F against hand-computed cases and the official code's numbers (see make_jf_reference.py)."""

import json
from pathlib import Path

import numpy as np
import pytest

from word2mask.metrics.jf import boundary_accuracy, j_and_f, region_similarity


@pytest.fixture(scope="module")
def reference():
    return json.loads(Path(__file__).with_name("jf_reference.json").read_text())["cases"]


# Made-up videos: (prediction, target, void or None), bool [T,H,W]. make_jf_reference.py runs the official code on them.


def _disks(num_frames: int, height: int, width: int, seed: int) -> np.ndarray:
    """A disk that wanders and may leave the picture, bool ``[T,H,W]``."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    centre = rng.uniform(0.2, 0.8, 2) * (height, width)
    step = rng.uniform(-0.12, 0.12, 2) * (height, width)
    radius = rng.uniform(0.1, 0.3) * min(height, width)
    masks = []
    for frame in range(num_frames):
        y, x = centre + frame * step
        masks.append((rows - y) ** 2 + (columns - x) ** 2 <= radius**2)
    return np.array(masks)


def shifted():
    target = _disks(6, 96, 128, seed=1)
    return np.roll(target, (1, 2), axis=(1, 2)), target, None


def overlapping():
    return _disks(6, 120, 90, seed=2), _disks(6, 120, 90, seed=2) | _disks(6, 120, 90, seed=3), None


def leaving():
    prediction, target = _disks(8, 64, 64, seed=4), _disks(8, 64, 64, seed=4)
    prediction[5:] = False
    target[:2] = False
    prediction[0] = False
    return prediction, target, None


def noisy():
    rng = np.random.default_rng(5)
    target = _disks(4, 200, 300, seed=6)
    return target ^ (rng.random(target.shape) < 0.02), target, None


def at_the_edge():
    target = np.zeros((3, 50, 60), bool)
    target[0, 30:, 40:], target[1, :, 59], target[2, 49, 59] = True, True, True
    prediction = np.zeros_like(target)
    prediction[0, 32:, 41:], prediction[1, :, 57], prediction[2, 48:, 58:] = True, True, True
    return prediction, target, None


def with_void():
    rng = np.random.default_rng(7)
    prediction, target = _disks(5, 80, 80, seed=8), _disks(5, 80, 80, seed=9)
    return prediction, target, rng.random(target.shape) < 0.1


def large():
    target = _disks(2, 480, 854, seed=10)
    return np.roll(target, (3, -7), axis=(1, 2)), target, None


CASES = {case.__name__: case for case in (shifted, overlapping, leaving, noisy, at_the_edge, with_void, large)}


@pytest.mark.parametrize("name", list(CASES))
def test_equal_to_the_official_code(name, reference):
    prediction, target, void = CASES[name]()
    np.testing.assert_allclose(region_similarity(prediction, target, void), reference[name]["j"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(boundary_accuracy(prediction, target, void), reference[name]["f"], rtol=0, atol=1e-12)


def test_every_reference_case_is_still_made(reference):
    assert set(reference) == set(CASES)


def test_two_empty_masks_score_one():
    empty = np.zeros((2, 8, 8), bool)
    assert j_and_f(empty, empty) == (1.0, 1.0, 1.0)


def test_only_one_empty_mask_scores_zero():
    empty, full = np.zeros((1, 8, 8), bool), np.zeros((1, 8, 8), bool)
    full[0, 2:5, 2:5] = True
    assert j_and_f(empty, full) == (0.0, 0.0, 0.0)
    assert j_and_f(full, empty) == (0.0, 0.0, 0.0)


def test_squares_by_hand():
    # 4x4 squares one column apart on 10x10: 12 pixels in both, 20 in either. Tolerance: ceil(0.008 * 14.14) = 1 pixel.
    target, prediction = np.zeros((1, 10, 10), bool), np.zeros((1, 10, 10), bool)
    target[0, 3:7, 3:7], prediction[0, 3:7, 4:8] = True, True
    assert region_similarity(prediction, target).tolist() == [0.6]
    assert boundary_accuracy(prediction, target).tolist() == [1.0]


def test_squares_far_apart_by_hand():
    # The boundaries are the rings of the 5x5 boxes at columns 1-5 and 3-7, 16 pixels each. Within one pixel (up, down,
    # left, right) of the other ring: 4 in the top row, 4 in the bottom row, 2 in the side inside the other box.
    target, prediction = np.zeros((1, 10, 10), bool), np.zeros((1, 10, 10), bool)
    target[0, 3:7, 2:6], prediction[0, 3:7, 4:8] = True, True
    assert region_similarity(prediction, target).tolist() == [8 / 24]
    assert boundary_accuracy(prediction, target).tolist() == [10 / 16]


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"prediction \(1, 8, 8\) and target \(2, 8, 8\)"):
        region_similarity(np.zeros((1, 8, 8), bool), np.zeros((2, 8, 8), bool))
    with pytest.raises(ValueError, match="void"):
        boundary_accuracy(np.zeros((1, 8, 8), bool), np.zeros((1, 8, 8), bool), np.zeros((8, 8), bool))
