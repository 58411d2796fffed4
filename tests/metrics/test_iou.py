"""cIoU, gIoU, N-acc, T-acc, Pr@ on cases computed by hand."""

import itertools
import random

import numpy as np
import pytest

from word2mask.metrics.iou import IoUAccumulator, intersection_and_union


def row(*columns: int) -> np.ndarray:
    mask = np.zeros((1, 10), bool)
    mask[0, list(columns)] = True
    return mask


def test_counts_leave_out_void_pixels():
    prediction, target = row(0, 1, 2, 3), row(2, 3, 4)
    assert intersection_and_union(prediction, target) == (2, 5)
    assert intersection_and_union(prediction, target, void=row(3, 4)) == (1, 3)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"prediction \(1, 10\) and target \(10, 1\)"):
        intersection_and_union(row(1), row(1).T)
    with pytest.raises(ValueError, match="void"):
        intersection_and_union(row(1), row(1), void=row(1).T)


def test_ciou_weighs_by_area_and_giou_by_sample():
    accumulator = IoUAccumulator()
    assert accumulator.add(row(0, 1, 2, 3), row(0, 1, 2, 3, 4, 5, 6, 7)) == 0.5
    assert accumulator.add(row(5), row(5)) == 1.0
    summary = accumulator.summary()
    assert summary["ciou"] == pytest.approx(100 * 5 / 9)
    assert summary["giou"] == 75.0
    assert [summary[f"pr@0.{digit}"] for digit in (5, 6, 9)] == [100.0, 50.0, 50.0]
    assert summary["t_acc"] == 100.0
    assert "n_acc" not in summary


def test_no_target_samples_by_the_rules_of_grefcoco():
    """The four cases of henghuiding/ReLA's evaluator: rejected rightly, rejected wrongly, answered rightly, wrongly."""
    accumulator = IoUAccumulator()
    assert accumulator.add(row(), row()) == 1.0  # recognised: nothing to cIoU
    assert accumulator.add(row(1, 2), row()) == 0.0  # missed: two pixels to the union
    assert accumulator.add(row(), row(4, 5, 6)) == 0.0  # wrongly rejected: three pixels to the union
    assert accumulator.add(row(4, 5, 6), row(4, 5, 6)) == 1.0
    summary = accumulator.summary()
    assert (accumulator.intersection, accumulator.union) == (3, 8)
    assert summary["ciou"] == 100 * 3 / 8
    assert summary["giou"] == 50.0
    assert summary["n_acc"] == 50.0
    assert summary["t_acc"] == 50.0
    assert summary["pr@0.9"] == 50.0


def test_only_no_target_samples():
    accumulator = IoUAccumulator()
    accumulator.add(row(), row())
    assert accumulator.summary() == {"ciou": 100.0, "giou": 100.0, "n_acc": 100.0}


def test_a_void_target_is_no_target():
    accumulator = IoUAccumulator()
    assert accumulator.add(row(3), row(3), void=row(3)) == 1.0
    assert accumulator.num_untargeted_recognised == 1


def test_nothing_added_gives_no_number():
    assert IoUAccumulator().summary() == {}


def test_any_order_and_any_sharding_gives_the_same_bits():
    rng = np.random.default_rng(0)
    counts = [(int(small), int(small + more)) for small, more in rng.integers(0, 1000, (200, 2))]
    whole = IoUAccumulator()
    for intersection, union in counts:
        whole.add_counts(intersection, union, has_target=True, has_prediction=True)
    for seed, num_parts in itertools.product(range(3), (2, 7)):
        shuffled = random.Random(seed).sample(counts, len(counts))
        parts = [IoUAccumulator() for _ in range(num_parts)]
        for position, (intersection, union) in enumerate(shuffled):
            parts[position % num_parts].add_counts(intersection, union, has_target=True, has_prediction=True)
        assert IoUAccumulator.merged(parts).summary() == whole.summary()
        assert len(IoUAccumulator.merged(parts)) == 200
