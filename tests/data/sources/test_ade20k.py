"""Fixture: red (4,6)-(20,22), 256 pixels, is a box and blue (30,10)-(50,30), 400, a sofa, on a wall or on nothing.

LISA's own loader (``utils/sem_seg_dataset.py`` of dvlab-research/LISA, 3cb2d43), run on the fixture, gives the same
masks and marks the same pixels as void.
"""

import re

import numpy as np
import pytest
from PIL import Image

from word2mask.data.sources.ade20k import ADE20K, CLASS_NAMES
from word2mask.errors import UserError
from word2mask.text.special_tokens import SEG

SIZES = {"box": 256, "sofa": 400, "wall": 48 * 64 - 256 - 400}


def asked(sample):
    """class → pixels of its mask, by what the questions name; ``None`` where the answer is none."""
    found, masks = {}, iter(sample.masks if sample.masks is not None else ())
    for question, answer in zip(sample.turns[::2], sample.turns[1::2], strict=True):
        said = [name for name in CLASS_NAMES.values() if re.search(rf"\bthe {name}\b", question.text)]
        name = max(said, key=len)
        found[name] = int(next(masks).sum()) if SEG in answer.text else None
    return found


def test_the_names_are_those_of_the_challenge():
    assert len(CLASS_NAMES) == len(set(CLASS_NAMES.values())) == 150
    assert [CLASS_NAMES[index] for index in (1, 2, 13, 45, 90, 150)] == [
        *("wall", "building", "person", "chest of drawers", "television", "flag")
    ]


def test_a_class_is_all_of_its_pixels(tmp_path):
    source = ADE20K.fixture(tmp_path / "ade20k")
    assert source.name == "ade20k"
    sample = source.read(0, np.random.default_rng(0))
    assert asked(sample) == SIZES and sample.void is None and sample.task == "semantic"
    assert sample.masks[:, 0].sum(axis=0).max() == 1
    box = sample.masks[list(asked(sample)).index("box"), 0]
    assert box[6:22, 4:20].all()


def test_what_has_no_class_is_void(tmp_path):
    sample = ADE20K.fixture(tmp_path / "ade20k").read(1, np.random.default_rng(0))
    assert asked(sample) == {"box": 256, "sofa": 400}
    assert sample.void.shape == (1, 48, 64) and sample.void.sum() == SIZES["wall"]
    assert not (sample.void & sample.masks.any(axis=0)).any()


def test_classes_are_drawn_none_twice(tmp_path):
    source = ADE20K.fixture(tmp_path / "ade20k", classes_per_sample=2)
    drawn = [tuple(asked(source.read(0, np.random.default_rng(seed)))) for seed in range(40)]
    assert all(len(names) == 2 for names in drawn) and {name for names in drawn for name in names} == set(SIZES)


def test_negatives_ask_for_what_is_not_there(tmp_path):
    source = ADE20K.fixture(tmp_path / "ade20k", negatives=0.5)
    answers = [pair for seed in range(60) for pair in asked(source.read(0, np.random.default_rng(seed))).items()]
    none = [name for name, pixels in answers if pixels is None]
    assert not set(none) & set(SIZES) and len(set(none)) > 20
    assert all(pixels == SIZES[name] for name, pixels in answers if pixels is not None)
    # 180 questions: half of them, give or take 3.5 standard deviations.
    assert abs(len(none) - 90) < 24
    only = ADE20K(tmp_path / "ade20k", negatives=1.0).read(1, np.random.default_rng(0))
    assert only.masks is None and SEG not in "".join(turn.text for turn in only.turns)


def test_a_class_is_a_record_for_evaluation(tmp_path):
    source = ADE20K.fixture(tmp_path / "ade20k", per_expression=True, split="validation")
    records = [source.read(index) for index in range(len(source))]
    assert [sample.id.split("/")[1] for sample in records] == ["wall", "sofa", "box", "sofa", "box"]
    assert records[1].extra == {"expression": "the sofa", "kind": "", "class_name": "sofa"}
    assert records[1].masks.shape == (1, 1, 48, 64) and records[1].masks.sum() == 400


def label(tmp_path, number, array):
    file = tmp_path / "ade20k" / "annotations" / "training" / f"ADE_train_{number:08d}.png"
    Image.fromarray(array).save(file)
    return file


def test_a_picture_without_a_class_gives_way_to_another(tmp_path):
    source = ADE20K.fixture(tmp_path / "ade20k")
    label(tmp_path, 1, np.zeros((48, 64), np.uint8))
    ids = {source.read(0, np.random.default_rng(seed)).id for seed in range(5)}
    assert ids == {"ADE_train_00000002 for ADE_train_00000001"}
    label(tmp_path, 2, np.zeros((48, 64), np.uint8))
    with pytest.raises(UserError, match=r"ade20k\[ADE_train_00000001\]: no class is labelled in it, nor in 99 others"):
        source.read(0, np.random.default_rng(0))


def test_wrong_input_is_refused_in_one_sentence(tmp_path):
    source = ADE20K.fixture(tmp_path / "ade20k")
    file = label(tmp_path, 1, np.full((48, 64), 200, np.uint8))
    with pytest.raises(UserError, match=r"\[ADE_train_00000001\]: .* index 200, which ADE20K gives no class"):
        source.read(0, np.random.default_rng(0))
    label(tmp_path, 1, np.zeros((10, 64), np.uint8))
    with pytest.raises(UserError, match=r"\[ADE_train_00000001\]: .*a mask of \[10, 64\] for .*\[48, 64\]"):
        source.read(0, np.random.default_rng(0))
    label(tmp_path, 1, np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(UserError, match="a picture of mode RGB; expected an indexed one"):
        source.read(0, np.random.default_rng(0))
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(UserError, match="damaged or cut short"):
        source.read(0, np.random.default_rng(0))
    with pytest.raises(UserError, match="no such folder; expected the label pictures of ADE20K there"):
        ADE20K(tmp_path / "ade20k", split="test")
    with pytest.raises(UserError, match="negatives is a share of the questions, got 1.5"):
        ADE20K(tmp_path / "ade20k", negatives=1.5)
    with pytest.raises(UserError, match="classes_per_sample is 0"):
        ADE20K(tmp_path / "ade20k", classes_per_sample=0)
    for path in file.parent.glob("*.png"):
        path.unlink()
    with pytest.raises(UserError, match="no .png in it; expected the label pictures of ADE20K there"):
        ADE20K(tmp_path / "ade20k")
