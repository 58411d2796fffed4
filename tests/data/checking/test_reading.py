"""All records, in one process or several."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from word2mask.data.checking.reading import check_records
from word2mask.data.checking.records import Part
from word2mask.data.sources.mevis import MeViS
from word2mask.data.sources.refcoco import RefCOCO


@pytest.fixture
def parts(tmp_path: Path) -> list[Part]:
    """Two sources of training and two splits; a picture and a frame are missing."""
    refcoco, mevis = RefCOCO.fixture(tmp_path / "refcoco"), MeViS.fixture(tmp_path / "mevis")
    val = RefCOCO(tmp_path / "refcoco", per_expression=True)
    (tmp_path / "refcoco/coco2014/train2014/two.jpg").unlink()
    (tmp_path / "mevis/train/JPEGImages/second/00001.jpg").unlink()
    videos = MeViS(tmp_path / "mevis/train", per_expression=True)
    named = [("refcoco", "training", refcoco), ("mevis", "training", mevis)]
    named += [("refcoco:val", "evaluation", val), ("mevis:val", "evaluation", videos)]
    return [Part(label, role, number, source) for number, (label, role, source) in enumerate(named)]


def test_several_processes_find_what_one_does(parts: list[Part]) -> None:
    # OpenCV has threads when the processes are forked.
    cv2.GaussianBlur(np.zeros((1000, 1000, 3), np.uint8), (0, 0), 5)
    said: list[tuple[int, int]] = []
    one = check_records(parts, passes=2, progress=lambda done, total: said.append((done, total)))
    assert check_records(parts, workers=2, passes=2) == one
    assert len(one) == 2 * 2 + 2 * 2 + 4 + 3 == said[-1][0] == said[-1][1]
    assert [(check.part, check.index, check.passing) for check in one[:4]] == [
        ("refcoco", 0, 0),
        ("refcoco", 1, 0),
        ("refcoco", 0, 1),
        ("refcoco", 1, 1),
    ]
    broken = {(check.part, check.index): check.findings[0].kind for check in one if check.findings}
    assert broken == {
        ("refcoco", 1): "missing_media",
        ("refcoco:val", 3): "missing_media",
        ("mevis", 1): "missing_media",
    }


def test_a_limit_spaces_evenly(parts: list[Part]) -> None:
    checks = check_records(parts[2:], limit=2)
    assert [(check.part, check.index) for check in checks] == [
        ("refcoco:val", 0),
        ("refcoco:val", 2),
        ("mevis:val", 0),
        ("mevis:val", 1),
    ]


class Crashing(RefCOCO):
    """Its second record ends the process, as a decoder's crash does."""

    def read(self, index, rng=None):
        if index == 1:
            os._exit(7)
        return super().read(index, rng)


def test_a_crash_is_found_and_the_others_are_read(tmp_path: Path) -> None:
    RefCOCO.fixture(tmp_path)
    parts = [Part("crashing", "training", 0, Crashing(tmp_path)), Part("sound", "training", 1, RefCOCO(tmp_path))]
    checks = check_records(parts, workers=2)
    assert [check.id for check in checks] == ["1", None, "1", "2"]
    (one,) = checks[1].findings
    assert one.kind == "defect" and "was killed" in one.message
