"""Qwen3-VL in bf16, with the pixel limits of the published training."""

import torch

from word2mask.mllms.qwen_vl import Qwen3VL

mllm = dict(
    type=Qwen3VL.from_pretrained,
    dtype=torch.bfloat16,
    template="qwen_chat",
    max_length=8192,
    gradient_checkpointing=True,
)
