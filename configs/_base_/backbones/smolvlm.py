"""SmolVLM2 in bf16: a picture in tiles that together are as wide as what SAM 2 sees, one square a frame."""

import torch

from word2mask.mllms.smolvlm import SmolVLM

mllm = dict(
    type=SmolVLM.from_pretrained,
    dtype=torch.bfloat16,
    template="smolvlm_chat",
    # Published: 2048, seventeen tiles of 512. What SAM 2 sees is 1024 wide, and a third of the visual tokens do.
    longest_edge=1024,
    max_length=8192,
    gradient_checkpointing=True,
)
