"""cIoU, gIoU, N-acc, T-acc, Pr@: by hand, and against published code (see make_metric_reference.py)."""

import itertools
import pickle
import random
import sys
from pathlib import Path

import numpy as np
import pytest

from word2mask.metrics.iou import IoUAccumulator, count_pixels, count_pixels_of_rles, intersection_and_union
from word2mask.ops.masks import box_to_mask, encode_rle

sys.path.insert(0, str(Path(__file__).parent))
import metric_cases

CASES = metric_cases.mask_cases()


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


def test_size_does_not_grow_with_the_number_of_samples():
    small, large = IoUAccumulator(), IoUAccumulator()
    for accumulator, count in ((small, 50), (large, 5000)):
        for index in range(count):
            accumulator.add_counts(index % 7, 7 + index % 3, has_target=True, has_prediction=True)
    assert len(pickle.dumps(large)) - len(pickle.dumps(small)) < 32


@pytest.mark.parametrize("name", list(CASES))
def test_counts_as_lisas_code(name, reference):
    prediction, target, void = CASES[name]
    for index, (intersection, union, value) in enumerate(reference["lisa_counts"][name]):
        ignored = None if void is None else void[index]
        assert intersection_and_union(prediction[index], target[index], ignored) == (intersection, union)
        # LISA divides by the union plus 1e-5, in float32.
        found = IoUAccumulator().add(prediction[index], target[index], ignored)
        assert found == pytest.approx(value, abs=1e-7 + 1e-5 / max(union, 1))


def test_numbers_of_grefcocos_evaluator(reference):
    accumulator = IoUAccumulator()
    for prediction, target, void in CASES.values():
        if void is None:
            for one, other in zip(prediction, target, strict=True):
                accumulator.add(one, other)
    summary, expected = accumulator.summary(), reference["rela"]
    assert summary["giou"] == pytest.approx(expected["gIoU"], abs=1e-9)
    assert summary["ciou"] == pytest.approx(expected["cIoU"], abs=1e-9)
    assert summary["n_acc"] == pytest.approx(100 * expected["N_acc"], abs=1e-9)
    assert summary["t_acc"] == pytest.approx(100 * expected["T_acc"], abs=1e-9)
    for threshold in ("0.7", "0.8", "0.9"):
        assert summary[f"pr@{threshold}"] == pytest.approx(expected[f"Pr@{threshold}"], abs=1e-9)


def test_filled_boxes_have_the_iou_of_the_refer_toolkit(reference):
    for (one, other), expected in zip(metric_cases.boxes(), reference["refer_boxes"], strict=True):
        masks = [box_to_mask((x, y, x + width, y + height), 60, 60) for x, y, width, height in (one, other)]
        assert IoUAccumulator().add(*masks) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", list(CASES))
def test_run_lengths_count_as_their_masks(name):
    prediction, target, void = CASES[name]
    for index in range(len(target)):
        masks = [prediction[index], target[index], None if void is None else void[index]]
        rles = [None if mask is None or not mask.any() else encode_rle(mask) for mask in masks]
        assert count_pixels_of_rles(*rles) == count_pixels(*masks)


def test_uncompressed_run_lengths_and_none():
    plain = {"size": [2, 3], "counts": [1, 3, 2]}
    assert IoUAccumulator().add_rles(plain, {"size": [2, 3], "counts": [2, 4]}) == 2 / 5
    assert IoUAccumulator().add_rles(None, None) == 1.0
    assert IoUAccumulator().add_rles(None, plain) == 0.0


def test_wrong_run_lengths_are_refused():
    right = encode_rle(np.ones((4, 6), bool))
    with pytest.raises(ValueError, match=r"one size, got prediction \(4, 6\), target \(6, 4\)"):
        count_pixels_of_rles(right, encode_rle(np.ones((6, 4), bool)))
    with pytest.raises(ValueError, match="run lengths add up to 3 pixels, the size"):
        count_pixels_of_rles(right, {"size": [4, 6], "counts": [1, 2]})
