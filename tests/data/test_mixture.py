"""Counts by hand."""

import pickle
from collections import Counter

import numpy as np
import pytest

from word2mask.data.mixture import Mixture
from word2mask.data.sources.interface import Source
from word2mask.errors import UserError


class Numbers(Source):
    """A source of ``size`` records."""

    tasks = ("chat",)

    def __init__(self, name, size):
        self.name, self.size = name, size

    def __len__(self):
        return self.size

    def read(self, index, rng=None):
        raise NotImplementedError

    @classmethod
    def fixture(cls, folder, **options):
        return cls("numbers", 2)


def visits(mixture, epoch):
    found = [mixture.locate(epoch, position)[:2] for position in range(len(mixture))]
    return found, Counter(found)


def test_whole_and_broken_repeats_are_visited_exactly():
    mixture = Mixture([(Numbers("a", 10), 2.5), [Numbers("b", 4), 1], (Numbers("c", 8), 0.25), Numbers("d", 3)])
    assert mixture.counts == (25, 4, 2, 3) and len(mixture) == 34
    found, counter = visits(mixture, 0)
    assert [sum(1 for source, _ in found if source == number) for number in range(4)] == [25, 4, 2, 3]
    assert sorted(counter[0, record] for record in range(10)) == [2] * 5 + [3] * 5
    assert all(counter[1, record] == 1 for record in range(4))
    assert sorted(counter[2, record] for record in range(8)) == [0] * 6 + [1] * 2


def test_which_records_a_broken_repeat_shows_changes_with_the_epoch():
    mixture = Mixture([(Numbers("a", 100), 0.5)])
    first, second = (frozenset(visits(mixture, epoch)[1]) for epoch in (0, 1))
    assert len(first) == len(second) == 50 and first != second


def test_order_is_a_function_of_seed_epoch_and_position():
    sources = [(Numbers("a", 10), 3), Numbers("b", 7)]
    mixture, twin = Mixture(sources, seed=5), Mixture(sources, seed=5)
    order = visits(mixture, 3)[0]
    # Jumping about, and through other epochs, changes nothing; nor does a copy in another process.
    twin.locate(0, 3)
    copy = pickle.loads(pickle.dumps(twin))
    for position in (36, 0, 17, 36):
        assert twin.locate(3, position)[:2] == order[position] == copy.locate(3, position)[:2]
    assert visits(mixture, 4)[0] != order and visits(Mixture(sources, seed=6), 3)[0] != order


def test_generators_are_reproducible_and_differ():
    mixture = Mixture([(Numbers("a", 10), 2)])
    draws = [mixture.locate(epoch, position)[2].random() for epoch in range(2) for position in range(20)]
    assert len(set(draws)) == 40
    assert draws[25] == Mixture([(Numbers("a", 10), 2)]).locate(1, 5)[2].random()


def test_table():
    assert Mixture([(Numbers("refcoco", 10), 2.5), Numbers("b", 75)]).table().splitlines() == [
        "source   records  repeat  visits    share",
        "refcoco       10     2.5      25   25.0 %",
        "b             75       1      75   75.0 %",
        "all           85             100  100.0 %",
    ]


def test_wrong_input_is_refused():
    with pytest.raises(UserError, match="one source or more"):
        Mixture([])
    with pytest.raises(UserError, match="source a has repeat 0"):
        Mixture([(Numbers("a", 3), 0)])
    with pytest.raises(UserError, match="no record would be visited"):
        Mixture([Numbers("a", 0)])
    with pytest.raises(IndexError, match="position 3"):
        Mixture([Numbers("a", 3)]).locate(0, 3)
    assert np.all(np.array(Mixture([Numbers("a", 0), Numbers("b", 2)]).counts) == [0, 2])
