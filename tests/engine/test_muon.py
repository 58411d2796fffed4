"""Muon and AdamW as one optimizer: each on its own parameters, one schedule, one checkpoint."""

import copy

import pytest
import torch
from torch import nn

from word2mask.engine.muon import MuonAdamW
from word2mask.engine.optimizer import build_optimizer
from word2mask.engine.settings import ParameterGroupSettings
from word2mask.errors import UserError

SETTINGS = ParameterGroupSettings(lr_multipliers={"head.": 2.0}, matrices=["trunk."])


def network():
    torch.manual_seed(0)
    return nn.ModuleDict({"trunk": nn.Sequential(nn.Linear(6, 4), nn.LayerNorm(4)), "head": nn.Linear(4, 3)})


def make(model):
    return build_optimizer(dict(type=MuonAdamW, lr=0.02, betas=(0.9, 0.99), weight_decay=0.1), model, SETTINGS)


def train(model, optimizer, steps, first=0):
    for step in range(first, first + steps):
        inputs = torch.randn(8, 6, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        model["head"](model["trunk"](inputs)).square().mean().backward()
        optimizer.step()


def test_each_parameter_steps_as_under_its_own_optimizer():
    model, other = network(), network()
    train(model, make(model), 5)
    weight, head = other["trunk"][0].weight, other["head"].weight
    muon = torch.optim.Muon([weight], lr=0.02, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    biases = [other["trunk"][0].bias, *other["trunk"][1].parameters()]
    adamw = torch.optim.AdamW(
        [
            {"params": [head], "lr": 0.04, "weight_decay": 0.1},
            {"params": [other["head"].bias], "lr": 0.04, "weight_decay": 0.0},
            {"params": biases, "lr": 0.02, "weight_decay": 0.0},
        ],
        betas=(0.9, 0.99),
    )

    class Both:
        def zero_grad(self):
            other.zero_grad()

        def step(self):
            muon.step()
            adamw.step()

    train(other, Both(), 5)
    for (name, mine), theirs in zip(model.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs), name


def test_a_resumed_run_steps_as_an_uninterrupted_one():
    model = network()
    optimizer = make(model)
    train(model, optimizer, 3)
    weights, state = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())
    train(model, optimizer, 3, first=3)

    resumed = network()
    resumed.load_state_dict(weights)
    again = make(resumed)
    again.load_state_dict(state)
    train(resumed, again, 3, first=3)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), resumed.parameters(), strict=True))


def test_a_schedule_moves_both():
    model = network()
    optimizer = make(model)
    before = copy.deepcopy(model.state_dict())
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    train(model, optimizer, 1)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_without_matrices_it_says_what_to_set():
    with pytest.raises(
        UserError, match=r"no parameter is marked as a matrix; name prefixes .* parameter_groups.matrices"
    ):
        build_optimizer(dict(type=MuonAdamW, lr=0.1), network(), ParameterGroupSettings())
    with pytest.raises(UserError, match=r"parameter_groups.matrices: no trainable parameter starts with 'trunc.'"):
        build_optimizer(dict(type=MuonAdamW), network(), ParameterGroupSettings(matrices=["trunc."]))
