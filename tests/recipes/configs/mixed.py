from mmengine.config import read_base
from torch.optim import SGD

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
optimizer = dict(type=SGD, lr=1e-2, momentum=0.9, weight_decay=0.05)
parameter_groups = dict(lr_multipliers={"projector": 2.0})
schedule = dict(max_iters=4, warmup_ratio=0.0)
checkpoint.update(dict(interval=2, keep=0))
log.update(dict(interval=1))
