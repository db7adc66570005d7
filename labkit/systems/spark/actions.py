"""The actions: they run a job, and bring a result to the driver or write files."""

from __future__ import annotations

import heapq
import math
import operator
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from itertools import islice
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from . import operations as op
from .above import RDD
from .closures import Captured, Closure, function_of
from .options import whole_number

if TYPE_CHECKING:
    import pandas

    from .partitioners import Partitioner

__all__ = ["Actions"]

Records = Iterable[Any]


class Actions:
    """The part of an RDD that computes."""

    if TYPE_CHECKING:
        ctx: Any
        partitioner: Partitioner | None
        getNumPartitions: Callable[[], int]
        map: Callable[..., RDD]
        sample: Callable[..., RDD]
        _pipe: Callable[..., RDD]
        _seed: Callable[[int | None], int]

    def _run(
        self, function: Callable[..., Any], action: str, partitions: Iterable[int] | None = None
    ) -> list[Any]:
        """function(partition index, iterable) of each partition."""
        results: list[Any] = self.ctx._execute(self, function, action, partitions)
        return results

    # --- all records ------------------------------------------------------------------------------------

    def collect(self) -> list[Any]:
        """All records, in the order of the partitions. They must fit the driver's memory."""
        return [x for part in self._run(as_list, "collect") for x in part]

    def collectAsMap(self) -> dict[Any, Any]:
        """All pairs as a dictionary; of several with the same key the last."""
        return {k: v for part in self._run(as_list, "collectAsMap") for k, v in part}

    def toLocalIterator(self, prefetchPartitions: bool = False) -> Iterator[Any]:
        """The records one partition after the other: the driver holds one partition (or two, if it
        prefetches).
        """
        # Two partitions are computed at the same time, so the second is there when it is asked for.
        step = 2 if prefetchPartitions else 1
        for begin in range(0, self.getNumPartitions(), step):
            wanted = range(begin, min(begin + step, self.getNumPartitions()))
            for part in self._run(as_list, "toLocalIterator", wanted):
                yield from part

    def foreach(self, f: Callable[[Any], None]) -> None:
        """Call f with each record, where it is."""
        self._run(_ForEach(f), "foreach")

    def foreachPartition(self, f: Callable[[Iterator[Any]], None]) -> None:
        """Call f with an iterator over each partition, where it is."""
        self._run(_ForEachPartition(f), "foreachPartition")

    def toDF(self, schema: list[str] | tuple[str, ...] | None = None) -> pandas.DataFrame:
        """All records as a pandas DataFrame: a column for each field of a tuple (_1, _2, … as in Spark), dict
        or dataclass. There is no SparkSession here, so this is a hand-over of results and not a distributed
        frame.
        """
        import dataclasses

        import pandas

        records = [x for part in self._run(as_list, "toDF") for x in part]
        if records and dataclasses.is_dataclass(records[0]):
            records = [dataclasses.asdict(record) for record in records]
        elif records and not isinstance(records[0], (tuple, list, dict)):
            return pandas.DataFrame({(schema or ["value"])[0]: records})
        frame = pandas.DataFrame(records)
        if schema is not None:
            if len(frame.columns) and len(schema) != len(frame.columns):
                raise ValueError(
                    f"schema={list(schema)!r} names {len(schema)} columns; records have {len(frame.columns)}"
                )
            return (
                frame.set_axis(list(schema), axis=1)
                if len(frame.columns)
                else pandas.DataFrame(columns=schema)
            )
        if records and isinstance(records[0], (tuple, list)) and not hasattr(records[0], "_fields"):
            frame.columns = [f"_{number}" for number in range(1, len(frame.columns) + 1)]
        return frame

    # --- some records -----------------------------------------------------------------------------------

    def take(self, num: int) -> list[Any]:
        """The first records. Looks at one partition first, then at more and more."""
        return self._take(whole_number("num", num), "take")

    def first(self) -> Any:
        """The first record; ``ValueError`` if there is none."""
        found = self._take(1, "first")
        if not found:
            raise ValueError("RDD is empty")
        return found[0]

    def isEmpty(self) -> bool:
        """Whether there is no record."""
        return not self._take(1, "isEmpty")

    def _take(self, num: int, action: str) -> list[Any]:
        items: list[Any] = []
        total, scanned = self.getNumPartitions(), 0
        while len(items) < num and scanned < total:
            # As Spark: one partition, then as many as it seems to take and half as many more, at most four
            # times those that were looked at.
            trying = 1
            if scanned > 0:
                trying = scanned * 4
                if items:
                    trying = min(max(int(1.5 * num * scanned / len(items)) - scanned, 1), trying)
            wanted = range(scanned, min(scanned + trying, total))
            for part in self._run(_Take(num - len(items)), action, wanted):
                items += part
            scanned += trying
        return items[: max(0, num)]

    def takeSample(self, withReplacement: bool, num: int, seed: int | None = None) -> list[Any]:
        """Exactly so many records at random (or all, if there are fewer and none is taken twice)."""
        num = whole_number("num", num)
        if num < 0:
            raise ValueError("Sample size cannot be negative.")
        if num > sys.maxsize - int(10.0 * math.sqrt(sys.maxsize)):
            raise ValueError(
                f"Sample size cannot be greater than {sys.maxsize - int(10.0 * math.sqrt(sys.maxsize))}."
            )
        total = self.count() if num else 0
        if total == 0:
            return []
        seed = self._seed(seed)
        random = Random(seed)
        if not withReplacement and num >= total:
            samples = self.collect()
        else:
            # Large enough that too few come out once in ten thousand times; then it is done again.
            fraction = _fraction(num, total, withReplacement)
            samples = self.sample(withReplacement, fraction, seed).collect()
            while len(samples) < num:
                samples = self.sample(withReplacement, fraction, random.randint(0, sys.maxsize)).collect()
        random.shuffle(samples)
        return samples[:num]

    def top(self, num: int, key: Callable[[Any], Any] | None = None) -> list[Any]:
        """The largest records, the largest first."""
        num = whole_number("num", num)
        parts = self._run(_Extreme(num, key, largest=True), "top")
        return heapq.nlargest(num, (x for part in parts for x in part), key=key)

    def takeOrdered(self, num: int, key: Callable[[Any], Any] | None = None) -> list[Any]:
        """The smallest records, the smallest first."""
        num = whole_number("num", num)
        if num < 0:
            raise ValueError("top N cannot be negative.")
        parts = self._run(_Extreme(num, key, largest=False), "takeOrdered") if num else []
        return heapq.nsmallest(num, (x for part in parts for x in part), key=key)

    def lookup(self, key: Any) -> list[Any]:
        """The values of a key. Computes one partition if the RDD has a partitioner, else all."""
        where = None if self.partitioner is None else [self.partitioner(key)]
        return [x for part in self._run(_Lookup(key), "lookup", where) for x in part]

    # --- counting ---------------------------------------------------------------------------------------

    def count(self) -> int:
        """How many records."""
        return sum(self._run(op.count, "count"))

    def countByKey(self) -> dict[Any, int]:
        """Key to how many pairs have it."""
        return self._counts(_count_keys, "countByKey")

    def countByValue(self) -> dict[Any, int]:
        """Record to how often it is there."""
        return self._counts(_count_values, "countByValue")

    def _counts(self, function: Callable[..., Any], action: str) -> dict[Any, int]:
        counts: defaultdict[Any, int] = defaultdict(int)
        for part in self._run(function, action):
            for key, number in part.items():
                counts[key] += number
        return counts

    # --- combining --------------------------------------------------------------------------------------

    def reduce(self, f: Callable[[Any, Any], Any]) -> Any:
        """f over all records, first in each partition. f must be associative and commutative."""
        return self._reduce(f, "reduce")

    def _reduce(self, f: Callable[[Any, Any], Any], action: str) -> Any:
        found = [x for part in self._run(_Reduce(f), action) for x in part]
        if not found:
            raise ValueError("Can not reduce() empty RDD")
        return reduce(f, found)

    def reduceByKeyLocally(self, func: Callable[[Any, Any], Any]) -> dict[Any, Any]:
        """Key to func over its values, as a dictionary in the driver."""
        merged: dict[Any, Any] = {}
        for part in self._run(_ReduceByKey(func), "reduceByKeyLocally"):
            for k, v in part.items():
                merged[k] = func(merged[k], v) if k in merged else v
        return merged

    def fold(self, zeroValue: Any, op: Callable[[Any, Any], Any]) -> Any:
        """As ``reduce``, from zeroValue in each partition and once more in the driver."""
        return self._fold(zeroValue, op, op, "fold")

    def aggregate(
        self, zeroValue: Any, seqOp: Callable[[Any, Any], Any], combOp: Callable[[Any, Any], Any]
    ) -> Any:
        """combOp over seqOp over the records of each partition, from zeroValue. Both may change their first
        argument.
        """
        return self._fold(zeroValue, seqOp, combOp, "aggregate")

    def _fold(self, zero: Any, fold: Callable[..., Any], combine: Callable[..., Any], action: str) -> Any:
        captured = Captured(zero)
        parts = self._run(_Fold(captured, fold), action)
        return reduce(combine, parts, captured.fresh())

    def treeReduce(self, f: Callable[[Any, Any], Any], depth: int = 2) -> Any:
        """As ``reduce``, with the partitions' results combined in a tree of tasks."""
        if depth < 1:
            raise ValueError(f"Depth cannot be smaller than 1 but got {depth}.")
        zero = (None, True)
        combine = _OrNothing(f)
        value, nothing = self._tree(zero, _AsSomething(combine), combine, depth, "treeReduce")
        if nothing:
            raise ValueError("Cannot reduce empty RDD.")
        return value

    def treeAggregate(
        self,
        zeroValue: Any,
        seqOp: Callable[[Any, Any], Any],
        combOp: Callable[[Any, Any], Any],
        depth: int = 2,
    ) -> Any:
        """As ``aggregate``, with the partitions' results combined in a tree of tasks."""
        if depth < 1:
            raise ValueError(f"Depth cannot be smaller than 1 but got {depth}.")
        return self._tree(zeroValue, seqOp, combOp, depth, "treeAggregate")

    def _tree(
        self, zero: Any, fold: Callable[..., Any], combine: Callable[..., Any], depth: int, action: str
    ) -> Any:
        if self.getNumPartitions() == 0:
            return zero
        level = self._pipe(_InList(_Fold(Captured(zero), fold)))
        partitions: float = level.getNumPartitions()
        scale = max(math.ceil(partitions ** (1.0 / depth)), 2)
        while partitions > scale + partitions / scale:
            partitions /= scale
            fewer = int(partitions)
            level = level._pipe(_NumberedModulo(fewer)).reduceByKey(combine, fewer)._pipe(op.values)
        return level._reduce(combine, action)

    def max(self, key: Callable[[Any], Any] | None = None) -> Any:
        """The largest record."""
        return self._reduce(max if key is None else _Extremum(max, key), "max")

    def min(self, key: Callable[[Any], Any] | None = None) -> Any:
        """The smallest record."""
        return self._reduce(min if key is None else _Extremum(min, key), "min")

    def sum(self) -> Any:
        """The sum of the records."""
        return reduce(operator.add, self._run(_sum, "sum"), 0)

    # --- files ------------------------------------------------------------------------------------------

    def saveAsTextFile(self, path: str | Path, compressionCodecClass: str | None = None) -> None:
        """Write a directory with a text file for each partition, a line for each record (its ``str``).

        compressionCodecClass: Hadoop's name of the gzip or bzip2 codec.
        """
        from .saving import save_text

        save_text(self, str(path), compressionCodecClass)

    def saveAsPickleFile(self, path: str | Path, batchSize: int = 10) -> None:
        """Write a directory with a file of pickled records for each partition; ``sc.pickleFile`` reads it."""
        from .saving import save_pickles

        save_pickles(self, str(path), batchSize)

    def save(self, path: str | Path) -> None:
        """The paper's save (Table 2): as text."""
        self.saveAsTextFile(path)


