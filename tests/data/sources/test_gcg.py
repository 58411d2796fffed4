"""Fixture: a red box of 16 × 16 and a blue one of 20 × 20; a green one of 32 × 32 whose label isn't in its caption."""

import json

import numpy as np
import pytest

from word2mask.data.sources.gcg import GCG
from word2mask.errors import UserError
from word2mask.text.special_tokens import PHRASE_END, PHRASE_START, SEG


def edit(folder, kind, change):
    file = folder / f"val_gcg_coco_{kind}_gt.json"
    content = json.loads(file.read_text())
    change(content["annotations"])
    file.write_text(json.dumps(content))


def test_evaluation(tmp_path):
    source = GCG.fixture(tmp_path, per_expression=True)
    first, second = source.read(0), source.read(1)
    assert (source.name, first.id, first.extra["image_id"]) == ("gcg", "sa_1", "sa_1")
    assert first.extra["phrases"] == ["A red box", "a blue box"]
    assert first.extra["captions"] == ["A red box is left of a blue box."]
    assert first.masks.sum(axis=(1, 2, 3)).tolist() == [256, 400]
    mark = f"{PHRASE_START} {{}} {PHRASE_END} {SEG}".format
    assert first.turns[1].text == f"{mark('A red box')} is left of {mark('a blue box')}."
    assert second.turns[1].text == f"Something green stands alone. {mark('a box')}"
    assert second.masks.sum() == 1024


def test_labels_that_do_not_fit(tmp_path):
    GCG.fixture(tmp_path)
    # In the file's order, not the caption's: from the first that doesn't follow, they stand behind it.
    edit(tmp_path, "caption", lambda texts: texts[0].update(labels=["a blue box", "A red box"]))
    sample = GCG(tmp_path, tmp_path / "val_test", per_expression=True).read(0)
    assert sample.extra["phrases"] == ["a blue box", "A red box"]
    assert sample.turns[1].text.endswith(f". {PHRASE_START} A red box {PHRASE_END} {SEG}")
    # Fewer labels than masks: the mask counts, without a name.
    edit(tmp_path, "caption", lambda texts: texts[0].update(labels=["A red box"]))
    sample = GCG(tmp_path, tmp_path / "val_test", per_expression=True).read(0)
    assert sample.extra["phrases"] == ["A red box", ""]
    assert sample.turns[1].text.count(SEG) == len(sample.masks) == 2


def test_a_label_without_a_mask_is_counted(tmp_path, caplog):
    GCG.fixture(tmp_path)
    assert not caplog.records
    edit(tmp_path, "caption", lambda texts: texts[0]["labels"].extend(["a hat", "a shoe"]))
    sample = GCG(tmp_path, tmp_path / "val_test", per_expression=True).read(0)
    assert sample.extra["phrases"] == ["A red box", "a blue box"]
    (warning,) = caplog.messages
    assert "2 labels of 1 pictures have no mask" in warning and "'a hat' of sa_1" in warning


def test_several_captions_of_a_picture(tmp_path):
    GCG.fixture(tmp_path)
    edit(tmp_path, "caption", lambda texts: texts.append({"image_id": "sa_2", "caption": "'Green'", "labels": []}))
    assert GCG(tmp_path, tmp_path / "val_test", per_expression=True).read(1).extra["captions"] == [
        "Something green stands alone.",
        "'Green'",
    ]


def test_what_is_missing_is_said(tmp_path):
    GCG.fixture(tmp_path)
    with pytest.raises(UserError, match="gcg: no records of split 'train'"):
        GCG(tmp_path, tmp_path / "val_test", split="train")
    edit(tmp_path, "mask", lambda masks: masks.pop())
    with pytest.raises(UserError, match=r"gcg\[sa_2\]: nothing about this picture in .*val_gcg_coco_mask_gt.json"):
        GCG(tmp_path, tmp_path / "val_test").read(1, np.random.default_rng(0))
    (tmp_path / "val_test/sa_1.jpg").unlink()
    with pytest.raises(UserError, match=r"gcg\[sa_1\]: .*sa_1.jpg"):
        GCG(tmp_path, tmp_path / "val_test", per_expression=True).read(0)
    with pytest.raises(UserError, match="the pictures of GranD-f's val and test"):
        GCG(tmp_path, tmp_path / "nowhere")
