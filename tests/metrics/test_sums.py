"""Sums without rounding."""

import itertools
import math
import pickle
import random
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction

import pytest

from word2mask.metrics.sums import Accumulator, ExactSum


def test_equals_the_rational_sum():
    rng = random.Random(0)
    values = [rng.uniform(-1, 1) * 10.0 ** rng.randrange(-300, 300) for _ in range(500)] + [5e-324, -0.0, 1e308]
    assert ExactSum.of(values).total() == math.fsum(values)
    assert ExactSum.of(values).mean() == float(sum(map(Fraction, values)) / len(values))


def test_any_order_and_grouping_gives_the_same_bits():
    values = [0.1, 0.7, 1e-17, 3.0, 1 / 3]
    for order in itertools.permutations(values):
        assert ExactSum.of(order[:2]) + ExactSum.of(order[2:]) == ExactSum.of(values)


def test_percent_is_rounded_once():
    values = [0.07, 0.58, 0.29]
    assert ExactSum.of(values).mean(100) == float(sum(map(Fraction, values)) * 100 / 3)
    assert ExactSum().mean() == 0.0 and ExactSum().total() == 0.0


def test_only_finite_numbers():
    for value in (math.nan, math.inf, -math.inf):
        with pytest.raises(ValueError, match=f"value 1 to add up is {value}; expected a finite number"):
            ExactSum.of([0.5, value])


def test_size_does_not_grow_with_the_number_of_values():
    few, many = ExactSum.of([1 / 3] * 10), ExactSum.of([1 / 3] * 10_000)
    assert len(pickle.dumps(many)) - len(pickle.dumps(few)) < 8


@dataclass
class Counts(Accumulator):
    number: int = 0
    values: ExactSum = field(default_factory=ExactSum)
    kinds: Counter = field(default_factory=Counter)


def test_parts_merge_field_by_field_and_stay_as_they_were():
    one = Counts(1, ExactSum.of([0.5]), Counter(a=1))
    other = Counts(2, ExactSum.of([0.25, 1.0]), Counter(a=1, b=3))
    assert Counts.merged(pickle.loads(pickle.dumps([one, other]))) == Counts(
        3, ExactSum.of([1.75 - 0.75, 0.75, 0.0]), Counter(a=2, b=3)
    )
    assert one == Counts(1, ExactSum.of([0.5]), Counter(a=1))
    assert Counts.merged([]) == Counts()
