"""Pretrains the vision tower of the small base MLLM: every patch of a picture of the shapes world says what it shows.

A step took 0.35 s on two processes of one CPU core each (``data.batch_size=16``); the whole was never one run.
From random weights; nothing is read from disk but the tokenizer
(``tools/train_tokenizer.py``). ``tools/train.py`` saves the tower; ``pretrain_mllm_shapes.py`` starts from it.
"""

from word2mask.data.shapes_world.vision_stream import VisionStream, stack
from word2mask.engine.build import Built
from word2mask.engine.muon import MuonAdamW
from word2mask.mllms.internvl import InternVL, InternVLSettings
from word2mask.models.vision_pretraining import VisionPretraining

model = dict(
    type=VisionPretraining,
    mllm=dict(
        type=InternVL.from_scratch,
        tokenizer="pretrained/internvl_shapes",
        layers=6,
        vision_layers=6,
        attn_implementation="eager",  # bf16 on a CPU: a step took 0.75 of sdpa's time
        settings=dict(type=InternVLSettings, max_tiles=1, max_length=1024),
    ),
    standing_weight=5.0,
)
data = dict(
    dataset=dict(
        type=VisionStream,
        processor=dict(type=Built, path="model.mllm.processor"),
        length=128000,
        unnamed_share=0.25,
        unnamed_shape_share=0.2,
    ),
    collate=stack,
    batch_size=32,
    shuffle=False,
)
optimizer = dict(type=MuonAdamW, lr=1.5e-3, betas=(0.9, 0.98), weight_decay=0.05)
parameter_groups = dict(matrices=["mllm.model.model.vision_tower.encoder.layer."])
schedule = dict(max_iters=4000, warmup_ratio=0.025, final_ratio=0.01)
checkpoint = dict(interval=500, keep=2)
log = dict(interval=50)
precision = "bf16"
grad_clip = 1.0
seed = 0
device = "cpu"
