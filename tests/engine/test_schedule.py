"""The learning rate over a run, against the formulas: linear warm-up, then a cosine."""

import math

import pytest
import torch

from word2mask.engine.runner import schedulers
from word2mask.engine.settings import ScheduleSettings


def rates(settings: ScheduleSettings) -> list[float]:
    """The rate of each step, from a base rate of 1."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    found = [node.pop("type")(optimizer, **node) for node in schedulers(settings)]
    seen = []
    for _ in range(settings.max_iters):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        for scheduler in found:
            scheduler.step()
    return seen


def test_warm_up_then_cosine() -> None:
    seen = rates(ScheduleSettings(max_iters=105, warmup_ratio=5 / 105, warmup_start=0.2))
    assert seen[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    # Half of the cosine's 100 steps (mmengine counts one less: 99) later.
    assert seen[55] == pytest.approx((1 + math.cos(math.pi * 50 / 99)) / 2, abs=0.02)
    assert seen[-1] < 0.01


def test_warm_up_then_a_straight_line() -> None:
    """LISA's: up in 100 steps, then down to 0 by the same amount each step."""
    seen = rates(ScheduleSettings(max_iters=600, warmup_ratio=100 / 600, decay="linear"))
    assert max(seen) == pytest.approx(1.0) and seen.index(max(seen)) in (99, 100)
    falls = [before - after for before, after in zip(seen[101:], seen[102:], strict=False)]
    assert min(falls) == pytest.approx(max(falls), abs=1e-6) and falls[0] == pytest.approx(1 / 500, rel=0.01)
    assert seen[-1] < 0.01


@pytest.mark.parametrize("max_iters", [1, 2, 10, 12])
def test_short_runs_start_at_the_full_rate(max_iters: int) -> None:
    # 5 % of 10 or 12 steps are a single step or none: no warm-up.
    assert rates(ScheduleSettings(max_iters=max_iters))[0] == pytest.approx(1.0)


def test_epochs_are_counted_in_steps_of_the_global_batch() -> None:
    assert ScheduleSettings(epochs=1).steps(samples=1000, samples_per_step=16) == 62  # 62.5, to even
    assert ScheduleSettings(epochs=2.5).steps(samples=1000, samples_per_step=16) == 156
    assert ScheduleSettings(epochs=1).steps(samples=3, samples_per_step=256) == 1
    assert ScheduleSettings(max_iters=7).steps(samples=1000, samples_per_step=16) == 7
