"""Several sources as one: how often each is seen, and in which order.

The order is a pure function of (seed, epoch, position). No state, no global random numbers: any process or worker that
asks for a position gets the same record and the same generator, so a run can be stopped, resumed and spread over
machines without changing what it trains on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from word2mask.data.sources.interface import Source
from word2mask.errors import UserError


class Mixture:
    """Sources with repeats, shuffled together anew in every epoch.

    A repeat of 2.5 shows every record of its source twice an epoch, and half of the records, drawn per epoch, a third
    time. The length is exactly what is visited: the sum of the rounded ``repeat × len(source)``.

    Args:
        sources: each a source, or ``(source, repeat)``.
        seed: of the order and of every record's generator.

    Raises:
        UserError: when there is no source, a repeat isn't positive, or nothing would be visited.
    """

    def __init__(self, sources: Sequence[Source | tuple[Source, float] | list], seed: int = 0) -> None:
        pairs = [tuple(entry) if isinstance(entry, (tuple, list)) else (entry, 1.0) for entry in sources]
        if not pairs:
            raise UserError("a mixture needs one source or more, got none")
        for source, repeat in pairs:
            if not repeat > 0:
                raise UserError(
                    f"mixture: source {source.name} has repeat {repeat}; give a number above 0 or leave it out"
                )
        self.sources: tuple[Source, ...] = tuple(source for source, _ in pairs)
        self.repeats: tuple[float, ...] = tuple(float(repeat) for _, repeat in pairs)
        self.seed = seed
        #: Visits of each source in an epoch.
        self.counts: tuple[int, ...] = tuple(round(len(source) * repeat) for source, repeat in pairs)
        self._ends = np.cumsum(self.counts)
        if not self._ends[-1]:
            raise UserError("mixture: no record would be visited: every source is empty or its repeat is too small")
        self._epoch: int | None = None
        self._order = np.empty(0, dtype=np.int64)
        self._tails: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        """Visits in an epoch."""
        return int(self._ends[-1])

    def locate(self, epoch: int, position: int) -> tuple[int, int, np.random.Generator]:
        """What is seen at a position of an epoch.

        Returns:
            index of the source, index of the record in it, and the generator that the record draws from.

        Raises:
            IndexError: when the position is outside ``0 … len-1``.
        """
        if not 0 <= position < len(self):
            raise IndexError(f"position {position} of a mixture of {len(self)} visits an epoch")
        if epoch != self._epoch:
            self._order = np.random.default_rng([self.seed, epoch]).permutation(len(self))
            self._epoch, self._tails = epoch, {}
        visit = int(self._order[position])
        source = int(np.searchsorted(self._ends, visit, side="right"))
        offset = visit - int(self._ends[source]) + self.counts[source]
        size = len(self.sources[source])
        if offset >= self.counts[source] // size * size:
            if source not in self._tails:
                # Which records the broken part of a repeat shows is drawn anew in every epoch.
                self._tails[source] = np.random.default_rng([self.seed, epoch, source]).permutation(size)
            record = int(self._tails[source][offset % size])
        else:
            record = offset % size
        return source, record, np.random.default_rng([self.seed, epoch, position, source])

    def table(self) -> str:
        """Who is seen how often, one line a source, for the log."""
        rows = [("source", "records", "repeat", "visits", "share")]
        for source, repeat, count in zip(self.sources, self.repeats, self.counts, strict=True):
            rows.append((source.name, str(len(source)), f"{repeat:g}", str(count), f"{100 * count / len(self):.1f} %"))
        rows.append(("all", str(sum(len(source) for source in self.sources)), "", str(len(self)), "100.0 %"))
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        return "\n".join(
            "  ".join(
                [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
            )
            for row in rows
        )

    def __getstate__(self) -> dict:
        return vars(self) | {"_epoch": None, "_order": np.empty(0, dtype=np.int64), "_tails": {}}
