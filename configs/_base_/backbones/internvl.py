"""InternVL 2.5 and 3 in bf16: up to twelve tiles of 448 pixels a picture, one a video frame."""

import torch

from word2mask.mllms.internvl import InternVL

mllm = dict(
    type=InternVL.from_pretrained,
    dtype=torch.bfloat16,
    template="qwen_chat",
    max_tiles=12,
    max_length=8192,
    gradient_checkpointing=True,
)
