"""Checkpoints: no code in them, whole or not there."""

import os
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from word2mask.engine import checkpoint as checkpoints
from word2mask.errors import UserError

CONTENT = {"meta": {"iter": 3}, "full": False, "state_dict": {"x": torch.ones(2)}}


class Trap:
    def __reduce__(self):
        return (os.system, ("true",))


def test_written_file_loads_without_code(tmp_path):
    path = checkpoints.write_checkpoint(CONTENT, tmp_path, 3)
    assert path.name == "iter_3.pth"
    assert torch.load(path, weights_only=True)["meta"] == {"iter": 3}
    assert checkpoints.find_checkpoint(tmp_path) == path


def test_objects_never_get_in():
    with pytest.raises(TypeError, match=r"checkpoint.meta\[1\]: Trap can't go into a checkpoint"):
        checkpoints.plain({"meta": [np.float64(1), Trap()]})
    assert type(checkpoints.plain(np.float64(1))) is float


def test_a_file_with_code_is_refused(tmp_path):
    torch.save({"version": 1, "trap": Trap()}, tmp_path / "iter_1.pth")
    with pytest.raises(UserError, match="only tensors and plain values are admitted"):
        checkpoints.read_checkpoint(tmp_path / "iter_1.pth")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", pickle.dumps([1], protocol=2)])
def test_rubbish_is_refused(tmp_path, content):
    (tmp_path / "iter_1.pth").write_bytes(content)
    with pytest.raises(UserError, match=r"iter_1.pth is not"):
        checkpoints.read_checkpoint(tmp_path / "iter_1.pth")


def test_truncated_file_is_refused(tmp_path):
    path = checkpoints.write_checkpoint(CONTENT, tmp_path, 3)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="is not a readable checkpoint"):
        checkpoints.read_checkpoint(path)


def test_interrupted_write_leaves_the_old_state(tmp_path, monkeypatch):
    checkpoints.write_checkpoint(CONTENT, tmp_path, 3)

    def interrupted(content, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints.torch, "save", interrupted)
    with pytest.raises(
        UserError, match="could not write .*iter_6.pth: .*No space left.*earlier checkpoints are untouched"
    ):
        checkpoints.write_checkpoint(CONTENT, tmp_path, 6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["iter_3.pth", "last_checkpoint"]
    assert checkpoints.find_checkpoint(tmp_path).name == "iter_3.pth"


def test_leftovers_of_a_kill_are_removed(tmp_path):
    (tmp_path / ".iter_9.pth.tmp").write_bytes(b"half")
    assert checkpoints.find_checkpoint(tmp_path) is None
    checkpoints.remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_newest_is_found_without_a_pointer(tmp_path):
    for number in (9, 10):
        checkpoints.write_checkpoint(CONTENT, tmp_path, number)
    (tmp_path / "last_checkpoint").write_text("iter_99.pth\n")
    assert checkpoints.find_checkpoint(tmp_path).name == "iter_10.pth"


def test_trained_state_keeps_buffers_beside_trained_parameters():
    model = nn.ModuleDict({"frozen": nn.BatchNorm1d(2).requires_grad_(False), "live": nn.BatchNorm1d(2)})
    assert sorted(checkpoints.trained_state(model)) == [
        "live.bias",
        "live.num_batches_tracked",
        "live.running_mean",
        "live.running_var",
        "live.weight",
    ]
    assert checkpoints.trained_state(model, full=True).keys() == model.state_dict().keys()


def test_random_state_goes_through_a_file(tmp_path):
    import random

    content = {**CONTENT, "random": [checkpoints.random_state()]}
    drawn = random.random(), np.random.rand(), torch.rand(1).item(), random.gauss(0, 1)
    path = checkpoints.write_checkpoint(content, tmp_path, 1)
    checkpoints.restore_random_state(checkpoints.read_checkpoint(path)["random"][0])
    assert (random.random(), np.random.rand(), torch.rand(1).item(), random.gauss(0, 1)) == drawn
