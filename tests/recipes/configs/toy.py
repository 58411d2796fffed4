from mmengine.config import read_base
from torch.optim import AdamW

from recipes.toy import ToyDataset, ToyModel, collate

with read_base():
    from ....configs._base_.runtime import *

model = dict(type=ToyModel, hidden=8)
data = dict(dataset=dict(type=ToyDataset, length=20), collate=collate, batch_size=4)
optimizer = dict(type=AdamW, lr=1e-2, weight_decay=0.01)
schedule = dict(max_iters=12, warmup_ratio=0.25)
checkpoint.update(dict(interval=4, keep=0))
log.update(dict(interval=1))
