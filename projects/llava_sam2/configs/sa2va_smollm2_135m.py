"""Sa2VA from parts: SmolLM2-135M, SAM 2.0 Hiera-T with its trunk as the one vision tower, and a connector to train.

Nobody trained these parts together, so the connector learns in full and the language model adapts. What the language
model sees costs nothing beside what SAM 2 sees: each frame passes one encoder once in all epochs, because what the
frozen trunk makes of it is kept on disk. Adapters, connector, projector and the new tokens' rows are 13.5 M values.
The recipe learns boxes beside masks; with ``model.loss.mask_weight=0 model.loss.dice_weight=0`` it learns boxes alone,
without the decoder, to be followed by a run with ``initialise_from`` that learns masks. The parts come by
``python tools/fetch_pretrained.py smollm2-135m sam2-hiera-tiny``; the data by
``python tools/make_photo_expressions.py INSTANCES.json IMAGES data/photo_expressions``, of any photographs with
instance annotations in COCO's format. SAM's file may be its image part alone:
``--cfg-options model.segmenter.folder=FILE model.mllm.segmenter.folder=FILE``.
"""

from mmengine.config import read_base

from word2mask.data.sources.own_data import OwnData
from word2mask.evaluation.own_pictures import OwnPictures
from word2mask.mllms.composed import ComposedMLLM
from word2mask.segmenters.sam2 import SAM2Segmenter

with read_base():
    from ....configs._base_.sa2va import *

_segmenter = dict(type=SAM2Segmenter.from_pretrained, folder="pretrained/sam2/sam2_hiera_tiny.pt")

model.update(
    dict(
        mllm=dict(
            type=ComposedMLLM.from_parts,
            language="pretrained/smollm2-135m/SmolLM2-135M-Instruct.Q4_1.gguf",
            segmenter=_segmenter,
            # 64 pixels each way: 256 tokens a picture of 1024.
            connector_group=2,
            # Which language knows nothing of where a token stands in the picture.
            names_places=True,
            max_length=2048,
        ),
        # The same file once more; GroundedMLLM sees that both are one network and keeps one.
        segmenter=_segmenter,
        # Two tokens, as a box has; and the boxes are learned beside the masks, which the published recipe doesn't do.
        projector_start="box",
    )
)
model["loss"].update(dict(box_weight=1.0, num_points=2048))
model["trainable"].update(
    dict(lora_rank=32, lora_alpha=64, lora_dropout=0.0, train=("connector", "projector"), train_tokens=True)
)
data["dataset"]["mixture"].update(
    dict(sources=[dict(type=OwnData, annotations="data/photo_expressions/train.jsonl", expressions_per_sample=6)])
)
data.update(dict(batch_size=8, num_workers=2))
# Connector and projector start from nothing.
optimizer.update(dict(lr=4e-4))
parameter_groups = dict(lr_multipliers={"projector.": 3.0, "mllm.model.model.multi_modal_projector.": 3.0})
schedule.update(dict(max_iters=1000, epochs=None))
checkpoint.update(dict(interval=250))
cache_features = dict(folder="work_dirs/features")
evaluation.update(
    dict(benchmarks=[dict(type=OwnPictures.build, root="data/photo_expressions", split="val")], targets={})
)
precision = "bf16"
strategy = "ddp"
