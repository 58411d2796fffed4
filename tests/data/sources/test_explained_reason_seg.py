"""Fixture: ReasonSeg's; ``one.jpg`` has two texts and reasons, ``two.jpg`` one text and none.

LISA's own loader (``utils/reason_seg_dataset.py`` of dvlab-research/LISA, 3cb2d43), run on the fixture, gives the same
masks, as many rounds, and answers of the same three kinds.
"""

import json
from collections import Counter

import numpy as np
import pytest

from word2mask.data.sources.explained_reason_seg import ExplainedReasonSeg
from word2mask.errors import UserError
from word2mask.text.questions import EXPLANATION_SUFFIXES
from word2mask.text.special_tokens import SEG

REASONS = "Red is a warm colour, and one box is red."


def kind_of(sample):
    kinds = {(SEG in turn.text, REASONS in turn.text) for turn in sample.turns[1::2]}
    assert len(kinds) == 1
    return kinds.pop()


def test_all_texts_of_a_picture_share_its_mask(tmp_path):
    source = ExplainedReasonSeg.fixture(tmp_path / "ReasonSeg", explanations=None)
    sample = source.read(0, np.random.default_rng(0))
    assert sample.masks.shape == (2, 1, 48, 64) and sample.masks.sum(axis=(1, 2, 3)).tolist() == [256, 256]
    assert sample.void.sum() == 400 and kind_of(sample) == (True, False)
    asked = " ".join(turn.text for turn in sample.turns[::2])
    assert "What is warm?" in asked and "Which box would you open first" in asked
    one = ExplainedReasonSeg(tmp_path / "ReasonSeg", texts_per_sample=1)
    assert {len(one.read(0, np.random.default_rng(seed)).turns) for seed in range(5)} == {2}


def test_reasons_come_alone_with_the_mask_or_not_at_all(tmp_path):
    source = ExplainedReasonSeg.fixture(tmp_path / "ReasonSeg", explanatory=0.2)
    kinds = Counter()
    for seed in range(200):
        sample = source.read(0, np.random.default_rng(seed))
        kind = kind_of(sample)
        kinds[kind] += 1
        assert (sample.masks is None) == (sample.void is None) == (kind == (False, True))
        explained = [any(turn.text.endswith(suffix) for suffix in EXPLANATION_SUFFIXES) for turn in sample.turns[::2]]
        assert all(explained) if kind == (True, True) else not any(explained)
        if kind == (False, True):
            assert {turn.text for turn in sample.turns[::2]} <= {
                *("What is warm?", "Which box would you open first, reading from the left?")
            }
    # Of 200: 40 in words alone, and 80 each of the others, give or take four standard deviations.
    assert abs(kinds[False, True] - 40) < 23 and abs(kinds[True, True] - 80) < 28 and abs(kinds[True, False] - 80) < 28


def test_a_picture_without_reasons_is_asked_for_its_mask(tmp_path):
    source = ExplainedReasonSeg.fixture(tmp_path / "ReasonSeg", explanatory=1.0)
    assert {kind_of(source.read(1, np.random.default_rng(seed))) for seed in range(10)} == {(True, False)}
    assert kind_of(source.read(0, np.random.default_rng(0))) == (False, True)


def test_a_sentence_is_kept_whole(tmp_path):
    source = ExplainedReasonSeg.fixture(tmp_path / "ReasonSeg", explanations=None)
    file = tmp_path / "ReasonSeg" / "train" / "two.json"
    content = json.loads(file.read_text()) | {"text": ["One of them is open."], "is_sentence": True}
    file.write_text(json.dumps(content))
    for seed in range(5):
        assert source.read(1, np.random.default_rng(seed)).turns[0].text.startswith("One of them is open. ")


def test_wrong_input_is_refused_in_one_sentence(tmp_path):
    folder = tmp_path / "ReasonSeg"
    ExplainedReasonSeg.fixture(folder)
    with pytest.raises(UserError, match="explanatory is a chance, got -1"):
        ExplainedReasonSeg(folder, explanatory=-1)
    with pytest.raises(UserError, match="texts_per_sample is 0"):
        ExplainedReasonSeg(folder, texts_per_sample=0)
    with pytest.raises(UserError, match="train.json: no such annotation file"):
        ExplainedReasonSeg(folder, explanations=tmp_path / "train.json")
    (tmp_path / "train.json").write_text('[{"image": "one.jpg"}]')
    with pytest.raises(UserError, match=r"ReasonSeg\[explanation 0\]: .* has no 'outputs'"):
        ExplainedReasonSeg(folder, explanations=tmp_path / "train.json")
