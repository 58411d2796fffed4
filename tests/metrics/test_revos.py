"""Accuracy and robustness, against VISA's code (see make_metric_reference.py) and by hand."""

import sys
from pathlib import Path

import numpy as np
import pytest

from word2mask.metrics.revos import accuracy, robustness

sys.path.insert(0, str(Path(__file__).parent))
import metric_cases

CASES = metric_cases.mask_cases()


@pytest.mark.parametrize("name", list(CASES))
def test_equal_to_the_published_code(name, reference):
    prediction, target, void = CASES[name]
    foreground = target if void is None else target | void
    expected = reference["visa_frames"][name]
    np.testing.assert_allclose(accuracy(prediction, target), expected["accuracy"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(robustness(prediction, target, foreground), expected["robustness"], rtol=0, atol=1e-12)


def test_by_hand():
    target, prediction, foreground = (np.zeros((1, 2, 10), bool) for _ in range(3))
    target[0, 0, :4], prediction[0, 0, 3:6], foreground[0, 0, :8] = True, True, True
    # 3 missed and 2 wrong of 20 pixels; 2 wrong ones against 8 of the foreground.
    assert accuracy(prediction, target).tolist() == [0.75]
    assert robustness(prediction, target, foreground) == pytest.approx([1 - 2 / 8], abs=1e-6)
    assert robustness(~target, target, foreground).tolist() == [0.0]
    assert robustness(target, target, np.zeros_like(target)).tolist() == [1.0]


def test_a_foreground_of_several_masks_adds_up():
    target, prediction = np.zeros((1, 2, 10), bool), np.zeros((1, 2, 10), bool)
    prediction[0, 0, :2] = True
    foreground = np.zeros((1, 2, 10), np.uint8)
    foreground[0, 0, :2] = 2
    assert robustness(prediction, target, foreground) == pytest.approx([0.5], abs=1e-6)


def test_shapes_must_agree():
    masks = np.zeros((2, 3, 4), bool)
    with pytest.raises(ValueError, match=r"prediction \(2, 3, 4\) and target \(1, 3, 4\) must be one \[T,H,W\]"):
        accuracy(masks, masks[:1])
    with pytest.raises(ValueError, match=r"foreground \(2, 4, 3\)"):
        robustness(masks, masks, masks.transpose(0, 2, 1))
