"""Fixture: red (4,6)-(20,22) is the target, blue (30,10)-(50,30) is to be ignored; outlines lie on their own pixels."""

import json

import numpy as np
import pytest

from word2mask.data.sources.reason_seg import ReasonSeg
from word2mask.errors import UserError
from word2mask.text.special_tokens import SEG


def test_target_and_void(tmp_path):
    source = ReasonSeg.fixture(tmp_path / "ReasonSeg")
    assert len(source) == 2 and source.name == "ReasonSeg"
    asked = set()
    for seed in range(10):
        sample = source.read(0, np.random.default_rng(seed))
        assert sample.masks.shape == (1, 1, 48, 64) and sample.masks[0, 0, 6:22, 4:20].all()
        assert sample.masks.sum() == 256 and sample.void.shape == (1, 48, 64) and sample.void.sum() == 400
        assert sample.turns[1].text.count(SEG) == 1
        asked.add("warm" in sample.turns[0].text)
    assert asked == {True, False}


def test_a_text_is_a_record_for_evaluation(tmp_path):
    source = ReasonSeg.fixture(tmp_path, per_expression=True)
    assert [source.read(i).extra["expression"] for i in range(3)] == [
        "Which box would you open first, reading from the left?",
        "What is warm?",
        "red box",
    ]
    assert source.read(1).extra["is_sentence"] and source.read(1).extra["kind"] == "sentence"
    assert source.read(2).extra["kind"] == "phrase" and source.read(2).id == "two/0"
    assert source.read(0).turns[0].text.startswith("Which box would you open first, reading from the left? ")


def write_shapes(folder, shapes):
    file = folder / "train" / "two.json"
    file.write_text(json.dumps({"text": ["x"], "is_sentence": False, "shapes": shapes}))
    return ReasonSeg(folder).read(1, np.random.default_rng(0))


def square(label, x, y, side, **more):
    points = [[x, y], [x + side - 1, y], [x + side - 1, y + side - 1], [x, y + side - 1]]
    return {"label": label, "points": points} | more


def test_smaller_shapes_cover_larger_ones(tmp_path):
    ReasonSeg.fixture(tmp_path)
    sample = write_shapes(tmp_path, [square("ignore", 5, 5, 4), square("target", 0, 0, 20)])
    assert sample.masks.sum() == 400 - 16 and sample.void.sum() == 16
    sample = write_shapes(tmp_path, [square("target", 5, 5, 4), square("ignore", 0, 0, 20)])
    assert sample.masks.sum() == 16 and sample.void.sum() == 400 - 16


def test_groups_are_objects_from_left_to_right(tmp_path):
    ReasonSeg.fixture(tmp_path)
    shapes = [
        square("target", 30, 0, 5, group_id=0),
        square("target", 40, 10, 2, group_id=0),
        square("target", 2, 2, 3, group_id=1),
    ]
    sample = write_shapes(tmp_path, shapes)
    assert sample.masks.sum(axis=(1, 2, 3)).tolist() == [9, 29] and sample.turns[1].text.count(SEG) == 2
    assert sample.void is None
    assert write_shapes(tmp_path, [square("target", 0, 0, 5), square("target", 20, 0, 5)]).masks.shape[0] == 1


def test_wrong_input_is_refused_in_one_sentence(tmp_path):
    source = ReasonSeg.fixture(tmp_path)
    with pytest.raises(UserError, match="no records of split 'val' in .*; it has train"):
        ReasonSeg(tmp_path, split="val")
    with pytest.raises(UserError, match="no such folder; expected ReasonSeg's splits"):
        ReasonSeg(tmp_path / "nothing")
    with pytest.raises(UserError, match=r"\[two\]: .* no shape labelled target"):
        write_shapes(tmp_path, [square("ignore", 0, 0, 5)])
    (tmp_path / "train" / "one.json").write_text('{"text": [')
    with pytest.raises(UserError, match=r"\[one\]: .*one.json: not JSON, or cut short"):
        source.read(0, np.random.default_rng(0))
    (tmp_path / "train" / "one.json").unlink()
    with pytest.raises(UserError, match=r"\[one\]: .*one.json: no such annotation file"):
        source.read(0, np.random.default_rng(0))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no .jpg picture"):
        ReasonSeg(tmp_path, split="empty")


def test_windows_text_is_read(tmp_path):
    source = ReasonSeg.fixture(tmp_path)
    file = tmp_path / "train" / "two.json"
    file.write_bytes(file.read_text().replace("red box", "red caf\u00e9").encode("cp1252"))
    assert "red caf\u00e9" in source.read(1, np.random.default_rng(0)).turns[0].text


def test_an_outline_of_another_picture_is_refused(tmp_path):
    ReasonSeg.fixture(tmp_path)
    with pytest.raises(UserError, match=r"\[two\]: the record in .* outline reaches to \[90.0, 0.0\], outside of"):
        write_shapes(tmp_path, [square("target", 90, 0, 10)])


def test_a_lost_picture_is_a_record_that_cant_be_read(tmp_path):
    ReasonSeg.fixture(tmp_path)
    (tmp_path / "train" / "one.jpg").unlink()
    source = ReasonSeg(tmp_path)
    assert len(source) == 2
    with pytest.raises(UserError, match=r"\[one\]: .*one.jpg: no such picture"):
        source.read(0, np.random.default_rng(0))
