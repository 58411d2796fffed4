"""Numbers and pictures as TensorBoard and Weights & Biases have them on disk."""

import importlib
import json

import numpy as np
import pytest
from PIL import Image

from word2mask.engine import display
from word2mask.engine.display import Display
from word2mask.engine.settings import LogSettings
from word2mask.errors import UserError

PICTURE = np.random.default_rng(0).integers(0, 255, (4, 6, 3), dtype=np.uint8)


def show(settings, folder):
    shown = Display(settings, folder, "seed = 0\noptimizer.lr = 0.5\n")
    shown.numbers("train", {"iter": 2, "loss": 0.5, "task/refer/loss": 0.25}, 2)
    shown.numbers("val", {"ciou": 0.75}, 2)
    shown.numbers("train", {"iter": 4, "loss": 0.125}, 4)
    shown.picture("samples", PICTURE, 4)
    shown.close()


def test_tensorboard_is_read_back(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    show(LogSettings(tensorboard=True), tmp_path)
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    scalars = {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    assert scalars["train/loss"] == [(2, 0.5), (4, 0.125)]
    assert scalars["train/task/refer/loss"] == [(2, 0.25)] and scalars["val/ciou"] == [(2, 0.75)]
    (picture,) = events.Images("samples")
    path = tmp_path / "picture.png"
    path.write_bytes(picture.encoded_image_string)
    assert picture.step == 4 and np.array_equal(np.asarray(Image.open(path)), PICTURE)


def test_weights_and_biases_offline_is_read_back(tmp_path):
    datastore = pytest.importorskip("wandb.sdk.internal.datastore")
    records = pytest.importorskip("wandb.proto.wandb_internal_pb2")
    show(LogSettings(wandb={"project": "words", "mode": "offline"}), tmp_path)
    (run,) = tmp_path.glob("wandb/offline-run-*")
    store = datastore.DataStore()
    store.open_for_scan(str(next(run.glob("*.wandb"))))
    rows, config = [], {}
    while (data := store.scan_data()) is not None:
        record = records.Record.FromString(data)
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            rows.append({item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items})
        if record.WhichOneof("record_type") == "run":
            config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
        if record.WhichOneof("record_type") == "config":  # where the run's own record was written before it came
            config |= {
                item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.config.update
            }
    assert config["optimizer.lr"] == "0.5"
    assert [(row["train/iter"], row["train/loss"]) for row in rows if "train/loss" in row] == [(2, 0.5), (4, 0.125)]
    assert [(row["train/iter"], row["val/ciou"]) for row in rows if "val/ciou" in row] == [(2, 0.75)]
    (picture,) = (run / "files" / "media" / "images").glob("samples_*.png")
    assert np.array_equal(np.asarray(Image.open(picture)), PICTURE)


def test_weights_and_biases_that_does_not_start_is_said(tmp_path):
    pytest.importorskip("wandb")
    with pytest.raises(UserError, match="log.wandb: Weights & Biases does not start .*'projet'"):
        Display(LogSettings(wandb={"projet": "words", "mode": "offline"}), tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (LogSettings(tensorboard=True), "log.tensorboard is on, but the package tensorboard can't be imported"),
        (LogSettings(wandb={"mode": "offline"}), "log.wandb is set, but the package wandb can't be imported"),
    ],
)
def test_a_missing_package_is_named(settings, message, tmp_path, monkeypatch):
    def missing(name):
        raise ImportError(f"No module named '{name}'")

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(UserError, match=message + r".*pip install -e '\.\[log\]'"):
        Display(settings, tmp_path)


def test_nothing_is_made_where_nothing_is_asked_for_or_by_other_processes(tmp_path, monkeypatch):
    show(LogSettings(), tmp_path)
    monkeypatch.setattr(display, "rank_and_size", lambda: (1, 2))
    show(LogSettings(tensorboard=True, wandb={"mode": "offline"}), tmp_path)
    assert list(tmp_path.iterdir()) == []
