"""The fixture's boxes are the expected masks: red (4,6)-(20,22), blue (30,10)-(50,30), green (8,8)-(40,40)."""

import json
import pickle
import subprocess

import numpy as np
import pytest

from word2mask.data.sources.refcoco import RefCOCO
from word2mask.data.sources.referring_images import clean_expression
from word2mask.errors import UserError
from word2mask.text.special_tokens import SEG


def test_a_picture_is_a_record_with_its_objects_as_turns(tmp_path):
    source = RefCOCO.fixture(tmp_path / "refcoco")
    assert len(source) == 2 and source.name == "refcoco"
    seen = set()
    for seed in range(20):
        sample = source.read(0, np.random.default_rng(seed))
        assert [turn.role for turn in sample.turns] == ["user", "assistant"] * 2
        assert all(turn.text.count(SEG) == 1 for turn in sample.turns[1::2])
        assert sample.masks.shape == (2, 1, 48, 64) and sample.media.frames.shape == (1, 48, 64, 3)
        for question, mask in zip(sample.turns[::2], sample.masks[:, 0], strict=True):
            is_blue = "blue box" in question.text
            seen.add("blue" if is_blue else "left" if "red thing on the left" in question.text else "the red box")
            y, x = np.argwhere(mask).min(axis=0)
            assert (x, y, mask.sum()) == ((30, 10, 400) if is_blue else (4, 6, 256))
    assert seen == {"blue", "left", "the red box"}


def test_expressions_per_sample(tmp_path):
    source = RefCOCO.fixture(tmp_path / "r", expressions_per_sample=1)
    asked = {bool("blue" in source.read(0, np.random.default_rng(seed)).turns[0].text) for seed in range(20)}
    assert asked == {True, False} and source.read(0, np.random.default_rng(0)).masks.shape[0] == 1


def test_a_sentence_is_a_record_for_evaluation(tmp_path):
    source = RefCOCO.fixture(tmp_path / "r", per_expression=True)
    assert len(source) == 4
    sample = source.read(1)
    assert sample.extra == {
        "expression": "red thing on the left",
        "kind": "",
        "all_sentences": ["the red box", "red thing on the left"],
        "ref_id": 1,
        "ann_id": 11,
        "image_id": 1,
    }
    assert len(sample.turns) == 2 and sample.masks.shape == (1, 1, 48, 64) and sample.id == "1/1"
    assert source.read(1).turns == sample.turns


def test_run_lengths_and_polygons(tmp_path):
    source = RefCOCO.fixture(tmp_path / "r", per_expression=True)
    assert source.read(3).masks[0, 0, 8:40, 8:40].all() and source.read(3).masks.sum() == 32 * 32


