"""Presets and switches: the words asked, the samples chosen, the pixels that count."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from word2mask.errors import UserError
from word2mask.evaluation.interface import mask_shape
from word2mask.evaluation.mevis import MeViS
from word2mask.evaluation.protocols import LISA_IMAGE, SA2VA_VIDEO, UNIPIXEL_IMAGE, UNIPIXEL_REVOS
from word2mask.evaluation.reason_seg import ReasonSeg
from word2mask.evaluation.ref_davis import RefDAVIS
from word2mask.evaluation.refcoco import RefCOCO
from word2mask.evaluation.runner import evaluate
from word2mask.types import Result, Segment


@pytest.mark.parametrize(
    ("words", "expression", "is_sentence", "question"),
    [
        # LISA's ValDataset: a phrase within a question, a sentence followed by a request.
        (LISA_IMAGE, "the red box", False, "What is the red box in this image? Please output segmentation mask."),
        (LISA_IMAGE, "What rolls?", True, "What rolls? Please output segmentation mask."),
        # UniPixel's EvalDataset: full stops and the article go, the first letter is made small.
        (UNIPIXEL_IMAGE, "The red box.", False, "Please segment the red box in this image."),
        (UNIPIXEL_IMAGE, "Another box", False, "Please segment the another box in this image."),
        (UNIPIXEL_IMAGE, "What rolls?", True, "What rolls? Please provide the segmentation mask."),
        (UNIPIXEL_REVOS, "What rolls?", None, "What rolls? Please provide the segmentation mask."),
        # Sa2VA's RefVOSDataset: a question mark anywhere makes it a question; nothing else is changed.
        (SA2VA_VIDEO, "Who runs? The dog.", None, "Who runs? The dog. Please respond with a segmentation mask."),
        (SA2VA_VIDEO, "The dog.", None, "Please segment The dog.."),
    ],
)
def test_published_wordings(words, expression, is_sentence, question):
    assert words.ask(expression, is_sentence) == question


def asked(benchmark) -> list[str]:
    return [benchmark.question(benchmark.sample(position)) for position in range(len(benchmark))]


def test_texts_of_refcoco(tmp_path):
    RefCOCO.fixture(tmp_path)

    def build(**switches):
        return RefCOCO.build(tmp_path, "val", switches=switches)

    words = ["the red box", "red thing on the left", "blue box", "green box"]
    assert asked(build()) == [f"Please segment {text} in this picture." for text in words]
    assert asked(build(texts="first")) == [f"Please segment {words[n]} in this picture." for n in (0, 2, 3)]
    assert asked(build(texts="merged"))[0] == "Please segment the red box; red thing on the left in this picture."
    assert "all 3 samples" in build(texts="merged").protocol
    assert "2 of 3 samples" in RefCOCO.build(tmp_path, "val", limit=2, switches={"texts": "first"}).protocol


def test_texts_of_reason_seg(tmp_path):
    ReasonSeg.fixture(tmp_path)
    lisa = ReasonSeg.build(tmp_path, "val", protocol="lisa")
    assert asked(lisa) == [
        "Which box would you open first, reading from the left? Please output segmentation mask.",
        "What is red box in this image? Please output segmentation mask.",
    ]
    assert [lisa.request(lisa.sample(n)).answer for n in range(2)] == ["[SEG].", "[SEG]."]
    assert 'the answer "[SEG]." is given to the model (teacher-forced)' in lisa.protocol
    assert lisa.label == "reason_seg:val@lisa"


class Everything:
    """Answers with two segments: the picture's left half, and all of it."""

    def __init__(self, benchmark):
        self.shape = mask_shape(benchmark.sample(0))

    def batch(self, requests):
        left, whole = np.zeros(self.shape, bool), np.ones(self.shape, bool)
        left[..., : self.shape[2] // 2] = True
        segments = [Segment("", None, mask, np.ones(self.shape[0], np.float32)) for mask in (left, whole)]
        return [Result("", "", segments, self.shape[1:], self.shape[0]) for _ in requests]


@pytest.mark.parametrize(
    ("switches", "union"),
    [
        # 48 × 64 pixels, of which a box of 20 × 20 is ignored, in the right half but for its first two columns.
        ({}, 48 * 64 - 20 * 20),
        ({"ignored": "background"}, 48 * 64),
        ({"segments": "first", "ignored": "background"}, 48 * 32),
        ({"segments": "first"}, 48 * 32 - 2 * 20),
    ],
)
def test_ignored_pixels_and_segments(tmp_path, switches, union):
    ReasonSeg.fixture(tmp_path)
    benchmark = ReasonSeg.build(tmp_path, "val", switches=switches)
    (result,) = Everything(benchmark).batch([None])
    scores = benchmark.score(result, benchmark.sample(0))
    # The target is a box of 16 × 16 in the left half.
    assert (scores["intersection"], scores["union"]) == (256, union)


def test_first_segment_of_a_video(tmp_path):
    MeViS.fixture(tmp_path)
    # The left half of 32 × 48 pixels, then everything; the target, 10 × 10, is in the left half in the first frames.
    alone, both = (MeViS.build(tmp_path, "valid_u", switches={"segments": which}) for which in ("first", "all"))
    (result,) = Everything(alone).batch([None])
    frames = slice(0, 3)
    sample = alone.sample(0)
    short = dataclasses.replace(
        result, segments=[dataclasses.replace(one, masks=one.masks[frames]) for one in result.segments]
    )
    sample = dataclasses.replace(sample, masks=sample.masks[:, frames])
    assert alone.score(short, sample)["j"] == pytest.approx(100 / (32 * 24))
    assert both.score(short, sample)["j"] == pytest.approx(100 / (32 * 48))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"protocol": "sa2va"},
            "reason_seg:val: no protocol 'sa2va' is published for it; there are strict, lisa, unip",
        ),
        ({"protocol": "unipixl"}, "did you mean unipixel?"),
        ({"switches": {"texts": "some"}}, "reason_seg:val: texts is all or first or merged, got 'some'"),
        ({"switches": {"average": "kinds"}}, "no switch is called 'average'; it has answer, texts, segments, ignored"),
        ({"switches": {"wording": "lisa"}}, "no switch is called 'wording'"),
        ({"protocol": "lisa", "prompt": "Mark {}."}, "a prompt of your own isn't lisa's; leave one out"),
    ],
)
def test_what_a_benchmark_does_not_take(tmp_path, options, message):
    ReasonSeg.fixture(tmp_path)
    with pytest.raises(UserError) as error:
        ReasonSeg.build(tmp_path, "val", **options)
    assert message in str(error.value)


def test_a_changed_preset_has_a_label_of_its_own(tmp_path):
    ReasonSeg.fixture(tmp_path)
    benchmark = ReasonSeg.build(tmp_path, "val", protocol="lisa", switches={"answer": "generated", "texts": "first"})
    assert benchmark.label == "reason_seg:val@lisa,answer=generated"
    assert benchmark.title == "Reasoning (lisa,answer=generated)"
    assert ReasonSeg.build(tmp_path, "val").title == "Reasoning"
    assert "teacher-forced" not in benchmark.protocol
    assert benchmark.request(benchmark.sample(0)).answer is None


def test_records_of_another_protocol_are_refused(tmp_path):
    RefDAVIS.fixture(tmp_path / "data")

    def run(protocol):
        benchmark = RefDAVIS.build(tmp_path / "data", "valid", limit=1, protocol=protocol)
        return evaluate(benchmark, Everything(benchmark), tmp_path / "records", {})

    run("sa2va")
    with pytest.raises(UserError, match="records of another run"):
        run("unipixel")
