"""Sa2VA-4B as published (arXiv:2501.04001): InternVL2.5-4B (Qwen2.5-3B) and SAM 2.0 Hiera-L.

Published: 2 samples a GPU, 4 passes a step, LoRA rank 128 in the repository (256 in the paper). The paper's batch of
256 takes 32 GPUs so. It was trained in Phi-3's chat template, on a tokenizer that doesn't know its tokens.
"""

from mmengine.config import read_base

with read_base():
    from ....configs._base_.backbones.internvl import mllm as _mllm
    from ....configs._base_.mixtures.sa2va_v1 import sources as _sources
    from ....configs._base_.sa2va import *

_mllm.update(dict(folder="pretrained/InternVL2_5-4B", template="phi3_chat"))
model.update(dict(mllm=_mllm))
data["dataset"]["mixture"].update(dict(sources=_sources))
data.update(dict(batch_size=2, num_workers=4))
accumulate = 4
checkpoint.update(dict(interval=1000))
