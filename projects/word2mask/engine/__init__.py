"""Training: the only package that imports mmengine.

``config`` reads a config and its overrides, ``build`` turns nodes into objects, ``runner.train`` trains any model
that obeys
``model(batch) -> {name: scalar}``, ``checkpoint`` writes and reads what has been learnt.
"""

import os

import torch

# mmengine imports DeepSpeed wherever that is installed, which on a machine without a GPU warns that there is none.
if not torch.cuda.is_available():
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
