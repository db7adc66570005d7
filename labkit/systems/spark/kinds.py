"""The kinds of RDD, each with its own way through the five-method interface. Named as in Spark's source."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from .above import BaseContext
from .closures import dumps, loads
from .dependencies import (
    Aggregator,
    CartesianDependency,
    Dependency,
    GroupDependency,
    OneToOneDependency,
    Ordering,
    RangeDependency,
    ShuffleDependency,
)
from .partitioners import Partitioner
from .rdd import RDD, Partition

__all__ = [
    "CartesianRDD",
    "CoGroupedRDD",
    "CoalescedRDD",
    "DataPartition",
    "EmptyRDD",
    "MapPartitionsRDD",
    "ParallelCollectionRDD",
    "PartitionerAwareUnionRDD",
    "PartitionwiseSampledRDD",
    "ShuffledRDD",
    "UnionRDD",
    "ZippedPartitionsRDD",
    "union",
]


class DataPartition(Partition):
    """A slice of the user's data, pickled when the RDD was made."""

    __slots__ = ("bytes", "data", "records")

    def __init__(self, index: int, records: Sequence[Any]) -> None:
        super().__init__(index)
        self.data = dumps(records)
        self.records = len(records)
        self.bytes = 0 if isinstance(records, range) else len(self.data)


class ParallelCollectionRDD(RDD):
    """The user's own data (``parallelize``, ``range``)."""

    leaf = True
    _STAY = RDD._STAY | {"_slices"}

    def __init__(self, ctx: BaseContext, slices: Sequence[Sequence[Any]]) -> None:
        super().__init__(ctx, [], len(slices))
        self._slices = [DataPartition(index, records) for index, records in enumerate(slices)]

    def partitions(self) -> list[Partition]:
        return list(self._slices)

    def iterator(self, partition: Partition, parents: list[Any]) -> Iterable[Any]:
        assert isinstance(partition, DataPartition)
        records: Iterable[Any] = loads(partition.data)
        return records


class EmptyRDD(RDD):
    """No partition, no record."""

    def __init__(self, ctx: BaseContext) -> None:
        super().__init__(ctx, [], 0)


class MapPartitionsRDD(RDD):
    """A function of (partition index, iterable) on each partition of the parent: ``map`` and most others."""

    def __init__(
        self, parent: RDD, function: Callable[..., Any], preservesPartitioning: bool = False
    ) -> None:
        super().__init__(
            parent.ctx,
            [OneToOneDependency(parent)],
            parent.getNumPartitions(),
            parent.partitioner if preservesPartitioning else None,
        )
        self.function = function

    def iterator(self, partition: Partition, parents: list[Any]) -> Iterable[Any]:
        records: Iterable[Any] = self.function(partition.index, parents[0][0])
        return records


class PartitionwiseSampledRDD(MapPartitionsRDD):
    """A sample whose random numbers depend on the seed and the partition alone."""


class ShuffledRDD(RDD):
    """The parent's pairs, each in the partition that the partitioner says."""

    def __init__(
        self,
        parent: RDD,
        partitioner: Partitioner,
        aggregator: Aggregator | None = None,
        map_side_combine: bool = False,
        ordering: Ordering | None = None,
    ) -> None:
        ctx = parent.ctx
        dependency = ShuffleDependency(
            parent, partitioner, ctx._new_id("shuffle"), aggregator, map_side_combine, ordering
        )
        super().__init__(ctx, [dependency], partitioner.numPartitions, partitioner)

    def iterator(self, partition: Partition, parents: list[Any]) -> Iterable[Any]:
        pairs: Iterable[Any] = parents[0]
        return pairs


class CoGroupedRDD(RDD):
    """Pairs of a key and a tuple of lists: its values in each parent.

    A parent that is partitioned alike is read as it is, without a shuffle.
    """

    def __init__(self, ctx: BaseContext, parents: Sequence[RDD], partitioner: Partitioner) -> None:
        dependencies: list[Dependency] = [
            OneToOneDependency(parent)
            if parent.partitioner == partitioner
            else ShuffleDependency(parent, partitioner, ctx._new_id("shuffle"))
            for parent in parents
        ]
        super().__init__(ctx, dependencies, partitioner.numPartitions, partitioner)

    def iterator(self, partition: Partition, parents: list[Any]) -> Iterable[Any]:
        groups: dict[Any, tuple[list[Any], ...]] = {}
        everyone = range(len(parents))
        for number, parent in enumerate(parents):
            pairs = parent[0] if isinstance(parent, list) else parent
            for pair in pairs:
                k, v = pair
                if k not in groups:
                    groups[k] = tuple([[] for _ in everyone])
                groups[k][number].append(v)
        return groups.items()


