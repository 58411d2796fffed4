"""Captions of pictures and regions: what is scored, and what is said where METEOR can't run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from word2mask.evaluation.gcg import GCG
from word2mask.evaluation.region_caption import RegionCaption, published_words
from word2mask.evaluation.runner import evaluate
from word2mask.metrics.captions import missing_for_captions
from word2mask.types import Result, Segment

needs_java = pytest.mark.skipif(missing_for_captions() is not None, reason=missing_for_captions() or "")


class Says:
    """Gives its texts one after the other, with masks of its own."""

    def __init__(self, *answers: tuple[str, list[Segment]]):
        self.answers, self.asked = answers, []

    def batch(self, requests):
        first = len(self.asked)
        self.asked += requests
        return [
            Result(text, text, segments, (48, 64), 1) for text, segments in self.answers[first : first + len(requests)]
        ]


def segment(phrase: str, box: tuple[int, int, int, int]) -> Segment:
    mask = np.zeros((1, 48, 64), bool)
    mask[:, box[1] : box[3], box[0] : box[2]] = True
    return Segment(phrase, None, mask, np.ones(1, np.float32))


RED, BLUE, GREEN = (4, 6, 20, 22), (30, 10, 50, 30), (8, 8, 40, 40)


def gcg(tmp_path: Path, **options) -> tuple[GCG, Says]:
    benchmark = GCG.fixture(tmp_path / "data", **options)
    # Blue has the better mask and the wrong name; red is exact to half of its rows.
    red = (4, 6, 20, 15)
    one = ("A red box is left of a cube.", [segment("a cube", BLUE), segment("A red box", red)])
    return benchmark, Says(one, ("Something green stands alone.", [segment("a box", GREEN)]))


def test_gcg_recall_until_failure(tmp_path, monkeypatch):
    monkeypatch.setattr("word2mask.evaluation.captions.missing_for_captions", lambda: "no Java")
    benchmark, says = gcg(tmp_path)
    strict = evaluate(benchmark, says, tmp_path / "a", {})
    # Three objects: green, and red (IoU 9/16); blue is called otherwise.
    assert strict.metrics["recall"] == pytest.approx(100 * 2 / 3)
    assert strict.metrics["miou"] == pytest.approx(100 * ((1 + 9 / 16) / 2 + 1) / 2)
    assert strict.metrics["ap50"] == pytest.approx(100)
    assert "meteor" not in strict.metrics
    assert strict.note == "no Java"
    published = GCG.build(**benchmark.origin, protocol="sa2va")
    # GLaMM's loop ends at blue, the best pair, before it comes to red.
    found = evaluate(published, Says(*says.answers), tmp_path / "b", {})
    assert found.metrics["recall"] == pytest.approx(100 / 3)
    assert "best IoU first until phrases differ" in published.protocol
    assert "interleaved     segmentation masks" in published.request(published.sample(0)).turns[0].text


@needs_java
def test_gcg_captions_are_scored_at_the_end(tmp_path):
    benchmark = GCG.fixture(tmp_path / "data")
    perfect = Says(("A red box is left of a blue box.", []), ("Something green stands alone.", []))
    found = evaluate(benchmark, perfect, tmp_path / "records", {})
    assert found.note == ""
    assert list(found.metrics) == list(benchmark.metrics)
    # pycocoevalcap's METEOR of equal sentences is 1, and CIDEr of sentences with nothing in common but themselves 10.
    assert found.metrics["meteor"] == pytest.approx(100)
    assert found.metrics["cider"] == pytest.approx(1000)


def test_region_captions(tmp_path, monkeypatch):
    monkeypatch.setattr("word2mask.evaluation.captions.missing_for_captions", lambda: "no Java")
    benchmark = RegionCaption.fixture(tmp_path / "data")
    says = Says(("A red thing on the left.", []), ("a box", []), ("grass", []))
    found = evaluate(benchmark, says, tmp_path / "records", {})
    # red thing on left / red thing on left; box / blue box; nothing in common.
    assert found.metrics == {"words": pytest.approx(100 * (1 + 2 / 3 + 0) / 3)}
    assert found.note == "no Java"
    assert found.records[0].scores["references"] == ["the red box", "red thing on the left"]
    assert [record.id for record in found.records] == ["data[1]", "data[2]", "data[3]"]
    # Each object once, its mask as the region.
    assert [request.regions.shape for request in says.asked] == [(1, 48, 64)] * 3
    assert [int(request.regions.sum()) for request in says.asked] == [256, 400, 1024]
    assert benchmark.sample_score(found.records[1].scores) == pytest.approx(100 * 2 / 3)


#: What ``region_cap_refcocog_eval.py`` of magic-research/Sa2VA (d01bf3f) makes of answers; its lines were run on them.
PUBLISHED_WORDS = {
    "The region marked by region1 shows a red dish.<|im_end|>": "a red dh.",
    "Region1: 'this is <p> the fish </p> [SEG]'": "th the fh",
    "<s> is  shows:\nboth\n lines": "both lines",
    "The region marked as region1 is the man's hat'": "the man's hat",
    "": "",
}


def test_published_words_of_region_captions():
    assert {answer: published_words(answer) for answer in PUBLISHED_WORDS} == PUBLISHED_WORDS


def test_region_captions_as_published(tmp_path, monkeypatch):
    """A sentence is a sample and its own reference, asked in Sa2VA's words; "is" and "shows" are cut out."""
    monkeypatch.setattr("word2mask.evaluation.captions.missing_for_captions", lambda: "no Java")
    strict = RegionCaption.fixture(tmp_path / "data")
    benchmark = RegionCaption.build(**{**strict.origin, "protocol": "sa2va"})
    assert benchmark.label == "region_caption:val@sa2va"
    says = Says(
        ("Region1 shows a red box", []), ("Region1 shows a red box", []), ("This is blue", []), ("green box", [])
    )
    found = evaluate(benchmark, says, tmp_path / "records", {})
    assert [record.id for record in found.records] == ["data[1/0]", "data[1/1]", "data[2/0]", "data[3/0]"]
    assert [record.scores["references"] for record in found.records] == [
        *(["the red box"], ["red thing on the left"], ["blue box"], ["green box"])
    ]
    assert [record.scores["answer"] for record in found.records] == ["a red box", "a red box", "Th blue", "green box"]
    # Words without articles: red box / red box; red box / red thing on left; th blue / blue box; green box / green box.
    assert found.metrics == {"words": pytest.approx(100 * (1 + 2 / 6 + 2 / 4 + 1) / 4)}
    question = "Please give me a short description of the region in the picture marked by region1."
    assert {request.turns[0].text for request in says.asked} == {question}
    assert [int(request.regions.sum()) for request in says.asked] == [256, 256, 400, 1024]
    assert "references=one, cleaning=published" in benchmark.protocol
    own = RegionCaption.build(**{**strict.origin, "switches": {"references": "one"}})
    assert len(own) == 4 and own.score(Result("It is.", "It is.", [], (48, 64), 1), own.sample(0))["answer"] == "It is."


@needs_java
def test_cleaned_region_captions_are_what_is_scored(tmp_path):
    strict = RegionCaption.fixture(tmp_path / "data")
    references = ["the red box", "red thing on the left", "blue box", "green box"]
    says = Says(*((f"Region1 shows {words}", []) for words in references))
    published = RegionCaption.build(**{**strict.origin, "protocol": "sa2va"})
    found = evaluate(published, says, tmp_path / "published", {})
    assert found.metrics["meteor"] == pytest.approx(100)
    kept = RegionCaption.build(**{**strict.origin, "protocol": "sa2va", "switches": {"cleaning": "none"}})
    assert evaluate(kept, Says(*says.answers), tmp_path / "kept", {}).metrics["meteor"] < 90
