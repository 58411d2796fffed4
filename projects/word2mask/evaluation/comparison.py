"""Two runs on the same questions: how much better one is than the other, and how sure that is.

The difference of each metric gets an interval by a paired bootstrap: samples are drawn with replacement, the same ones
for both runs, the whole metric is computed again for both, and the middle 95 % of the differences is the interval. What
is asked about one picture or video stands or falls together, so these are drawn as wholes.

Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13 (percentile interval).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from word2mask.errors import UserError
from word2mask.evaluation.interface import Benchmark
from word2mask.evaluation.records import Record

#: How often samples are drawn: as often as this many samples allow, within these bounds.
DRAWN_SAMPLES, FEWEST, MOST = 2_000_000, 200, 1000
#: The share of differences within an interval.
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Difference:
    """One metric of both runs, in percent.

    Attributes:
        metric: its key.
        name: how it is printed.
        one: of the first run.
        other: of the second run.
        low: lower end of the interval of ``one - other``.
        high: upper end.
    """

    metric: str
    name: str
    one: float
    other: float
    low: float
    high: float

    @property
    def value(self) -> float:
        """``one - other``."""
        return self.one - self.other

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Comparison:
    """Two runs on one benchmark.

    Attributes:
        label: of the benchmark.
        count: number of samples.
        units: number of pictures, videos or objects that were drawn as wholes.
        resamples: how often.
        differences: metric by metric.
        gains: score of the first run minus the second's, 0…100, for each sample.
        sample_metric: what these scores are.
    """

    label: str
    count: int
    units: int
    resamples: int
    differences: tuple[Difference, ...]
    gains: tuple[float, ...]
    sample_metric: str

    def counts(self) -> tuple[int, int, int]:
        """Samples in which the first run is better, worse, or as good."""
        better = sum(gain > 0 for gain in self.gains)
        worse = sum(gain < 0 for gain in self.gains)
        return better, worse, len(self.gains) - better - worse

    def to_json(self) -> dict[str, Any]:
        """Everything but the samples."""
        better, worse, equal = self.counts()
        return {
            "benchmark": self.label,
            "count": self.count,
            "units": self.units,
            "resamples": self.resamples,
            "confidence": CONFIDENCE,
            "sample_metric": self.sample_metric,
            "better": better,
            "worse": worse,
            "equal": equal,
            "differences": [
                {
                    "metric": one.metric,
                    "name": one.name,
                    "one": one.one,
                    "other": one.other,
                    "difference": one.value,
                    "low": one.low,
                    "high": one.high,
                }
                for one in self.differences
            ],
        }


def compare(
    benchmark: Benchmark,
    records: Sequence[Record],
    others: Sequence[Record],
    resamples: int | None = None,
    seed: int = 0,
) -> Comparison:
    """Compares two runs sample by sample.

    Metrics of the whole split that are computed once (METEOR, CIDEr) aren't compared.

    Args:
        benchmark: that both answered.
        records: of the first run, in order.
        others: of the second run, in order.
        resamples: how often samples are drawn; 1000 times without, less often where there are over 2000 samples.
        seed: of the drawing.

    Raises:
        UserError: the runs weren't asked the same.
    """
    if resamples is None:
        resamples = min(max(DRAWN_SAMPLES // max(len(records), 1), FEWEST), MOST)
    if resamples < 1:
        raise UserError(f"{benchmark.label}: samples must be drawn once at least, got {resamples}")
    for one, other in zip(records, others, strict=False):
        if (one.id, one.question) != (other.id, other.question):
            raise UserError(
                f"{benchmark.label}: one run was asked {one.id} {one.question!r}, the other {other.id} "
                f"{other.question!r}; only runs on the same questions can be compared"
            )
    if len(records) != len(others):
        raise UserError(f"{benchmark.label}: {len(records)} samples in one run and {len(others)} in the other")
    pairs = [record.scores for record in records], [other.scores for other in others]
    whole = [benchmark.summarise(scores) for scores in pairs]
    keys = [key for key in benchmark.metrics if all(key in summary for summary in whole)]
    units = _units(records)
    drawn = _bootstrap(benchmark, pairs, units, keys, resamples, np.random.default_rng(seed))
    tail = 50 * (1 - CONFIDENCE)
    differences = []
    for key in keys:
        low, high = np.percentile(drawn[key], [tail, 100 - tail]) if drawn[key] else (np.nan, np.nan)
        name, first, second = benchmark.metrics[key], whole[0][key], whole[1][key]
        differences.append(Difference(key, name, first, second, float(low), float(high)))
    gains = [benchmark.sample_score(one) - benchmark.sample_score(other) for one, other in zip(*pairs, strict=True)]
    return Comparison(
        benchmark.label,
        len(records),
        len(units),
        resamples,
        tuple(differences),
        tuple(gains if keys else ()),
        benchmark.sample_metric,
    )


def _units(records: Sequence[Record]) -> list[list[int]]:
    """Positions that are drawn together: ids that are equal up to their last slash (video/expression, picture/text)."""
    units: dict[str, list[int]] = {}
    for position, record in enumerate(records):
        units.setdefault(record.id.rpartition("/")[0] or record.id, []).append(position)
    return list(units.values())


def _bootstrap(
    benchmark: Benchmark,
    pairs: tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]],
    units: Sequence[Sequence[int]],
    keys: Sequence[str],
    resamples: int,
    rng: np.random.Generator,
) -> dict[str, list[float]]:
    """Metric → its difference in each draw; a draw in which a metric isn't defined is left out of it."""
    found: dict[str, list[float]] = {key: [] for key in keys}
    for _ in range(resamples if keys else 0):
        chosen = [position for unit in rng.integers(len(units), size=len(units)) for position in units[unit]]
        one, other = (benchmark.summarise([scores[position] for position in chosen]) for scores in pairs)
        for key in keys:
            if key in one and key in other:
                found[key].append(one[key] - other[key])
    return found
