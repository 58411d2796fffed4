"""Fixture: red of 256 pixels, blue of 400, green of 1024; a nested phrase, and one with two masks."""

import json

import numpy as np
import pytest

from word2mask.data.sources.grounded_caption import GroundedCaption
from word2mask.errors import UserError
from word2mask.ops.masks import encode_rle
from word2mask.text.answers import parse_answer


def test_phrases_in_the_order_of_the_caption(tmp_path):
    sample = GroundedCaption.fixture(tmp_path).read(0, np.random.default_rng(0))
    assert sample.turns[1].text == "<p> A red box </p> [SEG] is left of <p> a blue box </p> [SEG]."
    assert sample.masks.shape == (2, 1, 48, 64) and sample.masks.sum(axis=(1, 2, 3)).tolist() == [256, 400]


def test_a_phrase_of_several_masks_has_one_token(tmp_path):
    sample = GroundedCaption.fixture(tmp_path).read(1, np.random.default_rng(0))
    assert sample.turns[1].text == "<p> Two halves </p> [SEG] of a box."
    assert sample.masks.sum(axis=(1, 2, 3)).tolist() == [1024]


def test_evaluation_knows_phrases_and_caption(tmp_path):
    sample = GroundedCaption.fixture(tmp_path, per_expression=True).read(0)
    assert sample.extra["phrases"] == ["A red box", "a blue box"] and sample.extra["file_name"] == "one.jpg"
    assert [one.phrase for one in parse_answer(sample.turns[1].text).groundings] == sample.extra["phrases"]


def test_wrong_input_is_refused_in_one_sentence(tmp_path):
    GroundedCaption.fixture(tmp_path)
    file = tmp_path / "captions.json"
    records = json.loads(file.read_text())
    records[0]["groundings"]["box"]["token_positives"] = [28, 99]
    records[1]["groundings"]["Two halves"]["rle_masks"][0]["size"] = [48, 65]
    file.write_text(json.dumps(records))
    source = GroundedCaption(file, tmp_path / "images")
    with pytest.raises(UserError, match=r"captions\[0\]: .*phrase 'box' at \[28, 99\] of a caption of 32"):
        source.read(0, np.random.default_rng(0))
    with pytest.raises(UserError, match=r"captions\[1\]: .*run lengths"):
        source.read(1, np.random.default_rng(0))


def rewrite(folder, change):
    file = folder / "captions.json"
    records = json.loads(file.read_text())
    change(records)
    file.write_text(json.dumps(records))
    return GroundedCaption(file, folder / "images")


def test_quotation_marks_around_a_caption_dont_count(tmp_path):
    GroundedCaption.fixture(tmp_path)
    source = rewrite(tmp_path, lambda records: records[0].update(caption='"A red box is left of a blue box."'))
    text = source.read(0, np.random.default_rng(0)).turns[1].text
    assert text == "<p> A red box </p> [SEG] is left of <p> a blue box </p> [SEG]."


def test_phrases_without_a_mask_stay_as_words(tmp_path):
    GroundedCaption.fixture(tmp_path)

    def change(records):
        records[0]["groundings"]["A red box"]["rle_masks"] = []
        records[1]["groundings"] = {}

    source = rewrite(tmp_path, change)
    assert len(source) == 1
    sample = source.read(0, np.random.default_rng(0))
    assert sample.turns[1].text == "A red box is left of <p> a blue box </p> [SEG]." and len(sample.masks) == 1
    empty = encode_rle(np.zeros((48, 64), dtype=bool))
    source = rewrite(tmp_path, lambda records: records[0]["groundings"]["a blue box"].update(rle_masks=[empty]))
    # "box", which lies within it, isn't asked either: what overlaps is one phrase.
    with pytest.raises(UserError, match=r"captions\[0\]: .*the masks of all its phrases are empty"):
        source.read(0, np.random.default_rng(0))
