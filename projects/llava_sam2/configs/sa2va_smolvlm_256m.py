"""Sa2VA on SmolVLM2-256M (SigLIP-B, SmolLM2-135M) and SAM 2.0 Hiera-T: the smallest.

Nobody has published such a model: mixture and LoRA rank 128 are InternVL3-2B's, 256 samples a step on one GPU.
"""

from mmengine.config import read_base

with read_base():
    from ....configs._base_.backbones.smolvlm import mllm as _mllm
    from ....configs._base_.mixtures.sa2va_v2 import sources as _sources
    from ....configs._base_.sa2va import *
    from ....configs._base_.segmenters.sam2_hiera_tiny import segmenter as _tiny

_mllm.update(dict(folder="pretrained/SmolVLM2-256M-Video-Instruct"))
model.update(dict(mllm=_mllm, segmenter=_tiny))
data["dataset"]["mixture"].update(dict(sources=_sources))
data.update(dict(batch_size=4))
accumulate = 64
