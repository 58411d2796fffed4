"""Fixture: objects 1 (red, 10 × 10) and 2 (blue, 20 × 12, from frame 2 on), four expressions each; a void row."""

import json
import pickle
import shutil

import numpy as np
import pytest

from word2mask.data.sources.ref_davis import RefDAVIS
from word2mask.errors import UserError
from word2mask.ops.masks import encode_rle


def test_a_video_is_a_record(tmp_path):
    source = RefDAVIS.fixture(tmp_path / "davis17")
    assert source.name == "davis17" and len(source) == 2
    texts = set()
    for seed in range(20):
        sample = source.read(0, np.random.default_rng(seed))
        questions = [turn.text for turn in sample.turns[::2]]
        assert len(questions) == 5 and sample.masks.shape == (5, 5, 32, 48)
        texts.update(questions)
        # Void belongs to no object.
        assert sample.void.shape == (5, 32, 48) and sample.void[:, 31].all() and sample.void.sum() == 5 * 48
        assert not (sample.masks & sample.void).any()
    assert len(texts) > 8
    assert source.read(1, np.random.default_rng(0)).void is None


def test_what_the_official_protocol_needs(tmp_path):
    source = RefDAVIS.fixture(tmp_path, per_expression=True)
    assert len(source) == 12
    samples = [source.read(index) for index in range(12)]
    extras = [sample.extra for sample in samples]
    assert [extra["annotator"] for extra in extras] == [0, 1, 2, 3] * 3
    assert [extra["object_id"] for extra in extras] == [1] * 4 + [2] * 4 + [1] * 4
    assert [extra["object_ids"] for extra in extras] == [[1, 2]] * 8 + [[1]] * 4
    assert {extra["video_id"] for extra in extras[:8]} == {"bike-packing"}
    assert samples[5].extra["expression"] == "a blue box that comes later"
    assert samples[5].masks.sum(axis=(0, 2, 3)).tolist() == [0, 0, 240, 240, 240, 240]
    assert samples[5].void.shape == (6, 32, 48) and samples[8].void is None
    # The objects of an annotator share no pixel, so that they merge into one picture of indices.
    assert not (samples[1].masks & samples[5].masks).any()


def test_the_pickle_of_the_package(tmp_path):
    source = RefDAVIS.fixture(tmp_path, per_expression=True)
    masks = [source.read(index).masks for index in range(12)]
    shutil.rmtree(tmp_path / "valid" / "Annotations")
    tracks = {str(number): [encode_rle(mask) for mask in masks[number][0]] for number in range(12)}
    (tmp_path / "valid" / "mask_dict.pkl").write_bytes(pickle.dumps(tracks))
    packed = RefDAVIS(tmp_path, per_expression=True)
    for index in range(12):
        assert np.array_equal(packed.read(index).masks, masks[index]) and packed.read(index).void is None


def test_wrong_input_is_refused_in_one_sentence(tmp_path):
    RefDAVIS.fixture(tmp_path / "davis17")
    with pytest.raises(UserError, match="davis17: no records of split 'train' in .*; it has valid"):
        RefDAVIS(tmp_path / "davis17", "train")
    file = tmp_path / "davis17" / "meta_expressions" / "valid" / "meta_expressions.json"
    meta = json.loads(file.read_text())
    del meta["videos"]["blackswan"]["expressions"]["3"]
    file.write_text(json.dumps(meta))
    with pytest.raises(
        UserError, match=r"^davis17\[blackswan/0\]: object 1 has 3 expressions in .*of the 4 annotators"
    ):
        RefDAVIS(tmp_path / "davis17", per_expression=True).read(8)
    (tmp_path / "davis17" / "valid" / "Annotations" / "bike-packing" / "00001.png").unlink()
    with pytest.raises(UserError, match=r"^davis17\[bike-packing/0\]: .*00001.png: no such mask"):
        RefDAVIS(tmp_path / "davis17", per_expression=True).read(0)
