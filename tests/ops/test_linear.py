"""Products by oneDNN against torch's own, whatever processor the tests run on."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from word2mask.errors import UserError
from word2mask.ops import linear as module
from word2mask.ops.linear import OneDNNLinear, attention_by_rows, attention_pays, linear, products, use_onednn

ROWS = 2 * module.FEWEST_ROWS


class Own(nn.Linear):
    """A class of its own, as quantised layers are."""


@pytest.fixture(autouse=True)
def onednn(monkeypatch):
    """As on a processor that MKL slows down, for small matrices as for large ones."""
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this torch was built without oneDNN")
    monkeypatch.setenv(module.SWITCH, "1")
    monkeypatch.setattr(module, "FEWEST_MULTIPLICATIONS", 0)
    module.onednn_is_faster.cache_clear()
    yield
    module.onednn_is_faster.cache_clear()


@pytest.fixture
def calls(monkeypatch):
    """How many products went to oneDNN."""
    counted = []
    plain = module._product
    monkeypatch.setattr(module, "_product", lambda *given: counted.append(1) or plain(*given))
    return counted


def close(one: torch.Tensor, other: torch.Tensor) -> bool:
    one, other = one.detach(), other.detach()
    return one.shape == other.shape and float((one - other).abs().max()) <= 1e-5 * float(other.abs().max())


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("inputs", [24, 2 * module.FEWEST_INPUTS], ids=["few inputs", "many inputs"])
@pytest.mark.parametrize("shape", [(ROWS,), (2, 3, ROWS), (ROWS + 1,), (7, 53)], ids=str)
def test_values_and_gradients_are_those_of_torch(shape, inputs, bias, calls):
    torch.manual_seed(0)
    layer = nn.Linear(inputs, 40, bias=bias)
    given = torch.randn(*shape, inputs, requires_grad=True)
    wanted = [given, *layer.parameters()]
    expected, found = layer(given), linear(given, layer.weight, layer.bias)
    assert calls and close(found, expected)
    weight = torch.randn_like(expected)
    for one, other in zip(
        torch.autograd.grad((found * weight).sum(), wanted),
        torch.autograd.grad((expected * weight).sum(), wanted),
        strict=True,
    ):
        assert close(one, other)


def test_only_what_needs_a_gradient_gets_one():
    layer, given = nn.Linear(24, 40).requires_grad_(False), torch.randn(ROWS, 24, requires_grad=True)
    linear(given, layer.weight, layer.bias).sum().backward()
    assert given.grad is not None and layer.weight.grad is None
    assert not linear(given.detach(), layer.weight, layer.bias).requires_grad


def test_weights_of_any_stride():
    torch.manual_seed(0)
    wide = torch.randn(40, 3, 24)
    given = torch.randn(3, ROWS, 24).transpose(0, 1)[:, 1]
    assert close(linear(given, wide[:, 1]), F.linear(given, wide[:, 1]))


@pytest.mark.parametrize(
    "prepare",
    [
        lambda given, layer: (given[: module.FEWEST_ROWS - 1], layer),
        lambda given, layer: (given.double(), layer.double()),
        lambda given, layer: (given.bfloat16(), layer.bfloat16()),
    ],
    ids=["few rows", "float64", "bfloat16"],
)
def test_what_does_not_pay_is_left_to_torch(prepare, calls):
    given, layer = prepare(torch.randn(ROWS, 24), nn.Linear(24, 40))
    assert torch.equal(linear(given, layer.weight, layer.bias), layer(given))
    assert not calls


def test_small_matrices_are_left_to_torch(calls, monkeypatch):
    monkeypatch.setattr(module, "FEWEST_MULTIPLICATIONS", ROWS * 24 * 40 + 1)
    given, layer = torch.randn(ROWS, 24), nn.Linear(24, 40)
    assert torch.equal(linear(given, layer.weight, layer.bias), layer(given)) and not calls


def test_autocast_is_left_to_torch(calls):
    layer, given = nn.Linear(24, 40), torch.randn(ROWS, 24)
    use_onednn(layer)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(given).dtype == torch.bfloat16
    assert not calls


def test_a_model_uses_it_and_so_do_its_copies():
    model = nn.Sequential(nn.Linear(24, 40), nn.Sequential(nn.GELU(), nn.Linear(40, 8)), Own(8, 8))
    given = torch.randn(ROWS, 24)
    with torch.no_grad():
        expected = model(given)
        state = {name: value.clone() for name, value in model.state_dict().items()}
        use_onednn(model)
        for one in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            assert type(one[0]) is type(one[1][1]) is OneDNNLinear and isinstance(one[0], nn.Linear)
            assert close(one(given), expected)
    assert model.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_gelu_in_one_pass():
    layer, given = nn.Linear(24, 40), torch.randn(ROWS, 24)
    use_onednn(layer)
    expected = F.gelu(layer(given))
    assert expected.requires_grad and close(layer(given, gelu=True).detach(), expected.detach())
    with torch.no_grad():
        assert close(layer(given, gelu=True), expected.detach())


def test_many_products(calls, monkeypatch):
    torch.manual_seed(0)
    one, other = torch.randn(2, 3, ROWS, 24, requires_grad=True), torch.randn(2, 3, 50, 24, requires_grad=True)
    found, expected = products(one, other), one @ other.mT
    assert len(calls) == 6 and close(found, expected)
    weight = torch.randn_like(expected)
    for mine, theirs in zip(
        torch.autograd.grad((found * weight).sum(), (one, other)),
        torch.autograd.grad((expected * weight).sum(), (one, other)),
        strict=True,
    ):
        assert close(mine, theirs)
    calls.clear()
    monkeypatch.setattr(module, "FEWEST_MULTIPLICATIONS", 1 << 24)
    assert close(products(one, other), expected) and not calls, "small ones are a batch"


def test_few_sizes_for_all_numbers_of_rows(monkeypatch):
    """What oneDNN keeps of each size is up to a megabyte."""
    sizes = set()
    plain = torch.ops.mkldnn._linear_pointwise

    def counted(inputs, *rest):
        sizes.add(len(inputs))
        return plain(inputs, *rest)

    monkeypatch.setattr(module.torch.ops.mkldnn, "_linear_pointwise", counted)
    weight = torch.randn(40, 24)
    for rows in range(256, 513):
        assert len(linear(torch.randn(rows, 24), weight)) == rows
    assert sizes == {256 + 32 * number for number in range(9)}


@pytest.mark.parametrize("heads_of_values", [1, 2])
def test_attention(heads_of_values, monkeypatch):
    monkeypatch.setattr(module, "SCORES", 100 * 600)  # in several pieces, the last one smaller
    torch.manual_seed(0)
    query, key = torch.randn(2, 2, 250, 16), torch.randn(2, 600, 2, 16).transpose(1, 2)
    value = torch.randn(2, heads_of_values, 600, 24)
    assert not attention_pays(query, key)
    with torch.no_grad():
        assert attention_pays(query, key) and not attention_pays(query, key[:, :, :100])
        expected = F.scaled_dot_product_attention(query, key, value.expand(-1, 2, -1, -1), scale=0.3)
        assert close(attention_by_rows(query, key, value, 0.3), expected)


@pytest.mark.parametrize(
    ("vendor", "capability", "faster"),
    [
        ("AuthenticAMD", "AVX512", True),
        ("GenuineIntel", "AVX512", False),
        ("AuthenticAMD", "AVX2", False),
        ("", "AVX512", False),
    ],
)
def test_which_processors(vendor, capability, faster, monkeypatch):
    monkeypatch.delenv(module.SWITCH)
    monkeypatch.setattr(module, "_vendor", lambda: vendor)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    module.onednn_is_faster.cache_clear()
    assert module.onednn_is_faster() is faster


def test_the_switch(monkeypatch):
    monkeypatch.setenv(module.SWITCH, "0")
    module.onednn_is_faster.cache_clear()
    assert not module.onednn_is_faster()
    layer = nn.Linear(24, 40)
    use_onednn(layer)
    assert type(layer) is nn.Linear
    monkeypatch.setenv(module.SWITCH, "yes")
    module.onednn_is_faster.cache_clear()
    with pytest.raises(UserError, match='WORD2MASK_ONEDNN=yes: expected "0"'):
        module.onednn_is_faster()