# --- what the tasks do ------------------------------------------------------------------------------------


def as_list(index: int, records: Records) -> list[Any]:
    """The partition's records."""
    return records if type(records) is list else list(records)


def _sum(index: int, records: Records) -> Any:
    return sum(records)


def _count_values(index: int, records: Records) -> dict[Any, int]:
    return dict(Counter(records))


def _count_keys(index: int, records: Records) -> dict[Any, int]:
    return dict(Counter(map(op._keys, records)))


class _ForEach(op.Operation):
    def __call__(self, index: int, records: Records) -> Any:
        f = self.f.function
        for record in records:
            f(record)


class _ForEachPartition(op.Operation):
    def __call__(self, index: int, records: Records) -> Any:
        result = self.f.function(iter(records))
        if result is not None and hasattr(
            result, "__iter__"
        ):  # a generator function does nothing before it is drained
            for _ in result:
                pass


class _Reduce(op.Operation):
    """The list of one result, or of none if there is no record."""

    def __call__(self, index: int, records: Records) -> list[Any]:
        records = iter(records)
        for initial in records:
            return [reduce(self.f.function, records, initial)]
        return []


class _ReduceByKey(op.Operation):
    def __call__(self, index: int, records: Records) -> dict[Any, Any]:
        f = self.f.function
        merged: dict[Any, Any] = {}
        for pair in records:
            k, v = pair
            merged[k] = f(merged[k], v) if k in merged else v
        return merged


