"""A small config whose parts are on disk, or not."""

from __future__ import annotations

from pathlib import Path

import pytest

from word2mask.data.sources.refcoco import RefCOCO
from word2mask.engine.config import check_settings, load_config
from word2mask.engine.settings import TrainSettings
from word2mask.mllms.internvl import InternVL
from word2mask.segmenters.sam2 import SAM2Segmenter

CONFIG = """
from mmengine.config import read_base
from word2mask.data.sources.llava import LLaVA
from word2mask.data.sources.refcoco import RefCOCO
from word2mask.mllms.internvl import InternVL
from word2mask.segmenters.sam2 import SAM2Segmenter
with read_base():
    from {base} import *
model.update(dict(
    mllm=dict(type=InternVL.from_pretrained, folder="{root}/mllm"),
    segmenter=dict(type=SAM2Segmenter.from_pretrained, folder="{root}/segmenter"),
    trainable=dict(lora_rank=2, lora_alpha=4),
))
data["dataset"]["mixture"].update(dict(sources=[
    (dict(type=RefCOCO, folder="{root}/refcoco"), 2.5),
    (dict(type=RefCOCO, folder="{root}/more", name="more"), 1),
    dict(type=LLaVA, annotations="{root}/chat.json", image_folder="{root}/images"),
]))
data.update(dict(batch_size=2))
accumulate = 2
evaluation = dict(_delete_=True, benchmarks=[])
"""


@pytest.fixture
def settings(tmp_path: Path, repository: Path) -> TrainSettings:
    """Model and two sources of two pictures are on disk; the chats aren't."""
    InternVL.tiny().save_pretrained(tmp_path / "mllm")
    SAM2Segmenter.tiny().save_pretrained(tmp_path / "segmenter")
    for name in ("refcoco", "more"):
        RefCOCO.fixture(tmp_path / name)
    base = tmp_path / "base.py"
    base.write_text((repository / "configs/_base_/sa2va.py").read_text())
    for part in ("benchmarks/sa2va", "distributed", "runtime", "schedule", "segmenters/sam2_hiera_large"):
        target = tmp_path / f"{part}.py"
        target.parent.mkdir(exist_ok=True)
        target.write_text((repository / f"configs/_base_/{part}.py").read_text())
    config = tmp_path / "config.py"
    config.write_text(CONFIG.format(base=".base", root=tmp_path))
    return check_settings(load_config(config))
