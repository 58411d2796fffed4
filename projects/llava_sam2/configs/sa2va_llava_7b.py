"""Sa2VA on LLaVA-1.5-7B and SAM 2.0 Hiera-L.

The weights are published, their config isn't known to us: all is as for InternVL3-2B (2 samples a GPU, 8 passes a step,
16 GPUs: 256; LoRA rank 128), with LLaVA's own template and its 4096 tokens.
"""

from mmengine.config import read_base

with read_base():
    from ....configs._base_.backbones.llava import mllm as _mllm
    from ....configs._base_.mixtures.sa2va_v2 import sources as _sources
    from ....configs._base_.sa2va import *

_mllm.update(dict(folder="pretrained/llava-1.5-7b-hf"))
model.update(dict(mllm=_mllm))
data["dataset"]["mixture"].update(dict(sources=_sources))
data.update(dict(batch_size=2))
accumulate = 8
