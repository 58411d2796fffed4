"""Sa2VA-26B (arXiv:2501.04001): InternVL2.5-26B (InternLM2.5-20B, InternViT-6B) and SAM 2.0 Hiera-L.

The weights are published, their config isn't: mixture and optimizer are the smaller models' of the same series, rank
and batch those of InternVL3-14B, the largest with a published config (1 sample a GPU, 8 passes a step, 32 GPUs: 256).
"""

from mmengine.config import read_base

with read_base():
    from ....configs._base_.backbones.internvl import mllm as _mllm
    from ....configs._base_.mixtures.sa2va_v1 import sources as _sources
    from ....configs._base_.sa2va import *

_mllm.update(dict(folder="pretrained/InternVL2_5-26B", template="internlm2_chat"))
model.update(dict(mllm=_mllm))
model["trainable"].update(dict(lora_rank=256, lora_alpha=512))
data["dataset"]["mixture"].update(dict(sources=_sources))
data.update(dict(batch_size=1, num_workers=4))
accumulate = 8
