"""Sa2VA on Qwen3-VL-2B and SAM 2.0 Hiera-L.

The weights are published, their config isn't: all is as for Qwen3-VL-4B (1 sample a GPU, 8 passes a step, 16 GPUs: 128;
LoRA rank 128).
"""

from mmengine.config import read_base

with read_base():
    from ....configs._base_.backbones.qwen3_vl import mllm as _mllm
    from ....configs._base_.mixtures.sa2va_v2 import sources_without_regions as _sources
    from ....configs._base_.sa2va import *

_mllm.update(dict(folder="pretrained/Qwen3-VL-2B-Instruct"))
model.update(dict(mllm=_mllm))
# The whole vision tower is frozen in the published recipe, its merger included.
model["trainable"].update(dict(train=("embeddings", "lm_head", "projector")))
data["dataset"]["mixture"].update(dict(sources=_sources))
data.update(dict(batch_size=1))
accumulate = 8
