"""Pretrains the small SAM 2 of the embedded dataset: prompts and tracking on the shapes world, from random weights.

Estimated at 40 minutes on one free CPU core; run in four legs so far, the last on clips of 8 frames.
Nothing is read from disk; ``tools/export_pretrained.py`` turns a checkpoint into
``pretrained/sam2_shapes/`` and measures it.
"""

from word2mask.data.shapes_world.promptable import PromptableBatches, single_item
from word2mask.engine.muon import MuonAdamW
from word2mask.models.sam2_pretraining import SAM2Pretraining
from word2mask.segmenters.interface import FrameProcessor
from word2mask.segmenters.sam2 import SAM2Segmenter

model = dict(
    type=SAM2Pretraining,
    segmenter=dict(type=SAM2Segmenter.from_architecture, architecture="shapes", side=160, position_scale=0.5, seed=0),
    prompt_noise=0.3,
)
data = dict(
    dataset=dict(
        type=PromptableBatches,
        processor=dict(type=FrameProcessor, side=160),
        num_batches=3500,
        num_images=8,
        num_clips=4,
        clip_every=3,
        clips_from=1000,
        num_frames=6,
        max_objects=4,
        split="train",
        seed=1,
    ),
    collate=single_item,
    batch_size=1,
    shuffle=False,
)
optimizer = dict(type=MuonAdamW, lr=1e-3, betas=(0.9, 0.98), weight_decay=0.02)
parameter_groups = dict(
    matrices=[
        "segmenter.model.vision_encoder.backbone.blocks.",
        "segmenter.model.mask_decoder.transformer.",
        "segmenter.model.memory_attention.layers.",
        "segmenter.model.memory_encoder.memory_fuser.layers.",
    ]
)
schedule = dict(max_iters=3500, warmup_ratio=0.02, final_ratio=0.01)
checkpoint = dict(interval=300, keep=2)
log = dict(interval=25)
grad_clip = 1.0
seed = 0
device = "cpu"
