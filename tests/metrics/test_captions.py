"""METEOR and CIDEr: as COCOEvalCap has them (see make_metric_reference.py), and what is said where there are none."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

from word2mask.errors import UserError
from word2mask.metrics.captions import caption_scores, missing_for_captions

sys.path.insert(0, str(Path(__file__).parent))
import metric_cases

PREDICTIONS = [prediction for prediction, _ in metric_cases.CAPTIONS]
REFERENCES = [references for _, references in metric_cases.CAPTIONS]


@pytest.mark.reference
@pytest.mark.skipif(missing_for_captions() is not None, reason="needs pycocoevalcap and Java")
def test_equal_to_cocos_evaluation(reference):
    expected = reference["captions"]
    scores = caption_scores(PREDICTIONS, REFERENCES)
    assert (scores.meteor, scores.cider) == pytest.approx((expected["METEOR"], expected["CIDEr"]), abs=1e-9)
    each = [{"METEOR": meteor, "CIDEr": cider} for meteor, cider in zip(scores.meteors, scores.ciders, strict=True)]
    assert [one["METEOR"] for one in each] == pytest.approx([one["METEOR"] for one in expected["each"]], abs=1e-9)
    assert [one["CIDEr"] for one in each] == pytest.approx([one["CIDEr"] for one in expected["each"]], abs=1e-9)
    # An empty caption and one of punctuation say nothing.
    assert scores.meteors[2] == scores.ciders[2] == scores.meteors[6] == 0.0


def test_without_the_package(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        UserError, match=r"need the package pycocoevalcap; install it with pip install -e '\.\[captions"
    ):
        caption_scores(["a"], [["b"]])


def test_without_java(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UserError, match="need Java 8 or later on the PATH"):
        caption_scores(["a"], [["b"]])


@pytest.mark.reference
@pytest.mark.skipif(missing_for_captions() is not None, reason="needs pycocoevalcap and Java")
def test_a_java_that_does_not_work(monkeypatch, tmp_path):
    broken = tmp_path / "java"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(UserError, match="PTB tokenizer returned another number of captions"):
        caption_scores(["a", "b"], [["b"], ["c"]])


def test_wrong_input():
    with pytest.raises(ValueError, match="a caption for each of 2 references, got 1"):
        caption_scores(["a"], [["b"], ["c"]])
    with pytest.raises(ValueError, match="caption 1 has no reference"):
        caption_scores(["a", "b"], [["b"], [" "]])
