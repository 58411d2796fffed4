"""LISA-13B as published: LLaVA-13B-v1-1 and SAM ViT-H."""

from mmengine.config import read_base

from lisa.data_mixture import SOURCES as _SOURCES

with read_base():
    from ....configs._base_.backbones.llava_v1 import mllm as _mllm
    from ....configs._base_.lisa import *

_mllm.update(dict(folder="pretrained/LLaVA-13B-v1-1"))
model.update(dict(mllm=_mllm))
data["dataset"]["mixture"].update(dict(sources=_SOURCES))
