"""Fixture: red of 256 pixels and blue of 400 in a picture of 25, green of 1024 in 1012; test splits that overlap."""

import json
import pickle

import numpy as np
import pytest

from word2mask.data.sources.refclef import RefCLEF
from word2mask.errors import UserError


def test_lists_of_run_lengths_and_folders_within_the_pictures(tmp_path):
    source = RefCLEF.fixture(tmp_path)
    assert len(source) == 2 and source.name == "refclef"
    sample = source.read(0, np.random.default_rng(0))
    assert sample.media.name.endswith("images/saiapr_tc-12/00/images/25.jpg")
    assert sorted(sample.masks.sum(axis=(1, 2, 3)).tolist()) == [256, 400]


def test_parts_of_a_segment_that_overlap_count_once(tmp_path):
    source = RefCLEF.fixture(tmp_path)
    file = tmp_path / "refclef" / "instances.json"
    content = json.loads(file.read_text())
    content["annotations"][2]["segmentation"] *= 2
    file.write_text(json.dumps(content))
    masks = RefCLEF(tmp_path / "refclef").read(1, np.random.default_rng(0)).masks
    assert masks.dtype == bool and masks.sum() == source.read(1, np.random.default_rng(0)).masks.sum() == 32 * 32


@pytest.mark.parametrize(
    ("split", "asked"),
    [
        ("testA", ["left box"]),
        ("testB", ["left box"]),
        ("testC", ["the box"]),
        ("testAB", ["left box"]),
        ("test", ["left box", "the box"]),
    ],
)
def test_splits_as_refer_counts_them(tmp_path, split, asked):
    source = RefCLEF.fixture(tmp_path, split=split, per_expression=True)
    assert [source.read(index).extra["expression"] for index in range(len(source))] == asked


def test_berkeleys_splits(tmp_path):
    RefCLEF.fixture(tmp_path)
    folder = tmp_path / "refclef"
    refs = pickle.loads((folder / "refs(unc).p").read_bytes())
    (folder / "refs(berkeley).p").write_bytes(pickle.dumps([refs[2] | {"split": "test"}]))
    source = RefCLEF(folder, split="test", split_by="berkeley", per_expression=True)
    assert len(source) == 1 and source.read(0).extra["ann_id"] == 3


def test_wrong_input_is_refused_in_one_sentence(tmp_path):
    RefCLEF.fixture(tmp_path)
    folder = tmp_path / "refclef"
    with pytest.raises(UserError, match=r"refclef: no records of split 'val' in .*; it has testAB, testC, train"):
        RefCLEF(folder, split="val")
    file = folder / "instances.json"
    content = json.loads(file.read_text())
    content["annotations"][2]["segmentation"][0]["size"] = [64, 48]
    file.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"refclef\[1012\]: the record in .* a mask of \[64, 48\] for a picture of"):
        RefCLEF(folder).read(1, np.random.default_rng(0))
    (tmp_path / "images" / "saiapr_tc-12").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="no such folder; expected the pictures of SAIAPR TC-12"):
        RefCLEF(folder)
    assert len(RefCLEF(folder, image_folder=tmp_path / "elsewhere")) == 2
