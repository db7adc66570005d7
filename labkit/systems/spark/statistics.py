"""Statistics of RDDs of numbers, exact and approximate."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from labkit.parts.keys import portable_hash
from labkit.runtime.copying import stable_hash

from . import operations as op
from .above import RDD

__all__ = ["BoundedFloat", "StatCounter", "Statistics"]

Records = Iterable[Any]


class StatCounter:
    """Count, mean, sum of squared deviations, maximum and minimum of numbers, in one pass.

    Welford's update for a value, and Chan's for another counter, which lose no digits to cancellation.
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        self.n = 0
        self.mu: Any = 0.0
        self.m2: Any = 0.0
        self.maxValue: Any = -math.inf
        self.minValue: Any = math.inf
        for value in values or ():
            self.merge(value)

    def merge(self, value: Any) -> StatCounter:
        """Add a value."""
        delta = value - self.mu
        self.n += 1
        self.mu += delta / self.n
        self.m2 += delta * (value - self.mu)
        self.maxValue = _elementwise(max, self.maxValue, value)
        self.minValue = _elementwise(min, self.minValue, value)
        return self

    def mergeStats(self, other: StatCounter) -> StatCounter:
        """Add all values of another counter."""
        if not isinstance(other, StatCounter):
            raise TypeError(f"Can only merge StatCounter but got {type(other)}")
        if other.n == 0:
            return self
        if other is self:
            other = self.copy()
        if self.n == 0:
            self.__dict__.update(other.__dict__)
            return self
        total = self.n + other.n
        delta = other.mu - self.mu
        self.mu = (self.mu * self.n + other.mu * other.n) / total
        self.m2 += other.m2 + delta * delta * (self.n * other.n / total)
        self.maxValue = _elementwise(max, self.maxValue, other.maxValue)
        self.minValue = _elementwise(min, self.minValue, other.minValue)
        self.n = total
        return self

    def copy(self) -> StatCounter:
        """An equal counter."""
        made = StatCounter()
        made.__dict__.update(self.__dict__)
        return made

    def count(self) -> int:
        """How many values."""
        return self.n

    def mean(self) -> Any:
        """Their mean; 0.0 if there are none."""
        return self.mu

    def sum(self) -> Any:
        """Their sum."""
        return self.n * self.mu

    def min(self) -> Any:
        """The least."""
        return self.minValue

    def max(self) -> Any:
        """The largest."""
        return self.maxValue

    def variance(self) -> Any:
        """Mean squared deviation; nan if there are none."""
        return self.m2 / self.n if self.n else math.nan

    def sampleVariance(self) -> Any:
        """Unbiased estimate of the variance of what the values are a sample of; nan for fewer than two."""
        return self.m2 / (self.n - 1) if self.n > 1 else math.nan

    def stdev(self) -> Any:
        """Square root of the variance."""
        return self.variance() ** 0.5

    def sampleStdev(self) -> Any:
        """Square root of the sample variance."""
        return self.sampleVariance() ** 0.5

    def asDict(self, sample: bool = False) -> dict[str, Any]:
        """All by name. As in PySpark the flag is the other way round: by default of a sample (n − 1)."""
        return {
            "count": self.count(),
            "mean": self.mean(),
            "sum": self.sum(),
            "min": self.min(),
            "max": self.max(),
            "stdev": self.stdev() if sample else self.sampleStdev(),
            "variance": self.variance() if sample else self.sampleVariance(),
        }

    def __repr__(self) -> str:
        values = (self.count(), self.mean(), self.stdev(), self.max(), self.min())
        return "(count: {}, mean: {}, stdev: {}, max: {}, min: {})".format(*values)


