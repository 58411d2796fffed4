"""The embedded dataset's recipe with random weights: every source, every loss, resume, two processes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from word2mask.data.shapes_world.writers import Sizes, write_shapes_world
from word2mask.engine.checkpoint import read_checkpoint
from word2mask.engine.config import check_settings, load_config
from word2mask.engine.runner import train

CONFIG = Path(__file__).with_name("configs") / "shapes_tiny.py"
SIZES = Sizes(train_images=12, val_images=2, combo_images=2, train_videos=3, val_videos=1, combo_videos=1)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("root")
    write_shapes_world(folder / "data" / "shapes_world", SIZES, processes=1)
    return folder


@pytest.fixture(scope="module")
def whole(root):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        train(check_settings(load_config(CONFIG)), root / "whole")
    return root / "whole"


def weights(path):
    return read_checkpoint(path)["state_dict"]


def test_all_losses_are_there_and_only_the_plan_is_saved(whole):
    lines = [json.loads(line) for line in (whole / "history.jsonl").read_text().splitlines()]
    assert len(lines) == 4
    assert {"loss_text", "loss_mask", "loss_dice", "loss"} <= set().union(*lines)
    names = weights(whole / "iter_4.pth")
    assert any("lora_A" in name for name in names) and any(name.startswith("projector") for name in names)
    assert not any(name.startswith("segmenter") for name in names)


def test_resume_is_bit_for_bit(whole, root, monkeypatch):
    monkeypatch.chdir(root)
    settings = check_settings(load_config(CONFIG))
    train(
        replace(settings, data={**settings.data, "num_workers": 1}), root / "resumed", resume=str(whole / "iter_2.pth")
    )
    first, second = weights(whole / "iter_4.pth"), weights(root / "resumed" / "iter_4.pth")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_two_processes_equal_one(whole, root, run_train):
    """Losses only: AdamW's first steps are ±lr however small a gradient, so weights show rounding near 0."""
    done = run_train(
        "--root", root, "--work-dir", root / "two", "--cfg-options", "data.batch_size=2", processes=2, config=CONFIG
    )
    assert done.returncode == 0, done.stderr
    first, second = (
        [json.loads(line) for line in (f / "history.jsonl").read_text().splitlines()] for f in (whole, root / "two")
    )
    for name in ("loss_text", "loss_mask", "loss_dice"):
        assert [line[name] for line in first] == pytest.approx([line[name] for line in second], rel=1e-4)
