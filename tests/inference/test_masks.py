"""Masks as run lengths behave as the array that they stand for."""

import numpy as np
import pytest

from word2mask.inference.masks import ARRAY_BYTES, MaskStream, blank_masks
from word2mask.types import Segment


@pytest.fixture
def whole():
    masks = np.random.default_rng(0).random((6, 5, 7)) > 0.6
    masks[2] = False
    return masks


@pytest.fixture
def stream(whole):
    stream = MaskStream((5, 7))
    for frame in (3, 4, 5, 2, 1, 0):  # forward, then backward, as they are tracked
        stream[frame] = whole[frame]
    return stream


@pytest.mark.parametrize(
    "key", [0, -1, slice(1, 4), [4, 0], np.array([True, False] * 3), (2, 3), (slice(None), 1), ([0, 5], 2, 3), ..., ()]
)
def test_indexing(stream, whole, key):
    np.testing.assert_array_equal(stream[key], whole[key])


def test_what_arrays_do(stream, whole):
    assert (stream.shape, len(stream), stream.ndim, stream.dtype) == (whole.shape, 6, 3, bool)
    for axis in ((1, 2), (-2, -1), None, 0, (0, 1, 2)):
        np.testing.assert_array_equal(stream.any(axis=axis), whole.any(axis=axis))
        np.testing.assert_array_equal(stream.sum(axis=axis), whole.sum(axis=axis))
    np.testing.assert_array_equal(np.stack([stream, stream]), np.stack([whole, whole]))
    np.testing.assert_array_equal(np.asarray(stream, dtype=np.uint8), whole.astype(np.uint8))
    union = np.zeros_like(whole)
    union |= stream
    np.testing.assert_array_equal(union, whole)
    np.testing.assert_array_equal(np.array(list(stream)), whole)
    assert stream.runs(-6)["size"] == [5, 7]


def test_wrong_frames_and_sizes(stream):
    with pytest.raises(IndexError, match="frame 6 of masks of 6 frames"):
        stream[6]
    with pytest.raises(ValueError, match=r"\[7, 5\] for frames of \[5, 7\]"):
        stream[0] = np.zeros((7, 5), dtype=bool)


def test_which_form():
    (picture,) = blank_masks(1, 1, (20000, 20000), "runs")
    assert isinstance(picture, np.ndarray)
    frames = ARRAY_BYTES // (512 * 512)
    assert isinstance(blank_masks(1, frames, (512, 512), "auto")[0], np.ndarray)
    assert isinstance(blank_masks(2, frames, (512, 512), "auto")[0], MaskStream)
    assert isinstance(blank_masks(1, None, (2, 2), "arrays")[0], MaskStream)


def test_what_a_segment_says_of_itself(stream):
    """Frame 2 has no pixel, frames 0 and 5 a score that says no: confidence is the mean of 0.9, 0.8 and 0.7."""
    scores = np.array([0.5, 0.9, 0.99, 0.8, 0.7, 0.1], dtype=np.float32)
    segment = Segment("a cat", None, stream, scores)
    assert segment.found_on.tolist() == [False, True, False, True, True, False]
    assert segment.is_found and segment.confidence == pytest.approx(0.8)
    nowhere = Segment("a dog", None, stream, np.array([0.1, 0.2, 0.0, 0.3, 0.1, 0.1], dtype=np.float32))
    assert not nowhere.is_found and not nowhere.found_on.any() and nowhere.confidence == pytest.approx(0.3)
