"""Splits of the shapes world: which seeds and which (colour, shape) pairs belong to whom."""

from __future__ import annotations

from typing import Literal

import numpy as np

from word2mask.errors import UserError

Split = Literal["train", "val", "combo"]

SPLITS: tuple[Split, ...] = ("train", "val", "combo")

#: Pairs that never occur in ``train`` and ``val``, neither in a picture nor in a text. Each colour and each shape is
#: in one pair only, so all are well known from others. The targets of ``combo`` are such pairs.
HELD_OUT: frozenset[tuple[str, str]] = frozenset(
    {
        ("red", "moon"),
        ("orange", "star"),
        ("yellow", "triangle"),
        ("green", "ring"),
        ("blue", "heart"),
        ("purple", "circle"),
        ("white", "square"),
        ("black", "cross"),
    }
)


def scene_rng(seed: int, split: Split, index: int) -> np.random.Generator:
    """The generator of scene ``index`` of a split; streams of different splits, seeds and indices are independent.

    Raises:
        UserError: the split is unknown.
    """
    if split not in SPLITS:
        raise UserError(f"shapes world: unknown split {split!r}; expected one of {', '.join(SPLITS)}")
    return np.random.default_rng([seed, SPLITS.index(split), index])
