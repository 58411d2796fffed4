"""LISA (arXiv:2308.00692) as published; a model's config adds the MLLM and the data.

Numbers are the defaults of ``train_ds.py`` of dvlab-research/LISA (3cb2d43). Ours differs on purpose: questions about
one picture are turns of one conversation, void pixels take no loss, and an answer that would be cut at ``max_length``
is left out with its mask.
"""

from mmengine.config import read_base

from word2mask.data.collate import collate
from word2mask.data.dataset import MixtureDataset
from word2mask.data.encode import Encoder
from word2mask.data.mixture import Mixture
from word2mask.engine.build import Bind, Built
from word2mask.losses.grounding import GroundingLoss
from word2mask.models.grounded import GroundedMLLM
from word2mask.models.trainable import TrainablePlan

with read_base():
    from .benchmarks.lisa import *
    from .distributed import *
    from .runtime import *
    from .schedule import *
    from .segmenters.sam_vit_h import segmenter as _segmenter

model = dict(
    type=GroundedMLLM,
    segmenter=_segmenter,
    seg_state="before",
    # Every pixel of the picture, as enlarged logits; the dice loss divides its sums by 1000 and adds 1e-6.
    loss=dict(type=GroundingLoss, text_weight=1.0, mask_weight=2.0, dice_weight=0.5, num_points=None, dice_eps=1e-3),
    trainable=dict(
        type=TrainablePlan,
        lora_rank=8,
        lora_alpha=16,
        lora_dropout=0.05,
        lora_layers=("q_proj", "v_proj"),
        train=("embeddings", "lm_head", "projector", "mask_decoder"),
    ),
)
data = dict(
    dataset=dict(
        type=MixtureDataset,
        # What 8 GPUs see in 500 steps of 10 passes of 2 pictures.
        mixture=dict(type=Mixture, length=80000),
        encoder=dict(
            type=Encoder,
            media_processor=dict(type=Built, path="model.mllm.processor"),
            frame_processor=dict(type=Built, path="model.segmenter.processor"),
            max_length=dict(type=Built, path="model.mllm.max_length"),
            overlong="drop_turns",
        ),
    ),
    collate=dict(type=Bind, function=collate, pad_id=dict(type=Built, path="model.mllm.tokenizer.pad_token_id")),
    batch_size=2,
    num_workers=4,
    shuffle=False,
    pin_memory=True,
)
optimizer.update(dict(lr=3e-4, betas=(0.9, 0.95), weight_decay=0.0))
# 100 steps up, then straight down to 0.
schedule.update(dict(max_iters=5000, warmup_ratio=0.02, decay="linear"))
checkpoint.update(dict(interval=500))
accumulate = 10
precision = "bf16"
strategy = "zero2"
