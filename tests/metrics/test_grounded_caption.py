"""mIoU, recall and AP50 of grounded captions: by hand, against GLaMM's code, and AP50 against pycocotools."""

import sys
from pathlib import Path

import numpy as np
import pytest

from word2mask.metrics.grounded_caption import (
    Detections,
    average_precision,
    count_recalled,
    iou_matrix,
    iou_matrix_of_rles,
    match_greedily,
    match_in_order,
    matched_ious,
)
from word2mask.ops.masks import encode_rle

sys.path.insert(0, str(Path(__file__).parent))
import metric_cases


def test_iou_matrix_by_hand():
    predictions, targets = np.zeros((3, 2, 4), bool), np.zeros((2, 2, 4), bool)
    predictions[0, 0, :2], predictions[1, :, 3] = True, True
    targets[0, 0, :4], targets[1, :, 3] = True, True
    # Against the upper row: 2 of 4, and 1 of 5. An empty mask finds nothing.
    np.testing.assert_array_equal(iou_matrix(predictions, targets), [[0.5, 0.0], [0.2, 1.0], [0.0, 0.0]])


def test_iou_matrix_without_predictions():
    assert iou_matrix(np.zeros((0, 2, 4), bool), np.ones((3, 2, 4), bool)).shape == (0, 3)


def test_greedy_pairs_take_the_best_first():
    ious = np.array([[0.6, 0.9], [0.0, 0.8]])
    # 0.9 takes row 0 and column 1; row 1 and column 0 have no overlap, though 0.6 + 0.8 would have been more in all.
    assert match_greedily(ious) == [(0, 1)]
    assert matched_ious(ious) == [0.9]
    assert matched_ious(np.zeros((0, 2))) == []


def test_recall_needs_overlap_and_a_similar_phrase():
    ious = np.array([[0.8, 0.0], [0.0, 0.7]])
    targets = ["red circle", "blue star"]
    assert count_recalled(ious, ["a red circle", "the blue star"], targets) == 2
    assert count_recalled(ious, ["a green heart", "the blue star"], targets) == 1
    assert count_recalled(ious * 0.6, ["a red circle", "the blue star"], targets) == 0
    with pytest.raises(ValueError, match="1 phrases"):
        count_recalled(ious, ["a red circle"], targets)


def test_average_precision_by_hand():
    # Right, wrong, right with 2 targets: precision 1 up to recall 0.5 (51 of 101 points), then 2/3 (50 points).
    images = [Detections((True, False), 1), Detections((True,), 1)]
    assert average_precision(images) == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)
    assert average_precision([Detections((True,), 1)]) == 1.0
    assert average_precision([Detections((), 3)]) == 0.0
    assert average_precision([]) == 0.0


def test_pictures_score_as_in_glamms_code(reference):
    expected = reference["glamm"]["pictures"]
    assert sum(one["recalled"] for one in expected) > 8
    for picture, one in zip(metric_cases.grounded_pictures(), expected, strict=True):
        predicted, true, guesses, labels = picture
        ious = iou_matrix(predicted, true)
        matched = matched_ious(ious)
        assert (np.mean(matched) if matched else 0.0) == pytest.approx(one["miou"], abs=1e-12)
        similarity = metric_cases.equal_last_words
        found = count_recalled(ious, guesses, labels, similarity=similarity, stops_at_failure=True)
        assert found == one["recalled"]
        np.testing.assert_array_equal(iou_matrix_of_rles(*([encode_rle(m) for m in ms] for ms in picture[:2])), ious)


def test_a_pair_called_differently_stops_only_glamms_loop():
    ious = np.array([[0.9, 0.0], [0.0, 0.7]])
    phrases, targets = ["a green heart", "the blue star"], ["red circle", "blue star"]
    assert count_recalled(ious, phrases, targets) == 1
    assert count_recalled(ious, phrases, targets, stops_at_failure=True) == 0


def test_run_lengths_of_other_sizes_are_refused():
    with pytest.raises(ValueError, match="one size"):
        iou_matrix_of_rles([encode_rle(np.ones((2, 3), bool))], [encode_rle(np.ones((3, 2), bool))])
    assert iou_matrix_of_rles([], [encode_rle(np.ones((2, 3), bool))]).shape == (0, 1)


def _many(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Targets and predictions: nudged, missed, and some more."""
    targets = _random_boxes(rng, int(rng.integers(1, 5)))
    predictions = [_nudged(rng, target) for target in targets if rng.random() < 0.8]
    predictions += list(_random_boxes(rng, int(rng.integers(0, 2))))
    rng.shuffle(predictions)
    return targets, np.array(predictions).reshape(-1, 32, 32)


def _adversarial(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Empty, full and equal masks, single pixels, pictures without any answer, and more answers than COCO counts."""
    kind = int(rng.integers(0, 6))
    targets = _random_boxes(rng, 3)
    predictions = np.array([targets[0], targets[0], np.zeros((32, 32), bool), np.ones((32, 32), bool), targets[2]])
    if kind == 1:
        targets[1] = True
    elif kind == 2:
        targets = np.zeros((2, 32, 32), bool)
        targets[0, 0, 0] = targets[1, 31, 31] = True
        predictions = targets[::-1].copy()
    elif kind == 3:
        predictions = np.zeros((0, 32, 32), bool)
    elif kind == 4:
        predictions = np.concatenate([_random_boxes(rng, 110), targets])
    elif kind == 5:
        targets = targets[[0, 0, 0]]
    return targets, predictions


@pytest.mark.parametrize("draw", [_many, _adversarial])
@pytest.mark.parametrize("threshold", [0.5, 0.75])
def test_average_precision_equals_pycocotools(draw, threshold):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    rng = np.random.default_rng(0)
    images, annotations, results, ours = [], [], [], []
    for image_id in range(1, 31):
        targets, predictions = draw(rng)
        images.append({"id": image_id, "height": 32, "width": 32})
        for mask in targets:
            annotation = {"id": len(annotations) + 1, "image_id": image_id, "category_id": 1, "iscrowd": 0}
            annotations.append({**annotation, "segmentation": encode_rle(mask), "area": int(mask.sum())})
        for mask in predictions:
            results.append({"image_id": image_id, "category_id": 1, "segmentation": encode_rle(mask), "score": 1.0})
        ours.append(match_in_order(iou_matrix(predictions, targets), threshold))
    truth = COCO()
    truth.dataset = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "object"}]}
    truth.createIndex()
    evaluation = COCOeval(truth, truth.loadRes(results), "segm")
    evaluation.params.catIds = [1]
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    expected = evaluation.stats[{0.5: 1, 0.75: 2}[threshold]]
    assert 0.05 < expected < 0.95
    assert average_precision(ours) == pytest.approx(expected, abs=1e-9)


def _random_boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    masks = np.zeros((count, 32, 32), bool)
    for mask in masks:
        y, x = rng.integers(0, 22, 2)
        height, width = rng.integers(4, 11, 2)
        mask[y : y + height, x : x + width] = True
    return masks


def _nudged(rng: np.random.Generator, mask: np.ndarray) -> np.ndarray:
    moved = np.roll(mask, tuple(int(step) for step in rng.integers(-1, 2, 2)), axis=(0, 1))
    return moved