def test_clean_expression():
    assert clean_expression(" The Red box. ") == "the red box"


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    RefCOCO.fixture(tmp_path)

    class Evil:
        def __reduce__(self):
            return subprocess.call, (["touch", str(tmp_path / "ran")],)

    (tmp_path / "refs(unc).p").write_bytes(pickle.dumps([Evil()]))
    with pytest.raises(UserError, match=r"refs\(unc\)\.p: the pickle asks for subprocess.call"):
        RefCOCO(tmp_path)
    (tmp_path / "refs(unc).p").write_bytes(b"cbuiltins\neval\n(S'1'\ntR.")
    with pytest.raises(UserError, match="builtins.eval"):
        RefCOCO(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_wrong_input_is_refused_in_one_sentence(tmp_path):
    source = RefCOCO.fixture(tmp_path)
    with pytest.raises(UserError, match="no records of split 'test' in .*; it has train"):
        RefCOCO(tmp_path, split="test")
    with pytest.raises(UserError, match=r"refs\(umd\)\.p: no such annotation file"):
        RefCOCO(tmp_path, split_by="umd")
    with pytest.raises(UserError, match="no such folder; expected the pictures"):
        RefCOCO(tmp_path, image_folder=tmp_path / "elsewhere")
    (tmp_path / "coco2014" / "train2014" / "one.jpg").unlink()
    with pytest.raises(UserError, match=r"\[1\]: .*one.jpg: no such picture"):
        source.read(0, np.random.default_rng(0))
    whole = (tmp_path / "instances.json").read_text()
    (tmp_path / "instances.json").write_text(whole[:-20])
    with pytest.raises(UserError, match="instances.json: not JSON, or cut short"):
        RefCOCO(tmp_path)
    content = json.loads(whole)
    content["images"][1]["height"] = 49
    (tmp_path / "instances.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"\[2\]: .*\[48, 64\] for a picture of \[49, 64\]"):
        RefCOCO(tmp_path).read(1, np.random.default_rng(0))
    content["annotations"] = content["annotations"][:2]
    (tmp_path / "instances.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"\[2\]: no object 21 in .*instances.json"):
        RefCOCO(tmp_path).read(1, np.random.default_rng(0))
    refs = tmp_path / "refs(unc).p"
    refs.write_bytes(refs.read_bytes()[:50])
    with pytest.raises(UserError, match="not a pickle, or cut short"):
        RefCOCO(tmp_path)
    refs.write_bytes(pickle.dumps([{"ref_id": 7, "split": "train", "ann_id": 1, "image_id": 1}]))
    with pytest.raises(UserError, match=r"\[7\]: the reference in .* has no sentences"):
        RefCOCO(tmp_path)


def test_a_picture_of_another_size_than_annotated(tmp_path):
    source = RefCOCO.fixture(tmp_path)
    content = json.loads((tmp_path / "instances.json").read_text())
    content["images"][0]["width"] = 66
    (tmp_path / "instances.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"is for a picture of \[48, 66\] .*one.jpg is \[48, 64\]"):
        RefCOCO(tmp_path, name=source.name).read(0, np.random.default_rng(0))


def test_other_splits_of_the_same_references(tmp_path):
    RefCOCO.fixture(tmp_path)
    refs = pickle.loads((tmp_path / "refs(unc).p").read_bytes())
    for split_by, split in (("umd", "test"), ("google", "val")):
        (tmp_path / f"refs({split_by}).p").write_bytes(pickle.dumps([refs[1] | {"split": split}, refs[2]]))
        source = RefCOCO(tmp_path, split, split_by, per_expression=True)
        assert [source.read(i).extra["expression"] for i in range(len(source))] == ["blue box"]


def test_outlines_outside_of_the_picture(tmp_path):
    RefCOCO.fixture(tmp_path)
    file = tmp_path / "instances.json"
    content = json.loads(file.read_text())

    def read(polygon, **options):
        content["annotations"][0]["segmentation"] = [polygon]
        file.write_text(json.dumps(content))
        return RefCOCO(tmp_path, **options).read(0, np.random.default_rng(0))

    # A little beyond the edge is cut off, far away is another picture's.
    assert read([60, 0, 66, 0, 66, 10, 60, 10]).masks.sum() == 400 + 40
    # The message names the file that the outline stands in, and says what to do.
    expected = (
        r"\[1\]: the record in .*refs\(unc\).p is malformed: object 11 of .*instances.json: an outline reaches to "
        r"\[72.0, 0.0\], outside of a picture 64 × 48; correct the record, or leave it out$"
    )
    with pytest.raises(UserError, match=expected):
        read([60, 0, 72, 0, 72, 10])
    nothing = [64.5, 0, 66, 0, 66, 10]
    with pytest.raises(UserError, match=r"\[1\]: the record in .*: object \d of 2 has no pixel within .*one.jpg"):
        read(nothing)
    # A benchmark scores what there is.
    assert not read(nothing, per_expression=True).masks.any()


def test_a_damaged_picture_is_named(tmp_path):
    source = RefCOCO.fixture(tmp_path / "refcoco")
    picture = tmp_path / "refcoco" / "coco2014" / "train2014" / "two.jpg"
    picture.write_bytes(picture.read_bytes()[:-60])
    with pytest.raises(UserError, match=r"refcoco\[2\]: .*two.jpg: the picture is damaged or cut short"):
        source.read(1, np.random.default_rng(0))
