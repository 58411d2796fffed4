"""Several sources as one: how often each is seen, and in which order.

The order is a pure function of (seed, epoch, position). No state, no global random numbers: any process or worker that
asks for a position gets the same record and the same generator, so a run can be stopped, resumed and spread over
machines without changing what it trains on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeVar

import numpy as np

from word2mask.data.sources.interface import Source
from word2mask.errors import UserError

#: Tasks of :class:`~word2mask.types.Sample` that the segmenter has no part in.
UNSEGMENTED = ("chat", "region", "video_chat")
#: Groups that are sorted by length together: xtuner's sampler sorts as many (``length_grouped.py`` of InternLM/xtuner).
STRETCH = 50

Entry = TypeVar("Entry")


class Mixture:
    """Sources with repeats or rates, shuffled together anew in every epoch.

    A repeat of 2.5 shows every record of its source twice an epoch, and half of the records, drawn per epoch, a third
    time. Rates share out an epoch of a given length instead. The length is exactly what is visited.

    In groups, ``group`` samples that follow one another make like work: all of one kind (text alone, a picture, or a
    video of so many frames; with or without masks) and of similar length. With ``group = batch_size × processes``, the
    processes of a forward pass have as much to do as each other; what is left over of each kind, less than a group,
    comes mixed at the ends of the epoch. Groups follow one another in random order.

    Args:
        sources: each a source, or ``(source, repeat)``; with ``length``, ``(source, rate)``.
        seed: of the order and of every record's generator.
        length: visits of an epoch; the sources share them by their rates, which needn't add up to anything.
        group: how many samples are alike; ``None`` mixes them one by one.
        visits: ``"all"``; or ``"published"``, for comparison: the sampler of the published Sa2VA counts the records of
            its video sets of referring expressions once, whatever their repeats, so that as many visits as the repeats
            add are lost at the end of the concatenation, in the order of ``sources``; it fills up with the first of
            the shuffled others. (``sa2va_data_03_refvos.py``, ``modality_length``, of bytedance/Sa2VA, 9832e1a.)

    Raises:
        UserError: when there is no source, a number isn't positive, or nothing would be visited.
    """

    def __init__(
        self,
        sources: Sequence[Source | tuple[Source, float] | list],
        seed: int = 0,
        length: int | None = None,
        group: int | None = None,
        visits: Literal["all", "published"] = "all",
    ) -> None:
        pairs = [tuple(entry) if isinstance(entry, (tuple, list)) else (entry, 1.0) for entry in sources]
        _check(pairs, length, group, visits)
        self.sources: tuple[Source, ...] = tuple(source for source, _ in pairs)
        self.seed = seed
        self.group = group
        #: Visits of each source in an epoch; :meth:`epoch_counts` for what a published epoch makes of them.
        self.counts: tuple[int, ...] = _counts(pairs, length)
        #: How often an epoch shows a record.
        self.repeats: tuple[float, ...] = (
            tuple(float(repeat) for _, repeat in pairs)
            if length is None
            else tuple(count / len(source) for source, count in zip(self.sources, self.counts, strict=True))
        )
        self._ends = np.cumsum(self.counts)
        if not self._ends[-1]:
            raise UserError("mixture: no record would be visited: every source is empty or its repeat is too small")
        #: The first visits, by the order of the sources, that are ever reached.
        self._reach = len(self) - (self._lost() if visits == "published" else 0)
        self._sizes = [source.sizes() for source in self.sources] if group else []
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
        self._prepare(epoch)
        sources, records = self._find(self._order[position : position + 1])
        source = int(sources[0])
        return source, int(records[0]), np.random.default_rng([self.seed, epoch, position, source])

    def epoch_counts(self, epoch: int, stop: int | None = None) -> tuple[int, ...]:
        """Visits of each source at the positions of an epoch before ``stop``; at all of them without."""
        self._prepare(epoch)
        sources = np.searchsorted(self._ends, self._order[:stop], side="right")
        return tuple(np.bincount(sources, minlength=len(self.sources)).tolist())

    def first_visits(self, source: int, count: int) -> list[int]:
        """The first positions of epoch 0, ``count`` at most, at which a source is seen."""
        self._prepare(0)
        sources = np.searchsorted(self._ends, self._order, side="right")
        return np.flatnonzero(sources == source)[:count].tolist()

    def table(self, counts: Sequence[int] | None = None) -> str:
        """Who is seen how often, one line a source, for the log.

        Args:
            counts: visits of each source; those of the first epoch without.
        """
        counts = self.epoch_counts(0) if counts is None else counts
        total = sum(counts)
        rows = [("source", "records", "repeat", "visits", "share")]
        for source, repeat, count in zip(self.sources, self.repeats, counts, strict=True):
            share = f"{100 * count / max(total, 1):.1f} %"
            rows.append((source.name, str(len(source)), f"{repeat:g}", str(count), share))
        rows.append(("all", str(sum(len(source) for source in self.sources)), "", str(total), "100.0 %"))
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        return "\n".join(
            "  ".join(
                [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
            )
            for row in rows
        )

    def __getstate__(self) -> dict:
        return vars(self) | {"_epoch": None, "_order": np.empty(0, dtype=np.int64), "_tails": {}}

    def _lost(self) -> int:
        """Visits beyond the first of every record of a set of referring videos."""
        return sum(
            max(count - len(source), 0)
            for source, count in zip(self.sources, self.counts, strict=True)
            if "video_refer" in source.tasks
        )

    def _prepare(self, epoch: int) -> None:
        """Draw an epoch's order, unless it is there already."""
        if epoch == self._epoch:
            return
        self._epoch, self._tails = epoch, {}
        rng = np.random.default_rng([self.seed, epoch])
        # Repeated from its beginning where not everything is reached.
        self._order = np.resize(rng.permutation(self._reach), len(self))
        if self.group:
            self._order = self._order[self._grouped(self.group, rng)]

    def _grouped(self, group: int, rng: np.random.Generator) -> np.ndarray:
        """The places of ``_order``, int64 ``[len]``, so that groups of one kind and similar lengths come together."""
        kinds, lengths = self._work()
        blocks, left = [np.empty((0, group), dtype=np.int64)], [np.empty(0, dtype=np.int64)]
        for kind in np.unique(kinds):
            places = np.flatnonzero(kinds == kind)
            whole = places.size // group * group
            left.append(places[whole:])
            places = places[:whole]
            stretches = np.arange(whole) // (group * STRETCH)
            blocks.append(places[np.lexsort((-lengths[places], stretches))].reshape(-1, group))
        groups, rest = rng.permutation(np.concatenate(blocks)), rng.permutation(np.concatenate(left))
        # Groups begin at multiples of their size, counted over all epochs, as the batches of a run do.
        assert self._epoch is not None  # called while an epoch is prepared
        before = -self._epoch * len(self) % group
        if rest.size < before and len(groups):
            rest, groups = np.concatenate([rest, groups[-1]]), groups[:-1]
        return np.concatenate([rest[:before], groups.reshape(-1), rest[before:]])

    def _work(self) -> tuple[np.ndarray, np.ndarray]:
        """The kind of work and the length in characters at each place of ``_order``, int32 ``[len]`` each."""
        sources, records = self._find(self._order)
        kinds, lengths = np.empty(len(self), dtype=np.int32), np.empty(len(self), dtype=np.int32)
        for number, source in enumerate(self.sources):
            here = np.flatnonzero(sources == number)
            frames, characters = self._sizes[number][records[here]].T
            kinds[here] = 2 * frames + (source.tasks[0] not in UNSEGMENTED)
            lengths[here] = characters
        return kinds, lengths

    def _find(self, visits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Source and record of visits as they are numbered through all sources, int64 ``[k]`` each."""
        sources = np.searchsorted(self._ends, visits, side="right")
        records = np.empty_like(visits)
        for source in np.unique(sources).tolist():
            here = np.flatnonzero(sources == source)
            size, count = len(self.sources[source]), self.counts[source]
            offsets = visits[here] - int(self._ends[source]) + count
            found = offsets % size
            in_tail = offsets >= count // size * size
            if in_tail.any():
                found[in_tail] = self._tail(source)[found[in_tail]]
            records[here] = found
        return sources, records

    def _tail(self, source: int) -> np.ndarray:
        """Which records the broken part of a repeat shows: drawn anew in every epoch."""
        if source not in self._tails:
            rng = np.random.default_rng([self.seed, self._epoch or 0, source])
            self._tails[source] = rng.permutation(len(self.sources[source]))
        return self._tails[source]


def nested_rates(kinds: Sequence[tuple[float, Sequence[tuple[Entry, float]]]]) -> list[tuple[Entry, float]]:
    """Rates of sources that come in kinds: each kind has a rate, which its sources share out by their own weights.

    Args:
        kinds: rate, and the sources (or nodes of a config) with their weights, of each.

    Returns:
        each source with its rate, in order, for ``Mixture(sources, length=…)``.

    Raises:
        UserError: when a kind has no source, or a number isn't positive.
    """
    rates: list[tuple[Entry, float]] = []
    for number, (rate, entries) in enumerate(kinds, start=1):
        if not entries:
            raise UserError(f"mixture: kind {number} of {len(kinds)} has no source; leave it out")
        for what, value in (("rate", rate), *(("weight", weight) for _, weight in entries)):
            if not value > 0:
                raise UserError(
                    f"mixture: kind {number} of {len(kinds)} has {what} {value}; give a number above 0 or leave it out"
                )
        total = sum(weight for _, weight in entries)
        rates += [(entry, rate * weight / total) for entry, weight in entries]
    return rates


def _check(pairs: Sequence[tuple], length: int | None, group: int | None, visits: str) -> None:
    """Raise UserError on settings that can't be meant."""
    what = "repeat" if length is None else "rate"
    if not pairs:
        raise UserError("a mixture needs one source or more, got none")
    for source, number in pairs:
        if not number > 0:
            raise UserError(f"mixture: source {source.name} has {what} {number}; give a number above 0 or leave it out")
        if length is not None and not len(source):
            raise UserError(f"mixture: source {source.name} has no record to fill its share of an epoch with")
    if length is not None and length < 1:
        raise UserError(f"mixture: an epoch of length {length}; give 1 or more, or None to count by repeats")
    if group is not None and group < 1:
        raise UserError(f"mixture: groups of {group}; give batch_size × processes, or None to mix one by one")
    if visits not in ("all", "published"):
        raise UserError(f"mixture: visits are 'all' or 'published', got '{visits}'")


def _counts(pairs: Sequence[tuple], length: int | None) -> tuple[int, ...]:
    """Visits of each source in an epoch."""
    if length is None:
        return tuple(round(len(source) * repeat) for source, repeat in pairs)
    rates = np.array([rate for _, rate in pairs], dtype=np.float64)
    shares = rates / rates.sum() * length
    counts = np.floor(shares).astype(np.int64)
    # What rounding down leaves goes to the largest fractions.
    counts[np.argsort(counts - shares, kind="stable")[: length - int(counts.sum())]] += 1
    return tuple(counts.tolist())
