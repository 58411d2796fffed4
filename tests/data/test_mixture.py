"""Counts by hand."""

import pickle
from collections import Counter

import numpy as np
import pytest

from word2mask.data.mixture import Mixture, nested_rates
from word2mask.data.sources.interface import Source
from word2mask.errors import UserError


class Numbers(Source):
    """A source of ``size`` records, of ``frames`` frames each; record ``i`` has ``i`` characters."""

    def __init__(self, name, size, task="chat", frames=1):
        self.name, self.size, self.tasks, self.frames_per_sample = name, size, (task,), frames

    def sizes(self):
        sizes = super().sizes()
        sizes[:, 1] = range(self.size)
        return sizes

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


def test_rates_share_an_epoch_of_a_given_length():
    mixture = Mixture([(Numbers("a", 10), 9), (Numbers("b", 4), 3), (Numbers("c", 80), 3)], length=16)
    # 9.6, 3.2 and 3.2: the largest fraction is rounded up.
    assert mixture.counts == (10, 3, 3) == mixture.epoch_counts(0) and len(mixture) == 16
    counter = visits(mixture, 0)[1]
    assert all(counter[0, record] == 1 for record in range(10)) and max(counter.values()) == 1
    # Records that one epoch leaves out come in others.
    assert len({record for epoch in range(200) for source, record in visits(mixture, epoch)[0] if source == 2}) == 80
    assert mixture.table().splitlines()[1].split() == ["a", "10", "1", "10", "62.5", "%"]


KINDS = [
    (Numbers("refcoco", 40, "refer"), 3),
    (Numbers("mevis", 11, "video_refer", 5), 4),
    (Numbers("llava", 75), 1.2),
    (Numbers("chat", 9, "video_chat", 5), 1),
]


def kind(mixture, epoch, position):
    source = mixture.sources[mixture.locate(epoch, position)[0]]
    return source.name


def test_groups_hold_one_kind_and_begin_where_batches_do():
    plain, grouped = Mixture(KINDS, seed=3), Mixture(KINDS, seed=3, group=8)
    length = len(grouped)
    assert length == 120 + 44 + 90 + 9 and length % 8
    mixed, blocks = 0, Counter()
    for epoch in range(4):
        assert visits(grouped, epoch)[1] == visits(plain, epoch)[1]
        start = -epoch * length % 8
        for first in range(start, length - 7, 8):
            found = {kind(grouped, epoch, position) for position in range(first, first + 8)}
            mixed += len(found) > 1
            blocks.update(found if len(found) == 1 else ())
    # 15 + 5 + 11 + 1 whole groups an epoch; less than one group of each kind is left over, and one may be broken up.
    assert mixed <= 4 * 4 and blocks["refcoco"] >= 4 * 14 and blocks["mevis"] >= 4 * 4 and blocks["llava"] >= 4 * 10
    order = [kind(grouped, 0, position) for position in range(0, 32 * 8, 8)]
    assert order != sorted(order)


def test_lengths_within_a_group_are_similar():
    def spread(mixture):
        records = [mixture.locate(0, position)[1] for position in range(4096)]
        return np.ptp(np.reshape(records, (-1, 16)), axis=1).mean()

    source = Numbers("a", 4096)
    # Stretches of 50 groups are sorted: a group spans about a fiftieth of all lengths, or nearly all of them unsorted.
    assert spread(Mixture([source], group=16)) < 4096 / 25 and spread(Mixture([source])) > 4096 / 2


def test_groups_are_a_function_of_seed_epoch_and_position():
    mixture, twin = Mixture(KINDS, seed=5, group=8), pickle.loads(pickle.dumps(Mixture(KINDS, seed=5, group=8)))
    order = visits(mixture, 3)[0]
    for position in (200, 0, 17, 200):
        assert twin.locate(3, position)[:2] == order[position]
        twin.locate(1, position)
    assert visits(mixture, 4)[0] != order and visits(Mixture(KINDS, seed=6, group=8), 3)[0] != order


