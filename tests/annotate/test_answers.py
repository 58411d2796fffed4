"""Reading answers: what counts, and what is said of what doesn't."""

from __future__ import annotations

import pytest

from word2mask.annotate.answers import InvalidAnswer, read_answer


@pytest.mark.parametrize(
    "text",
    [
        '{"description": "Left of a car."}',
        '<think>{"description": "no"} fits not.</think>\n{"description": "Left of a car."}',
        'Sure!\n```json\n{"description": " Left of a car. "}\n```\nAnything else?',
    ],
)
def test_words_around_the_object_do_not_matter(text: str) -> None:
    assert read_answer("scene", text) == {"description": "Left of a car."}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("scene", "Left of a car.", "no JSON object"),
        ("scene", '{"description": "Left', "has no end"),
        ("scene", '{"description": Left}', "isn't JSON"),
        ("scene", '{"description": 3}', r"\$\.description: 3 is not of type 'string'"),
        ("scene", '{"description": "x", "more": 1}', "'more' was unexpected"),
        ("scene", r'{"description": "a\ud83d"}', r"\$\.description: holds half a character"),
        ("scene", '{"description": "  "}', r"\$\.description: is empty"),
        ("video", '{"description": "It runs."}', "'short' is a required property"),
        ("caption_crop", '{"recognisable": true, "caption": ""}', r"\$\.caption: is empty"),
        ("compare", '{"verdict": "maybe", "reason": "", "description": "", "short": ""}', "'maybe' is not one of"),
        ("compare", '{"verdict": "consistent", "reason": "", "description": "x", "short": ""}', r"\$\.short: is empty"),
    ],
)
def test_what_is_wrong_is_said(name: str, text: str, message: str) -> None:
    with pytest.raises(InvalidAnswer, match=message):
        read_answer(name, text)


def test_a_verdict_against_needs_no_description() -> None:
    text = '{"verdict": "inconsistent", "reason": "A dog, a cat.", "description": "", "short": ""}'
    assert read_answer("compare", text)["verdict"] == "inconsistent"
    assert read_answer("caption_crop", '{"recognisable": false, "caption": ""}')["recognisable"] is False
