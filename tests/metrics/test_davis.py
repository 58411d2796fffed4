"""The official protocol of DAVIS 2017, against its toolkit (see make_metric_reference.py) and by hand."""

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

from word2mask.errors import UserError
from word2mask.metrics.davis import DavisAccumulator, Statistics, merge_objects, sequence_scores

sys.path.insert(0, str(Path(__file__).parent))
import metric_cases

SEQUENCES = metric_cases.sequences()


def predicted(task, target, labels):
    """The semi-supervised task admits no other objects than the true ones."""
    return np.where(labels > target[target < 255].max(), 0, labels) if task == "semi-supervised" else labels


@pytest.mark.parametrize("annotator", range(metric_cases.ANNOTATORS))
@pytest.mark.parametrize("task", ["unsupervised", "semi-supervised"])
def test_every_object_as_in_the_toolkit(reference, task, annotator):
    expected = reference["davis_protocol"][task][annotator]
    scores = [
        pair
        for target, predictions in SEQUENCES.values()
        for pair in sequence_scores(predicted(task, target, predictions[annotator]), target, task)
    ]
    for measure, values in (("J", [j for j, _ in scores]), ("F", [f for _, f in scores])):
        statistics = [Statistics.of(value) for value in values]
        for key, name in (("M", "mean"), ("R", "recall"), ("D", "decay")):
            found = [getattr(one, name) for one in statistics]
            # The toolkit lists paired objects by the number of their prediction, ours by that of the object.
            assert sorted(found) == pytest.approx(sorted(expected[measure][key]), abs=1e-12), (measure, key)


@pytest.mark.parametrize("task", ["unsupervised", "semi-supervised"])
def test_mean_over_objects_then_over_annotators(reference, task):
    parts = [DavisAccumulator() for _ in range(3)]
    position = 0
    for target, predictions in SEQUENCES.values():
        for annotator, labels in enumerate(predictions):
            parts[position % 3].add(predicted(task, target, labels), target, task, annotator)
            position += 1
    summary = DavisAccumulator.merged(pickle.loads(pickle.dumps(parts))).summary()
    expected = {
        f"{measure.lower()}{name}": 100 * np.mean([np.mean(one[measure][key]) for one in reference_of(reference, task)])
        for measure in "JF"
        for key, name in (("M", ""), ("R", "_recall"), ("D", "_decay"))
    }
    expected["j&f"] = (expected["j"] + expected["f"]) / 2
    assert summary == pytest.approx(expected, abs=1e-9)


def reference_of(reference, task):
    results = reference["davis_protocol"][task]
    assert len(results) == metric_cases.ANNOTATORS
    return results


def square(*columns, num_frames=4, label=1):
    labels = np.zeros((num_frames, 12, 40), np.uint8)
    for column in columns:
        labels[:, 3:9, column : column + 6] = label
    return labels


def test_unordered_objects_are_paired_in_the_unsupervised_task_only():
    target = square(2) + square(20, label=2)
    swapped = square(2, label=2) + square(20)
    assert [j.mean() for j, _ in sequence_scores(swapped, target)] == [1.0, 1.0]
    assert [j.mean() for j, _ in sequence_scores(swapped, target, "semi-supervised")] == [0.0, 0.0]


def test_void_counts_nowhere_or_as_background():
    target, prediction = square(2), square(2)
    target[:, 3:6, 2:8] = 255
    assert sequence_scores(prediction, target)[0][0].tolist() == [1.0] * 4
    assert sequence_scores(prediction, target, "semi-supervised")[0][0].tolist() == [0.5] * 2


def test_the_given_frame_and_the_last_are_left_out():
    target, prediction = square(2), square(2)
    prediction[0] = prediction[-1] = 0
    (j, f), *others = sequence_scores(prediction, target, "semi-supervised")
    assert j.tolist() == f.tolist() == [1.0, 1.0] and not others
    assert sequence_scores(prediction, target)[0][0].tolist() == [0.0, 1.0, 1.0, 0.0]


def test_objects_are_those_of_the_first_frame():
    target = square(2)
    target[1:] += square(20, num_frames=3, label=2)
    assert len(sequence_scores(square(2), target)) == 1


def test_statistics_by_hand():
    statistics = Statistics.of(np.array([1.0, 0.8, 0.6, 0.4, 0.2]))
    # Quarters end at frames 1, 2, 3, 4, 5: the first has frames 1 and 2, the last 4 and 5.
    assert (statistics.mean, statistics.recall) == (pytest.approx(0.6), 0.6)
    assert statistics.decay == pytest.approx(0.9 - 0.3)


def test_each_pixel_goes_to_the_best_score():
    scores = np.array([[0.6, 0.9, 0.4, 0.5], [0.7, 0.2, 0.45, 0.5]]).reshape(2, 1, 1, 4)
    assert merge_objects(scores).tolist() == [[[2, 1, 0, 1]]]
    masks = np.array([[1, 1, 0, 0], [0, 1, 1, 0]], bool).reshape(2, 1, 1, 4)
    assert merge_objects(masks).tolist() == [[[1, 1, 2, 0]]] and merge_objects(masks).dtype == np.uint8


def test_wrong_input_says_what_is_wrong():
    with pytest.raises(ValueError, match="scores of 1 to 254 objects"):
        merge_objects(np.zeros((0, 2, 3, 4)))
    with pytest.raises(ValueError, match="must be one"):
        sequence_scores(square(2), square(2, num_frames=3))
    with pytest.raises(UserError, match="a predicted label is 2, but the semi-supervised task admits 1 objects"):
        sequence_scores(square(2, label=2), square(2), "semi-supervised")
    with pytest.raises(UserError, match="a predicted label is 21, but the unsupervised task admits 20"):
        sequence_scores(square(2, label=21), square(2))
    with pytest.raises(UserError, match="first frame's annotation holds no object"):
        sequence_scores(square(2), square())
    with pytest.raises(UserError, match="2 frames"):
        sequence_scores(square(2, num_frames=2), square(2, num_frames=2), "semi-supervised")
    assert DavisAccumulator().summary() == {}