def test_fewer_samples_than_a_group():
    mixture = Mixture([Numbers("a", 3), Numbers("b", 2, "refer")], group=64)
    assert sorted(visits(mixture, 1)[0]) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]


def test_the_published_sampler_loses_the_end():
    sources = [
        (Numbers("refcoco", 20, "refer"), 2),
        (Numbers("mevis", 10, "video_refer", 5), 4),
        (Numbers("chat", 7, "video_chat", 5), 3),
        (Numbers("openpsg", 12, "grounded_caption"), 2),
        (Numbers("osprey", 15, "region"), 1),
    ]
    mixture = Mixture(sources, visits="published")
    assert len(mixture) == len(Mixture(sources)) == 40 + 40 + 21 + 24 + 15
    # The repeats of the referring videos add 30 visits: all 15 of osprey and 15 of openpsg are never drawn; the first
    # 30 of the others come twice in their place.
    counts, again = mixture.epoch_counts(0), mixture.epoch_counts(1)
    assert counts[4] == again[4] == 0 and sum(counts) == 140 and counts != again
    assert {source for source, _ in visits(mixture, 0)[0][110:]} <= {0, 1, 2, 3}
    assert visits(mixture, 0)[0][110:] == visits(mixture, 0)[0][:30]
    assert counts[3] >= 9 and all(count >= 40 for count in counts[:2])
    assert mixture.table().splitlines()[5].split() == ["osprey", "15", "1", "0", "0.0", "%"]


def test_wrong_settings_are_refused():
    pairs = [(Numbers("a", 3), 1), (Numbers("b", 0), 1)]
    with pytest.raises(UserError, match="source b has no record to fill its share"):
        Mixture(pairs, length=10)
    with pytest.raises(UserError, match="source a has rate -1"):
        Mixture([(Numbers("a", 3), -1)], length=10)
    with pytest.raises(UserError, match="an epoch of length 0; give 1 or more"):
        Mixture(pairs[:1], length=0)
    with pytest.raises(UserError, match="groups of 0; give batch_size × processes"):
        Mixture(pairs[:1], group=0)
    with pytest.raises(UserError, match="'all' or 'published', got 'some'"):
        Mixture(pairs[:1], visits="some")


def test_first_visits_are_where_a_source_is_seen():
    mixture = Mixture([(Numbers("a", 5), 2), Numbers("b", 3)], seed=4)
    mixture.locate(3, 0)
    found = mixture.first_visits(1, 2)
    expected = [position for position in range(len(mixture)) if mixture.locate(0, position)[0] == 1]
    assert found == expected[:2] and mixture.first_visits(1, 9) == expected and len(expected) == 3


def test_kinds_share_an_epoch_by_rates_and_their_sources_by_weights():
    many, few, talk = Numbers("many", 500), Numbers("few", 5), Numbers("talk", 50)
    rates = nested_rates([(9, [(many, 2), (few, 1)]), (3, [(talk, 7)])])
    assert rates == [(many, 6.0), (few, 3.0), (talk, 3.0)]
    mixture = Mixture(rates, seed=4, length=120)
    assert mixture.counts == (60, 30, 30)
    found, counter = visits(mixture, 0)
    # Sixty of the many, none twice; each of the few six times; thirty of the talks.
    assert max(counter[0, record] for record in range(500)) == 1
    assert [counter[1, record] for record in range(5)] == [6] * 5
    assert found == visits(Mixture(rates, seed=4, length=120), 0)[0] != visits(mixture, 1)[0]


def test_nested_rates_that_cannot_be_meant_are_refused():
    source = Numbers("a", 1)
    with pytest.raises(UserError, match="kind 2 of 2 has no source; leave it out"):
        nested_rates([(1, [(source, 1)]), (1, [])])
    with pytest.raises(UserError, match="kind 1 of 1 has rate 0; give a number above 0"):
        nested_rates([(0, [(source, 1)])])
    with pytest.raises(UserError, match="kind 1 of 1 has weight -1; give a number above 0"):
        nested_rates([(1, [(source, 1), (source, -1)])])
