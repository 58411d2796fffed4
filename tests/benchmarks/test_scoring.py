"""What is scored is what is said: videos of every size of object, files that read back, rates of sums."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from word2mask.metrics.davis import DavisAccumulator
from word2mask.metrics.iou import IoUAccumulator


@pytest.fixture
def benchmark(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    return importlib.import_module("scoring")


def test_videos_have_objects_of_every_size(benchmark: ModuleType) -> None:
    found = list(benchmark.clips(6, 2))
    assert [clip.kind for clip in found] == list(benchmark.OBJECT_SIZES) * 2
    for clip in found:
        least, most = benchmark.OBJECT_SIZES[clip.kind]
        assert clip.target.shape == clip.prediction.shape == (2, 480, 854)
        assert 0.8 * least < clip.target.mean() < 1.2 * most
        assert not np.array_equal(clip.prediction, clip.target)


def test_sequences_read_back_with_their_objects(benchmark: ModuleType, tmp_path: Path) -> None:
    (name,) = benchmark.write_sequences(tmp_path, 1, 3)
    target = benchmark.read_labels(tmp_path / "Annotations_unsupervised/480p" / name)
    prediction = benchmark.read_labels(tmp_path / "results" / name)
    assert target.shape == prediction.shape == (3, 480, 854) and set(np.unique(target)) == {0, 1, 2}
    accumulator = DavisAccumulator()
    assert len(accumulator.add(prediction, target)) == 2 and 20 < accumulator.summary()["j"] < 100


def test_masks_of_pictures_overlap(benchmark: ModuleType) -> None:
    accumulator = IoUAccumulator()
    for prediction, target in benchmark.picture_pairs(3):
        assert prediction["size"] == target["size"] == [480, 640]
        assert 0.2 < accumulator.add_rles(prediction, target) < 1


def test_rates_are_of_all_videos(benchmark: ModuleType) -> None:
    functions = {kind: {"official": 6.0, "ours": 1.0} for kind in benchmark.OBJECT_SIZES}
    protocol = {"official": 8.0, "ours": 1.0}
    text = benchmark.table(functions, protocol, 2.0, 0.05, [("1 picture", 500, 2000)], videos=3, frames=10)
    assert "| below 5 % of the frame | 600.00 | 100.00 | 6.0 × |  |" in text
    assert "| all | 600.00 | 100.00 | 6.0 × | 4 × |" in text
    assert "| whole protocol, two objects a video, files read | 133.33 | 16.67 | 8.0 × | 4 × |" in text
    assert "| answering 10,000 questions on such pictures, 0.050 s each | 500 |" in text
    assert "| share (asked for: below 10%) | 0.40% |" in text
    assert "| 1 picture | 500 | 2 |" in text
