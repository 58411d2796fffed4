"""EfficientNet-Lite in transformers' class against the PyTorch port, on equal weights."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from word2mask.errors import UserError
from word2mask.mllms.efficientnet_lite import read_lite

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))
import efficientnet_lite_cases as cases  # noqa: E402


@pytest.fixture
def port_file(tmp_path):
    """A file with the port's names, and what the port makes of it."""
    from word2mask.mllms import efficientnet_lite as lite

    with safe_open(FOLDER / "efficientnet_lite_reference.safetensors", "pt") as file:
        names, expected = file.metadata()["names"].splitlines(), file.get_tensor("features")
    shapes = lite.efficientnet_lite(lite.lite_config(cases.SIZE)).state_dict()
    state = {name: cases.filled(name, shapes[lite.renamed(name)]) for name in names}
    path = tmp_path / f"efficientnet-lite{cases.SIZE}.pth"
    torch.save(state, path)
    return path, state, expected


@torch.no_grad()
def test_features_are_the_ports(port_file):
    path, _, expected = port_file
    ours = read_lite(path)(cases.pixels()).last_hidden_state
    assert ours.shape == expected.shape == (cases.PICTURES, 1280, 2, 2)
    assert expected.std() > 0.1
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)


def test_other_weights_are_refused(port_file, tmp_path):
    path, state, _ = port_file
    with pytest.raises(UserError, match="must say it"):
        read_lite(path.rename(tmp_path / "weights.pth"))
    other = tmp_path / "efficientnet-lite0.pth"
    torch.save(state, other)
    with pytest.raises(UserError, match="EfficientNet-Lite0"):
        read_lite(other)
    with pytest.raises(UserError, match="no such file"):
        read_lite(tmp_path / "efficientnet-lite1.pth")
    torch.save({"weight": torch.zeros(1)}, other)
    with pytest.raises(UserError, match="not the weights"):
        read_lite(other)
