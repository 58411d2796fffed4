"""Fixture: a car of 256 pixels on a road; 400 pixels unlabelled; in the second picture three rows of sky.

LISA's own loader (3cb2d43), run on the fixture, gives the same masks; it asks for "unlabeled" as well.
"""

import json

import pytest

from word2mask.data.sources.mapillary import Mapillary
from word2mask.errors import UserError


def test_names_come_from_the_file_and_what_is_not_evaluated_is_void(tmp_path):
    source = Mapillary.fixture(tmp_path / "mapillary", per_expression=True)
    assert source.name == "mapillary"
    found = {sample.id: int(sample.masks.sum()) for sample in map(source.read, range(len(source)))}
    assert found == {
        "street_0/road": 48 * 64 - 256 - 400,
        "street_0/car": 256,
        "street_1/road": 45 * 64 - 256 - 400,
        "street_1/car": 256,
        "street_1/sky": 3 * 64,
    }
    void = source.read(0).void
    assert void.sum() == 400 and void[0, 10:30, 30:50].all()


def test_labels_of_one_name_are_one_class(tmp_path):
    Mapillary.fixture(tmp_path / "mapillary")
    file = tmp_path / "mapillary" / "config_v2.0.json"
    content = json.loads(file.read_text())
    content["labels"][2]["readable"] = "Road"
    file.write_text(json.dumps(content))
    source = Mapillary(tmp_path / "mapillary", per_expression=True)
    found = {sample.id: int(sample.masks.sum()) for sample in map(source.read, range(len(source)))}
    assert found["street_1/road"] == 48 * 64 - 256 - 400 and "street_1/sky" not in found


def test_a_damaged_file_is_refused_in_one_sentence(tmp_path):
    Mapillary.fixture(tmp_path / "mapillary")
    file = tmp_path / "mapillary" / "config_v2.0.json"
    file.write_text('{"labels": [{"name": "x"}]}')
    with pytest.raises(UserError, match="expected labels, each with readable and evaluate, but 'readable'"):
        Mapillary(tmp_path / "mapillary")
    file.unlink()
    with pytest.raises(UserError, match="config_v2.0.json: no such annotation file"):
        Mapillary(tmp_path / "mapillary")
