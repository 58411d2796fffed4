"""Expected values by hand."""

import numpy as np
import pytest

from word2mask.ops import frames


@pytest.mark.parametrize(
    ("num_frames", "count", "expected"),
    [(16, 4, [0, 5, 10, 15]), (16, 5, [0, 4, 8, 11, 15]), (3, 5, [0, 1, 2]), (9, 1, [4]), (1, 1, [0]), (2, 2, [0, 1])],
)
def test_uniform(num_frames, count, expected):
    assert frames.uniform_frames(num_frames, count).tolist() == expected


def test_first():
    assert frames.first_frames(9, 5).tolist() == [0, 1, 2, 3, 4]
    assert frames.first_frames(2, 5).tolist() == [0, 1]


@pytest.mark.parametrize("draw", [frames.random_frames, frames.segment_frames])
def test_drawn_frames_are_sorted_distinct_and_reproducible(draw):
    for seed in range(20):
        drawn = draw(16, 5, np.random.default_rng(seed))
        assert drawn.shape == (5,) and (np.diff(drawn) > 0).all() and drawn.min() >= 0 and drawn.max() < 16
        assert np.array_equal(drawn, draw(16, 5, np.random.default_rng(seed)))
    assert draw(3, 5, np.random.default_rng(0)).tolist() == [0, 1, 2]


def test_segments_hold_one_frame_each():
    drawn = frames.segment_frames(10, 5, np.random.default_rng(1))
    assert (drawn // 2).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("arguments", [(0, 1), (4, 0)])
def test_nothing_to_draw_is_refused(arguments):
    with pytest.raises(ValueError, match="one frame or more"):
        frames.uniform_frames(*arguments)