class _Fold(op.Operation):
    def __init__(self, zero: Captured, f: Callable[..., Any]) -> None:
        super().__init__(f)
        self.zero = zero

    def __call__(self, index: int, records: Records) -> Any:
        return reduce(self.f.function, records, self.zero.fresh())


class _InList:
    """A partition of one record: what another operation makes of the partition."""

    def __init__(self, operation: Callable[..., Any]) -> None:
        self.operation = operation

    def __call__(self, index: int, records: Records) -> list[Any]:
        return [self.operation(index, records)]


class _NumberedModulo:
    def __init__(self, partitions: int) -> None:
        self.partitions = partitions

    def __call__(self, index: int, records: Records) -> Records:
        return ((index % self.partitions, x) for x in records)


class _OrNothing:
    """f of two (value, whether there is none)."""

    def __init__(self, f: Callable[[Any, Any], Any]) -> None:
        self.f = Closure(f)

    def __call__(self, x: tuple[Any, bool], y: tuple[Any, bool]) -> tuple[Any, bool]:
        if x[1]:
            return y
        return x if y[1] else (self.f(x[0], y[0]), False)


class _AsSomething:
    def __init__(self, combine: _OrNothing) -> None:
        self.combine = combine

    def __call__(self, x: tuple[Any, bool], record: Any) -> tuple[Any, bool]:
        return self.combine(x, (record, False))


