"""The embedded dataset's recipe with random weights: every source, every loss, resume, two processes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from word2mask.data.shapes_world.writers import Sizes, write_shapes_world
from word2mask.engine.build import build
from word2mask.engine.checkpoint import load_trained, read_checkpoint
from word2mask.engine.config import check_settings, load_config
from word2mask.engine.runner import train
from word2mask.engine.validation import BenchmarkCheck
from word2mask.errors import UserError
from word2mask.inference.render import GAP, SIDE

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
    of_groups = [name for name in first[0] if name.startswith(("task/", "source/"))]
    assert {"task/refer/loss", "source/refcoco/loss_mask", "source/refcoco/samples"} <= set().union(*first)
    assert len(of_groups) > 10
    for one, other in zip(first, second, strict=True):
        named = {name: value for name, value in one.items() if "/" in name}
        assert named == pytest.approx({name: other[name] for name in other if "/" in name}, rel=1e-4)


def test_two_processes_keep_the_best_of_a_benchmark(root, run_train, monkeypatch):
    """Every text is scored once, by either; what is said of the best is what one process finds in ``best.pth``."""
    options = ("--cfg-options", "data.batch_size=2")
    best_config = CONFIG.with_name("shapes_best.py")
    done = run_train("--root", root, "--work-dir", root / "best", *options, processes=2, config=best_config)
    assert done.returncode == 0, done.stderr
    record = json.loads((root / "best" / "best.json").read_text())
    lines = [json.loads(line) for line in (root / "best" / "history.jsonl").read_text().splitlines()]
    found = {line["iter"]: line["val_giou"] for line in lines if "val_giou" in line}
    assert sorted(found) == [2, 4]
    assert (record["by"], record["numbers"]["giou"]) == ("giou", max(found.values()))
    assert found[record["iter"]] == record["numbers"]["giou"]
    parts = [root / f"validation/iter_{record['iter']}/records.rank{rank}.jsonl" for rank in range(2)]
    positions = [[json.loads(line)["position"] for line in part.read_text().splitlines()] for part in parts]
    assert all(positions) and sorted(positions[0] + positions[1]) == list(range(sum(map(len, positions))))

    monkeypatch.chdir(root)
    settings = check_settings(load_config(best_config))
    model = build(settings.model, path="config.model")
    assert load_trained(model, root / "best" / "best.pth")["iter"] == record["iter"]
    check = BenchmarkCheck(build(settings.validation["run"]["benchmark"], path="benchmark"), root / "alone")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            assert check(model.eval(), record["iter"]) == record["numbers"]
    finally:
        torch.set_num_threads(threads)


def test_features_from_disk_train_the_same(whole, root, monkeypatch):
    """Videos give frames alone and together, so losses may differ by a rounding."""
    monkeypatch.chdir(root)
    train(check_settings(load_config(CONFIG, ["cache_features.folder=features"])), root / "cached")
    first, second = (
        [json.loads(line) for line in (f / "history.jsonl").read_text().splitlines()] for f in (whole, root / "cached")
    )
    for name in ("loss_text", "loss_mask", "loss_dice"):
        assert [line[name] for line in first] == pytest.approx([line[name] for line in second], rel=1e-5)
    assert list((root / "features").rglob("*.safetensors"))


def test_what_is_logged_and_drawn_leaves_training_alone(whole, root, monkeypatch):
    """The same weights with operations counted or not, and with answers drawn on the way; the grid has all rows."""
    monkeypatch.chdir(root)
    settings = check_settings(
        load_config(CONFIG, ["log.flops_interval=0", "log.pictures=9", "log.pictures_interval=2"])
    )
    train(settings, root / "drawn")
    first, second = weights(whole / "iter_4.pth"), weights(root / "drawn" / "iter_4.pth")
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert sorted(path.name for path in (root / "drawn" / "pictures").iterdir()) == [
        "iter_000002.png",
        "iter_000004.png",
    ]
    with Image.open(root / "drawn" / "pictures" / "iter_000004.png") as picture:
        pixels = np.asarray(picture)
    assert pixels.shape[1] == 3 * SIDE + 2 * GAP
    # Rows are parted by a grey line; 9 samples of 8 sources.
    assert (pixels == 220).all(axis=(1, 2)).sum() == 8
    drawn, counted = (
        [json.loads(line) for line in (f / "history.jsonl").read_text().splitlines()] for f in (root / "drawn", whole)
    )
    assert all("tflops" not in line for line in drawn)
    assert all(line["tflops"] > 0 and "mfu" not in line for line in counted)
    assert all(0 <= line["data_share"] <= 1 and line["tokens_per_second"] > 0 for line in counted)


def test_pictures_need_a_mixture_and_indices_within_it(root, monkeypatch):
    monkeypatch.chdir(root)
    settings = check_settings(load_config(CONFIG, ["log.pictures=[0, 100000]"]))
    with pytest.raises(UserError, match="log.pictures: sample 100000 of a dataset of"):
        train(settings, root / "beyond")
    toy = check_settings(load_config(CONFIG.with_name("toy.py"), ["log.pictures=2"]))
    with pytest.raises(UserError, match="log.pictures asks a GroundedMLLM .* this run has a ToyModel and a ToyDataset"):
        train(toy, root / "toy")
