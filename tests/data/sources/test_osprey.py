"""Fixture: regions red of 256 pixels and blue of 400; a conversation, and a description for each region."""

import json

import numpy as np
import pytest

from word2mask.data.sources.osprey import Osprey
from word2mask.errors import UserError


def test_a_conversation_about_regions(tmp_path):
    sample = Osprey.fixture(tmp_path).read(0, np.random.default_rng(0))
    assert [turn.text for turn in sample.turns] == ["What colour is region2?", "region2 is blue."]
    assert sample.regions.shape == (2, 48, 64) and sample.regions.sum(axis=(1, 2)).tolist() == [256, 400]
    assert sample.masks is None


def test_a_description_for_each_region(tmp_path):
    sample = Osprey.fixture(tmp_path).read(1, np.random.default_rng(0))
    assert [turn.text for turn in sample.turns[1::2]] == ["A red box.", "A blue box."]
    assert "region1" in sample.turns[0].text and "region2" in sample.turns[2].text


def test_a_question_is_a_record_for_evaluation(tmp_path):
    source = Osprey.fixture(tmp_path, per_expression=True)
    assert len(source) == 3
    sample = source.read(2)
    assert sample.extra["answer"] == "A blue box." and sample.regions.shape[0] == 2 and len(sample.turns) == 2


def test_wrong_input_is_refused_in_one_sentence(tmp_path):
    Osprey.fixture(tmp_path)
    file = tmp_path / "regions.json"
    records = json.loads(file.read_text())
    records[0]["annotation"] = []
    records[1]["description"] += ["A third."]
    file.write_text(json.dumps(records))
    source = Osprey(file, tmp_path / "images")
    with pytest.raises(UserError, match=r"regions\[0\]: .*no region in 'annotation'"):
        source.read(0, np.random.default_rng(0))
    with pytest.raises(UserError, match=r"regions\[1\]: .*3 descriptions for 2 regions"):
        source.read(1, np.random.default_rng(0))


def test_pictures_of_several_folders(tmp_path):
    Osprey.fixture(tmp_path)
    file = tmp_path / "regions.json"
    records = json.loads(file.read_text())
    records[1]["file_name"] = "COCO_train2014_two.jpg"
    file.write_text(json.dumps(records))
    (tmp_path / "train2017").mkdir()
    (tmp_path / "train2017" / "two.jpg").write_bytes((tmp_path / "images" / "one.jpg").read_bytes())
    source = Osprey(file, [tmp_path / "train2017", tmp_path / "images"])
    places = [source.read(index, np.random.default_rng(0)).media.name for index in range(2)]
    assert places == [str(tmp_path / "images" / "one.jpg"), str(tmp_path / "train2017" / "two.jpg")]
    (tmp_path / "train2017" / "two.jpg").unlink()
    with pytest.raises(UserError, match=r"regions\[1\]: COCO_train2014_two.jpg lies in none of .*train2017, .*images"):
        source.read(1, np.random.default_rng(0))


def test_short_answers_are_asked_for(tmp_path):
    source = Osprey.fixture(tmp_path, short_answers=True, per_expression=True)
    sample = source.read(0)
    expected = "What colour is region2? Answer the question using a single word or phrase."
    assert sample.turns[0].text == sample.extra["expression"] == expected
    assert sample.turns[1].text == "region2 is blue."


def test_an_empty_conversation_is_left_out(tmp_path):
    Osprey.fixture(tmp_path)
    file = tmp_path / "regions.json"
    records = json.loads(file.read_text())
    records[0]["conversations"] = []
    file.write_text(json.dumps(records))
    source = Osprey(file, tmp_path / "images")
    assert len(source) == 1 and source.read(0, np.random.default_rng(0)).id == "1"


def test_no_angle_bracket_stays(tmp_path):
    Osprey.fixture(tmp_path)
    file = tmp_path / "regions.json"
    records = json.loads(file.read_text())
    records[0]["conversations"][1]["value"] = "<region1, region2> are <p>boxes</p>."
    file.write_text(json.dumps(records))
    sample = Osprey(file, tmp_path / "images").read(0, np.random.default_rng(0))
    assert sample.turns[1].text == "region1, region2 are pboxes/p."


def test_every_file_of_the_published_set(tmp_path):
    Osprey.fixture(tmp_path)
    common = {"file_name": "one.jpg", "height": 48, "width": 64}
    region = {"segmentation": {"size": [48, 64], "counts": [0, 48, 3024]}, "bbox": [0, 0, 1, 48], "area": 48}

    def read(record, **options):
        (tmp_path / "file.json").write_text(json.dumps([common | {"annotation": [region, region]} | record]))
        return Osprey(tmp_path / "file.json", tmp_path / "images", **options).read(0, np.random.default_rng(0))

    def talk(*texts):
        return {"conversations": [{"from": ("human", "gpt")[i % 2], "value": text} for i, text in enumerate(texts)]}

    # osprey_conversation, osprey_part_level
    sample = read(talk("What is <region1>?", "<region1> is red.", "And <region2>?", "Blue."))
    assert [turn.text for turn in sample.turns] == ["What is region1?", "region1 is red.", "And region2?", "Blue."]
    assert sample.regions.sum(axis=(1, 2)).tolist() == [48, 48] and sample.masks is None
    # osprey_short_form
    sample = read(talk("What colour is <region1>?", "Red."), short_answers=True)
    assert sample.turns[0].text == "What colour is region1? Answer the question using a single word or phrase."
    # osprey_lvis_positive_negative
    sample = read(talk("Is the object <region2> a ball?", "No, it is a box."))
    assert sample.turns[0].text == "Is the object region2 a ball?"
    # osprey_detail_description: one text a region, each with its mark
    for key in ("description", "descriptions"):
        sample = read({key: ["<region1>: A red box: it is small.", "<region2>: A blue box."]})
        assert [turn.text for turn in sample.turns[1::2]] == ["A red box: it is small.", "A blue box."]


def test_a_question_without_an_answer_alone_is_left_out(tmp_path):
    Osprey.fixture(tmp_path)
    file = tmp_path / "regions.json"
    records = json.loads(file.read_text())
    records[0]["conversations"] = records[0]["conversations"][:1]
    file.write_text(json.dumps(records))
    assert len(Osprey(file, tmp_path / "images")) == 1
