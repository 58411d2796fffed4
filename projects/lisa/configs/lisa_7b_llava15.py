"""LISA on LLaVA-1.5-7B: 576 tokens a picture, which is filled up to a square, and longer sequences for them.

None is published; all but the backbone is as for LISA-7B.
"""

from mmengine.config import read_base

from lisa.data_mixture import SOURCES as _SOURCES

with read_base():
    from ....configs._base_.backbones.llava_v1 import mllm as _mllm
    from ....configs._base_.lisa import *

_mllm.update(dict(folder="pretrained/llava-v1.5-7b", template="vicuna_v1", squaring="pad", max_length=832))
model.update(dict(mllm=_mllm))
data["dataset"]["mixture"].update(dict(sources=_SOURCES))
