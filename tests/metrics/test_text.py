"""Exact match of answers."""

import pytest

from word2mask.metrics.text import exact_match, normalise, word_overlap


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  A Red\tcircle!! ", "red circle"),
        ("three", "3"),
        ("It's the left-most one.", "its left most 1"),
        ("It\u2019s", "its"),
        ("ＲＥＤ", "red"),
        ("Straße", "strasse"),
        ("红色的圆。", "红色的圆"),
        ("The.", ""),
    ],
)
def test_normalise(text, expected):
    assert normalise(text) == expected


def test_exact_match_against_any_reference():
    assert exact_match("Yes.", "yes")
    assert exact_match("2", ["two", "a couple"])
    assert not exact_match("yes, it is", "yes")
    assert not exact_match("", "no")


def test_word_overlap_counts_repeats():
    assert word_overlap("red red circle", "red circle") == 2 * 2 / 5
    assert word_overlap("", "the") == 1.0
    assert word_overlap("", "red") == 0.0
