"""Sa2VA-4B as published (arXiv:2501.04001): InternVL2.5-4B and SAM 2.0 Hiera-L, in what differs from ``sa2va_shapes``.

``pretrained/InternVL2_5-4B`` and ``pretrained/sam2-hiera-large`` are folders in transformers' layout; the datasets lie
under ``data/`` as their authors publish them. With 16 GPUs the global batch is the paper's 256, and ``max_iters`` about
one epoch of this mixture. Repeats, LoRA and optimizer are those of the published 4B config. Of its data, Ref-YTVOS,
ReVOS, Ref-SAV, and the captions grounded on Flickr30k and RefCOCOg are not in the mixture.
"""

import torch
from mmengine.config import read_base

from word2mask.data.sources.grounded_caption import GroundedCaption
from word2mask.data.sources.llava import LLaVA
from word2mask.data.sources.mevis import MeViS
from word2mask.data.sources.osprey import Osprey
from word2mask.data.sources.refcoco import RefCOCO
from word2mask.data.sources.video_chat import VideoChat
from word2mask.evaluation.mevis import MeViS as MeViSBenchmark
from word2mask.evaluation.refcoco import RefCOCO as RefCOCOBenchmark
from word2mask.evaluation.refcoco import RefCOCOg, RefCOCOPlus
from word2mask.mllms.internvl import InternVL
from word2mask.segmenters.sam2 import SAM2Segmenter

with read_base():
    from .sa2va_shapes import *

_refer = "data/ref_seg"
_pictures = "data/glamm_data/images"
_captions = "data/glamm_data/annotations"
_osprey = "data/osprey-724k"

model["mllm"] = dict(
    type=InternVL.from_pretrained,
    folder="pretrained/InternVL2_5-4B",
    dtype=torch.bfloat16,
    template="phi3_chat",
    max_tiles=12,
    max_length=8192,
)
model["segmenter"] = dict(type=SAM2Segmenter.from_pretrained, folder="pretrained/sam2-hiera-large")
model.update(
    dict(
        loss=dict(num_points=12544),
        trainable=dict(lora_rank=128, lora_alpha=256, lora_dropout=0.05),
    )
)
data["dataset"]["mixture"].update(
    dict(
        sources=[
            (dict(type=RefCOCO, folder=f"{_refer}/refcoco"), 4),
            (dict(type=RefCOCO, folder=f"{_refer}/refcoco+"), 4),
            (dict(type=RefCOCO, folder=f"{_refer}/refcocog", split_by="umd"), 4),
            (
                dict(
                    type=LLaVA,
                    annotations="data/llava_data/LLaVA-Instruct-150K/llava_v1_5_mix665k.json",
                    image_folder="data/llava_data/llava_images",
                ),
                1,
            ),
            (dict(type=MeViS, folder="data/video_datas/mevis/train"), 4),
            (
                dict(
                    type=VideoChat,
                    annotations="data/video_datas/chat_univi/video_chat.json",
                    video_folder="data/video_datas/chat_univi/Activity_Videos",
                ),
                1,
            ),
            (
                dict(
                    type=GroundedCaption,
                    annotations=f"{_captions}/OpenPsgGCG_train.json",
                    image_folder=f"{_pictures}/coco2017",
                ),
                1,
            ),
            (
                dict(
                    type=GroundedCaption,
                    annotations=f"{_captions}/GranDf_HA_GCG_train.json",
                    image_folder=f"{_pictures}/grandf/train",
                ),
                10,
            ),
            (
                dict(
                    type=Osprey,
                    annotations=f"{_osprey}/Osprey-724K/osprey_conversation.json",
                    image_folder=f"{_osprey}/coco/train2014",
                ),
                1,
            ),
            (
                dict(
                    type=Osprey,
                    annotations=f"{_osprey}/Osprey-724K/osprey_detail_description.json",
                    image_folder=f"{_osprey}/coco/train2014",
                ),
                1,
            ),
        ]
    )
)
data.update(dict(batch_size=2, num_workers=4, pin_memory=True))
optimizer.update(dict(lr=4e-5))
schedule.update(dict(max_iters=4500))
checkpoint.update(dict(interval=500))
precision = "bf16"
accumulate = 8
evaluation = dict(
    _delete_=True,
    benchmarks=[
        dict(type=RefCOCOBenchmark.build, root=f"{_refer}/refcoco", split="val"),
        dict(type=RefCOCOPlus.build, root=f"{_refer}/refcoco+", split="val"),
        dict(type=RefCOCOg.build, root=f"{_refer}/refcocog", split="val"),
        dict(type=MeViSBenchmark.build, root="data/video_datas/mevis", split="valid_u"),
    ],
)
