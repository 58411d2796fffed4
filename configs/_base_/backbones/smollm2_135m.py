"""A language model that never saw a picture, with SAM 2's trunk as its eyes and ImageNet's classes beside it."""

from mmengine.config import read_base

from word2mask.mllms.composed import ComposedMLLM

with read_base():
    from ..segmenters.sam2_hiera_tiny import segmenter

mllm = dict(
    type=ComposedMLLM.from_parts,
    language="pretrained/smollm2-135m/SmolLM2-135M-Instruct.Q4_1.gguf",
    segmenter=segmenter,
    classifier="pretrained/efficientnet-lite2/efficientnet-lite2-9656183e.pth",
    # Small things are known by their details: docs/parts.md.
    classifier_scales=(1, 2),
    # 64 pixels each way: 256 tokens a picture of 1024.
    connector_group=2,
    # Which language knows nothing of where a token stands in the picture.
    names_places=True,
    # What box an object has is learned from each token that shows it, before there are words.
    tells_boxes=True,
    max_length=2048,
)
