"""What lines of the log add up to; sums by hand."""

import pytest
import torch
from torch.optim import SGD

from word2mask.engine import tally
from word2mask.engine.adapter import ModelAdapter, train_step
from word2mask.engine.optimizer import PrecisionOptimWrapper
from word2mask.engine.tally import Step, Tally
from word2mask.types import Batch


def batch(names, tasks, lengths=(3, 5), frames=(1, 4)):
    mask = torch.zeros(2, 5, dtype=torch.int64)
    for row, length in zip(mask, lengths, strict=True):
        row[:length] = 1
    empty = [None, None]
    return Batch(names, tasks, mask, mask, None, empty, {}, empty, empty, empty, empty, list(frames))


class Losses(torch.nn.Module):
    """Gives the parts that it is told, one table ``[B,2]`` a pass."""

    def __init__(self, *tables):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.tables = [torch.tensor(table) for table in tables]

    def forward(self, given):
        table = self.tables.pop(0)
        total, count = table.sum(dim=0)
        return {"loss_text": self.weight.sum() * total / count, "parts_text": table}


def step_of(batches, *tables):
    model = Losses(*tables)
    wrapper = PrecisionOptimWrapper(SGD(model.parameters(), 0.1), "fp32", torch.device("cpu"), len(batches))
    return train_step(ModelAdapter(model), batches, wrapper, torch.device("cpu"))


def test_losses_by_task_and_source_over_accumulated_passes():
    """Two passes of 6 and 2 tokens: the loss is the mean of their means, a task's is over its tokens."""
    passes = [
        batch(["refcoco[1]", "llava[a[0]]"], ["refer", "chat"]),
        batch(["refcoco[7]", "grefcoco[1]"], ["refer", "refer"], frames=(1, 1)),
    ]
    step = step_of(passes, [[2.0, 2.0], [8.0, 4.0]], [[3.0, 1.0], [9.0, 1.0]])
    mean = pytest.approx((10 / 6 + 12 / 2) / 2)
    assert step.numbers == {"loss": mean, "loss_text": mean}
    assert step.ratios == {
        "task/refer/loss_text": [14.0, 4.0],
        "task/chat/loss_text": [8.0, 4.0],
        "source/refcoco/loss_text": [5.0, 3.0],
        "source/llava/loss_text": [8.0, 4.0],
        "source/grefcoco/loss_text": [9.0, 1.0],
    }
    assert (step.totals["tokens"], step.totals["frames"]) == (16, 7)
    assert (step.totals["task/refer/samples"], step.totals["source/refcoco/samples"]) == (3, 2)


def test_a_sample_without_items_counts_as_a_sample_only():
    step = step_of([batch(["a[0]", "b[0]"], ["refer", "chat"])], [[2.0, 2.0], [0.0, 0.0]])
    assert "task/chat/loss_text" not in step.ratios and step.totals["task/chat/samples"] == 1


def test_processes_add_up(monkeypatch):
    """Another process has seen one of two tasks, with three times as many items."""
    others = (
        {"loss": [9.0, 2], "time": [4.0, 2], "data_time": [2.0, 2]},
        {"task/refer/loss_text": [6.0, 6.0], "task/refer/loss_mask": [1.0, 2.0]},
        {"samples": 8, "tokens": 100, "task/refer/samples": 8},
    )
    monkeypatch.setattr(tally, "gather_objects", lambda ours: [ours, others])
    ours = Tally()
    for loss in (1.0, 2.0):
        ratios = {"task/refer/loss_text": [3.0, 1.0], "task/chat/loss_text": [5.0, 1.0]}
        totals = {"samples": 4, "tokens": 50, "frames": 6, "task/refer/samples": 2, "task/chat/samples": 2}
        ours.add(Step({"loss": loss, "time": 2.0, "data_time": 0.5}, ratios, totals))
    found = ours.take()
    assert found == {
        "loss": 12 / 4,
        "time": 2.0,
        "data_time": 3 / 4,
        "data_share": 3 / 8,
        "samples_per_second": 16 / 4,
        "tokens_per_second": 200 / 4,
        "frames_per_second": 12 / 4,
        "task/refer/loss_text": 12 / 8,
        "task/refer/loss_mask": 1 / 2,
        "task/refer/loss": 2.0,
        "task/refer/samples": 12,
        "task/chat/loss_text": 5.0,
        "task/chat/loss": 5.0,
        "task/chat/samples": 4,
    }
    monkeypatch.undo()
    assert ours.take() == {}


def test_groups_can_be_left_out():
    step = Step({"loss": 1.0}, {"task/refer/loss_text": [1.0, 1.0]}, {"source/refcoco/samples": 1, "tokens": 3})
    kept = {}
    for by in ((), ("task",), ("source",)):
        ours = Tally(by)
        ours.add(step)
        kept[by] = [name for name in ours.take() if "/" in name]
    assert kept == {
        (): [],
        ("task",): ["task/refer/loss", "task/refer/loss_text"],
        ("source",): ["source/refcoco/samples"],
    }


def test_a_state_goes_on_where_it_was_and_old_ones_are_read():
    first, second = Tally(), Tally()
    step = Step({"loss": 4.0}, {"task/refer/loss_text": [3.0, 2.0]}, {"task/refer/samples": 2})
    first.add(step)
    second.load(first.state())
    second.add(Step({"loss": 2.0}, {"task/refer/loss_text": [1.0, 2.0]}, {"task/refer/samples": 1}))
    assert second.take() == {
        "loss": 3.0,
        "task/refer/loss": 1.0,
        "task/refer/loss_text": 1.0,
        "task/refer/samples": 3,
    }
    second.load({"loss": [1.0, 2.0]})
    assert second.take() == {"loss": 1.5}
