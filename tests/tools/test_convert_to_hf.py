"""convert_to_hf.py: a checkpoint of a tiny model becomes a folder; bad input gets one sentence and exit code 2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from word2mask.engine.build import build
from word2mask.engine.checkpoint import trained_state, write_checkpoint
from word2mask.engine.config import check_settings, load_config
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
    trainable=dict(type=TrainablePlan, lora_rank=2, lora_alpha=4, train=("projector",)),
)
data = dict(dataset=dict(type=list), collate=list)
optimizer = dict(type=AdamW, lr=1e-3)
schedule = dict(max_iters=1)
"""


def convert(repository: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, repository / "projects/llava_sam2/hf/convert_to_hf.py", *arguments]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.py"
    path.write_text(CONFIG)
    return path


def test_trained_weights_arrive_merged(repository: Path, tmp_path: Path, config: Path) -> None:
    model = build(check_settings(load_config(config), config.name).model, path="config.model").eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".lora_B." in name or name.startswith("projector."):
                parameter.normal_(std=0.1)
    write_checkpoint({"state_dict": trained_state(model), "full": False, "meta": {}}, tmp_path, 1)
    target = tmp_path / "exports" / "model"
    done = convert(repository, config, "--pth-model", tmp_path / "iter_1.pth", "--save-path", target)
    assert done.returncode == 0, done.stderr
    assert f"written to {target} " in done.stderr and "/." not in done.stderr and done.stderr.count("\n") == 1, (
        done.stderr
    )
    assert [entry.name for entry in target.parent.iterdir()] == ["model"]
    copy = load_grounded(target)
    ids = torch.tensor([model.mllm.tokenizer.encode("Where? [SEG]")])
    with torch.no_grad():
        for one in (model, copy):
            assert len(one.mllm.tokenizer) == len(model.mllm.tokenizer)
        wanted = model.prompts([model.mllm(ids, torch.ones_like(ids), {}).hidden[0]])[0]
        found = copy.prompts([copy.mllm(ids, torch.ones_like(ids), {}).hidden[0]])[0]
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-3)
    assert "* checkpoint: `iter_1.pth`" in (target / "README.md").read_text()


def test_bad_input_gets_one_sentence(repository: Path, tmp_path: Path, config: Path) -> None:
    (tmp_path / "broken.pth").write_bytes(b"nothing")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note").write_text("")
    cases = [
        ((config, tmp_path / "none.pth", tmp_path / "a"), "no such checkpoint"),
        ((config, tmp_path / "broken.pth", tmp_path / "a"), "broken.pth"),
        ((config, tmp_path / "broken.pth", tmp_path / "full"), "isn't empty"),
        ((tmp_path / "none.py", tmp_path / "broken.pth", tmp_path / "a"), "none.py"),
    ]
    for (given, checkpoint, target), message in cases:
        done = convert(repository, given, "--pth-model", checkpoint, "--save-path", target)
        assert done.returncode == 2, done.stderr
        assert message in done.stderr and "Traceback" not in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert not (tmp_path / "a").exists()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["broken.pth", "full", "tiny.py"]
