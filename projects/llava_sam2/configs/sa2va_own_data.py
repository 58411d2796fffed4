"""Sa2VA on a user's own data, one JSONL, at the size of ``sa2va_shapes``.

Reads ``data/own_data/train.jsonl``, which ``tools/convert_dataset.py`` writes, and ``pretrained/``. Another file:
``--cfg-options data.dataset.mixture.sources.0.annotations=FILE``. docs/own_data.md walks through it.
"""

from mmengine.config import read_base

from word2mask.data.sources.own_data import OwnData

with read_base():
    from .sa2va_shapes import *

data["dataset"]["mixture"].update(
    dict(sources=[dict(type=OwnData, annotations="data/own_data/train.jsonl", expressions_per_sample=3)])
)
# A few dozen passes over twenty pictures.
optimizer.update(dict(lr=1e-3))
schedule.update(dict(max_iters=100))
checkpoint.update(dict(interval=100))
# Twenty pictures leave none to score, and the benchmarks of shapes world ask for other things.
evaluation.update(dict(benchmarks=[], targets={}))
