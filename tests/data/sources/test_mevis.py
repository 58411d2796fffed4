"""Fixture: red is 10 × 10 and moves by 4 pixels a frame from x = 2; blue is 20 × 12, absent from frames 0 and 1."""

import json

import numpy as np
import pytest

from word2mask.data.sources.mevis import MeViS
from word2mask.errors import UserError
from word2mask.text.special_tokens import SEG


def test_a_video_is_a_record(tmp_path):
    source = MeViS.fixture(tmp_path / "mevis")
    assert len(source) == 2 and source.name == "mevis"
    for seed in range(10):
        sample = source.read(0, np.random.default_rng(seed))
        indices = sample.media.frame_indices
        assert sample.media.kind == "video" and len(indices) == 5 and list(indices) == sorted(set(indices))
        assert sample.media.frames.shape == (5, 32, 48, 3) and sample.masks.shape == (2, 5, 32, 48)
        assert [turn.text.count(SEG) for turn in sample.turns] == [0, 1, 0, 1]
        for question, masks in zip(sample.turns[::2], sample.masks, strict=True):
            for t, mask in zip(indices, masks, strict=True):
                both = "both boxes" in question.text and t >= 2
                # Red starts at row 4, blue at row 18, so they never overlap.
                assert mask.sum() == 100 + (240 if both else 0)
                assert mask[4:14, 2 + 4 * t : 12 + 4 * t].all()


def test_a_short_video_gives_the_frames_it_has(tmp_path):
    sample = MeViS.fixture(tmp_path / "m").read(1, np.random.default_rng(0))
    assert sample.media.frame_indices == (0, 1, 2) and sample.masks.shape == (1, 3, 32, 48)


def test_limits_per_sample(tmp_path):
    sample = MeViS.fixture(tmp_path / "m", frames_per_sample=2, expressions_per_sample=1).read(
        0, np.random.default_rng(0)
    )
    assert sample.masks.shape == (1, 2, 32, 48)


def test_an_expression_is_a_record_for_evaluation(tmp_path):
    source = MeViS.fixture(tmp_path / "m", per_expression=True)
    assert len(source) == 3
    sample = source.read(1)
    assert sample.id == "first/1" and sample.media is None and sample.masks.shape == (1, 6, 32, 48)
    assert sample.masks.sum(axis=(0, 2, 3)).tolist() == [100, 100, 340, 340, 340, 340]
    assert len(sample.extra["video"]) == 6 and sample.extra["expression"] == "both boxes"
    assert sample.extra["frame_names"][-1] == "00005" and source.read(1).turns == sample.turns


def test_where_nothing_fits_the_answer_is_in_words(tmp_path):
    MeViS.fixture(tmp_path)
    file = tmp_path / "train" / "meta_expressions.json"
    meta = json.loads(file.read_text())
    meta["videos"]["first"]["expressions"]["1"] = {"exp": "the box that flies", "obj_id": [], "anno_id": []}
    file.write_text(json.dumps(meta))
    sample = MeViS(tmp_path / "train").read(0, np.random.default_rng(0))
    assert sample.masks.shape == (1, 5, 32, 48)
    for question, answer in zip(sample.turns[::2], sample.turns[1::2], strict=True):
        assert (SEG in answer.text) == ("flies" not in question.text) and ("video" in answer.text) != (
            SEG in answer.text
        )
    sample = MeViS(tmp_path / "train", per_expression=True).read(1)
    assert sample.masks is None and sample.extra["no_target"] and SEG not in sample.turns[1].text


def test_wrong_input_is_refused_in_one_sentence(tmp_path):
    source = MeViS.fixture(tmp_path)
    folder = tmp_path / "train"
    (folder / "JPEGImages" / "first" / "00003.jpg").unlink()
    with pytest.raises(UserError, match=r"\[first\]: .*00003.jpg: no such picture"):
        for seed in range(10):
            source.read(0, np.random.default_rng(seed))
    meta = json.loads((folder / "meta_expressions.json").read_text())
    meta["videos"]["second"]["expressions"]["0"]["anno_id"] = [9]
    (folder / "meta_expressions.json").write_text(json.dumps(meta))
    with pytest.raises(UserError, match=r"\[second\]: no object 9 in .*mask_dict.json"):
        MeViS(folder).read(1, np.random.default_rng(0))
    meta["videos"]["second"]["frames"] = []
    (folder / "meta_expressions.json").write_text(json.dumps(meta))
    with pytest.raises(UserError, match=r"\[second\]: a video with no frames"):
        MeViS(folder)
    (folder / "meta_expressions.json").write_text('{"videos": {}}')
    with pytest.raises(UserError, match="no expression in it"):
        MeViS(folder)
    (folder / "meta_expressions.json").write_text("[]")
    with pytest.raises(UserError, match="expected a JSON object, got an array; this is a file of another format"):
        MeViS(folder)
    (folder / "mask_dict.json").write_text('{"0": [')
    with pytest.raises(UserError, match="mask_dict.json: not JSON, or cut short"):
        MeViS(folder)
    with pytest.raises(UserError, match="no such folder; expected a folder of frames"):
        MeViS(tmp_path / "valid")


def test_valid_and_test_have_no_masks(tmp_path):
    for split, file in (("valid", "meta_expressions.json"), ("test", "meta_expressions_release.json")):
        source = MeViS.fixture(tmp_path, split=split, per_expression=True)
        (tmp_path / split / "meta_expressions.json").rename(tmp_path / split / file)
        source = MeViS(tmp_path / split, per_expression=True)
        sample = source.read(0)
        assert not source.is_labelled and len(source) == 3
        assert sample.masks is None and len(sample.turns) == 1 and "no_target" not in sample.extra
        assert sample.extra["frame_names"] == [f"{t:05d}" for t in range(6)]
        with pytest.raises(UserError, match="aren't published; train on another split"):
            MeViS(tmp_path / split)


def test_a_split_with_masks_needs_them(tmp_path):
    MeViS.fixture(tmp_path)
    (tmp_path / "train/mask_dict.json").unlink()
    with pytest.raises(UserError, match="mask_dict.json"):
        MeViS(tmp_path / "train", per_expression=True)
