"""Batches whose sequences differ in length: rows of like length go through the language model together."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar

#: What a pass of its own costs, in token places: a group must save more than that.
PASS_COST = 256

_ONE_GROUP: ContextVar[bool] = ContextVar("one_group", default=False)


@contextlib.contextmanager
def one_group() -> Iterator[None]:
    """Inside, no batch is split: for processes that exchange weights layer by layer and so must pass equally often."""
    token = _ONE_GROUP.set(True)
    try:
        yield
    finally:
        _ONE_GROUP.reset(token)


def length_groups(lengths: Sequence[int], pass_cost: int = PASS_COST, halvings: int = 1) -> list[list[int]]:
    """Splits rows into one group or two, whichever needs the fewest token places (rows × longest row).

    A video among pictures makes every picture as long as the video; in a group of its own it doesn't.

    Args:
        lengths: of each row.
        pass_cost: added for the second group.
        halvings: how many times; at two, each group may be split once more, so that there may be four.

    Returns:
        Indices of the rows, the shorter ones first; one group in the given order when a split doesn't pay, and
        always inside of :func:`one_group`.

    >>> length_groups([200, 1000, 180, 210], pass_cost=100)
    [[2, 0, 3], [1]]
    >>> length_groups([200, 190, 180, 210])
    [[0, 1, 2, 3]]
    >>> length_groups([10, 11, 50, 90, 91], pass_cost=1, halvings=2)
    [[0, 1], [2], [3, 4]]
    """
    count = len(lengths)
    if _ONE_GROUP.get():
        return [list(range(count))]
    order = sorted(range(count), key=lambda row: lengths[row])
    longest = lengths[order[-1]]
    costs = {split: split * lengths[order[split - 1]] + (count - split) * longest for split in range(1, count)}
    best = min(costs, key=costs.__getitem__, default=0)
    if not best or costs[best] + pass_cost >= count * longest:
        return [list(range(count))]
    groups = [order[:best], order[best:]]
    if halvings == 1:
        return groups
    parts = (length_groups([lengths[row] for row in group], pass_cost, halvings - 1) for group in groups)
    return [[group[place] for place in part] for group, found in zip(groups, parts, strict=True) for part in found]
