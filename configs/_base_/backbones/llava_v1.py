"""LLaVA-1 in bf16, as LISA has it: a picture is its middle square, 256 tokens between marks that LISA adds."""

import torch

from word2mask.mllms.llava import LLaVA

mllm = dict(
    type=LLaVA.from_pretrained,
    dtype=torch.bfloat16,
    template="llava_v1",
    squaring="crop",
    image_marks=True,
    max_length=512,
    gradient_checkpointing=True,
)