def _elementwise(choose: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
    """max or min, of arrays entry by entry; nan if either is nan, in whatever order, as in PySpark."""
    if hasattr(b, "shape") and getattr(b, "ndim", 0):
        import numpy

        return (numpy.maximum if choose is max else numpy.minimum)(a, b)
    return choose(a, b) if b == b else b


class BoundedFloat(float):
    """A number with bounds between which the true one is with a probability."""

    confidence: float
    low: float
    high: float

    def __new__(cls, mean: float, confidence: float, low: float, high: float) -> BoundedFloat:
        made = super().__new__(cls, mean)
        made.confidence, made.low, made.high = confidence, low, high
        return made


class Statistics:
    """The part of an RDD that is for numbers."""

    if TYPE_CHECKING:
        ctx: Any
        getNumPartitions: Callable[[], int]
        filter: Callable[..., RDD]
        _pipe: Callable[..., RDD]
        _run: Callable[..., list[Any]]

    def stats(self) -> StatCounter:
        """Count, mean, variance, maximum and minimum, in one job."""
        return self._stats("stats")

    def _stats(self, action: str) -> StatCounter:
        total = StatCounter()
        for part in self._run(_stat_counter, action):
            total.mergeStats(part)
        return total

    def mean(self) -> Any:
        """The mean."""
        return self._stats("mean").mean()

    def variance(self) -> Any:
        """The mean squared deviation."""
        return self._stats("variance").variance()

    def stdev(self) -> Any:
        """The standard deviation."""
        return self._stats("stdev").stdev()

    def sampleStdev(self) -> Any:
        """The standard deviation of what this is a sample of (n − 1)."""
        return self._stats("sampleStdev").sampleStdev()

    def sampleVariance(self) -> Any:
        """The variance of what this is a sample of (n − 1)."""
        return self._stats("sampleVariance").sampleVariance()

    def histogram(self, buckets: int | Sequence[Any]) -> tuple[Sequence[Any], list[int]]:
        """Bounds of buckets and how many records each holds: from a bound up to the next, the last one
        included.

        buckets: their sorted bounds, or how many of equal width between the least and the largest record.
        None and nan count nowhere.
        """
        if isinstance(buckets, int):
            if buckets < 1:
                raise ValueError("number of buckets must be >= 1")
            return self._even_histogram(buckets)
        if not isinstance(buckets, (list, tuple)):
            raise TypeError("buckets should be a list or tuple or number(int or long)")
        if len(buckets) < 2:
            raise ValueError("buckets should have more than one value")
        if any(each is None or each != each for each in buckets):
            raise ValueError("can not have None or NaN in buckets")
        if sorted(buckets) != list(buckets):
            raise ValueError("buckets should be sorted")
        if len(set(buckets)) != len(buckets):
            raise ValueError("buckets should not contain duplicated values")
        return buckets, self._histogram(buckets)

    def _even_histogram(self, number: int) -> tuple[list[Any], list[int]]:
        found = [each for each in self._run(_range_of, "histogram") if each is not None]
        if not found:
            raise ValueError("can not generate buckets from empty RDD")
        low, high = min(each[0] for each in found), max(each[1] for each in found)
        if low == high or number == 1:
            return [low, high], [sum(each[2] for each in found)]
        try:
            width = (high - low) / number
        except TypeError:
            raise TypeError("Can not generate buckets with non-number in RDD") from None
        if math.isinf(width):
            raise ValueError("Can not generate buckets with infinite value")
        if int(width) * number == high - low:
            width = int(width)
        bounds = [low + each * width for each in range(number)] + [high]
        return bounds, self._histogram(bounds)

    def _histogram(self, bounds: Sequence[Any]) -> list[int]:
        counts = [0] * (len(bounds) - 1)
        for part in self._run(_Histogram(list(bounds)), "histogram"):
            counts = [a + b for a, b in zip(counts, part, strict=True)]
        return counts

    # --- approximate ------------------------------------------------------------------------------------

    def countApprox(self, timeout: int, confidence: float = 0.95) -> int:
        """How many records. Every task is waited for, whatever the timeout (in ms), so it is exact."""
        return int(sum(self._run(op.count, "countApprox")))

    def sumApprox(self, timeout: int, confidence: float = 0.95) -> BoundedFloat:
        """The sum. Every task is waited for, whatever the timeout (in ms), so it is exact and its bounds are
        equal.
        """
        total = float(sum(map(float, self._run(_plain_sum, "sumApprox"))))
        return BoundedFloat(total, 1.0, total, total)

    def meanApprox(self, timeout: int, confidence: float = 0.95) -> BoundedFloat:
        """The mean. Every task is waited for, whatever the timeout (in ms), so it is exact and its bounds are
        equal.
        """
        mean = float(self._stats("meanApprox").mean())
        return BoundedFloat(mean, 1.0, mean, mean)

    def countApproxDistinct(self, relativeSD: float = 0.05) -> int:
        """About how many different records, by HyperLogLog (Flajolet et al. 2007); relativeSD: its standard
        error.

        Its memory is (1.04 / relativeSD)² registers for each partition, however many records there are.
        """
        if relativeSD < 0.000017:
            raise ValueError("relativeSD should be greater than 0.000017")
        precision = max(4, math.ceil(2.0 * math.log2(1.04 / relativeSD)))
        registers = [0] * (1 << precision)
        for part in self._run(_Registers(precision), "countApproxDistinct"):
            for register, rank in part.items():
                registers[register] = max(registers[register], rank)
        return _estimate(registers)


def _stat_counter(index: int, records: Records) -> StatCounter:
    return StatCounter(records)


def _plain_sum(index: int, records: Records) -> Any:
    return sum(records)


def _range_of(index: int, records: Records) -> tuple[Any, Any, int] | None:
    """Least, largest and how many; None if there is no record."""
    values = [x for x in records if x is not None and x == x]
    return (min(values), max(values), len(values)) if values else None


class _Histogram:
    def __init__(self, bounds: list[Any]) -> None:
        self.bounds = bounds

    def __call__(self, index: int, records: Records) -> list[int]:
        bounds, last = self.bounds, len(self.bounds) - 2
        low, high = bounds[0], bounds[-1]
        counts = [0] * (last + 1)
        for x in records:
            if x is not None and x == x and low <= x <= high:
                counts[min(bisect_right(bounds, x) - 1, last)] += 1
        return counts


class _Registers:
    """HyperLogLog's registers of a partition: the longest run of zeros (plus one) of the hashes that begin
    alike.
    """

    def __init__(self, precision: int) -> None:
        self.precision = precision

    def __call__(self, index: int, records: Records) -> dict[int, int]:
        rest = 64 - self.precision
        below = (1 << rest) - 1
        registers: dict[int, int] = {}
        for x in set(records):
            hashed = stable_hash("hll", portable_hash(x))
            register, rank = hashed >> rest, rest + 1 - (hashed & below).bit_length()
            if rank > registers.get(register, 0):
                registers[register] = rank
        return registers


def _estimate(registers: list[int]) -> int:
    """The number of different records that leaves such registers."""
    m = len(registers)
    alpha = {16: 0.673, 32: 0.697, 64: 0.709}.get(m, 0.7213 / (1 + 1.079 / m))
    raw = alpha * m * m / sum(2.0**-rank for rank in registers)
    empty = registers.count(0)
    # While registers are empty, counting those is more exact (linear counting).
    return round(m * math.log(m / empty) if raw <= 2.5 * m and empty else raw)
