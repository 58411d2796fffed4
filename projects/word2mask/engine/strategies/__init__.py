"""How processes share a run: mmengine strategies, one name each.

``ddp`` keeps the whole model everywhere; ``zero1`` splits the optimizer's state, ``zero2`` the gradients too, ``zero3``
and ``fsdp`` the weights as well; ``…_offload`` keeps in the computer's memory what is split off. They mean the same:
losses, gradients, clipping, accumulation and checkpoints are those of one process on the same global batch, and a run
may change its strategy from one resume to the next.
"""

from __future__ import annotations

from importlib import import_module

from word2mask.engine.build import suggest
from word2mask.engine.settings import STRATEGIES
from word2mask.engine.strategies.base import Sharing, SingleProcess, unwrap
from word2mask.errors import UserError

__all__ = ["Sharing", "strategy_class", "unwrap"]


def strategy_class(name: str, distributed: bool) -> type[Sharing]:
    """The strategy's class; one process needs none of them.

    Raises:
        UserError: no such strategy.
    """
    if name not in STRATEGIES:
        raise UserError(f"strategy is {name!r}{suggest(name, list(STRATEGIES))}")
    if not distributed:
        return SingleProcess
    # Each of them imports a library of its own, which takes seconds or isn't installed.
    module, class_name = {
        "ddp": ("base", "DataParallel"),
        "fsdp": ("fsdp", "FullySharded"),
        "zero1": ("zero", "Zero1"),
        "zero2": ("zero", "Zero2"),
        "zero2_offload": ("zero", "Zero2Offload"),
        "zero3": ("zero", "Zero3"),
        "zero3_offload": ("zero", "Zero3Offload"),
    }[name]
    return getattr(import_module(f"word2mask.engine.strategies.{module}"), class_name)
