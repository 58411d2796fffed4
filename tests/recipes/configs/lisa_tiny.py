"""``lisa_shapes`` with random weights of a few thousand parameters."""

from mmengine.config import read_base

from word2mask.mllms.internvl import InternVL
from word2mask.segmenters.sam import SAMSegmenter

with read_base():
    from ....projects.lisa.configs.lisa_shapes import *

model["mllm"] = dict(type=InternVL.tiny)
model["segmenter"] = dict(type=SAMSegmenter.tiny)
data.update(dict(batch_size=4))
schedule.update(dict(max_iters=4))
checkpoint.update(dict(interval=2, keep=0))
log.update(dict(interval=1))
