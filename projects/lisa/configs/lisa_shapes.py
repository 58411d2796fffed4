"""LISA at the size of the embedded dataset: all that the method does, on a CPU, from the weights in this repository.

Reads ``data/shapes_world/``, which ``tools/make_shapes_world.py`` makes, and ``pretrained/``. It is LISA's composition:
the state before ``[SEG]``, its projector, and a SAM whose mask decoder learns while its image encoder stays. In LLaVA's
place stands the small InternVL: a tower, a connector and a language model, too.
"""

from mmengine.config import read_base

from word2mask.data.collate import collate
from word2mask.data.dataset import MixtureDataset
from word2mask.data.encode import Encoder
from word2mask.data.mixture import Mixture
from word2mask.data.sources.grefcoco import GRefCOCO
from word2mask.data.sources.llava import LLaVA
from word2mask.data.sources.reason_seg import ReasonSeg
from word2mask.data.sources.refcoco import RefCOCO
from word2mask.data.sources.word_before_seg import WordBeforeSeg
from word2mask.engine.build import Bind, Built
from word2mask.evaluation.reason_seg import ReasonSeg as ReasonSegBenchmark
from word2mask.evaluation.refcoco import RefCOCO as RefCOCOBenchmark
from word2mask.losses.grounding import GroundingLoss
from word2mask.mllms.internvl import InternVL
from word2mask.models.grounded import GroundedMLLM
from word2mask.models.trainable import TrainablePlan
from word2mask.segmenters.sam import SAMSegmenter

with read_base():
    from ....configs._base_.runtime import *
    from ....configs._base_.schedule import *

_root = "data/shapes_world"

model = dict(
    type=GroundedMLLM,
    mllm=dict(type=InternVL.from_pretrained, folder="pretrained/internvl_shapes"),
    segmenter=dict(type=SAMSegmenter.from_pretrained, folder="pretrained/sam_shapes"),
    seg_state="before",
    # As in configs/_base_/lisa.py.
    loss=dict(type=GroundingLoss, text_weight=1.0, mask_weight=2.0, dice_weight=0.5, num_points=None, dice_eps=1e-3),
    trainable=dict(
        type=TrainablePlan,
        # LISA's adapters, rank 8 on queries and values, are for a language model that knows the world's words already.
        lora_rank=32,
        lora_alpha=64,
        lora_dropout=0.0,
        train=("embeddings", "lm_head", "projector", "mask_decoder"),
    ),
    projector_start="points",
)
data = dict(
    dataset=dict(
        type=MixtureDataset,
        mixture=dict(
            type=Mixture,
            # LISA's kinds of data but semantic segmentation, which shapes world doesn't have. The small language model
            # knows places by the state of its word "<box>"; in LISA's own answers ("It is [SEG].") other words stand
            # before [SEG], and their states learn too slowly for minutes.
            sources=[
                (dict(type=WordBeforeSeg, source=dict(type=RefCOCO, folder=f"{_root}/ref_seg/refcoco")), 2),
                (dict(type=WordBeforeSeg, source=dict(type=GRefCOCO, folder=f"{_root}/ref_seg/grefcoco")), 1),
                (dict(type=WordBeforeSeg, source=dict(type=ReasonSeg, folder=f"{_root}/ref_seg/ReasonSeg")), 2),
                (
                    dict(
                        type=LLaVA,
                        annotations=f"{_root}/llava/train.json",
                        image_folder=f"{_root}/llava/images",
                        name="llava",
                    ),
                    1,
                ),
            ],
        ),
        encoder=dict(
            type=Encoder,
            media_processor=dict(type=Built, path="model.mllm.processor"),
            frame_processor=dict(type=Built, path="model.segmenter.processor"),
            max_length=dict(type=Built, path="model.mllm.max_length"),
            overlong="drop_turns",
        ),
    ),
    collate=dict(type=Bind, function=collate, pad_id=dict(type=Built, path="model.mllm.tokenizer.pad_token_id")),
    batch_size=8,
    shuffle=False,
)
optimizer.update(dict(lr=7e-4))
# The projector is the one part that starts from nothing; the decoder knows its task already.
parameter_groups = dict(lr_multipliers={"projector.": 3.0, "segmenter.": 0.02})
schedule.update(dict(max_iters=380))
checkpoint.update(dict(interval=95))
log.update(dict(interval=20))

evaluation = dict(
    benchmarks=[
        dict(type=ReasonSegBenchmark.build, root=f"{_root}/ref_seg/ReasonSeg", split="val"),
        dict(type=ReasonSegBenchmark.build, root=f"{_root}/ref_seg/ReasonSeg", split="val", protocol="lisa"),
        dict(type=RefCOCOBenchmark.build, root=f"{_root}/ref_seg/refcoco", split="val", limit=150),
    ],
)
