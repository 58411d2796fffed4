"""tools/export_pretrained.py: a checkpoint of a pretraining becomes a folder, measured from what was written."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch

from word2mask.engine.checkpoint import trained_state, write_checkpoint
from word2mask.models.promptable_pretraining import PromptablePretraining
from word2mask.segmenters import SAMSegmenter

CONFIG = """
from torch.optim import AdamW

from word2mask.data.shapes_world.promptable import PromptableBatches, single_item
from word2mask.models.promptable_pretraining import PromptablePretraining
from word2mask.segmenters.sam import PaddedFrameProcessor, SAMSegmenter

model = dict(type=PromptablePretraining, segmenter=dict(type=SAMSegmenter.tiny))
data = dict(
    dataset=dict(
        type=PromptableBatches, processor=dict(type=PaddedFrameProcessor, side=64), num_batches=1, clip_every=0
    ),
    collate=single_item,
)
optimizer = dict(type=AdamW, lr=1e-3)
schedule = dict(max_iters=1)
seed = 3
"""


@pytest.fixture
def program(repository: Path, monkeypatch: pytest.MonkeyPatch):
    """The tool in this process: arguments → exit code."""
    specification = importlib.util.spec_from_file_location("export_tool", repository / "tools/export_pretrained.py")
    tool = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(tool)

    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["tools/export_pretrained.py", *map(str, arguments)])
        return tool.main()

    return run


def test_a_sam_is_measured_on_pictures_alone(program, tmp_path):
    (tmp_path / "small.py").write_text(CONFIG)
    model = PromptablePretraining(SAMSegmenter.tiny())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01)
    content = {"meta": {"iter": 7, "seed": 3}, "full": True, "state_dict": trained_state(model, full=True)}
    checkpoint = write_checkpoint(content, tmp_path, 7)
    assert program(tmp_path / "small.py", checkpoint, tmp_path / "out", "--scenes", 2, "--note", "a test") == 0
    record = json.loads((tmp_path / "out/training.json").read_text())
    assert (record["steps"], record["seed"], record["note"]) == (7, 3, "a test")
    assert record["measured_on"] == {"split": "val", "seed": 77, "pictures": 2}
    assert set(record["scores"]) >= {"click_iou", "middle_iou", "box_iou", "present_accuracy"}
    assert "track_j" not in record["scores"]
    again = SAMSegmenter.from_pretrained(tmp_path / "out").model.state_dict()
    for name, value in model.segmenter.model.state_dict().items():
        assert torch.equal(again[name], value.half().float()), name


def test_another_model_is_refused(program, tmp_path, repository, capsys):
    config = repository / "tests/recipes/configs/toy.py"
    sys.path.insert(0, str(repository / "tests"))
    try:
        assert program(config, tmp_path / "iter_1.pth", tmp_path / "out") == 2
    finally:
        sys.path.remove(str(repository / "tests"))
    assert "trains no SAM 2 and no SAM" in capsys.readouterr().err
