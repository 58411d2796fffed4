"""Sa2VA (arXiv:2501.04001) as published; a model's config adds the MLLM, the mixture's sources and the batch.

Ours differs on purpose: SAM 2 is frozen as a whole. The published recipe trains its mask decoder as well, which is
``model["trainable"].update(dict(train=(…, "mask_decoder")))`` here.
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
    from .benchmarks.sa2va import *
    from .distributed import *
    from .runtime import *
    from .schedule import *
    from .segmenters.sam2_hiera_large import segmenter as _segmenter

model = dict(
    type=GroundedMLLM,
    segmenter=_segmenter,
    loss=dict(type=GroundingLoss, num_points=12544),
    trainable=dict(type=TrainablePlan, lora_rank=128, lora_alpha=256, lora_dropout=0.05),
)
data = dict(
    dataset=dict(
        type=MixtureDataset,
        # 2 samples on each of 16 GPUs, the published run's forward pass, make like work (benchmarks/mixture.md); its
        # own sampler puts pictures beside pictures and videos beside videos, too.
        mixture=dict(type=Mixture, group=32),
        encoder=dict(
            type=Encoder,
            media_processor=dict(type=Built, path="model.mllm.processor"),
            frame_processor=dict(type=Built, path="model.segmenter.processor"),
            max_length=dict(type=Built, path="model.mllm.max_length"),
            # The published code cuts such samples anywhere, [SEG] and all.
            overlong="drop_turns",
        ),
    ),
    collate=dict(type=Bind, function=collate, pad_id=dict(type=Built, path="model.mllm.tokenizer.pad_token_id")),
    num_workers=16,
    shuffle=False,
    pin_memory=True,
)
schedule.update(dict(max_iters=None, epochs=1))
checkpoint.update(dict(interval=2000))
precision = "bf16"
strategy = "zero2"
