"""Sums that don't depend on the order of what is added, or on how it was spread over processes; of fixed size."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

#: Every float is a whole number of these: the smallest positive one is 2 ** -1074.
_UNIT_EXPONENT = 1074


@dataclass(frozen=True)
class ExactSum:
    """A sum of floats without rounding: rounded once, when it is read.

    Some 150 bytes, however many values were added. The same values give the same bits in any order and any grouping.

    Attributes:
        units: the sum as a number of ``2 ** -1074``.
        count: how many values were added.

    >>> (ExactSum.of([0.1] * 10) + ExactSum.of([0.7])).mean()
    0.15454545454545454
    """

    units: int = 0
    count: int = 0

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """The sum of finite values.

        Raises:
            ValueError: a value is NaN or infinite.
        """
        units, count = 0, 0
        for value in values:
            try:
                numerator, denominator = float(value).as_integer_ratio()
            except (ValueError, OverflowError) as error:
                raise ValueError(f"value {count} to add up is {value}; expected a finite number") from error
            units += numerator << (_UNIT_EXPONENT - denominator.bit_length() + 1)
            count += 1
        return cls(units, count)

    def __add__(self, other: ExactSum) -> ExactSum:
        return ExactSum(self.units + other.units, self.count + other.count)

    def total(self, factor: int = 1) -> float:
        """The sum times a whole factor, rounded once."""
        return factor * self.units / (1 << _UNIT_EXPONENT)

    def mean(self, factor: int = 1) -> float:
        """The mean times a whole factor (100 for percent), rounded once; 0 without values."""
        return factor * self.units / (self.count << _UNIT_EXPONENT) if self.count else 0.0


@dataclass
class Accumulator:
    """What sums over samples have in common: parts, one a process or file, merge into the same whole in any order.

    A subclass is a dataclass whose fields can be added: integers, :class:`ExactSum`, :class:`collections.Counter`.
    Parts travel between processes as they are (they pickle) and hold no sample, so their size doesn't grow.
    """

    def merge(self, other: Self) -> Self:
        """The sums of both, as a new accumulator."""
        names = [field.name for field in dataclasses.fields(self)]
        return type(self)(**{name: getattr(self, name) + getattr(other, name) for name in names})

    @classmethod
    def merged(cls, parts: Iterable[Self]) -> Self:
        """The sums of all parts, e.g. one a rank; of none, the empty accumulator."""
        total = cls()
        for part in parts:
            total = total.merge(part)
        return total
