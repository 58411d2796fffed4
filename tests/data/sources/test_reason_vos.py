"""Fixture: red is 10 × 10 and moves by 4 pixels a frame; of the first video only frames 0, 2 and 4 have masks."""

import json
import shutil

import numpy as np
import pytest

from word2mask.data.sources.reason_vos import ReasonVOS
from word2mask.errors import UserError


def test_evaluation(tmp_path):
    source = ReasonVOS.fixture(tmp_path / "ReasonVOS", per_expression=True)
    assert len(source) == 3 and source.name == "ReasonVOS"
    red, blue, other = (source.read(index) for index in range(3))
    assert [sample.id for sample in (red, blue, other)] == ["one/0", "one/1", "two/0"]
    assert red.extra["expression"] == "Which of the two stays on its way?"
    assert (red.extra["kind"], red.extra["is_sentence"], other.extra["kind"]) == ("sentence", True, "phrase")
    assert red.extra["scored_frames"] == [0, 2, 4] and other.extra["scored_frames"] == [0, 1, 2]
    assert red.extra["frame_names"] == [f"{t:05d}" for t in range(6)]
    assert red.masks.shape == (1, 6, 32, 48)
    # What isn't annotated is void, and has no object.
    assert red.masks.sum(axis=(0, 2, 3)).tolist() == [100, 0, 100, 0, 100, 0]
    assert red.void.all(axis=(1, 2)).tolist() == [False, True] * 3
    assert red.masks[0, 2, 4:14, 10:20].all()
    # Blue comes at frame 2: its mask of frame 0 is there, and empty.
    assert blue.masks.sum(axis=(0, 2, 3)).tolist() == [0, 0, 240, 0, 240, 0]
    assert other.void is None


def test_training_draws_frames_and_expressions(tmp_path):
    source = ReasonVOS.fixture(tmp_path / "ReasonVOS")
    sample = source.read(0, np.random.default_rng(0))
    assert len(sample.turns) == 4 and sample.masks.shape == (2, 5, 32, 48)


def test_folders_of_masks_may_be_called_as_the_file_says(tmp_path):
    folder = tmp_path / "ReasonVOS"
    ReasonVOS.fixture(folder)
    for path in list((folder / "Annotations").glob("mose_*")):
        path.rename(path.with_name(path.name.replace("mose", "MOSE")))
    assert ReasonVOS(folder, per_expression=True).read(0).masks.any()


def test_what_is_missing_is_said(tmp_path):
    folder = tmp_path / "ReasonVOS"
    ReasonVOS.fixture(folder)
    for path in (folder / "Annotations/mose_one_0").iterdir():
        path.unlink()
    with pytest.raises(UserError, match=r"ReasonVOS\[one/0\]: .*mose_one_0: no mask of any frame"):
        ReasonVOS(folder, per_expression=True).read(0)
    shutil.rmtree(folder / "Annotations/mose_one_1")
    with pytest.raises(UserError, match=r"ReasonVOS\[one/1\]: .*MOSE_one_1"):
        ReasonVOS(folder, per_expression=True).read(1)
    file = folder / "meta_expressions.json"
    content = json.loads(file.read_text())
    del content["videos"]["one"]["is_sent"]
    file.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"ReasonVOS\[one\]: the record .* has no 'is_sent'"):
        ReasonVOS(folder)
    file.write_text("{}")
    with pytest.raises(UserError, match="no object 'videos'"):
        ReasonVOS(folder)
