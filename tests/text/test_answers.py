"""Raw answer → text and phrases."""

from __future__ import annotations

import pytest

from word2mask.text.answers import Grounding, parse_answer


@pytest.mark.parametrize(
    ("raw", "text", "groundings"),
    [
        ("It is [SEG].", "It is.", [Grounding("", None)]),
        ("Sure, [SEG], [SEG].", "Sure.", [Grounding("", None)] * 2),
        ("There is no heart.", "There is no heart.", []),
        ("<p> A red circle </p> [SEG] here.", "A red circle here.", [Grounding("A red circle", (0, 12))]),
        (
            "I see <p>two stars</p>[SEG][SEG] and <p>a ring</p> [SEG].",
            "I see two stars and a ring.",
            [Grounding("two stars", (6, 15)), Grounding("two stars", (6, 15)), Grounding("a ring", (20, 26))],
        ),
        ("[SEG]", "", [Grounding("", None)]),
        ("[SEG].", "", [Grounding("", None)]),
        ("[SEG], [SEG].", "", [Grounding("", None)] * 2),
        ("<p>!</p> [SEG].", "!.", [Grounding("!", (0, 1))]),
        ("...", "...", []),
        ("</p> a [SEG] <p>b", "a b", [Grounding("", None)]),
    ],
)
def test_parse(raw, text, groundings):
    parsed = parse_answer(raw)
    assert parsed.text == text
    assert list(parsed.groundings) == groundings
    for grounding in parsed.groundings:
        if grounding.span:
            assert parsed.text[slice(*grounding.span)] == grounding.phrase
