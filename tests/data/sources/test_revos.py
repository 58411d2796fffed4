"""Fixture: red is 10 × 10 and moves by 4 pixels a frame; blue is 20 × 12, from frame 2 on; nothing is green."""

import json

import numpy as np
import pytest

from word2mask.data.sources.revos import ReVOS
from word2mask.errors import UserError
from word2mask.text.questions import NO_TARGET_ANSWERS
from word2mask.text.special_tokens import SEG


def edit(file, change):
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def test_each_expression_has_one_answer_and_none_is_drawn_twice(tmp_path):
    source = ReVOS.fixture(tmp_path / "revos")
    assert source.name == "revos"
    for seed in range(10):
        sample = source.read(0, np.random.default_rng(seed))
        assert sample.id == "TAO/frames/first" and len(sample.turns) == 6 and sample.masks.shape == (2, 5, 32, 48)
        questions = [turn.text for turn in sample.turns[::2]]
        assert sorted(name for text in questions for name in ("red box", "later?", "green box") if name in text) == [
            "green box",
            "later?",
            "red box",
        ]
        masks = iter(sample.masks)
        for question, answer in zip(questions, sample.turns[1::2], strict=True):
            if "green" in question:
                assert SEG not in answer.text
                assert answer.text in {
                    NO_TARGET_ANSWERS[0].format("green box", medium="video"),
                    *(text.format("the green box", medium="video") for text in NO_TARGET_ANSWERS[1:]),
                }
                continue
            area = [100 if "red" in question else 240 * (t >= 2) for t in sample.media.frame_indices]
            assert answer.text.count(SEG) == 1 and next(masks).sum(axis=(1, 2)).tolist() == area


def test_limits_per_sample(tmp_path):
    source = ReVOS.fixture(tmp_path, frames_per_sample=2, expressions_per_sample=1)
    samples = [source.read(0, np.random.default_rng(seed)) for seed in range(20)]
    assert {len(sample.turns) for sample in samples} == {2} and {len(sample.media.frames) for sample in samples} == {2}
    # A sample of nothing but what isn't there has no masks.
    without = [sample for sample in samples if "green" in sample.turns[0].text]
    assert without and all(sample.masks is None for sample in without)


def test_what_the_official_metrics_need(tmp_path):
    source = ReVOS.fixture(tmp_path, split="valid", per_expression=True)
    assert len(source) == 4
    samples = [source.read(index) for index in range(4)]
    assert [sample.extra["kind"] for sample in samples] == ["referring", "reasoning", "hallucination", "referring"]
    assert [sample.extra["type_id"] for sample in samples] == [0, 1, 2, 0]
    assert [sample.extra["no_target"] for sample in samples] == [False, False, True, False]
    assert samples[1].extra["expression"] == "Which of them comes later?"
    assert samples[1].masks.sum(axis=(0, 2, 3)).tolist() == [0, 0, 240, 240, 240, 240]
    assert samples[2].masks is None and SEG not in samples[2].turns[1].text
    # Any object of the video, whatever the expression.
    for sample in samples[:3]:
        assert sample.extra["foreground_area"].tolist() == [100, 100, 340, 340, 340, 340]
    assert samples[3].id == "UVO/all/second/0" and samples[3].extra["foreground_area"].tolist() == [100] * 3


def test_the_foreground_without_its_file_is_the_same(tmp_path):
    ReVOS.fixture(tmp_path)
    (tmp_path / "mask_dict_foreground.json").unlink()
    source = ReVOS(tmp_path, "valid", per_expression=True)
    areas = [source.read(index).extra["foreground_area"].tolist() for index in range(4)]
    assert areas == [[100, 100, 340, 340, 340, 340]] * 3 + [[100] * 3]


def test_the_frames_lie_where_the_authors_put_them(tmp_path):
    ReVOS.fixture(tmp_path / "revos")
    (tmp_path / "revos" / "JPEGImages").mkdir()
    for part in ("TAO", "UVO"):
        (tmp_path / "revos" / part).rename(tmp_path / "revos" / "JPEGImages" / part)
    assert ReVOS(tmp_path / "revos").read(0, np.random.default_rng(0)).media.frames.shape == (5, 32, 48, 3)


def test_several_masks_of_a_frame_are_united(tmp_path):
    ReVOS.fixture(tmp_path)
    # Twice the same, in a list, as some frames of the published file have their parts.
    edit(tmp_path / "mask_dict.json", lambda masks: masks.update({"0": [[rle, rle] for rle in masks["0"]]}))
    sample = ReVOS(tmp_path, per_expression=True).read(0)
    assert sample.masks.dtype == bool and sample.masks.sum(axis=(0, 2, 3)).tolist() == [100] * 6


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("mask_dict.json", lambda masks: masks["0"].__setitem__(0, {"size": [2, 2], "counts": [4]}), r"\[2, 2\] for"),
        (
            "mask_dict.json",
            lambda masks: masks["0"][0].update(counts="1"),
            "object 0 in .*mask_dict.json, frame 0: run",
        ),
        ("mask_dict.json", lambda masks: masks.update({"0": masks["0"][:4]}), "each of the 6 frames .*, got 4 frames"),
        ("mask_dict.json", lambda masks: masks.pop("0"), "no object 0 in .*mask_dict.json; the two files"),
        (
            "mask_dict_foreground.json",
            lambda masks: masks.pop("TAO/frames/first"),
            "no video TAO/frames/first in .*mask_dict_foreground.json",
        ),
        (
            "meta_expressions_valid_.json",
            lambda meta: meta["videos"]["TAO/frames/first"]["expressions"]["0"].pop("type_id"),
            "meta_expressions_valid_.json has no 'type_id'",
        ),
        (
            "meta_expressions_valid_.json",
            lambda meta: meta["videos"]["TAO/frames/first"]["expressions"]["0"].update(type_id=7),
            "type_id 7 in .*valid_.json; expected 0 … 2",
        ),
        (
            "meta_expressions_valid_.json",
            lambda meta: meta["videos"]["TAO/frames/first"]["expressions"]["0"].update(exp=" "),
            "expression 0 in .*valid_.json has no words",
        ),
    ],
)
def test_wrong_records_are_refused_in_one_sentence(tmp_path, file, change, message):
    ReVOS.fixture(tmp_path / "revos")
    edit(tmp_path / "revos" / file, change)
    with pytest.raises(UserError, match=rf"^revos\[TAO/frames/first/0\]: .*{message}") as caught:
        ReVOS(tmp_path / "revos", "valid", per_expression=True).read(0)
    assert "\n" not in str(caught.value)


def test_wrong_files_are_refused_in_one_sentence(tmp_path):
    ReVOS.fixture(tmp_path)
    with pytest.raises(UserError, match="no records of split 'test' in .*; it has train, valid"):
        ReVOS(tmp_path, "test")
    (tmp_path / "mask_dict_foreground.json").write_text('{"TAO')
    with pytest.raises(UserError, match="mask_dict_foreground.json: not JSON, or cut short"):
        ReVOS(tmp_path, per_expression=True)
    (tmp_path / "mask_dict.json").unlink()
    with pytest.raises(UserError, match="mask_dict.json: no such annotation file"):
        ReVOS(tmp_path)
    with pytest.raises(UserError, match="no such folder; expected ReVOS"):
        ReVOS(tmp_path / "elsewhere")
