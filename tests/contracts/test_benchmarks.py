"""What every benchmark must do, on the shapes world in the real formats. A new one is found by itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from word2mask.data.shapes_world.writers import Sizes, write_shapes_world
from word2mask.errors import UserError
from word2mask.evaluation.interface import Benchmark, benchmarks, find_benchmark, mask_shape, media_of
from word2mask.evaluation.runner import empty_result, evaluate
from word2mask.text.special_tokens import SEG, SPECIAL_TOKENS
from word2mask.types import Request, Result, Sample, Segment

BENCHMARKS = benchmarks()
pytestmark = pytest.mark.parametrize("name", list(BENCHMARKS))


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """A small shapes world, with copies for the data sets that it doesn't write itself."""
    root = tmp_path_factory.mktemp("data") / "shapes"
    sizes = Sizes(
        train_images=1, val_images=8, combo_images=1, train_videos=1, val_videos=3, combo_videos=1, frames=6, seed=3
    )
    write_shapes_world(root, sizes, processes=1)
    for other in ("refcoco+", "refcocog"):
        shutil.copytree(root / "ref_seg/refcoco", root / "ref_seg" / other)
    (root / "ref_seg/refcocog/refs(unc).p").rename(root / "ref_seg/refcocog/refs(umd).p")
    return root


@pytest.fixture
def benchmark_of(data, name) -> Benchmark:
    return build(data, name)


def build(data: Path, name: str, limit: int | None = None) -> Benchmark:
    kind = BENCHMARKS[name]
    return kind.build(data / kind.folder, "valid_u" if name == "mevis" else "val", limit)


def perfect(sample: Sample) -> Result:
    """The answer of a model that knows everything."""
    answer = sample.turns[-1].text
    masks = [] if sample.masks is None else list(sample.masks)
    phrases = sample.extra.get("phrases", [""] * len(masks))
    segments = [Segment(p, None, mask, np.ones(len(mask))) for p, mask in zip(phrases, masks, strict=True)]
    shape = mask_shape(sample) if media_of(sample) is not None else (0, 0, 0)
    return Result(answer, answer, segments, shape[1:], shape[0])


class Knowing:
    """Answers perfectly, batch by batch, in the order in which the samples come."""

    def __init__(self, benchmark: Benchmark):
        self.results = [perfect(benchmark.sample(position)) for position in range(len(benchmark))]
        self.asked: list[Request] = []

    def batch(self, requests: Sequence[Request]) -> list[Result]:
        first = len(self.asked)
        self.asked += requests
        return self.results[first : first + len(requests)]


def test_a_perfect_model_reaches_everything(benchmark_of, tmp_path):
    score = evaluate(benchmark_of, Knowing(benchmark_of), tmp_path / "records", {}, batch_size=3)
    assert score.count == len(benchmark_of) > 2
    assert set(score.metrics) <= set(benchmark_of.metrics)
    assert next(iter(benchmark_of.metrics)) in score.metrics
    assert score.metrics == pytest.approx(dict.fromkeys(score.metrics, 100.0))
    for record in score.records:
        assert benchmark_of.sample_score(record.scores) == pytest.approx(100.0)


def test_a_silent_model_reaches_nothing(benchmark_of):
    scores, absent = [], []
    for position in range(len(benchmark_of)):
        sample = benchmark_of.sample(position)
        if not sample.extra.get("no_target"):
            scores.append(benchmark_of.score(empty_result(sample), sample))
            absent.append(0.0 if sample.masks is None else 1 - sample.masks.any(axis=(0, 2, 3)).mean())
    # In a frame that the target has left, J and F are 1 for an empty mask.
    expected = 100 * np.mean(absent)
    assert benchmark_of.summarise(scores) == pytest.approx(dict.fromkeys(benchmark_of.summarise(scores), expected))


def test_scores_survive_json_and_any_order(benchmark_of):
    samples = [benchmark_of.sample(position) for position in range(len(benchmark_of))]
    scores = [benchmark_of.score(perfect(sample), sample) for sample in samples]
    assert json.loads(json.dumps(scores)) == scores
    assert benchmark_of.summarise(scores[::-1]) == benchmark_of.summarise(scores)
    assert benchmark_of.summarise([]) == {}


def test_requests_give_nothing_away(benchmark_of):
    for position in range(len(benchmark_of)):
        request = benchmark_of.request(benchmark_of.sample(position))
        assert [turn.role for turn in request.turns] == ["user"]
        words = request.turns[0].text
        assert words.strip() == words != ""
        assert not any(token in words for token in SPECIAL_TOKENS)
        assert request.media is not None


def test_reading_twice_gives_the_same_sample(benchmark_of):
    one, other = benchmark_of.sample(1), benchmark_of.sample(1)
    assert (one.id, one.turns) == (other.id, other.turns)
    assert (one.masks is None) == (other.masks is None)
    if one.masks is not None:
        np.testing.assert_array_equal(one.masks, other.masks)


def test_the_protocol_is_one_line_and_says_how_many(benchmark_of, data, name):
    assert "\n" not in benchmark_of.protocol
    assert f"all {len(benchmark_of)} samples" in benchmark_of.protocol
    assert f"2 of {len(benchmark_of)} samples, evenly spaced" in build(data, name, limit=2).protocol
    if SEG in benchmark_of.protocol:
        assert f"all {SEG} masks" in benchmark_of.protocol


def test_it_can_be_built_again_from_its_origin(benchmark_of, data, name):
    origin = json.loads(json.dumps(build(data, name, limit=2).origin))
    again = BENCHMARKS[name].build(**origin)
    assert len(again) == 2
    assert again.sample(1).id == build(data, name, limit=2).sample(1).id


def test_bad_input_is_said_in_a_sentence(data, tmp_path, name):
    kind = BENCHMARKS[name]
    with pytest.raises(UserError, match=f"has no split 'nonsense'; it has {kind.splits[0]}"):
        kind.build(data / kind.folder, "nonsense")
    with pytest.raises(UserError, match="is not a folder; give the data's place with --data-root"):
        kind.build(tmp_path / "nowhere", kind.splits[0])
    with pytest.raises(UserError, match="limit must be 1 or more, got 0"):
        kind.build(data / kind.folder, "valid_u" if name == "mevis" else "val", limit=0)
    with pytest.raises(UserError, match="unknown setting 'picturs'"):
        kind.build(data / kind.folder, kind.splits[0], picturs="images")
    with pytest.raises(UserError, match="must hold {} as often as"):
        kind.build(data / kind.folder, "valid_u" if name == "mevis" else "val", prompt="{} and {}")


def test_it_is_found_by_name(name):
    kind = BENCHMARKS[name]
    assert find_benchmark(f"{name}:{kind.splits[0]}") == (kind, kind.splits[0])
    with pytest.raises(UserError, match=rf"names no split; write {name.replace('+', '.')}:{kind.splits[0]}"):
        find_benchmark(name)
    with pytest.raises(UserError, match="no benchmark is called"):
        find_benchmark(name + "x:val")
