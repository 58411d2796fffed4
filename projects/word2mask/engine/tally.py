"""What the steps between two lines of the log add up to, over accumulated passes and all processes.

Three kinds of numbers, which add up in different ways: *means* over steps (a loss, the gradient's norm, seconds),
*ratios* of a sum and a count (the loss of one task, whose share of a batch differs from pass to pass), and *totals*
(samples, tokens).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from word2mask.data.encode import source_of
from word2mask.engine.distributed import gather_objects
from word2mask.engine.settings import GROUPINGS
from word2mask.types import Batch

#: What an adapter's output is called that says what each sample adds to a loss, ``parts_x`` beside ``loss_x``.
PARTS = "parts_"


@dataclass
class Step:
    """One optimizer step of this process.

    Attributes:
        numbers: name → mean over the passes.
        ratios: name → [sum, count].
        totals: name → sum.
    """

    numbers: dict[str, float] = field(default_factory=dict)
    ratios: dict[str, list[float]] = field(default_factory=dict)
    totals: dict[str, float] = field(default_factory=dict)

    def add_parts(self, batch: Batch, parts: dict[str, list[list[float]]]) -> None:
        """What the samples of one pass add to the losses of their task and source.

        Args:
            batch: B samples.
            parts: loss (``"text"``) → B pairs of sum and count.
        """
        groups = {"task": batch.tasks, "source": [source_of(name) for name in batch.names]}
        for grouping, labels in groups.items():
            for label in labels:
                self._count(f"{grouping}/{label}/samples", 1)
            for loss, pairs in parts.items():
                for label, (total, count) in zip(labels, pairs, strict=True):
                    if count:
                        ratio = self.ratios.setdefault(f"{grouping}/{label}/loss_{loss}", [0.0, 0.0])
                        ratio[0] += total
                        ratio[1] += count

    def add_work(self, batch: Batch) -> None:
        """Tokens, without padding, and frames of one pass."""
        self._count("tokens", int(batch.attention_mask.sum()))
        if batch.num_frames:
            self._count("frames", sum(batch.num_frames))

    def _count(self, name: str, number: float) -> None:
        self.totals[name] = self.totals.get(name, 0) + number


class Tally:
    """The steps since the last line.

    Args:
        by: which of :data:`~word2mask.engine.settings.GROUPINGS` are kept.
    """

    def __init__(self, by: Sequence[str] = GROUPINGS) -> None:
        self._dropped = tuple(f"{grouping}/" for grouping in GROUPINGS if grouping not in by)
        self.means: dict[str, list[float]] = {}
        self.ratios: dict[str, list[float]] = {}
        self.totals: dict[str, float] = {}

    def add(self, step: Step) -> None:
        """Count a step in."""
        for name, value in step.numbers.items():
            self.means.setdefault(name, []).append(value)
        for name, (total, count) in step.ratios.items():
            if not name.startswith(self._dropped):
                ratio = self.ratios.setdefault(name, [0.0, 0.0])
                ratio[0] += total
                ratio[1] += count
        for name, value in step.totals.items():
            if not name.startswith(self._dropped):
                self.totals[name] = self.totals.get(name, 0) + value

    def state(self) -> dict[str, Any]:
        """Plain values, for a checkpoint between two lines."""
        return {"means": self.means, "ratios": self.ratios, "totals": self.totals}

    def load(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`state` gave."""
        # Checkpoints used to hold the means alone.
        state = state if "means" in state else {"means": state}
        self.means, self.ratios, self.totals = state["means"], state.get("ratios", {}), state.get("totals", {})

    def take(self) -> dict[str, float]:
        """The numbers of all processes together, and begin anew; called on all of them.

        Returns:
            by name: means; losses of groups, ``task/refer/loss_text``, and ``task/refer/loss``, the sum of those, with
            ``task/refer/samples``; throughput, ``samples_per_second`` and the like; and ``data_share``, the part of
            the time in 0…1 that was spent waiting for data.
        """
        steps = len(self.means.get("time", ()))
        means = {name: [sum(values), len(values)] for name, values in self.means.items()}
        gathered = gather_objects((means, self.ratios, self.totals))
        self.means, self.ratios, self.totals = {}, {}, {}
        numbers = _quotients([theirs[0] for theirs in gathered])
        groups = _quotients([theirs[1] for theirs in gathered])
        for name, value in list(groups.items()):
            together = f"{name.rpartition('/')[0]}/loss"
            groups[together] = groups.get(together, 0.0) + value
        seconds = steps * numbers.get("time", 0.0)
        for name in {name for theirs in gathered for name in theirs[2]}:
            total = sum(theirs[2].get(name, 0) for theirs in gathered)
            if "/" in name:
                groups[name] = total
            elif seconds:
                numbers[f"{name}_per_second"] = total / seconds
        if numbers.get("time") and "data_time" in numbers:
            numbers["data_share"] = numbers["data_time"] / numbers["time"]
        return dict(sorted(numbers.items())) | dict(sorted(groups.items()))


def _quotients(pairs: Sequence[dict[str, list[float]]]) -> dict[str, float]:
    """Sum of the sums over sum of the counts, by name."""
    names = {name for one in pairs for name in one}
    found = {name: [one[name] for one in pairs if name in one] for name in names}
    return {name: sum(total for total, _ in have) / sum(count for _, count in have) for name, have in found.items()}
