"""The control of ``sa2va_smollm2_135m``: the same training with every question taken from another record.

What it reaches needs no language; the distance between the two is what the words are worth.
"""

from mmengine.config import read_base

from word2mask.data.sources.shuffled_text import ShuffledText

with read_base():
    from .sa2va_smollm2_135m import *

data["dataset"]["mixture"].update(
    dict(sources=[dict(type=ShuffledText, source=source) for source in data["dataset"]["mixture"]["sources"]])
)