class _Extremum:
    """max or min of two by a key."""

    def __init__(self, choose: Callable[..., Any], key: Callable[[Any], Any]) -> None:
        self.choose = choose
        self.key = Closure(key)

    def __call__(self, a: Any, b: Any) -> Any:
        return self.choose(a, b, key=self.key.function)


class _Extreme:
    """The largest or smallest records of a partition."""

    def __init__(self, num: int, key: Callable[[Any], Any] | None, largest: bool) -> None:
        self.num = num
        self.key = None if key is None else Closure(key)
        self.largest = largest

    def __call__(self, index: int, records: Records) -> list[Any]:
        choose = heapq.nlargest if self.largest else heapq.nsmallest
        return choose(self.num, records, key=function_of(self.key))


class _Take:
    def __init__(self, num: int) -> None:
        self.num = num

    def __call__(self, index: int, records: Records) -> list[Any]:
        return list(islice(records, self.num))


class _Lookup:
    def __init__(self, key: Any) -> None:
        self.key = Captured(key)

    def __call__(self, index: int, records: Records) -> list[Any]:
        key = self.key.fresh()
        return [v for pair in records for k, v in [pair] if k == key]


def _fraction(least: int, total: int, with_replacement: bool) -> float:
    """The sampling fraction that gives at least ``least`` of ``total`` records with probability above 0.9999.

    As Spark: five (for few: nine) standard deviations of a Poisson sum above it, or a bound on the binomial
    tail.
    """
    fraction = least / total
    if with_replacement:
        return fraction + (9 if least < 12 else 5) * math.sqrt(fraction / total)
    gamma = -math.log(5e-05) / total
    return min(1.0, fraction + gamma + math.sqrt(gamma * gamma + 2 * gamma * fraction))
