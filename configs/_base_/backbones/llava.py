"""LLaVA-1.5 in bf16: a picture or frame is a square of 576 tokens."""

import torch

from word2mask.mllms.llava import LLaVA

mllm = dict(
    type=LLaVA.from_pretrained,
    dtype=torch.bfloat16,
    template="vicuna_v1",
    max_length=4096,
    gradient_checkpointing=True,
)
