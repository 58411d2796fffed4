"""convert_to_pth.py: an exported folder, in either layout, becomes a checkpoint to start from."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from word2mask.engine.build import build
from word2mask.engine.checkpoint import load_trained, trained_state, write_checkpoint
from word2mask.engine.config import check_settings, load_config
from word2mask.errors import UserError
from word2mask.export.checkpoint import full_state
from word2mask.export.folder import save_hf
from word2mask.models.folder import load_grounded

CONFIG = """
from torch.optim import AdamW
from word2mask.losses.grounding import GroundingLoss
from word2mask.mllms.internvl import InternVL
from word2mask.models.grounded import GroundedMLLM
from word2mask.models.trainable import TrainablePlan
from word2mask.segmenters.sam2 import SAM2Segmenter

model = dict(
    type=GroundedMLLM,
    mllm=dict(type=InternVL.tiny),
    segmenter=dict(type=SAM2Segmenter.tiny),
    loss=dict(type=GroundingLoss, num_points=None),
    trainable=dict(type=TrainablePlan, lora_rank=2, lora_alpha=4, train=("projector", "mask_decoder")),
)
data = dict(dataset=dict(type=list), collate=list)
optimizer = dict(type=AdamW, lr=1e-3)
schedule = dict(max_iters=1)
"""


def convert(program: Path, *arguments: object) -> Path:
    """What the program does, in this process."""
    spec = importlib.util.spec_from_file_location(program.stem, program)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.convert(module.parse_arguments([str(argument) for argument in arguments]))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.py"
    path.write_text(CONFIG)
    return path


def built(config: Path):
    return build(check_settings(load_config(config), config.name).model, path="config.model").eval()


@pytest.mark.parametrize("layout", ["word2mask", "published"])
def test_there_and_back(repository: Path, tmp_path: Path, config: Path, layout: str, monkeypatch) -> None:
    """Training checkpoint → folder → checkpoint → the config's model: it computes what the folder's does."""
    model = built(config)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".lora_B." in name or name.startswith(("projector.", "segmenter.model.mask_decoder.")):
                parameter.add_(0.1 * torch.randn_like(parameter))
    write_checkpoint({"state_dict": trained_state(model), "full": False, "meta": {}}, tmp_path, 1)
    there, back = repository / "projects/llava_sam2/hf/convert_to_hf.py", repository / "tools/convert_to_pth.py"
    folder, target = tmp_path / "model", tmp_path / "start" / "model.pth"
    monkeypatch.chdir(repository)
    convert(there, config, "--pth-model", tmp_path / "iter_1.pth", "--save-path", folder, "--layout", layout)
    assert convert(back, folder, target, "--config", config) == target
    assert [entry.name for entry in target.parent.iterdir()] == ["model.pth"]
    exported, again = load_grounded(folder).state_dict(), built(config)
    assert load_trained(again, target) == {"source": "model"}
    again.merge()
    state = again.state_dict()
    assert state.keys() == exported.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in exported.items())


def test_without_a_config_the_names_are_the_models_own(repository: Path, tmp_path: Path, config: Path) -> None:
    model = built(config)
    model.merge()
    save_hf(model, tmp_path / "model")
    program, target = repository / "tools/convert_to_pth.py", tmp_path / "model.pth"
    convert(program, tmp_path / "model", target)
    written = torch.load(target, weights_only=True)
    assert written["full"] and all(
        torch.equal(tensor, written["state_dict"][name]) for name, tensor in model.state_dict().items()
    )
    with pytest.raises(UserError, match="is there already"):
        convert(program, tmp_path / "model", target)
    with pytest.raises(UserError, match=r"must end in \.pth"):
        convert(program, tmp_path / "model", tmp_path / "model.bin")
    command = [sys.executable, str(program), str(tmp_path / "nothing"), str(tmp_path / "b.pth")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and "no such model folder" in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_weights_of_another_model(config: Path) -> None:
    model = built(config)
    state = {
        name.replace("base_layer.", ""): tensor for name, tensor in model.state_dict().items() if "lora_" not in name
    }
    assert full_state(state, model, "here").keys() == model.state_dict().keys()
    without_original = {name: tensor for name, tensor in state.items() if "original_decoder" not in name}
    assert full_state(without_original, model, "here").keys() == model.state_dict().keys()
    for changed, message in (
        (state | {"nose": torch.zeros(1)}, "here: the folder has nose"),
        (state | {"projector.layers.2.bias": torch.zeros(1)}, r"projector\.layers\.2\.bias is \[1\] in the folder"),
        ({name: value for name, value in state.items() if name != "projector.layers.2.bias"}, "which the folder lacks"),
    ):
        with pytest.raises(UserError, match=message):
            full_state(changed, model, "here")
