"""``shapes_tiny`` with every second step scored on ReasonSeg, and the best kept."""

from mmengine.config import read_base

from word2mask.engine.validation import BenchmarkCheck
from word2mask.evaluation.reason_seg import ReasonSeg as ReasonSegBenchmark

with read_base():
    from .shapes_tiny import *

validation = dict(
    run=dict(
        type=BenchmarkCheck,
        benchmark=dict(type=ReasonSegBenchmark.build, root="data/shapes_world/ref_seg/ReasonSeg", split="val"),
        folder="validation",
    ),
    interval=2,
    best="giou",
)
