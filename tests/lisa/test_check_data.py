"""tools/check_data.py over LISA's whole mixture, on the sources' own fixtures."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

CONFIG = """
from lisa.data_mixture import SOURCES as _sources
from torch.optim import AdamW

from word2mask.data.collate import collate
from word2mask.data.dataset import MixtureDataset
from word2mask.data.encode import Encoder
from word2mask.data.mixture import Mixture
from word2mask.engine.build import Bind, Built
from word2mask.mllms.internvl import InternVL
from word2mask.models.grounded import GroundedMLLM
from word2mask.segmenters.sam2 import SAM2Segmenter

model = dict(type=GroundedMLLM, mllm=dict(type=InternVL.tiny), segmenter=dict(type=SAM2Segmenter.tiny))
data = dict(
    dataset=dict(
        type=MixtureDataset,
        mixture=dict(type=Mixture, sources=_sources, length=160),
        encoder=dict(
            type=Encoder,
            media_processor=dict(type=Built, path="model.mllm.processor"),
            frame_processor=dict(type=Built, path="model.segmenter.processor"),
            max_length=100000,
        ),
    ),
    collate=dict(type=Bind, function=collate, pad_id=0),
)
optimizer = dict(type=AdamW, lr=1e-3)
schedule = dict(max_iters=1)
"""


def module(path: Path):
    specification = importlib.util.spec_from_file_location(path.stem + "_loaded", path)
    loaded = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(loaded)
    return loaded


def test_the_whole_mixture_is_checked(repository: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    tree = module(repository / "tests/lisa/test_data_mixture.py").write_tree(tmp_path / "dataset")
    (tmp_path / "toy.py").write_text(CONFIG)
    (tree / "vlpart/pascal_part/VOCdevkit/VOC2010/JPEGImages/2008_000003.jpg").unlink()
    (tree / "mapillary" / "config_v2.0.json").unlink()
    tool = module(repository / "tools/check_data.py")
    monkeypatch.chdir(tmp_path)
    words = ["tools/check_data.py", "toy.py", "--root", str(tmp_path), "--out", str(tmp_path / "out"), "--workers", "1"]
    monkeypatch.setattr(sys, "argv", words)
    assert tool.main() == 1
    assert "cocostuff" in capsys.readouterr().out
    findings = [json.loads(line) for line in (tmp_path / "out" / "findings.jsonl").read_text().splitlines()]
    found = {(one["source"], one["record"], one["kind"]) for one in findings if one["severity"] != "note"}
    assert found == {("pascal_part", "2008000003", "missing_media"), ("mapillary", None, "unopened")}
