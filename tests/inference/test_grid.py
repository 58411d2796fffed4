"""Grids: where pictures and words stand."""

import numpy as np
import pytest
from PIL import ImageFont

from word2mask.inference.grid import FONT, GAP, MOST_LINES, Cell, _lines, grid, spotlights
from word2mask.inference.render import SIDE, spotlight


def test_columns_stand_side_by_side_and_rows_below_each_other():
    red = np.full((40, 100, 3), (255, 0, 0), dtype=np.uint8)
    picture = grid([[Cell("one", "a", red), Cell("two", "b")], [Cell("three", "c"), Cell("four", "d", red)]], width=120)
    assert picture.shape[1] == 2 * 120 + GAP
    reds = np.argwhere((picture == (255, 0, 0)).all(axis=2))
    upper, lower = reds[reds[:, 1] < 120], reds[reds[:, 1] >= 120]
    assert len(reds) == 2 * red.shape[0] * red.shape[1]
    assert upper.min(axis=0).tolist() == [0, 0] and upper.max(axis=0).tolist() == [39, 99]
    assert lower[:, 0].min() > upper[:, 0].max() and lower[:, 1].min() == 120 + GAP


def test_a_picture_wider_than_its_column_is_scaled_down():
    wide = np.zeros((50, 400, 3), dtype=np.uint8)
    alone = grid([[Cell("", "")]], width=100).shape[0]
    assert grid([[Cell("", "", wide)]], width=100).shape[:2] == (round(50 * 100 / 400) + alone, 100)


def test_words_are_broken_at_spaces_and_cut_with_an_ellipsis():
    font = ImageFont.load_default(size=FONT)
    lines = _lines("the yellow star on the left of the blue ring", 120)
    assert " ".join(lines) == "the yellow star on the left of the blue ring" and len(lines) > 1
    assert all(font.getlength(line) <= 120 for line in lines)
    unbroken = _lines("w" * 30, 120)
    assert "".join(unbroken) == "w" * 30 and len(unbroken) > 1
    long = _lines("word " * 400, 120)
    assert len(long) == MOST_LINES and long[-1].endswith("…")


def test_rows_must_be_alike():
    with pytest.raises(ValueError, match=r"rows of as many cells each, got \[1, 2\]"):
        grid([[Cell("a", "")], [Cell("b", ""), Cell("c", "")]])
    with pytest.raises(ValueError, match=r"got \[\]"):
        grid([])


def test_a_picture_is_drawn_as_in_reports_and_a_video_as_a_strip():
    frames = np.random.default_rng(0).integers(0, 255, (9, 30, 40, 3), dtype=np.uint8)
    masks = np.zeros((1, 9, 30, 40), dtype=bool)
    masks[0, :, 5:20, 10:30] = True
    assert np.array_equal(spotlights(frames[:1], masks[:, :1]), spotlight(frames[0], masks[:, 0]))
    assert np.array_equal(spotlights(frames[:1], None), spotlight(frames[0], masks[:0, 0]))
    side = (SIDE - 2 * GAP) // 3
    strip = spotlights(frames, masks)
    assert strip.shape[1] <= SIDE
    # Frames 0, 4 and 8 of nine.
    assert np.array_equal(strip[:, side + GAP : 2 * side + GAP], spotlight(frames[4], masks[:, 4], side))
