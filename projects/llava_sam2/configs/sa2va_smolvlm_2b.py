"""Sa2VA on SmolVLM2-2.2B (SigLIP-SO400M, SmolLM2-1.7B) and SAM 2.0 Hiera-L.

Nobody has published such a model: mixture, batch (2 samples a GPU, 8 passes a step, 16 GPUs: 256) and LoRA rank 128 are
InternVL3-2B's. A tile has 384 pixels and 81 tokens, so that a picture of nine tiles stays near SAM 2's 1024 pixels.
"""

from mmengine.config import read_base

with read_base():
    from ....configs._base_.backbones.smolvlm import mllm as _mllm
    from ....configs._base_.mixtures.sa2va_v2 import sources as _sources
    from ....configs._base_.sa2va import *

_mllm.update(dict(folder="pretrained/SmolVLM2-2.2B-Instruct", longest_edge=1152, frame_edge=384))
model.update(dict(mllm=_mllm))
data["dataset"]["mixture"].update(dict(sources=_sources))
data.update(dict(batch_size=2))
accumulate = 8
