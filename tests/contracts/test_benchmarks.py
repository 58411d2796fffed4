"""What every benchmark must do, on its own fixture and, where that has it, on the shapes world. A new one is found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from word2mask.data.shapes_world.writers import Sizes, write_shapes_world
from word2mask.errors import UserError
from word2mask.evaluation.interface import Benchmark, mask_shape, media_of
from word2mask.evaluation.names import benchmarks, find_benchmark
from word2mask.evaluation.protocols import SWITCHES
from word2mask.evaluation.runner import empty_result, evaluate
from word2mask.text.answers import parse_answer
from word2mask.text.special_tokens import SPECIAL_TOKENS
from word2mask.types import Request, Result, Sample, Segment

BENCHMARKS = benchmarks()
#: Those whose format the shapes world has, with its split.
SHAPES = {
    "refcoco": "val",
    "refcoco+": "val",
    "refcocog": "val",
    "grefcoco": "val",
    "reason_seg": "val",
    "mevis": "valid_u",
    "grounded_caption": "val",
    "image_chat": "val",
    "video_chat": "val",
    "region": "val",
}
#: Metrics that a model which says nothing does well in.
KIND_TO_SILENCE = {"accuracy", "robustness"}
PLACES = [(name, "fixture") for name in BENCHMARKS] + [(name, "shapes") for name in SHAPES]
pytestmark = pytest.mark.parametrize(("name", "place"), PLACES)


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


@pytest.fixture(autouse=True)
def no_java(monkeypatch):
    """METEOR takes long to start; tests/evaluation/test_captions.py runs it."""
    monkeypatch.setattr("word2mask.evaluation.captions.missing_for_captions", lambda: "not in this test")


@pytest.fixture
def make(data, tmp_path, name, place):
    """Builds the benchmark with some options."""
    kind = BENCHMARKS[name]
    if place == "fixture":
        origin = kind.fixture(tmp_path / "fixture").origin
    else:
        origin = {"root": data / kind.folder, "split": SHAPES[name]}
    return lambda **options: kind.build(**{**origin, **options})


@pytest.fixture
def benchmark_of(make) -> Benchmark:
    return make()


def perfect(sample: Sample) -> Result:
    """The answer of a model that knows everything."""
    answer = sample.turns[-1].text
    masks = [] if sample.masks is None else list(sample.masks)
    phrases = sample.extra.get("phrases", [""] * len(masks))
    segments = [Segment(p, None, mask, np.ones(len(mask))) for p, mask in zip(phrases, masks, strict=True)]
    shape = mask_shape(sample) if media_of(sample) is not None else (0, 0, 0)
    return Result(parse_answer(answer).text, answer, segments, shape[1:], shape[0])


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
    assert score.count == len(benchmark_of) > 0
    if not benchmark_of.is_scored:
        assert score.metrics == {}
        assert benchmark_of.submission is not None
        return
    assert set(score.metrics) <= set(benchmark_of.metrics)
    assert next(iter(benchmark_of.metrics)) in score.metrics or score.note
    assert score.metrics == pytest.approx(dict.fromkeys(score.metrics, 100.0))
    for record in score.records:
        assert benchmark_of.sample_score(record.scores) == pytest.approx(100.0)


def test_a_silent_model_reaches_nothing(benchmark_of):
    scores, absent = [], []
    for position in range(len(benchmark_of)):
        sample = benchmark_of.sample(position)
        if not sample.extra.get("no_target"):
            scores.append(benchmark_of.score(empty_result(sample), sample))
            frames = sample.extra.get("scored_frames", slice(None))
            absent.append(0.0 if sample.masks is None else 1 - sample.masks.any(axis=(0, 2, 3))[frames].mean())
    # In a frame that the target has left, J and F are 1 for an empty mask.
    summary = {key: value for key, value in benchmark_of.summarise(scores).items() if key not in KIND_TO_SILENCE}
    groups: dict[str, list[float]] = {}
    for one, share in zip(scores, absent, strict=True):
        groups.setdefault(one["kind"] if benchmark_of.switches.values.get("average") == "kinds" else "", []).append(
            share
        )
    expected = 100 * np.mean([np.mean(group) for group in groups.values()])
    assert summary == pytest.approx(dict.fromkeys(summary, expected))


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
        assert (request.media is None) == (media_of(benchmark_of.sample(position)) is None)
        assert request.answer is None


def test_reading_twice_gives_the_same_sample(benchmark_of):
    last = len(benchmark_of) - 1
    one, other = benchmark_of.sample(last), benchmark_of.sample(last)
    assert (one.id, one.turns) == (other.id, other.turns)
    assert (one.masks is None) == (other.masks is None)
    if one.masks is not None:
        np.testing.assert_array_equal(one.masks, other.masks)


def test_the_protocol_is_one_line_and_says_how_many(benchmark_of, make):
    assert "\n" not in benchmark_of.protocol
    assert f"all {len(benchmark_of)} samples" in benchmark_of.protocol
    if len(benchmark_of) > 1:
        assert f"1 of {len(benchmark_of)} samples, evenly spaced" in make(limit=1).protocol


def test_it_can_be_built_again_from_its_origin(benchmark_of, make, name):
    limited = make(limit=max(len(benchmark_of) - 1, 1))
    again = BENCHMARKS[name].build(**json.loads(json.dumps(limited.origin)))
    assert [again.sample(n).id for n in range(len(again))] == [limited.sample(n).id for n in range(len(limited))]


def test_every_preset_says_every_switch(make, name):
    for preset, protocol in BENCHMARKS[name].presets.items():
        benchmark = make(protocol=preset)
        assert protocol.name == preset
        assert all(value in SWITCHES[switch] for switch, value in protocol.values.items())
        assert set(protocol.values) == set(BENCHMARKS[name].presets["strict"].values)
        if preset == "strict":
            assert benchmark.label == f"{name}:{benchmark.split}"
            assert "preset" not in benchmark.protocol
            continue
        assert benchmark.label == f"{name}:{benchmark.split}@{preset}"
        for switch, value in {**protocol.values, **protocol.session}.items():
            assert f"{switch}={value}" in benchmark.protocol
        assert protocol.source in benchmark.protocol
        for position in range(len(benchmark)):
            request = benchmark.request(benchmark.sample(position))
            assert (request.answer is not None) == (protocol.values.get("answer") == "forced")
            assert "{}" not in request.turns[0].text


def test_every_switch_can_be_set_alone(make, name):
    for switch in set(BENCHMARKS[name].presets["strict"].values) - {"wording"}:
        for value in SWITCHES[switch]:
            benchmark = make(switches={switch: value})
            changed = "" if BENCHMARKS[name].presets["strict"][switch] == value else f"@strict,{switch}={value}"
            assert benchmark.label == f"{name}:{benchmark.split}{changed}"
            assert bool(changed) == (f"{switch}={value}" in benchmark.protocol)
            sample = benchmark.sample(0)
            assert benchmark.score(perfect(sample), sample)
            again = BENCHMARKS[name].build(**json.loads(json.dumps(benchmark.origin)))
            assert again.protocol == benchmark.protocol


def test_bad_input_is_said_in_a_sentence(make, tmp_path, name):
    kind = BENCHMARKS[name]
    with pytest.raises(UserError, match=f"has no split 'nonsense'; it has {kind.splits[0]}"):
        make(split="nonsense")
    with pytest.raises(UserError, match="is not a folder; give the data's place with --data-root"):
        make(root=tmp_path / "nowhere")
    with pytest.raises(UserError, match="limit must be 1 or more, got 0"):
        make(limit=0)
    with pytest.raises(UserError, match="unknown setting 'picturs'"):
        make(picturs="images")
    with pytest.raises(UserError, match="must hold {} as often as"):
        make(prompt="{} and {}")
    with pytest.raises(UserError, match="no protocol 'lissa' is published for it"):
        make(protocol="lissa")
    with pytest.raises(UserError, match="no switch is called 'text'; it has"):
        make(switches={"text": "first"})


def test_it_is_found_by_name(name, place):
    kind = BENCHMARKS[name]
    assert find_benchmark(f"{name}:{kind.splits[0]}") == (kind, kind.splits[0])
    with pytest.raises(UserError, match=rf"names no split; write {name.replace('+', '.')}:{kind.splits[0]}"):
        find_benchmark(name)
    with pytest.raises(UserError, match="no benchmark is called"):
        find_benchmark(name + "x:val")
