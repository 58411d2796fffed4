"""Counted operations; 2 x rows x inputs x outputs of a Linear by hand."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from word2mask.engine.operations import OperationCount, OperationMeter, peak_tflops
from word2mask.ops import linear
from word2mask.ops.linear import onednn_is_faster, use_onednn

ROWS, WIDTHS = 5, (8, 16, 4)
FORWARD = 2 * ROWS * (8 * 16 + 16 * 4)


@pytest.fixture
def network():
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))


@pytest.mark.parametrize("recompute", [None, False, True], ids=["stored", "recomputed", "recomputed, reentrant"])
def test_a_step_is_three_times_its_forward_pass(network, recompute):
    """Gradients of inputs and of weights take as much as the pass; what is computed again doesn't count."""
    inputs = torch.randn(ROWS, 8, requires_grad=True)
    with OperationCount() as count:
        with count.forward():
            if recompute is None:
                loss = network(inputs).sum()
            else:
                loss = checkpoint(network, inputs, use_reentrant=recompute).sum()
        assert count.operations == FORWARD
        loss.backward()
    assert count.operations == 3 * FORWARD


def test_frozen_parts_count_for_what_they_do(network):
    network.requires_grad_(False)
    with OperationCount() as count, count.forward(), torch.no_grad():
        network(torch.randn(ROWS, 8))
    assert count.operations == FORWARD


def test_an_optimizer_does_not_count(network):
    with OperationCount() as count:
        torch.randn(9, 9) @ torch.randn(9, 9)
    assert count.operations == 0


def test_fused_attention_and_convolutions_count():
    """Two products of [7,8] and [8,7] a head; 3 x 3 taps of 2 channels for 4 outputs at 6 x 6 places."""
    query = torch.randn(1, 2, 7, 8)
    with OperationCount() as count, count.forward():
        functional.scaled_dot_product_attention(query, query, query)
    assert count.operations == 2 * (2 * 2 * 7 * 7 * 8)
    with OperationCount() as count, count.forward():
        functional.conv2d(torch.randn(1, 2, 8, 8), torch.randn(4, 2, 3, 3))
    assert count.operations == 2 * (3 * 3 * 2) * 4 * 6 * 6


def test_products_by_onednn_count(monkeypatch):
    monkeypatch.setenv("WORD2MASK_ONEDNN", "1")
    monkeypatch.setattr(linear, "FEWEST_MULTIPLICATIONS", 0)
    onednn_is_faster.cache_clear()
    layer, counts = nn.Linear(24, 40), []
    try:
        for _ in range(2):  # by torch, then by oneDNN
            with OperationCount() as count:
                with count.forward():
                    loss = layer(torch.randn(64, 24, requires_grad=True)).sum()
                loss.backward()
            counts.append(count.operations)
            with_onednn = type(layer) is linear.OneDNNLinear
            use_onednn(layer)
    finally:
        onednn_is_faster.cache_clear()
    assert with_onednn and counts == [3 * 2 * 64 * 24 * 40] * 2


def test_counting_changes_no_number(network):
    inputs = torch.randn(ROWS, 8)
    plain = torch.autograd.grad(network(inputs).sum(), network[0].weight)[0]
    with OperationCount() as count:
        with count.forward():
            loss = network(inputs).sum()
        counted = torch.autograd.grad(loss, network[0].weight)[0]
    assert torch.equal(plain, counted)


def test_one_step_of_many_is_counted(network):
    meter = OperationMeter(3)
    assert meter.per_step() is None
    for number in range(7):
        with meter.step(number) as count:
            assert (count is None) == (number % 3 != 0)
            if count is not None:
                with count.forward():
                    network(torch.randn(1 + number, 8))
    assert meter.per_step() == (1 + 4 + 7) / 3 * FORWARD / ROWS
    off = OperationMeter(0)
    with off.step(0) as count:
        assert count is None


def test_a_peak_is_given_or_known_and_never_guessed(monkeypatch):
    cpu, cuda = torch.device("cpu"), torch.device("cuda", 0)
    assert peak_tflops(cpu, "bf16", None) is None and peak_tflops(cpu, "fp32", 0.5) == 0.5
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100 80GB HBM3")
    assert peak_tflops(cuda, "bf16", None) == 989.4
    assert peak_tflops(cuda, "fp32", None) is None
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100 80GB HBM3 MIG 1g.10gb")
    assert peak_tflops(cuda, "bf16", None) is None
