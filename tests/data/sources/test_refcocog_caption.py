"""Fixture: red of 256 pixels, blue of 400; green, 32 × 32, drawn by two polygons that overlap."""

import json

import numpy as np
import pytest

from word2mask.data.sources.refcocog_caption import RefCOCOgCaption
from word2mask.errors import UserError


def rewrite(folder, change):
    file = folder / "RefCOCOg_GCG_train.json"
    records = json.loads(file.read_text())
    change(records)
    file.write_text(json.dumps(records))
    return RefCOCOgCaption(file, folder / "coco2014" / "train2014")


def test_sentences_are_found_in_the_caption_whatever_their_case(tmp_path):
    sample = RefCOCOgCaption.fixture(tmp_path).read(0, np.random.default_rng(0))
    assert sample.turns[1].text == "<p> A red box </p> [SEG] is left of <p> the blue box </p> [SEG]."
    assert sample.masks.sum(axis=(1, 2, 3)).tolist() == [256, 400] and sample.id == "1"


def test_polygons_that_overlap_count_once(tmp_path):
    sample = RefCOCOgCaption.fixture(tmp_path).read(1, np.random.default_rng(0))
    assert sample.turns[1].text == "<p> One green box </p> [SEG] stands alone."
    assert sample.masks.dtype == bool and sample.masks.sum() == 32 * 32


def test_parts_of_words_and_sentences_of_one_phrase(tmp_path):
    RefCOCOgCaption.fixture(tmp_path)

    def change(records):
        entry = records[0]["1"]
        entry["caption"] = "The redbox is one of two boxes, the other box is blue."
        blue, red, _ = entry["refs"]
        entry["refs"] = [red | {"sentence": "box"}, blue | {"sentence": "box"}, red | {"sentence": "red"}]

    sample = rewrite(tmp_path, change).read(0, np.random.default_rng(0))
    assert sample.turns[1].text == "The redbox is one of two boxes, the other <p> box </p> [SEG] is blue."
    assert sample.masks.sum(axis=(1, 2, 3)).tolist() == [656]


def test_a_record_that_names_no_object_is_left_out(tmp_path):
    RefCOCOgCaption.fixture(tmp_path)
    source = rewrite(tmp_path, lambda records: records[0]["1"].update(caption="Nothing of note."))
    assert len(source) == 1 and source.read(0, np.random.default_rng(0)).id == "2"


def test_wrong_input_is_refused_in_one_sentence(tmp_path):
    RefCOCOgCaption.fixture(tmp_path)
    far = [200, 8, 230, 8, 230, 40]
    source = rewrite(tmp_path, lambda records: records[0]["1"]["refs"][0].update(segmentation=[far]))
    expected = r"RefCOCOg_GCG_train\[1\]: the record in .*json is malformed: an outline reaches to \[200.0, 8.0\]"
    with pytest.raises(UserError, match=expected):
        source.read(0, np.random.default_rng(0))
    source = rewrite(tmp_path, lambda records: records[1]["2"].pop("refs"))
    with pytest.raises(UserError, match=r"\[2\]: the record in .* has no 'refs'"):
        source.read(1, np.random.default_rng(0))
    (tmp_path / "RefCOCOg_GCG_train.json").write_text('[{"1": {')
    with pytest.raises(UserError, match=r"RefCOCOg_GCG_train.json: not JSON, or cut short"):
        RefCOCOgCaption(tmp_path / "RefCOCOg_GCG_train.json", tmp_path / "coco2014")
