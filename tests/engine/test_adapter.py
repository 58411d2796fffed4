"""The sum of losses, their weights over processes, and parameters that a batch never reaches."""

import pytest
import torch
from torch import nn

from word2mask.engine import adapter
from word2mask.engine.adapter import ModelAdapter
from word2mask.engine.distributed import tie_unused_parameters


class Fixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.used = nn.Parameter(torch.tensor([2.0]))
        self.unused = nn.Parameter(torch.ones(3))

    def forward(self, batch):
        return {name: value * self.used.sum() if name.startswith("loss") else value for name, value in batch.items()}


def test_losses_are_summed_and_all_parameters_get_a_gradient():
    model = Fixed()
    loss, log = ModelAdapter(model)(
        {"loss_text": torch.tensor(1.0), "loss_mask": torch.tensor(2.0), "score": torch.tensor(7.0)}
    )
    loss.backward()
    assert loss.item() == 6 and log["loss"].item() == 6 and log["score"].item() == 7
    assert model.used.grad.tolist() == [3.0] and model.unused.grad.tolist() == [0.0] * 3


def test_tied_loss_is_the_same_number():
    value = torch.tensor(0.1234567)
    assert torch.equal(tie_unused_parameters(Fixed(), value), value)


def test_counts_weight_the_losses_over_processes(monkeypatch):
    """Means 1 over 3 tokens and no mask; 5 over 1 token and 8 over 2 masks. One process: (3 + 5) / 4 and 8."""
    monkeypatch.setattr(adapter, "rank_and_size", lambda: (0, 2))
    monkeypatch.setattr(
        adapter, "gather_objects", lambda ours: [{"loss_text": 3.0}, {"loss_text": 1.0, "loss_mask": 2.0}]
    )
    half, number = torch.tensor(0.5), torch.tensor
    _, first = ModelAdapter(Fixed())({"loss_text": half, "count_text": number(3)})
    _, second = ModelAdapter(Fixed())(
        {"loss_text": 5 * half, "count_text": number(1), "loss_mask": 8 * half, "count_mask": number(2)}
    )
    assert (first["loss_text"] + second["loss_text"]).item() / 2 == pytest.approx(2.0)
    assert (first["loss_mask"] + second["loss_mask"]).item() / 2 == pytest.approx(8.0)


def test_a_model_without_a_loss_is_refused():
    with pytest.raises(TypeError, match="Fixed returned no dict with a key that starts with 'loss'"):
        ModelAdapter(Fixed())({"score": torch.tensor(1.0)})
