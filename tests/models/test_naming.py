"""The connector's pretraining by names, from the JSONL of own data to a model that starts with it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from word2mask.data.named_cells import NamedCells, read_names, stack
from word2mask.errors import UserError
from word2mask.mllms.composed import ComposedMLLM, load_connector
from word2mask.models.naming import ConnectorNaming

SIDE = 64
RED, BLUE = (0, 0, 32, 64), (32, 0, 64, 32)  # x1, y1, x2, y2: the left half, and the upper quarter on the right


def polygon(box):
    x1, y1, x2, y2 = box
    return [[x1, y1, x2, y1, x2, y2, x1, y2]]


@pytest.fixture
def file(tmp_path):
    picture = np.full((SIDE, SIDE, 3), 128, np.uint8)
    picture[:, :32], picture[:32, 32:] = (255, 0, 0), (0, 0, 255)
    Image.fromarray(picture).save(tmp_path / "one.png")
    expressions = [{"text": "it", "masks": [polygon(RED)]}]
    objects = [{"name": "red", "mask": polygon(RED)}, {"name": "blue", "mask": polygon(BLUE)}]
    lines = [
        {"id": "one", "image": "one.png", "expressions": expressions, "objects": objects},
        {"id": "none", "image": "one.png", "expressions": expressions},
    ]
    path = tmp_path / "own.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_each_token_shows_the_object_that_covers_it(file):
    mllm = ComposedMLLM.tiny()
    data = NamedCells(file, mllm.processor)
    assert len(data) == 1 and data.names == read_names(file) == ["blue", "red"]
    side = mllm.processor.grid_side
    cells = data[0]["cells"].view(side, side)
    half = side // 2
    boxes = data[0]["boxes"].view(side, side, 4)
    assert torch.equal(boxes[:, :half], torch.tensor([0, 0, 0.5, 1]).expand(side, half, 4))
    assert torch.equal(boxes[:half, half:], torch.tensor([0.5, 0, 1, 0.5]).expand(half, half, 4))
    assert (cells[:, :half] == 1).all() and (cells[:half, half:] == 0).all() and (cells[half:, half:] == 2).all()
    assert data[0]["pixel_values"].shape == (3, mllm.processor.side, mllm.processor.side)


def test_tokens_come_to_be_named_and_a_model_starts_with_the_connector(file, tmp_path):
    torch.manual_seed(0)
    model = ConnectorNaming(ComposedMLLM.tiny(tells_boxes=True), read_names(file), dropout=0.0).train()
    batch = stack([NamedCells(file, model.mllm.processor)[0]])
    before = {name: value.clone() for name, value in model.mllm.state_dict().items() if "projector" not in name}
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, 1e-2)
    first = model(batch)
    for _ in range(60):
        losses = model(batch)
        optimizer.zero_grad()
        sum(value for name, value in losses.items() if name.startswith("loss_")).backward()
        optimizer.step()
    assert losses["loss_name"] < 0.3 * first["loss_name"] and losses["name_hit"] == 1
    assert losses["loss_scale"] < 0.1
    assert losses["box_iou"] > 0.8 > first["box_iou"]
    assert all(torch.equal(value, model.mllm.state_dict()[name]) for name, value in before.items())
    torch.save({"state_dict": {f"mllm.{k}": v for k, v in model.mllm.state_dict().items()}}, tmp_path / "iter_1.pth")
    fresh = ComposedMLLM.tiny(tells_boxes=True)
    own = fresh.model.model.multi_modal_projector
    load_connector(own, tmp_path / "iter_1.pth")
    for name, value in model.connector.state_dict().items():
        assert torch.equal(own.state_dict()[name], value)


def test_what_is_wrong_with_the_data_or_the_checkpoint_is_said(file, tmp_path):
    with pytest.raises(UserError, match="no such JSONL"):
        read_names(tmp_path / "other.jsonl")
    (tmp_path / "bare.jsonl").write_text(file.read_text().splitlines()[1] + "\n")
    with pytest.raises(UserError, match='no picture with named "objects"'):
        read_names(tmp_path / "bare.jsonl")
    entry = json.loads(file.read_text().splitlines()[0])
    entry["objects"][0] = {"name": "", "mask": polygon(RED)}
    (tmp_path / "bad.jsonl").write_text(json.dumps(entry) + "\n")
    with pytest.raises(UserError, match="line 1: the name of object 1"):
        read_names(tmp_path / "bad.jsonl")
    connector = ComposedMLLM.tiny().model.model.multi_modal_projector
    with pytest.raises(UserError, match="no such checkpoint"):
        load_connector(connector, tmp_path / "iter_2.pth")
    torch.save(
        {"state_dict": {"mllm.model.model.multi_modal_projector.linear_1.weight": torch.zeros(2)}}, tmp_path / "x.pth"
    )
    with pytest.raises(UserError, match="differs in linear_1.weight"):
        load_connector(connector, tmp_path / "x.pth")
