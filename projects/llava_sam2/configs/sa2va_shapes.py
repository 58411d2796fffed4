"""Sa2VA at the size of the embedded dataset: all that the method does, on a CPU, from the weights in this repository.

Reads ``data/shapes_world/``, which ``tools/make_shapes_world.py`` makes, and ``pretrained/``.
"""

from mmengine.config import read_base

from word2mask.data.collate import collate
from word2mask.data.dataset import MixtureDataset
from word2mask.data.encode import Encoder
from word2mask.data.mixture import Mixture
from word2mask.data.sources.grefcoco import GRefCOCO
from word2mask.data.sources.grounded_caption import GroundedCaption
from word2mask.data.sources.llava import LLaVA
from word2mask.data.sources.mevis import MeViS
from word2mask.data.sources.osprey import Osprey
from word2mask.data.sources.reason_seg import ReasonSeg
from word2mask.data.sources.refcoco import RefCOCO
from word2mask.data.sources.video_chat import VideoChat
from word2mask.engine.build import Bind, Built
from word2mask.evaluation.chat import ImageChat, VideoQuestions
from word2mask.evaluation.grefcoco import GRefCOCO as GRefCOCOBenchmark
from word2mask.evaluation.grounded_caption import GroundedCaption as GroundedCaptionBenchmark
from word2mask.evaluation.mevis import MeViS as MeViSBenchmark
from word2mask.evaluation.reason_seg import ReasonSeg as ReasonSegBenchmark
from word2mask.evaluation.refcoco import RefCOCO as RefCOCOBenchmark
from word2mask.evaluation.region import Region
from word2mask.losses.grounding import GroundingLoss
from word2mask.mllms.internvl import InternVL
from word2mask.models.grounded import GroundedMLLM
from word2mask.models.trainable import TrainablePlan
from word2mask.segmenters.sam2 import SAM2Segmenter

with read_base():
    from ....configs._base_.runtime import *
    from ....configs._base_.schedule import *

_root = "data/shapes_world"

model = dict(
    type=GroundedMLLM,
    mllm=dict(type=InternVL.from_pretrained, folder="pretrained/internvl_shapes"),
    segmenter=dict(type=SAM2Segmenter.from_pretrained, folder="pretrained/sam2_shapes"),
    # Pictures this small are cheaper to compare pixel by pixel than at 12544 sampled points.
    loss=dict(type=GroundingLoss, num_points=None),
    trainable=dict(
        type=TrainablePlan,
        lora_rank=32,
        lora_alpha=64,
        lora_dropout=0.0,
        # Unlike in the published recipe, the connector stays: on 56 pairs of colour and shape it would learn to pass on
        # these alone, and lose what it was pretrained to tell of the others.
        train=("embeddings", "lm_head", "projector"),
    ),
    projector_start="points",
    # The frozen decoder knows prompts as places, and an object that moves has no one place over the key frames.
    prompt_frames="first",
)
data = dict(
    dataset=dict(
        type=MixtureDataset,
        mixture=dict(
            type=Mixture,
            sources=[
                (dict(type=RefCOCO, folder=f"{_root}/ref_seg/refcoco"), 2),
                (dict(type=GRefCOCO, folder=f"{_root}/ref_seg/grefcoco"), 1),
                (dict(type=ReasonSeg, folder=f"{_root}/ref_seg/ReasonSeg"), 1),
                (dict(type=MeViS, folder=f"{_root}/video_seg/mevis/train"), 8),
                (
                    dict(
                        type=GroundedCaption,
                        annotations=f"{_root}/grounded_caption/train.json",
                        image_folder=f"{_root}/grounded_caption/images",
                        name="grounded_caption",
                    ),
                    1,
                ),
                (
                    dict(
                        type=LLaVA,
                        annotations=f"{_root}/llava/train.json",
                        image_folder=f"{_root}/llava/images",
                        name="llava",
                    ),
                    1,
                ),
                (
                    dict(
                        type=Osprey,
                        annotations=f"{_root}/osprey/train.json",
                        image_folder=f"{_root}/osprey/images",
                        name="osprey",
                    ),
                    1,
                ),
                (
                    dict(
                        type=VideoChat,
                        annotations=f"{_root}/video_chat/train.json",
                        video_folder=f"{_root}/video_chat/videos",
                        name="video_chat",
                    ),
                    2,
                ),
            ],
        ),
        encoder=dict(
            type=Encoder,
            media_processor=dict(type=Built, path="model.mllm.processor"),
            frame_processor=dict(type=Built, path="model.segmenter.processor"),
            max_length=dict(type=Built, path="model.mllm.max_length"),
        ),
    ),
    collate=dict(type=Bind, function=collate, pad_id=dict(type=Built, path="model.mllm.tokenizer.pad_token_id")),
    batch_size=8,
    shuffle=False,
)
optimizer.update(dict(lr=7e-4))
# The projector is the one part that starts from nothing; three times the rate is what steers a frozen decoder soonest.
parameter_groups = dict(lr_multipliers={"projector.": 3.0})
schedule.update(dict(max_iters=640))
checkpoint.update(dict(interval=125))
log.update(dict(interval=20))

evaluation = dict(
    benchmarks=[
        dict(type=RefCOCOBenchmark.build, root=f"{_root}/ref_seg/refcoco", split="val"),
        dict(
            type=RefCOCOBenchmark.build,
            root=f"{_root}/ref_seg/refcoco",
            split="testA",
            title="Combinations never seen",
        ),
        dict(type=GRefCOCOBenchmark.build, root=f"{_root}/ref_seg/grefcoco", split="val", limit=100),
        dict(type=ReasonSegBenchmark.build, root=f"{_root}/ref_seg/ReasonSeg", split="val", limit=80),
        dict(type=GroundedCaptionBenchmark.build, root=f"{_root}/grounded_caption", split="val", limit=60),
        dict(type=MeViSBenchmark.build, root=f"{_root}/video_seg/mevis", split="valid_u", limit=40),
        dict(type=ImageChat.build, root=f"{_root}/llava", split="val", limit=150),
        dict(type=VideoQuestions.build, root=f"{_root}/video_chat", split="val", limit=40),
        dict(type=Region.build, root=f"{_root}/osprey", split="val", limit=60),
    ],
    targets={
        "refcoco:val": dict(ciou=85, giou=85),
        "refcoco:testA": dict(ciou=75, giou=75),
        "grefcoco:val": dict(n_acc=80),
        "grounded_caption:val": dict(miou=75),
        "mevis:valid_u": {"j&f": 75},
        "image_chat:val": dict(exact=85),
        "video_chat:val": dict(exact=85),
    },
)
