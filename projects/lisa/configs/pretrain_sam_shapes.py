"""Pretrains the small SAM of the embedded dataset: prompts on pictures of the shapes world, from random weights.

On two processes, so that a step sees eight pictures: nine minutes on two free CPU cores; run in two legs so far (see
``training.json``). Nothing is read from disk; ``tools/export_pretrained.py`` turns a checkpoint into
``pretrained/sam_shapes/`` and measures it.
"""

from word2mask.data.shapes_world.promptable import PromptableBatches, single_item
from word2mask.engine.muon import MuonAdamW
from word2mask.models.promptable_pretraining import PromptablePretraining
from word2mask.segmenters.sam import PaddedFrameProcessor, SAMSegmenter

model = dict(
    type=PromptablePretraining,
    segmenter=dict(type=SAMSegmenter.from_architecture, architecture="shapes", side=160, position_scale=0.5, seed=0),
    prompt_noise=0.3,
    # LISA's prompt is one token alone.
    bare_clicks=0.5,
    # SAM has no object score.
    object_weight=0.0,
)
data = dict(
    dataset=dict(
        type=PromptableBatches,
        processor=dict(type=PaddedFrameProcessor, side=160),
        num_batches=1700,
        num_images=4,
        clip_every=0,
        max_objects=4,
        split="train",
        seed=2,
    ),
    collate=single_item,
    batch_size=1,
    shuffle=False,
)
optimizer = dict(type=MuonAdamW, lr=1e-3, betas=(0.9, 0.98), weight_decay=0.02)
parameter_groups = dict(
    matrices=["segmenter.model.vision_encoder.layers.", "segmenter.model.mask_decoder.transformer."]
)
schedule = dict(max_iters=850, warmup_ratio=0.02, final_ratio=0.01)
checkpoint = dict(interval=200, keep=2)
log = dict(interval=25)
grad_clip = 1.0
seed = 0
device = "cpu"
