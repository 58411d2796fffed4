"""Wording of questions and answers."""

from __future__ import annotations

import numpy as np
import pytest

from word2mask.text.questions import (
    EXPLANATION_SUFFIXES,
    MASK_SUFFIXES,
    grounded_phrase,
    named_class,
    named_part,
    no_target_answer,
    segmentation_answer,
    segmentation_question,
    sentence_question,
    video_segmentation_question,
    wordings,
)


def test_expression_stands_in_the_question():
    rng = np.random.default_rng(0)
    assert all("the red star" in segmentation_question("the red star", rng) for _ in range(30))
    assert any("video" in video_segmentation_question("the red star", rng) for _ in range(30))


def test_a_question_is_kept():
    asked = segmentation_question("What would roll away?", np.random.default_rng(0))
    assert asked.startswith("What would roll away? ")


def test_a_sentence_is_kept_and_its_reasons_are_asked_for():
    rng = np.random.default_rng(0)
    for explained, suffixes in ((False, MASK_SUFFIXES), (True, EXPLANATION_SUFFIXES)):
        asked = {sentence_question(" One is open. ", rng, explained) for _ in range(30)}
        assert asked == {f"One is open. {suffix}" for suffix in suffixes}


def test_classes_and_parts_have_names():
    rng = np.random.default_rng(0)
    assert named_class("chair") == "the chair"
    assert {named_part("cat", "ear", rng) for _ in range(20)} == {"the cat ear", "the ear of the cat"}


@pytest.mark.parametrize("count", [1, 2, 3])
def test_one_seg_per_object(count):
    rng = np.random.default_rng(0)
    assert all(segmentation_answer(count, rng).count("[SEG]") == count for _ in range(20))


def test_no_object_has_no_mask_answer():
    with pytest.raises(ValueError, match="one object at least"):
        segmentation_answer(0, np.random.default_rng(0))


def test_no_target_in_words():
    rng = np.random.default_rng(0)
    said = {no_target_answer("the green heart", rng) for _ in range(40)}
    assert "There is no green heart in the picture." in said
    assert "I can't find the green heart in the picture." in said
    assert not any("[SEG]" in text for text in said)
    asked = {no_target_answer("Which of them would roll away?", rng, medium="video") for _ in range(40)}
    assert len(asked) == 3 and "There is no such thing in the video." in asked
    assert not any("roll" in text for text in asked)


def test_grounded_phrase():
    assert grounded_phrase("a red star") == "<p> a red star </p> [SEG]"


def test_every_wording_is_whole():
    assert all("{" not in text for text in wordings())
