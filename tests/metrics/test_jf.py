"""J and F against hand-computed cases and the official code's numbers (see make_metric_reference.py)."""

import sys
from pathlib import Path

import numpy as np
import pytest

from word2mask.metrics.jf import (
    JFAccumulator,
    boundary_accuracy,
    frame_scores,
    j_and_f,
    j_and_f_of_rles,
    region_similarity,
)
from word2mask.ops.masks import encode_rle

sys.path.insert(0, str(Path(__file__).parent))
import metric_cases

CASES = metric_cases.mask_cases()


@pytest.mark.parametrize("name", list(CASES))
def test_equal_to_the_official_code(name, reference):
    prediction, target, void = CASES[name]
    j, f = region_similarity(prediction, target, void), boundary_accuracy(prediction, target, void)
    np.testing.assert_allclose(j, reference["davis_frames"][name]["j"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(f, reference["davis_frames"][name]["f"], rtol=0, atol=1e-12)
    both = frame_scores(prediction, target, void)
    assert np.array_equal(both[0], j) and np.array_equal(both[1], f)


def test_every_reference_case_is_still_made(reference):
    assert set(reference["davis_frames"]) == set(CASES)


@pytest.mark.parametrize("name", ["leaving", "patterns", "along_every_border", "65 x 65", "5 x 700", "huge"])
def test_run_lengths_score_as_their_masks(name):
    prediction, target, _ = CASES[name]
    rles = [[encode_rle(mask) if mask.any() else None for mask in masks] for masks in (prediction, target)]
    assert j_and_f_of_rles(iter(rles[0]), iter(rles[1])) == pytest.approx(j_and_f(prediction, target), abs=1e-15)


def test_run_lengths_of_wrong_sizes_and_numbers():
    small, large = encode_rle(np.ones((4, 5), bool)), encode_rle(np.ones((5, 4), bool))
    with pytest.raises(ValueError, match=r"\(1, 5, 4\) and target \(1, 4, 5\)"):
        j_and_f_of_rles([small], [large])
    with pytest.raises(ValueError, match="longer than"):
        j_and_f_of_rles([small], [small, small])
    with pytest.raises(ValueError, match="no frames"):
        j_and_f_of_rles([], [])


def test_no_frames_have_no_score():
    with pytest.raises(ValueError, match="no frames to score"):
        j_and_f(np.zeros((0, 4, 5), bool), np.zeros((0, 4, 5), bool))


def test_means_over_samples_are_the_same_in_any_grouping():
    whole, parts = JFAccumulator(), [JFAccumulator(), JFAccumulator()]
    names = [name for name in CASES if name.startswith("random")]
    for index, name in enumerate(names):
        prediction, target, _ = CASES[name]
        whole.add(prediction, target)
        parts[index % 2].add(prediction, target)
    assert JFAccumulator.merged(reversed(parts)) == whole and len(whole) == len(names)
    values = np.array([j_and_f(*CASES[name][:2]) for name in names]).mean(axis=0) * 100
    summary = whole.summary()
    assert [summary[key] for key in ("j", "f", "j&f")] == pytest.approx(list(values), abs=1e-9)
    assert JFAccumulator().summary() == {}


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
