"""Pretrains the small base MLLM on conversations about the shapes world: everything but ``[SEG]``.

A step takes 1.6 to 2 s on two processes of one CPU core each; not yet run from end to end as one run.
Starts from a checkpoint of ``pretrain_vision_shapes.py``; nothing else is read from disk. For two processes:

    bash tools/dist.sh train projects/llava_sam2/configs/pretrain_mllm_shapes.py 2
"""

from word2mask.data.encode import Encoder
from word2mask.data.shapes_world.base_stream import BaseStream, collate_base
from word2mask.engine.build import Bind, Built
from word2mask.engine.muon import MuonAdamW
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
            vision_layers=6,
            attn_implementation="eager",  # bf16 on a CPU: a step took 0.6 of sdpa's time
            settings=dict(type=InternVLSettings, max_tiles=1, max_length=1024),
        ),
        checkpoint="work_dirs/pretrain_vision_shapes/iter_4000.pth",
    ),
    # It would learn from the pictures which pairs of colour and shape there are, and no longer see the others.
    train_vision=False,
    distance_weight=2.0,
)
data = dict(
    dataset=dict(
        type=BaseStream,
        encoder=_encoder,
        length=144000,
        block=32,
        video_every=4,
        unnamed_share=0.05,
        unnamed_shape_share=0.1,
        more_names_share=0.4,
    ),
    collate=dict(type=Bind, function=collate_base, pad_id=0),
    batch_size=16,
    shuffle=False,
)
optimizer = dict(type=MuonAdamW, lr=1.2e-3, betas=(0.9, 0.95), weight_decay=0.05)
parameter_groups = dict(matrices=["mllm.model.model.language_model.layers."])
schedule = dict(max_iters=4500, warmup_ratio=0.02, final_ratio=0.02)
checkpoint = dict(interval=250, keep=2)
validation = dict(run=dict(type=BaseMLLMCheck, encoder=_encoder), interval=1000)
log = dict(interval=50)
precision = "bf16"
grad_clip = 1.0
seed = 0
device = "cpu"