class UnionRDD(RDD):
    """The partitions of all parents, one after the other."""

    def __init__(self, ctx: BaseContext, parents: Sequence[RDD]) -> None:
        starts = itertools.accumulate([parent.getNumPartitions() for parent in parents], initial=0)
        dependencies = [
            RangeDependency(parent, start, parent.getNumPartitions())
            for parent, start in zip(parents, starts, strict=False)
        ]
        super().__init__(ctx, dependencies, sum(parent.getNumPartitions() for parent in parents))

    def iterator(self, partition: Partition, parents: list[Any]) -> Iterable[Any]:
        return chain.from_iterable(chain.from_iterable(parents))


class PartitionerAwareUnionRDD(RDD):
    """The union of co-partitioned RDDs: partition p holds the records of all partitions p."""

    def __init__(self, ctx: BaseContext, parents: Sequence[RDD], partitioner: Partitioner) -> None:
        dependencies = [OneToOneDependency(parent) for parent in parents]
        super().__init__(ctx, dependencies, partitioner.numPartitions, partitioner)

    def iterator(self, partition: Partition, parents: list[Any]) -> Iterable[Any]:
        return chain.from_iterable(chain.from_iterable(parents))


def union(ctx: BaseContext, rdds: Sequence[RDD]) -> RDD:
    """The union, co-partitioned if all are."""
    partitioner = rdds[0].partitioner
    if partitioner is not None and all(rdd.partitioner == partitioner for rdd in rdds):
        return PartitionerAwareUnionRDD(ctx, rdds, partitioner)
    return UnionRDD(ctx, rdds)


class CartesianRDD(RDD):
    """All pairs of a record of the one and a record of the other: m × n partitions."""

    def __init__(self, first: RDD, second: RDD) -> None:
        across = second.getNumPartitions()
        super().__init__(
            first.ctx,
            [CartesianDependency(first, across, True), CartesianDependency(second, across, False)],
            first.getNumPartitions() * across,
        )

    def iterator(self, partition: Partition, parents: list[Any]) -> Iterable[Any]:
        second = list(parents[1][0])
        return chain.from_iterable(zip(itertools.repeat(x), second) for x in parents[0][0])


class ZippedPartitionsRDD(RDD):
    """Pairs of the records in the same place of both parents."""

    def __init__(self, first: RDD, second: RDD) -> None:
        super().__init__(
            first.ctx, [OneToOneDependency(first), OneToOneDependency(second)], first.getNumPartitions()
        )

    def iterator(self, partition: Partition, parents: list[Any]) -> Iterable[Any]:
        return _zip(parents[0][0], parents[1][0], partition.index)


def _zip(first: Iterable[Any], second: Iterable[Any], p: int) -> Iterator[tuple[Any, Any]]:
    missing = object()
    for both in itertools.zip_longest(first, second, fillvalue=missing):
        if both[0] is missing or both[1] is missing:
            fewer = "first" if both[0] is missing else "second"
            raise ValueError(
                "Can only zip RDDs with same number of elements in each partition: "
                f"the {fewer} has fewer in partition {p}"
            )
        yield both


class CoalescedRDD(RDD):
    """Neighbouring partitions put together."""

    def __init__(self, parent: RDD, numPartitions: int) -> None:
        before = parent.getNumPartitions()
        bounds = (
            [group * before // numPartitions for group in range(numPartitions + 1)] if numPartitions else [0]
        )
        groups = [list(range(begin, end)) for begin, end in itertools.pairwise(bounds)]
        super().__init__(parent.ctx, [GroupDependency(parent, groups)], len(groups))

    def iterator(self, partition: Partition, parents: list[Any]) -> Iterable[Any]:
        return chain.from_iterable(parents[0])
