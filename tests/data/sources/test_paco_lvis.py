"""Fixture: two trash cans, 256 and 400 pixels, one with a lid of 64; a computer mouse of 32 × 32 with a wheel of 64.

The masks of LISA's own loader (3cb2d43), run on the fixture, are these; where a class has several annotations it gives
one of them, and these are all of them together.
"""

import json

import numpy as np
import pytest

from word2mask.data.sources.paco_lvis import PACOLVIS
from word2mask.data.sources.part_pictures import clean_name
from word2mask.errors import UserError
from word2mask.text.special_tokens import SEG


def test_a_class_is_all_of_its_annotations(tmp_path):
    source = PACOLVIS.fixture(tmp_path, per_expression=True)
    records = [source.read(index) for index in range(len(source))]
    found = {(sample.id, sample.extra["kind"]): int(sample.masks.sum()) for sample in records}
    assert found == {
        ("30/trash can", "object"): 656,
        ("30/trash can:lid", "part"): 64,
        ("34/mouse", "object"): 1024,
        ("34/mouse:scroll wheel", "part"): 64,
    }
    assert records[0].extra["expression"] == "the trash can" and records[0].void is None


def test_a_part_is_asked_for_in_two_ways(tmp_path):
    source = PACOLVIS.fixture(tmp_path)
    text = " ".join(turn.text for seed in range(20) for turn in source.read(0, np.random.default_rng(seed)).turns)
    assert "the trash can lid" in text and "the lid of the trash can" in text


def test_negatives_are_what_the_file_says_is_absent(tmp_path):
    source = PACOLVIS.fixture(tmp_path, negatives=1.0)
    for seed in range(20):
        # One is absent, and isn't asked for twice.
        sample = source.read(0, np.random.default_rng(seed))
        asked = [
            (turn.text, SEG in answer.text) for turn, answer in zip(sample.turns[::2], sample.turns[1::2], strict=True)
        ]
        assert "the mouse" in asked[0][0] and not asked[0][1] and "trash can" in asked[1][0] and asked[1][1]
        assert sample.masks.shape[0] == 1
        sample = source.read(1, np.random.default_rng(seed))
        assert sample.masks is None and len(sample.turns) == 4
        assert all("trash can" in turn.text and "mouse" not in turn.text for turn in sample.turns[::2])
    file = tmp_path / "vlpart" / "paco" / "annotations" / "paco_lvis_v1_train.json"
    content = json.loads(file.read_text())
    for image in content["images"]:
        del image["neg_category_ids"]
    file.write_text(json.dumps(content))
    sample = PACOLVIS(file, tmp_path / "coco", negatives=1.0).read(0, np.random.default_rng(0))
    assert sample.masks.shape == (2, 1, 48, 64)


def test_names_lose_their_qualifiers():
    assert clean_name("car_(automobile):steering_wheel") == "car:steering wheel"
    assert clean_name("Television_set") == "television set"
    with pytest.raises(ValueError, match="expected a category 'object' or 'object:part', got 'a:b:c'"):
        clean_name("a:b:c")


def test_wrong_input_is_refused_in_one_sentence(tmp_path):
    PACOLVIS.fixture(tmp_path)
    file = tmp_path / "vlpart" / "paco" / "annotations" / "paco_lvis_v1_train.json"
    content = json.loads(file.read_text())

    def reread(**changes):
        file.write_text(json.dumps(content | changes))
        return PACOLVIS(file, tmp_path / "coco")

    with pytest.raises(UserError, match=r"paco_lvis\[annotation 0\]: .* no category 1 in it"):
        reread(categories=[])
    with pytest.raises(UserError, match="nothing is annotated in it"):
        reread(annotations=[])
    with pytest.raises(UserError, match=r"paco_lvis\[category 1\]: .* has no 'name'"):
        reread(categories=[{"id": 1}])
    with pytest.raises(UserError, match=r"paco_lvis\[30\]: no picture 30 in"):
        reread(images=[]).read(0, np.random.default_rng(0))
    smaller = [image | {"height": 40} for image in content["images"]]
    with pytest.raises(UserError, match=r"paco_lvis\[30\]: .*a mask of \[48, 64\] for a picture of \[40, 64\]"):
        reread(images=smaller).read(0, np.random.default_rng(0))
    with pytest.raises(UserError, match="no such folder; expected the pictures of paco_lvis_v1_train.json"):
        PACOLVIS(file, tmp_path / "nowhere")
