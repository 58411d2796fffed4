"""Conversations for pretraining: what is asked, and how often."""

from __future__ import annotations

import re

import numpy as np

from word2mask.data.shapes_world.base_talk import BaseMix, compose
from word2mask.data.shapes_world.scene import sample_scene

_NEARNESS = re.compile(r"\b(closest|nearest|next) to\b")


def _questions(mix: BaseMix, scenes: int = 60) -> tuple[list[str], int]:
    """Questions about pictures, and how many of their answers name an object that is related to another."""
    questions, related = [], 0
    for seed in range(scenes):
        rng = np.random.default_rng(seed)
        turns, marks = compose(sample_scene(rng, "image", "train"), rng, mix)
        questions += [question for question, _ in turns]
        related += sum(mark.anchor is not None for mark in marks)
    return questions, related


def test_nearness_is_asked_as_often_as_its_weight_says():
    only_relations = dict(chat=0, reason=0, kind_weights=(("relation", 1e9),))
    shares = []
    for weight in (0.0, 1.0, 1e6):
        questions, related = _questions(BaseMix(**only_relations, nearness_weight=weight))
        assert related == len(questions) > 100  # each asks for one object, in its relation to another
        shares.append(sum(bool(_NEARNESS.search(question)) for question in questions) / related)
    assert shares[0] == 0
    assert 0.1 < shares[1] < 0.6
    assert shares[2] > 0.9


def test_a_corner_is_no_object():
    """Nearness to a corner of the picture is a position; the weight leaves it as it is."""
    only_positions = dict(chat=0, reason=0, kind_weights=(("position", 1e9),))
    few, _ = _questions(BaseMix(**only_positions, nearness_weight=0.0))
    assert any("corner" in question for question in few)
