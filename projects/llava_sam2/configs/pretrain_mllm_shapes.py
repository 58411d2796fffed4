"""Pretrains the small base MLLM on conversations about the shapes world: everything but ``[SEG]``.

Estimated at three hours on two CPU cores; not yet run from end to end as one run.
Starts from a checkpoint of ``pretrain_vision_shapes.py``; nothing else is
read from disk.
"""

from torch.optim import AdamW

from word2mask.data.encode import Encoder
from word2mask.data.shapes_world.base_stream import BaseStream, collate_base
from word2mask.engine.build import Bind, Built
from word2mask.evaluation.base_mllm import BaseMLLMCheck
from word2mask.mllms.internvl import InternVL, InternVLSettings
from word2mask.models.mllm_pretraining import MLLMPretraining
from word2mask.models.vision_pretraining import with_pretrained_vision

_encoder = dict(
    type=Encoder,
    media_processor=dict(type=Built, path="model.mllm.processor"),
    frame_processor=None,
    max_length=1024,
    overlong="drop_turns",
)

model = dict(
    type=MLLMPretraining,
    mllm=dict(
        type=with_pretrained_vision,
        mllm=dict(
            type=InternVL.from_scratch,
            tokenizer="pretrained/internvl_shapes",
            layers=6,
            settings=dict(type=InternVLSettings, max_tiles=1, max_length=1024),
        ),
        checkpoint="work_dirs/pretrain_vision_shapes/iter_4000.pth",
    ),
    train_vision=True,
)
data = dict(
    dataset=dict(type=BaseStream, encoder=_encoder, length=96000, block=16, video_every=8),
    collate=dict(type=Bind, function=collate_base, pad_id=0),
    batch_size=16,
    num_workers=1,
    shuffle=False,
)
optimizer = dict(type=AdamW, lr=7e-4, betas=(0.9, 0.95), weight_decay=0.05)
schedule = dict(max_iters=6000, warmup_ratio=0.02, final_ratio=0.02)
parameter_groups = dict(lr_multipliers={"mllm.model.model.vision_tower": 0.3})
checkpoint = dict(interval=250, keep=2)
validation = dict(run=dict(type=BaseMLLMCheck, encoder=_encoder), interval=1000)
log = dict(interval=50)
precision = "bf16"
grad_clip = 1.0
seed = 0
device = "cpu"
