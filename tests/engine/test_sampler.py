"""The order of a run: a function of seed and position, whatever the processes."""

import random

import numpy as np
import pytest
import torch

from word2mask.data.dataset import MixtureDataset
from word2mask.data.mixture import Mixture
from word2mask.data.sources.llava import LLaVA
from word2mask.data.sources.refcoco import RefCOCO
from word2mask.engine.sampler import EpochView, GlobalBatchSampler, isolated_random_state


def take(sampler, number):
    batches = iter(sampler)
    return [next(batches) for _ in range(number)]


def test_every_epoch_is_another_permutation():
    keys = [key for batch in take(GlobalBatchSampler(5, 5, seed=1), 2) for key in batch]
    assert [epoch for epoch, _ in keys] == [0] * 5 + [1] * 5
    first, second = [index for _, index in keys[:5]], [index for _, index in keys[5:]]
    assert sorted(first) == sorted(second) == list(range(5))
    assert first != second


@pytest.mark.parametrize(("batch_size", "world_size"), [(2, 2), (1, 4)])
def test_processes_together_see_what_one_sees(batch_size, world_size):
    alone = take(GlobalBatchSampler(7, 4, seed=3), 5)
    samplers = [GlobalBatchSampler(7, batch_size, rank, world_size, seed=3) for rank in range(world_size)]
    together = [sum(parts, []) for parts in zip(*(take(sampler, 5) for sampler in samplers), strict=True)]
    assert together == alone


def test_start_in_the_middle():
    sampler = GlobalBatchSampler(7, 3, seed=0)
    expected = take(sampler, 6)[4:]
    sampler.set_start(12)
    assert take(sampler, 2) == expected


def test_own_order_without_shuffle():
    assert take(GlobalBatchSampler(3, 2, shuffle=False), 2) == [[(0, 0), (0, 1)], [(0, 2), (1, 0)]]


class Noise:
    def __init__(self):
        self.epochs = []

    def set_epoch(self, epoch):
        self.epochs.append(epoch)

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_items_are_the_same_in_any_order_and_leave_the_state_alone():
    view = EpochView(Noise(), seed=0)
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    first = torch.rand(1)
    items = {key: view[key] for key in [(0, 1), (0, 2), (1, 1)]}
    assert torch.equal(torch.cat([first, torch.rand(1)]), expected)
    assert {key: view[key] for key in [(1, 1), (0, 2), (0, 1)]} == items
    assert len(set(items.values())) == 3
    assert view.dataset.epochs == [0, 1, 0]


def test_isolated_block_starts_from_its_seed():
    with isolated_random_state(5):
        first = random.random(), torch.rand(())
    with isolated_random_state(5):
        assert (random.random(), torch.rand(())) == first


@pytest.mark.parametrize("group", [None, 4])
def test_a_mixture_goes_on_with_other_processes_as_if_it_had_never_stopped(tmp_path, group):
    sources = [(RefCOCO.fixture(tmp_path / "refcoco"), 2.5), (LLaVA.fixture(tmp_path / "llava"), 3)]

    def see(number, batch_size, world_size, start=0):
        """What all processes together load in ``number`` forward passes."""
        seen = []
        views, batches = [], []
        for rank in range(world_size):
            dataset = MixtureDataset(
                Mixture(sources, seed=2, group=group), lambda sample: sample.id + str(sample.turns)
            )
            views.append(EpochView(dataset, seed=0))
            sampler = GlobalBatchSampler(len(dataset), batch_size, rank, world_size, seed=0, shuffle=False)
            sampler.set_start(start)
            batches.append(iter(sampler))
        for _ in range(number):
            for view, batch in zip(views, batches, strict=True):
                seen += [view[key] for key in next(batch)]
        return seen

    whole = see(7, 4, 1)
    assert see(3, 4, 1) + see(4, 2, 2, start=12) == whole == see(3, 1, 4) + see(8, 2, 1, start=12)
