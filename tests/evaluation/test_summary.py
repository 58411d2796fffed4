"""Fingerprints, targets and the written table."""

from __future__ import annotations

import json

import pytest

from word2mask.errors import UserError
from word2mask.evaluation.summary import (
    fingerprint,
    is_reached,
    limit_of,
    load_results,
    rows,
    to_markdown,
    write_results,
)

RESULTS = {
    "format": 1,
    "model": "toy.py",
    "checkpoint": "iter_7.pth",
    "checkpoint_hash": "0123456789ab",
    "command": "python tools/test.py toy.py",
    "version": "0.1",
    "device": "cpu",
    "batch_size": 16,
    "num_ranks": 2,
    "benchmarks": [
        {
            "label": "refcoco:val",
            "protocol": "how it is asked",
            "names": {"ciou": "cIoU", "giou": "gIoU"},
            "metrics": {"ciou": 84.96, "giou": 12.0},
            "targets": {"ciou": 85, "giou": {"at_most": 40}},
            "kinds": {"place": {"count": 3, "metrics": {"ciou": 50.0}}},
            "count": 12,
            "failures": [{"id": "refcoco[3]", "message": "no picture"}],
            "seconds": 1.25,
        }
    ],
}


def test_row():
    # 84.96 is printed as 85.0 and still is not 85.
    assert rows(RESULTS) == [["refcoco:val", "cIoU 85.0  gIoU 12.0", "cIoU ≥ 85 ✗  gIoU ≤ 40 ✓", "12", "1", "1.2"]]


def test_markdown_says_everything():
    text = to_markdown(RESULTS)
    for words in (
        "| refcoco:val | cIoU 85.0  gIoU 12.0 | cIoU ≥ 85 ✗  gIoU ≤ 40 ✓ | 12 | 1 | 1.2 |",
        "* **refcoco:val**: how it is asked.",
        "| refcoco:val | place | 3 | cIoU 50.0 |",
        "* refcoco:val refcoco[3]: no picture",
        "`iter_7.pth` (0123456789ab)",
        "    python tools/test.py toy.py",
    ):
        assert words in text


def test_markdown_says_switches_notes_and_submissions():
    one = RESULTS["benchmarks"][0] | {
        "preset": "lisa",
        "switches": {"answer": "forced", "texts": "all"},
        "session": {"key_frames": 5},
        "note": "METEOR needs Java",
        "submission": "out/submission.zip",
    }
    text = to_markdown(RESULTS | {"benchmarks": [one]})
    for words in (
        "| refcoco:val | lisa | answer=forced, texts=all | key_frames=5 |",
        "* refcoco:val: METEOR needs Java.",
        "* refcoco:val: submission `out/submission.zip`.",
    ):
        assert words in text
        assert words not in to_markdown(RESULTS)


def test_targets():
    assert limit_of(85) == ("≥", 85.0)
    assert limit_of({"at_most": 40}) == ("≤", 40.0)
    assert is_reached(85, 85.0)
    assert not is_reached(85, 84.999)
    assert is_reached({"at_most": 40}, 40.0)
    assert not is_reached({"at_most": 40}, 40.1)


def test_results_come_back(tmp_path):
    write_results(tmp_path, RESULTS)
    assert load_results(tmp_path) == RESULTS
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.json", "results.md"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "holds no results.json"), ("{", "is not JSON"), (json.dumps({"format": 9}), "evaluate again")],
)
def test_results_that_cannot_be_read(tmp_path, content, message):
    if content is not None:
        (tmp_path / "results.json").write_text(content)
    with pytest.raises(UserError, match=message):
        load_results(tmp_path)


def test_fingerprint_depends_on_the_weights_only(tmp_path):
    one, other = tmp_path / "one.pth", tmp_path / "other.pth"
    one.write_bytes(b"weights")
    other.write_bytes(b"weights")
    assert fingerprint(one) == fingerprint(other)
    other.write_bytes(b"Weights")
    assert fingerprint(one) != fingerprint(other)
    assert len(fingerprint(one)) == 12


def test_fingerprint_of_a_folder(tmp_path):
    with pytest.raises(UserError, match=r"holds no \*.safetensors"):
        fingerprint(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    before = fingerprint(tmp_path)
    (tmp_path / "README.md").write_text("words")
    assert fingerprint(tmp_path) == before
    (tmp_path / "config.json").write_text("{}")
    assert fingerprint(tmp_path) != before
    with pytest.raises(UserError, match="there is no checkpoint"):
        fingerprint(tmp_path / "none.pth")
