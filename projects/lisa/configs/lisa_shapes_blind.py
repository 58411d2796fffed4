"""The control of ``lisa_shapes``: the same training with every question taken from another record.

What it reaches needs no language; the distance between the two is what the words are worth.
"""

from mmengine.config import read_base

from word2mask.data.sources.shuffled_text import ShuffledText

with read_base():
    from .lisa_shapes import *

data["dataset"]["mixture"].update(
    dict(
        sources=[
            (dict(type=ShuffledText, source=source), repeat) for source, repeat in data["dataset"]["mixture"]["sources"]
        ]
    )
)
