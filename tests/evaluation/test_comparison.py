"""Paired bootstrap: by hand where that is possible, against the theory where it isn't."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import pytest

from word2mask.errors import UserError
from word2mask.evaluation.comparison import compare
from word2mask.evaluation.interface import Benchmark, mean
from word2mask.evaluation.records import Record


class Values(Benchmark):
    """The metric is the mean of the samples' values."""

    name, splits, folder, default_title = "values", ("val",), "values", "Values"
    metrics: ClassVar[dict[str, str]] = {"mean": "mean", "rare": "rare"}
    rules = "test"

    @classmethod
    def open(cls, root, split):
        return []

    @classmethod
    def fixture(cls, folder, **options):
        return cls([], "val", **options)

    def score(self, result, sample):
        return {}

    def summarise(self, scores):
        summary = {"mean": 100 * mean([one["value"] for one in scores])} if scores else {}
        return summary | ({"rare": 1.0} if any(one.get("rare") for one in scores) else {})


BENCHMARK = Values([], "val")


def records(values, ids=None, **extra) -> list[Record]:
    ids = ids or [f"s[{n}]" for n in range(len(values))]
    return [
        Record(n, name, f"question {n}", "", {"value": float(value), **extra})
        for n, (name, value) in enumerate(zip(ids, values, strict=True))
    ]


def test_values_and_counts():
    found = compare(BENCHMARK, records([1, 0.5, 0.25, 0]), records([0, 0.5, 0.5, 0.25]))
    (difference,) = found.differences
    # (1 + 0.5 + 0.25 + 0) / 4 = 43.75 %, (0 + 0.5 + 0.5 + 0.25) / 4 = 31.25 %
    assert (difference.one, difference.other, difference.value) == (43.75, 31.25, 12.5)
    assert found.gains == (100.0, 0.0, -25.0, -25.0)
    assert found.counts() == (1, 2, 1)
    assert (found.count, found.units, found.resamples) == (4, 4, 1000)
    assert not difference.is_clear


def test_the_same_gain_everywhere_has_an_interval_of_one_point():
    rng = np.random.default_rng(0)
    values = rng.random(50)
    (difference,) = compare(BENCHMARK, records(values + 0.125), records(values)).differences
    # Unpaired, the samples' own spread would hide it: ± 1.96 · 0.29 · √(2/50) = 11 points.
    assert difference.low == pytest.approx(12.5)
    assert difference.high == pytest.approx(12.5)
    assert difference.is_clear


def test_the_interval_is_as_wide_as_the_theory_says():
    rng = np.random.default_rng(1)
    one, other = rng.random(400), rng.random(400)
    (difference,) = compare(BENCHMARK, records(one), records(other), resamples=4000).differences
    # Normal approximation of a mean of paired differences.
    half = 1.959964 * 100 * (one - other).std() / math.sqrt(400)
    assert (difference.high - difference.low) / 2 == pytest.approx(half, rel=0.05)
    assert (difference.high + difference.low) / 2 == pytest.approx(difference.value, abs=0.2)


def test_samples_of_one_video_are_drawn_together():
    # 20 videos of 10 expressions each, all of a video alike: 20 independent values, not 200.
    rng = np.random.default_rng(2)
    of_video = rng.random(20)
    ids = [f"mevis[{video}/{e}]" for video in range(20) for e in range(10)]
    values = np.repeat(of_video, 10)
    together = compare(BENCHMARK, records(values, ids), records(np.zeros(200), ids), resamples=4000)
    assert (together.count, together.units) == (200, 20)
    (difference,) = together.differences
    half = 1.959964 * 100 * of_video.std() / math.sqrt(20)
    assert (difference.high - difference.low) / 2 == pytest.approx(half, rel=0.08)


def test_the_same_seed_gives_the_same_interval():
    rng = np.random.default_rng(3)
    pair = records(rng.random(30)), records(rng.random(30))
    assert compare(BENCHMARK, *pair, seed=5) == compare(BENCHMARK, *pair, seed=5)
    assert compare(BENCHMARK, *pair, seed=5) != compare(BENCHMARK, *pair, seed=6)


def test_a_metric_that_only_one_run_has_is_left_out():
    found = compare(BENCHMARK, records([1, 0], rare=True), records([0, 0]))
    assert [difference.metric for difference in found.differences] == ["mean"]
    both = compare(BENCHMARK, records([1, 0], rare=True), records([0, 0], rare=True))
    assert [difference.metric for difference in both.differences] == ["mean", "rare"]


def test_many_samples_are_drawn_less_often():
    assert compare(BENCHMARK, records([0.0] * 8000), records([0.0] * 8000)).resamples == 250


@pytest.mark.parametrize(
    ("other", "options", "message"),
    [
        (records([1, 0, 0]), {}, "2 samples in one run and 3 in the other"),
        (
            records([1, 0], ["s[0]", "s[7]"]),
            {},
            r"one run was asked s\[1\] 'question 1', the other s\[7\] 'question 1'",
        ),
        (records([1, 0]), {"resamples": 0}, "samples must be drawn once at least, got 0"),
    ],
)
def test_runs_that_cannot_be_compared(other, options, message):
    with pytest.raises(UserError, match=message):
        compare(BENCHMARK, records([1, 0]), other, **options)
