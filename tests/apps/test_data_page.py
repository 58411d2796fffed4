"""The page of a survey: what its charts and cards say."""

from __future__ import annotations

import re

import numpy as np

from word2mask.apps.report.data_cards import area_chart, length_chart, pair_card, record_card
from word2mask.apps.report.data_page import anchor, build_page
from word2mask.apps.report.data_tables import percent, scope
from word2mask.data.checking.findings import finding
from word2mask.data.checking.records import Part
from word2mask.data.checking.survey import PartSurvey, Survey
from word2mask.data.sources.refcoco import RefCOCO
from word2mask.text.special_tokens import SEG
from word2mask.types import Media, Sample, Turn


def sample(questions: int = 2, words: str = "it is", masks: np.ndarray | None = None) -> Sample:
    turns = [
        Turn(role, f"{words} {SEG}" if role == "assistant" else words) for role in ("user", "assistant") * questions
    ]
    return Sample("s", "<7>", "refer", tuple(turns), Media("image", np.zeros((1, 4, 6, 3), np.uint8)), masks)


def test_masks_are_numbered_through_a_conversation() -> None:
    html = record_card(sample(7), "not <good>")
    assert re.findall(r'class="seg"[^>]*>(\d+)<', html) == ["1", "2", "3", "4", "5"]
    assert "and 2 more" in html and "&lt;7&gt;" in html and "not &lt;good&gt;" in html and "\0" not in html
    assert len(re.findall("x", record_card(sample(1, "x" * 1000)))) < 700


def test_masks_of_another_size_are_not_drawn() -> None:
    """The picture is shown all the same: it is what the finding is about."""
    for masks in (np.ones((2, 1, 9, 9), bool), np.ones((2, 3), bool)):
        assert record_card(sample(masks=masks)).count("data:image/jpeg") == 1
    assert pair_card(sample(), sample(), ("a", "b"), "why").count("data:image/jpeg") == 2


def test_charts() -> None:
    assert length_chart([], 5) == area_chart([]) == area_chart([0.0]) == ""
    chart = length_chart([10] * 3 + [64], 80)
    heights = [float(height) for height in re.findall(r'height="([\d.]+)" rx', chart)]
    # 32 bars up to 80: 10 falls into the fifth, 64 into the 26th; a third of the height for a third of the records.
    assert heights == [56.0, 18.7] and re.findall(r'rect x="(\d+)"', chart) == ["41", "251"]
    assert 'line x1="320.0"' in chart and "longest 64 · max_length 80" in chart
    assert "<line" not in length_chart([10], 80)
    assert "half cover more than 10.0%" in area_chart([0.1, 0.1, 0.5, 0.0, 0.00001])


def test_words() -> None:
    assert [percent(share) for share in (0, 0.0001, 0.001, 0.5)] == ["0.0%", "< 0.1%", "0.1%", "50.0%"]
    assert scope(Survey([], [], [], limit=1000, passes=2)) == (
        "at most 1,000 records of each source, evenly spaced, training records 2 times"
    )
    assert anchor("train (LLaVA) 2") == "source-train-llava-2"


def test_a_record_that_fails_is_left_out_of_the_pictures(tmp_path) -> None:
    class Failing(RefCOCO):
        def read(self, index, rng=None):
            if index == 1:
                raise ZeroDivisionError
            return super().read(index, rng)

    RefCOCO.fixture(tmp_path)
    one = finding("x", None, 1, "defect", "ZeroDivisionError: ")
    survey = Survey([PartSurvey("x", "training", 2, 1, 1, (), (0.1,), {"error": 1})], [one], [])
    page = build_page(survey, [Part("x", "training", 0, Failing(tmp_path))], "c.py")
    assert "1 error" in page and page.count('<article class="card">') == 1
