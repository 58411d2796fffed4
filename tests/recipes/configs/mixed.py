from mmengine.config import read_base
from torch.optim import AdamW

from recipes.mixed import MixedCollate, MixedDataset, MixedModel
from word2mask.engine.build import Built

with read_base():
    from ....configs._base_.distributed import *
    from ....configs._base_.runtime import *

model = dict(type=MixedModel)
data = dict(
    dataset=dict(type=MixedDataset),
    collate=dict(type=MixedCollate, model=dict(type=Built, path="model")),
    batch_size=2,
    shuffle=False,
)
# The usual eps turns a gradient's rounding error, where the gradient is 0, into a step of the full rate.
optimizer = dict(type=AdamW, lr=1e-2, weight_decay=0.05, eps=1e-3)
parameter_groups = dict(lr_multipliers={"projector": 2.0})
accumulate = 2
schedule = dict(max_iters=4, warmup_ratio=0.0)
checkpoint.update(dict(interval=2, keep=0))
log.update(dict(interval=1))
