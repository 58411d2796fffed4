"""The comparison with the published code, as far as it goes without that code: our side, and the table."""

from __future__ import annotations

import argparse
import importlib
import math
from pathlib import Path
from types import ModuleType

import pytest
import torch


@pytest.fixture
def benchmark(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    monkeypatch.syspath_prepend(str(repository / "tests" / "parity"))
    return importlib.import_module("training_step")


def test_our_side_takes_a_step(benchmark: ModuleType, repository: Path) -> None:
    arguments = argparse.Namespace(folder=repository / "tests" / "parity" / "sa2va", keep_activations=False)
    forward, parameters = benchmark.our_side(arguments, benchmark.Geometry())
    losses, text_loss = forward("image")
    assert len(losses) == 3 and math.isfinite(text_loss.item())
    sum(losses).backward()
    gradients = [parameter.grad for parameter in parameters if parameter.requires_grad]
    assert all(parameter.grad is None for parameter in parameters if not parameter.requires_grad)
    # Only what no mask comes from has none: the unchosen candidates' heads and the decoder's own scores.
    assert 0 < sum(gradient is None for gradient in gradients) < 20
    assert sum(gradient.abs().sum() > 0 for gradient in gradients if gradient is not None) > 50


def test_ratios_are_of_medians(benchmark: ModuleType) -> None:
    steps = {
        "published": [{"seconds": s, "megabytes": 100.0} for s in (4.0, 2.0, 9.0)],
        "ours": [{"seconds": s, "megabytes": m} for s, m in ((1.0, 50.0), (3.0, 60.0), (1.5, 40.0))],
    }
    arguments = argparse.Namespace(repeats=3, side=256, keep_activations=False)
    row = next(line for line in benchmark.table({"image": steps}, arguments).splitlines() if "one image" in line)
    assert row == (
        "| one image, 5 objects | 4.00 (2.00-9.00) | 1.50 (1.00-3.00) | 0.38 | 100 (100-100) | 50 (40-60) | 0.50 |"
    )


def test_peak_is_since_the_last_reset(benchmark: ModuleType) -> None:
    resting = benchmark.reset_peak()
    block = torch.ones(16 * 2**20)  # 64 MB
    del block
    assert benchmark.peak() - resting == pytest.approx(64, abs=16)
    assert benchmark.peak() - benchmark.reset_peak() < 64
