"""LISA-13B on Llama 2, as published: LLaVA-1 over Llama-2-13B-chat, which talks as llava_v1, and SAM ViT-H."""

from mmengine.config import read_base

from lisa.data_mixture import SOURCES as _SOURCES

with read_base():
    from ....configs._base_.backbones.llava_v1 import mllm as _mllm
    from ....configs._base_.lisa import *

_mllm.update(dict(folder="pretrained/llava-llama-2-13b-chat-lightning-preview"))
model.update(dict(mllm=_mllm))
data["dataset"]["mixture"].update(dict(sources=_SOURCES))
