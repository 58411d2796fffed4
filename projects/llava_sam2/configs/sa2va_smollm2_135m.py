"""Sa2VA from parts: SmolLM2-135M, SAM 2.0 Hiera-T with its trunk as the one vision tower, EfficientNet-Lite2 for what
things are, and a connector to train.

Nobody trained these parts together, and the pictures are few, so what needs no words is learned beforehand: what each
visual token shows and what box its object has (``pretrain_connector_photos.py``, first; a minute is hundreds of
pictures). Left for the language model is to choose: a ``[SEG]`` points at visual tokens, by what they look like and
by what the question says of them, and the prompt is the box that these tell (``pointing``), which the frozen decoder is
at home with. What the language model sees costs nothing beside what SAM 2 sees: each frame passes the frozen encoders
once in all epochs. As it stands the recipe learns words and boxes, without the decoder; with
``model.loss.mask_weight=2 model.loss.dice_weight=0.5`` and ``initialise_from`` a run learns masks through the decoder
as well. Adapters, projector and the new tokens' rows are 11 M values.

The parts come by ``python tools/fetch_pretrained.py smollm2-135m sam2-hiera-tiny efficientnet-lite2``; the data by
``python tools/make_photo_expressions.py INSTANCES.json IMAGES data/photo_expressions --mirrored``, of any photographs
with instance annotations in COCO's format. SAM's file may be its image part alone:
``--cfg-options model.segmenter.folder=FILE model.mllm.segmenter.folder=FILE``.
"""

from mmengine.config import read_base

from word2mask.data.sources.own_data import OwnData
from word2mask.evaluation.own_pictures import OwnPictures
from word2mask.models.guide import GuidePlan

with read_base():
    from ....configs._base_.backbones.smollm2_135m import mllm as _mllm
    from ....configs._base_.sa2va import *
    from ....configs._base_.segmenters.sam2_hiera_tiny import segmenter as _segmenter

model.update(
    dict(
        mllm=_mllm,
        # The same file once more; GroundedMLLM sees that both are one network and keeps one.
        segmenter=_segmenter,
        projector_start="pointing",
        # Two thirds of the 30 layers find what is meant, the rest corrects where it is.
        guide=dict(type=GuidePlan, layer=20),
    )
)
model["mllm"].update(
    dict(
        connector="work_dirs/pretrain_connector_photos/iter_500.pth",
        # On two cores of an AMD EPYC a step of four pictures took 5.2 s so and 6.2 s by "sdpa", which suits a GPU.
        attn_implementation="eager",
    )
)
model["loss"].update(dict(mask_weight=0.0, dice_weight=0.0, box_weight=2.0, num_points=2048))
model["trainable"].update(
    # Trained on, the connector forgets in minutes what its tokens told.
    dict(lora_rank=32, lora_alpha=64, lora_dropout=0.0, train=("projector", "guide"), train_tokens=True)
)
data["dataset"]["mixture"].update(
    dict(
        # All are pictures of one size.
        group=None,
        sources=[
            dict(type=OwnData, annotations="data/photo_expressions/train.jsonl", expressions_per_sample=8),
            dict(type=OwnData, annotations="data/photo_expressions/mirrored.jsonl", expressions_per_sample=8),
        ],
    )
)
data.update(dict(batch_size=2, num_workers=2))
# Projector and guide start from nothing, the language model from a life without pictures: of the same objects
# in steps 71 to 100, 67 % were pointed at rightly at one rate for both, 77 % at these.
optimizer.update(dict(lr=4e-4))
parameter_groups = dict(lr_multipliers={"projector.": 3.0})
# Over four passes over 174 photographs and their mirror images: forty minutes on two CPU cores.
schedule.update(dict(max_iters=750, epochs=None))
checkpoint.update(dict(interval=100, keep=2))
cache_features = dict(folder="work_dirs/features", dtype="fp16")
evaluation.update(
    dict(benchmarks=[dict(type=OwnPictures.build, root="data/photo_expressions", split="val")], targets={})
)
precision = "bf16"
strategy = "ddp"
