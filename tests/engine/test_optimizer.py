"""Parameter groups and precision."""

import pytest
import torch
from torch import nn

from word2mask.engine.optimizer import PrecisionOptimWrapper, build_optimizer, parameter_groups
from word2mask.engine.settings import ParameterGroupSettings
from word2mask.errors import UserError


def model():
    return nn.ModuleDict({"trunk": nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)), "head": nn.Linear(2, 1)})


def test_norms_and_biases_do_not_decay_and_prefixes_scale():
    network = model()
    settings = ParameterGroupSettings(lr_multipliers={"trunk.": 0.1, "trunk.1": 2.0})
    groups = parameter_groups(network, 1.0, 0.5, settings)
    found = {
        name: (group["lr"], group["weight_decay"])
        for group in groups
        for name, parameter in network.named_parameters()
        if any(parameter is member for member in group["params"])
    }
    assert found == {
        "trunk.0.weight": (0.1, 0.5),
        "trunk.0.bias": (0.1, 0.0),
        "trunk.1.weight": (2.0, 0.0),
        "trunk.1.bias": (2.0, 0.0),
        "head.weight": (1.0, 0.5),
        "head.bias": (1.0, 0.0),
    }


def test_a_prefix_that_fits_nothing_is_an_error():
    with pytest.raises(UserError, match=r"no trainable parameter starts with 'heat', did you mean head\?"):
        parameter_groups(model(), 1.0, 0.0, ParameterGroupSettings(lr_multipliers={"heat": 1.0}))
    with pytest.raises(UserError, match="no trainable parameter; check its trainable plan"):
        parameter_groups(model().requires_grad_(False), 1.0, 0.0, ParameterGroupSettings())


def test_clipping_by_norm():
    network = nn.Linear(1, 1, bias=False)
    optimizer = build_optimizer(dict(type=torch.optim.SGD, lr=1.0), network, ParameterGroupSettings())
    wrapper = PrecisionOptimWrapper(optimizer, "fp32", torch.device("cpu"), grad_clip=0.5)
    before = network.weight.item()
    wrapper.update_params(4 * network.weight.sum())
    assert wrapper.grad_norm == pytest.approx(4.0)
    assert network.weight.item() == pytest.approx(before - 0.5, abs=1e-5)


def test_autocast_sets_the_dtype():
    network = nn.Linear(2, 2)
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)):
        wrapper = PrecisionOptimWrapper(torch.optim.SGD(network.parameters()), precision, torch.device("cpu"))
        with wrapper.optim_context(network):
            assert network(torch.ones(1, 2)).dtype == dtype
