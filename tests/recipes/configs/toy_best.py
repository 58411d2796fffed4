"""The toy recipe with a validation that says which checkpoint is best, and one checkpoint kept beside it."""

from mmengine.config import read_base

from recipes.toy import ToyScores

with read_base():
    from .toy import *

validation = dict(
    run=dict(type=ToyScores, scores=[1.0, 3.0, 2.0, 2.5, 2.0, 2.25], interval=2), interval=2, best="score"
)
checkpoint.update(dict(keep=1))
