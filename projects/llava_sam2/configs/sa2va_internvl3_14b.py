"""Sa2VA on InternVL3-14B (Qwen2.5-14B) and SAM 2.0 Hiera-L, as published.

Published: 1 sample a GPU, 8 passes a step, 32 GPUs: 256; LoRA rank 256. Captions come twice as often.
"""

from mmengine.config import read_base

with read_base():
    from ....configs._base_.backbones.internvl import mllm as _mllm
    from ....configs._base_.mixtures.sa2va_v2 import sources_captions_twice as _sources
    from ....configs._base_.sa2va import *

_mllm.update(dict(folder="pretrained/InternVL3-14B"))
model.update(dict(mllm=_mllm))
model["trainable"].update(dict(lora_rank=256, lora_alpha=512))
data["dataset"]["mixture"].update(dict(sources=_sources))
data.update(dict(batch_size=1))
accumulate = 8
