"""Fixture: red (4,6)-(20,22) of 256 pixels, blue (30,10)-(50,30) of 400, green, alone, of 32 × 32."""

import json

import numpy as np
import pytest

from word2mask.data.sources.grefcoco import GRefCOCO
from word2mask.errors import UserError
from word2mask.text.special_tokens import SEG


def test_several_one_and_none_in_one_conversation(tmp_path):
    source = GRefCOCO.fixture(tmp_path / "gref")
    assert len(source) == 2
    for seed in range(10):
        sample = source.read(0, np.random.default_rng(seed))
        expected, areas = [], []
        for question, answer in zip(sample.turns[::2], sample.turns[1::2], strict=True):
            if "both boxes" in question.text:
                # Red stands to the left of blue, though the file lists blue first.
                expected, count = [256, 400], 2
            elif "blue box" in question.text:
                expected, count = [400], 1
            else:
                assert "green box" in question.text and "green box" in answer.text
                expected, count = [], 0
            areas += expected
            assert answer.text.count(SEG) == count
        assert sample.masks.shape == (3, 1, 48, 64) and sample.masks.sum(axis=(1, 2, 3)).tolist() == areas


def test_no_target_alone_has_no_masks(tmp_path):
    source = GRefCOCO.fixture(tmp_path, per_expression=True)
    assert len(source) == 4
    kinds = [source.read(i).extra["kind"] for i in range(4)]
    assert kinds == ["several", "single", "none", "single"]
    sample = source.read(2)
    assert sample.masks is None and sample.extra["no_target"] and sample.extra["ann_ids"] == []
    assert SEG not in sample.turns[1].text
    assert source.read(0).extra["ann_ids"] == [12, 11] and not source.read(0).extra["no_target"]


def test_expressions_per_sample(tmp_path):
    source = GRefCOCO.fixture(tmp_path, expressions_per_sample=2)
    assert len(source.read(0, np.random.default_rng(0)).turns) == 4


def test_wrong_input_is_refused_in_one_sentence(tmp_path):
    source = GRefCOCO.fixture(tmp_path)
    with pytest.raises(UserError, match=r"no records of split 'val' in .*grefs\(unc\)\.json; it has train"):
        GRefCOCO(tmp_path, split="val")
    (tmp_path / "coco2014" / "train2014" / "two.jpg").unlink()
    with pytest.raises(UserError, match=r"\[2\]: .*two.jpg: no such picture"):
        source.read(1, np.random.default_rng(0))
    file = tmp_path / "grefs(unc).json"
    refs = json.loads(file.read_text())
    refs[1]["ann_id"] = [99]
    file.write_text(json.dumps(refs))
    with pytest.raises(UserError, match=r"\[2/0\]: no object 99"):
        GRefCOCO(tmp_path, per_expression=True).read(1)
    del refs[3]["sentences"]
    file.write_text(json.dumps(refs))
    with pytest.raises(UserError, match=r"\[3\]: the record in .* has no 'sentences'"):
        GRefCOCO(tmp_path)
    file.write_text(file.read_text()[:99])
    with pytest.raises(UserError, match="not JSON, or cut short"):
        GRefCOCO(tmp_path)
