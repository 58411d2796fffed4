"""Sa2VA on InternVL3-2B (Qwen2.5-1.5B) and SAM 2.0 Hiera-L, as published.

Published: 2 samples a GPU, 8 passes a step, 16 GPUs: 256; LoRA rank 128.
"""

from mmengine.config import read_base

with read_base():
    from ....configs._base_.backbones.internvl import mllm as _mllm
    from ....configs._base_.mixtures.sa2va_v2 import sources as _sources
    from ....configs._base_.sa2va import *

_mllm.update(dict(folder="pretrained/InternVL3-2B"))
model.update(dict(mllm=_mllm))
data["dataset"]["mixture"].update(dict(sources=_sources))
data.update(dict(batch_size=2))
accumulate = 8
