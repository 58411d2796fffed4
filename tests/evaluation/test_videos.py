"""Averages of the video benchmarks, by hand: kinds, frames, and DAVIS's own protocol."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from word2mask.evaluation.interface import Benchmark, mask_shape
from word2mask.evaluation.mevis import MeViS
from word2mask.evaluation.reason_vos import ReasonVOS
from word2mask.evaluation.ref_davis import RefDAVIS
from word2mask.evaluation.ref_sav import RefSAV
from word2mask.evaluation.revos import ReVOS
from word2mask.evaluation.runner import Score, evaluate
from word2mask.metrics.davis import DavisAccumulator, merge_objects
from word2mask.types import Result, Sample, Segment


class Answers:
    """Answers sample after sample with ``mask(sample) -> bool [T,H,W] | None``."""

    def __init__(self, benchmark: Benchmark, mask: Callable[[Sample], np.ndarray | None]):
        self.samples = [benchmark.sample(position) for position in range(len(benchmark))]
        self.mask, self.asked = mask, 0

    def batch(self, requests):
        return [self._answer() for _ in requests]

    def _answer(self) -> Result:
        sample = self.samples[self.asked]
        self.asked += 1
        shape, mask = mask_shape(sample), self.mask(sample)
        segments = [] if mask is None else [Segment("", None, mask, np.ones(shape[0], np.float32))]
        return Result("", "", segments, shape[1:], shape[0])


def score(benchmark: Benchmark, mask, tmp_path) -> Score:
    return evaluate(benchmark, Answers(benchmark, mask), tmp_path / "records", {}, batch_size=4)


def right(sample: Sample) -> np.ndarray | None:
    return None if sample.masks is None else sample.masks.any(axis=0)


def everything(sample: Sample) -> np.ndarray:
    return np.ones(mask_shape(sample), bool)


def only(*kinds: str):
    """Right for samples of these kinds, silent for the others."""
    return lambda sample: right(sample) if sample.extra["kind"] in kinds else None


def test_revos_is_the_mean_of_its_two_kinds(tmp_path):
    # Two referring expressions, one reasoning (its object is absent from 2 of 6 frames), one that fits nothing.
    benchmark = ReVOS.fixture(tmp_path / "data")
    found = score(benchmark, only("referring", "hallucination"), tmp_path)
    assert found.metrics["j"] == pytest.approx(100 * (1 + 2 / 6) / 2)
    assert found.kinds["referring"][1]["j&f"] == 100
    assert found.kinds["hallucination"][1]["j&f"] == 100
    assert found.kinds["reasoning"][1]["j&f"] == pytest.approx(100 * 2 / 6)
    # Blue has 20 × 12 of 32 × 48 pixels in 4 of 6 frames, which the silent answer has wrong.
    missed = 240 / (32 * 48) * 4 / 6
    assert found.metrics["accuracy"] == pytest.approx(100 * (1 + 1 - missed) / 2)
    assert found.metrics["robustness"] == 100
    plain = ReVOS.build(**benchmark.origin, switches={"average": "expressions"})
    assert score(plain, only("referring"), tmp_path / "plain").metrics["j"] == pytest.approx(100 * (1 + 1 + 2 / 6) / 3)


def test_robustness_of_revos(tmp_path):
    benchmark = ReVOS.fixture(tmp_path / "data", limit=1)
    assert score(benchmark, everything, tmp_path).metrics["robustness"] == 0

    # Besides the red box, 50 pixels too many; the foreground is the red box (100), later the blue one (240) too.
    def more(sample):
        mask = right(sample).copy()
        mask[:, -1, :48] = True
        mask[:, -2, :2] = True
        return mask

    expected = 100 * (2 * (1 - 50 / 100) + 4 * (1 - 50 / 340)) / 6
    assert score(benchmark, more, tmp_path / "more").metrics["robustness"] == pytest.approx(expected, abs=1e-5)


def test_mevis_tells_absence_apart(tmp_path):
    """Of three expressions the second fits nothing; J and F count it as 1 where no frame has a pixel."""
    benchmark = MeViS.fixture(tmp_path / "data")
    assert "n_acc" not in score(benchmark, right, tmp_path / "plain").metrics
    file = tmp_path / "data" / "valid_u" / "meta_expressions.json"
    content = json.loads(file.read_text())
    content["videos"]["first"]["expressions"]["1"] |= {"obj_id": [], "anno_id": []}
    file.write_text(json.dumps(content))
    benchmark = MeViS.build(**benchmark.origin)
    assert "N-acc = share" in benchmark.rules
    found = score(benchmark, right, tmp_path / "right").metrics
    assert (found["n_acc"], found["t_acc"], found["j&f"]) == (100, 100, 100)

    def one_pixel(sample):  # on the last frame alone: enough to say that there is something
        mask = np.zeros(mask_shape(sample), bool)
        mask[-1, 0, 0] = sample.extra["no_target"]
        return mask

    found = score(benchmark, one_pixel, tmp_path / "pixel").metrics
    assert (found["n_acc"], found["t_acc"]) == (0, 0)
    assert found["j"] == pytest.approx(100 * (5 / 6) / 3)  # five of the six frames of what isn't there


def test_ref_sav_weighs_long_and_short_alike(tmp_path):
    # Two long descriptions and a short one, whose object is absent from 2 of 6 frames.
    benchmark = RefSAV.fixture(tmp_path / "data")
    assert score(benchmark, only("long"), tmp_path).metrics["j&f"] == pytest.approx(100 * (1 + 2 / 6) / 2)
    published = RefSAV.build(**benchmark.origin, protocol="unipixel")
    assert score(published, only("long"), tmp_path / "u").metrics["j&f"] == pytest.approx(100 * (1 + 1 + 2 / 6) / 3)


def test_reason_vos_looks_at_annotated_frames_only(tmp_path):
    benchmark = ReasonVOS.fixture(tmp_path / "data", limit=1)

    # Of the first video, frames 0, 2 and 4 have masks; right in 0 alone, and whatever elsewhere.
    def mask(sample):
        answer = np.ones(mask_shape(sample), bool)
        answer[0] = right(sample)[0]
        answer[4] = False
        return answer

    # In frame 2 the box of 100 pixels is a part of everything.
    assert score(benchmark, mask, tmp_path).metrics["j"] == pytest.approx(100 * (1 + 100 / (32 * 48) + 0) / 3)


def swapped(sample: Sample) -> np.ndarray:
    """The red box for its first annotator, nothing for the others."""
    is_first = sample.extra["annotator"] == 0 and sample.extra["object_id"] == 1
    return right(sample) if is_first else np.zeros(mask_shape(sample), bool)


def labels(benchmark: Benchmark, mask) -> dict[str, dict[int, tuple[np.ndarray, np.ndarray]]]:
    """video → annotator → predicted and true labels, put together here from the samples alone."""
    samples = [benchmark.sample(position) for position in range(len(benchmark))]
    found: dict[str, dict[int, tuple[np.ndarray, np.ndarray]]] = {}
    for video in dict.fromkeys(sample.extra["video_id"] for sample in samples):
        for annotator in range(4):
            own = [s for s in samples if (s.extra["video_id"], s.extra["annotator"]) == (video, annotator)]
            target = np.zeros(mask_shape(own[0]), np.uint8)
            for sample in own:
                target[right(sample)] = sample.extra["object_id"]
            if own[0].void is not None:
                target[own[0].void] = 255
            predicted = merge_objects(np.stack([mask(sample) for sample in own]))
            found.setdefault(video, {})[annotator] = predicted, target
    return found


@pytest.mark.parametrize("mask", [right, swapped])
def test_davis_protocol_is_that_of_the_accumulator(tmp_path, mask):
    benchmark = RefDAVIS.fixture(tmp_path / "data")
    accumulator = DavisAccumulator()
    for annotators in labels(benchmark, mask).values():
        for annotator, (predicted, target) in annotators.items():
            accumulator.add(predicted, target, annotator=annotator)
    found = score(benchmark, mask, tmp_path)
    expected = accumulator.summary()
    assert found.metrics == pytest.approx({key: expected[key] for key in ("j&f", "j", "f")})
    # Red counts, in both videos; blue isn't in the first frame of any.
    assert sum("together" in record.scores for record in found.records) == 8 == len(accumulator)


def test_davis_protocols_differ(tmp_path):
    benchmark = RefDAVIS.fixture(tmp_path / "data")
    assert score(benchmark, right, tmp_path).metrics["j&f"] == 100
    # A quarter of the red expressions is right.
    assert score(benchmark, swapped, tmp_path / "b").metrics["j"] == pytest.approx(25)
    apart = RefDAVIS.build(**benchmark.origin, protocol="sa2va")
    # Each of 12 expressions by itself: 2 right; 4 for blue, silent, with its 4 empty frames of 6 … 2 of 6 right.
    assert score(apart, swapped, tmp_path / "c").metrics["j"] == pytest.approx(100 * (2 + 4 * 2 / 6) / 12)


def test_an_object_covered_by_an_earlier_one(tmp_path):
    benchmark = RefDAVIS.fixture(tmp_path / "data", limit=8)
    found = score(benchmark, everything, tmp_path)
    # Red comes first and takes every pixel; the last row of the first video is void.
    values = {record.id: record.scores["together"][0] for record in found.records if "together" in record.scores}
    rows = {name: 31 if "bike-packing" in name else 32 for name in values}
    assert sorted(rows.values()) == [31, 31, 31, 32, 32]
    assert values == pytest.approx({name: 100 / (rows[name] * 48) for name in values})


def test_davis_scores_are_kept_and_shared(tmp_path):
    benchmark = RefDAVIS.fixture(tmp_path / "data")
    first = score(benchmark, swapped, tmp_path)
    assert (tmp_path / "records/completed.json").is_file()

    class Silent:
        def batch(self, requests):
            raise AssertionError("everything is answered")

    again = evaluate(benchmark, Silent(), tmp_path / "records", {}, batch_size=4)
    assert again.metrics == first.metrics
    assert again.records == first.records
    shares = [benchmark.complete(first.records, part, 2) for part in range(2)]
    assert not shares[0].keys() & shares[1].keys()
    assert {**shares[0], **shares[1]} == benchmark.complete(first.records)
