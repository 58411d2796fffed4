"""What a question asks the mask of."""

from __future__ import annotations

import numpy as np
import pytest

from word2mask.text.expressions import expression_of, names_of, says_nothing_is_there
from word2mask.text.questions import (
    REGION_QUESTIONS,
    SEGMENTATION_QUESTIONS,
    no_target_answer,
    segmentation_answer,
    sentence_question,
)


@pytest.mark.parametrize("template", SEGMENTATION_QUESTIONS)
@pytest.mark.parametrize("medium", ["picture", "video"])
@pytest.mark.parametrize("expression", ["the red circle", "the star in the middle", "红色的圆"])
def test_every_wording_of_training_gives_its_expression_back(template, medium, expression):
    assert expression_of(template.format(expression, medium=medium)) == expression


@pytest.mark.parametrize(
    ("question", "expression"),
    [
        ("Please segment the red circle.", "the red circle"),
        ("segment the dog", "the dog"),
        ("Can you please segment the dog in the image?", "the dog"),
        ("Find the man behind the car in this photo", "the man behind the car"),
        ("Show me the mask of the dog.", "the dog"),
        ("Could you give me the segmentation masks for the two dogs in the picture?", "the two dogs"),
        ("Where are the cats?", "the cats"),
        (
            "What is the food with the most vitamin C in this image? Please respond with segmentation mask.",
            "the food with the most vitamin C",
        ),
        ("Identify the dog, and segment it.", "the dog"),
        ("请分割红色的圆。", "红色的圆"),
        ("帮我找出图中穿红衣服的女人", "穿红衣服的女人"),
        ("狗在哪里?", "狗"),
        ("What rolls behind the square?", "What rolls behind the square?"),
        ("How many stars are there?", "How many stars are there?"),
        ("the red circle", "the red circle"),
        ("What is region1?", "region1"),
        ("what's in Region2", "region2"),
        ("What are region1 and region2?", "region1, region2"),
        ("Segment region1.", "region1"),
        ("What is region1? Please answer with a mask.", "region1"),
        ("region1是什么?", "region1"),
        ("What is left of region1?", "What is left of region1?"),
        ("Is region1 above region2?", "Is region1 above region2?"),
    ],
)
def test_as_people_ask(question, expression):
    assert expression_of(question) == expression


@pytest.mark.parametrize("template", REGION_QUESTIONS)
def test_what_a_region_is_asks_for_the_region(template):
    assert expression_of(template.format("region3")) == "region3"


@pytest.mark.parametrize(
    ("question", "count", "names"),
    [
        ("What is region1?", 1, ["region1"]),
        ("Segment region2 and region1 in this picture.", 2, ["region2", "region1"]),
        ("Segment region1, region2 and region3.", 3, ["region1", "region2", "region3"]),
        # More or fewer than were asked for: which is which, nobody said.
        ("Segment region1 and region2.", 3, ["region1 and region2"] * 3),
        ("Segment what lies on region1.", 1, ["what lies on region1"]),
        ("Please segment the cats.", 2, ["the cats", "the cats"]),
        ("What is region1?", 0, []),
    ],
)
def test_masks_without_words_are_called_what_was_asked_for(question, count, names):
    assert list(names_of(question, count)) == names


def test_a_question_that_is_the_expression_stays_without_what_asks_for_the_mask():
    for explained in (False, True):
        asked = sentence_question("Which of them would roll away?", np.random.default_rng(0), explained)
        assert expression_of(asked) == "Which of them would roll away?"


def test_answers_that_say_in_words_that_nothing_is_there():
    rng = np.random.default_rng(0)
    for _ in range(40):
        assert says_nothing_is_there(no_target_answer("the red dog", rng, "video"))
        assert says_nothing_is_there(no_target_answer("Which would roll?", rng))
        assert not says_nothing_is_there(segmentation_answer(2, rng).replace("[SEG]", ""))
