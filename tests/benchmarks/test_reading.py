"""Both ways of reading give the same, and the table's rate is one of medians."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest


@pytest.fixture
def benchmark(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    return importlib.import_module("reading")


def test_both_ways_read_the_same(benchmark: ModuleType, tmp_path: Path) -> None:
    clip = benchmark.write_clips(tmp_path, frames=24)[0]
    taken = [0, 4, 20]
    frames, masks = benchmark.by_need(clip, taken)
    assert frames.shape == (3, 720, 1280, 3) and masks.shape == (5, 3, 720, 1280)
    everything, all_masks = benchmark.whole(clip, taken)
    assert np.array_equal(masks, all_masks) and np.abs(frames.astype(int) - everything).max() <= 2
    assert all(np.array_equal(mask[1], drawn) for mask, drawn in zip(masks, benchmark.objects(4), strict=True))
    for package, read in benchmark.DECODERS.values():
        if benchmark.has(package):
            assert np.abs(read(clip.path, taken).astype(int) - frames).max() <= 2


def test_samples_are_annotated_frames(benchmark: ModuleType) -> None:
    draws = benchmark.samples(3)
    assert len(draws) == 3 and draws == benchmark.samples(3)
    for taken in draws:
        assert len(set(taken)) == 5 and taken == sorted(taken) and all(0 <= t < 300 and t % 4 == 0 for t in taken)


def test_the_rate_is_of_medians(benchmark: ModuleType) -> None:
    text = benchmark.table({"a video": ([2.0, 1.0, 9.0], [0.1, 0.2, 0.05], {"PyAV": [0.1]})}, 3)
    assert "| a video | 2000 (1000-9000) | 100 (50-200) | 20.0 × | 8 × |" in text
    assert "| torchcodec" in text and "not installed" in text
