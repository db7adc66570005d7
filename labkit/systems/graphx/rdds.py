"""The two RDDs of a property graph (§4.2): each is an RDD of records for the user, above one of partitions.

An RDD of partitions has one record in each partition, a ``VertexPartition`` or an ``EdgePartition``.
Operations of graphs are functions of such records, narrow where they are co-partitioned; two shuffles are
left, of attributes to the edges and of messages to the vertices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from labkit.runtime.raised import short
from labkit.systems.spark import RDD, StorageLevel
from labkit.systems.spark.closures import Closure
from labkit.systems.spark.dependencies import OneToOneDependency
from labkit.systems.spark.kinds import ShuffledRDD
from labkit.systems.spark.partitioners import Partitioner

from .calls import check_function, check_merge, check_rdd
from .columns import column, values_of
from .edge_partition import EdgePartition, checked_id
from .merging import Merge
from .triplets import Arrays, TripletArrays, column_for, mask_for
from .vertex_partition import VertexArrays, VertexPartition, by_home, indexed, placed, vertices_of

__all__ = ["EdgeRDD", "VertexRDD", "ZippedRDD", "function_for", "home_of", "shuffled"]


def home_of(key: Any) -> int:
    """A vertex lives in the partition of its id modulo their number."""
    return checked_id(key)


def homes(count: int) -> Partitioner:
    """How vertices are placed."""
    return Partitioner(count, home_of)


def shuffled(parent: RDD, count: int) -> RDD:
    """Pairs of a partition's number and something, where they belong."""
    return ShuffledRDD(parent, homes(count))


class ZippedRDD(RDD):
    """One record a partition: function(p, the parents' records), of parents that are partitioned alike."""

    def __init__(self, parents: Sequence[RDD], function: Callable[..., Any]) -> None:
        first = parents[0]
        super().__init__(first.ctx, [OneToOneDependency(each) for each in parents], first.getNumPartitions())
        self.function = function

    def iterator(self, partition: Any, parents: list[Any]) -> Iterable[Any]:
        return [self.function(partition.index, *(list(each[0]) for each in parents))]


class _Kept(RDD):
    """Records made of the partitions of another RDD, which is the one that is kept."""

    _STAY = RDD._STAY | {"partitionsRDD"}

    def __init__(self, partitions: RDD, partitioner: Partitioner | None) -> None:
        super().__init__(
            partitions.ctx, [OneToOneDependency(partitions)], partitions.getNumPartitions(), partitioner
        )
        self.partitionsRDD = partitions

    def persist(self, storageLevel: StorageLevel = StorageLevel.MEMORY_ONLY) -> Any:
        """Keep the partitions, not the records."""
        self.partitionsRDD.persist(storageLevel)
        return self

    def cache(self) -> Any:
        """Keep the partitions in memory."""
        return self.persist()

    def unpersist(self, blocking: bool = False) -> Any:
        """Forget the kept partitions."""
        self.partitionsRDD.unpersist()
        return self

    def getStorageLevel(self) -> StorageLevel:
        """Where the partitions are kept."""
        return self.partitionsRDD.getStorageLevel()

    def _len(self) -> int:
        return sum(self.ctx._execute(self.partitionsRDD, _length, "count"))

    def count(self) -> int:
        """How many records; no record is made for it."""
        return self._len()


def _length(index: int, records: Iterable[Any]) -> int:
    return sum(map(len, records))


class VertexRDD(_Kept):
    """Pairs of a vertex's id and its attribute, each id once, with an index."""

    def __init__(self, partitions: RDD) -> None:
        super().__init__(partitions, homes(partitions.getNumPartitions()))

    def iterator(self, partition: Any, parents: list[Any]) -> Iterable[Any]:
        (only,) = parents[0][0]
        return only.pairs()

    @classmethod
    def of(cls, pairs: RDD, parts: int | None = None) -> VertexRDD:
        """Of an RDD of pairs; of two with the same id the first."""
        if isinstance(pairs, VertexRDD) and parts in (None, pairs.getNumPartitions()):
            return pairs
        count = max(1, pairs.getNumPartitions() if parts is None else parts)
        return cls(ZippedRDD([shuffled(pairs._pipe(_Send(count)), count)], _Index()))

    def _zip(self, function: Any, *others: RDD) -> VertexRDD:
        return VertexRDD(ZippedRDD([self.partitionsRDD, *others], function))

    def _like(self, other: Any, operation: str) -> RDD:
        """The partitions of another RDD of pairs, placed as these are."""
        check_rdd(operation, other)
        return VertexRDD.of(other, self.getNumPartitions()).partitionsRDD

    def mapValues(self, f: Callable[..., Any]) -> VertexRDD:
        """With f(attribute) as attributes; the index stays."""
        check_function("mapValues", f, "attr")
        return self._zip(_Map(_of_attribute(f)))

    def mapVertices(self, f: Callable[..., Any]) -> VertexRDD:
        """With f(id, attribute) as attributes; the index stays."""
        check_function("mapVertices", f, "id, attr")
        return self._zip(_Map(f))

    def filter(self, f: Callable[[Any], bool]) -> VertexRDD:
        """The vertices for which f((id, attribute)) is true: the bits of the others are cleared."""
        check_function("filter", f, "pair", "ids, attrs")
        return self._zip(_Filter(f))

    def diff(self, other: RDD) -> VertexRDD:
        """Those of ``other`` whose attribute is another than here; both have the same index."""
        return VertexRDD.of(other, self.getNumPartitions())._zip(_Diff(), self.partitionsRDD)

    def minus(self, other: RDD) -> VertexRDD:
        """Those whose id is not in ``other``."""
        return self._zip(_Minus(), self._like(other, "minus"))

    def leftZipJoin(self, other: RDD, f: Callable[..., Any]) -> VertexRDD:
        """f(id, attribute, that in ``other`` or None) of every vertex. A function of ``arrays`` gets
        (ids, attributes, attributes there of those that are there, a mask of these)."""
        check_function("leftJoin", f, "id, attr, value", "ids, attrs, there, has")
        return self._zip(_LeftJoin(f), self._like(other, "leftJoin"))

    leftJoin = leftZipJoin

    def innerZipJoin(self, other: RDD, f: Callable[..., Any]) -> VertexRDD:
        """f(id, attribute, that in ``other``) of the vertices that both have."""
        check_function("innerJoin", f, "id, attr, value")
        return self._zip(_InnerJoin(f), self._like(other, "innerJoin"))

    innerJoin = innerZipJoin

    def joined(self, other: RDD, f: Callable[..., Any], reuse: bool = True) -> VertexRDD:
        """f(id, attribute, that in ``other``) of the vertices that both have; the others as they are."""
        return self._zip(_Updated(f, reuse), self._like(other, "joinVertices"))

    def aggregateUsingIndex(self, messages: RDD, reduceFunc: Callable[[Any, Any], Any]) -> VertexRDD:
        """Pairs of ids and messages combined by reduceFunc, with this index."""
        check_rdd("aggregateUsingIndex", messages)
        check_merge("aggregateUsingIndex", reduceFunc)
        sent = messages._pipe(_Send(self.getNumPartitions(), Merge(reduceFunc)))
        return self._zip(_Gather(Merge(reduceFunc)), shuffled(sent, self.getNumPartitions()))

    def reindex(self) -> VertexRDD:
        """With an index of the vertices that are there only."""
        return self._zip(_reindexed)


class EdgeRDD(_Kept):
    """Edges, in partitions that a vertex cut has made."""

    def __init__(self, partitions: RDD) -> None:
        super().__init__(partitions, None)

    def iterator(self, partition: Any, parents: list[Any]) -> Iterable[Any]:
        (only,) = parents[0][0]
        return only.edges()

    def _zip(self, function: Any, *others: RDD) -> EdgeRDD:
        return EdgeRDD(ZippedRDD([self.partitionsRDD, *others], function))

    def mapValues(self, f: Callable[..., Any]) -> EdgeRDD:
        """With f(edge) as attributes."""
        check_function("mapValues", f, "edge")
        return self._zip(MapEdges(f))

    def reverse(self) -> EdgeRDD:
        """Each edge the other way."""
        return self._zip(_reversed_edges)

    def innerJoin(self, other: EdgeRDD, f: Callable[..., Any]) -> EdgeRDD:
        """Edges that both have in the same partition, with f(srcId, dstId, attribute, that in ``other``)."""
        check_function("innerJoin", f, "srcId, dstId, attr, value")
        if not isinstance(other, EdgeRDD) or other.getNumPartitions() != self.getNumPartitions():
            raise TypeError(
                f"innerJoin() needs the edges of a graph that is cut as this one, not {short(other)}: "
                "graph.partitionBy(…) of both, by the same strategy"
            )
        return self._zip(_JoinEdges(f), other.partitionsRDD)


# -- what is done to partitions; each is sent to the executors ---------------------------------------------


def function_for(f: Callable[..., Any]) -> tuple[Closure, bool]:
    """A function to be sent, and whether it is one of arrays."""
    return (Closure(f.function), True) if isinstance(f, Arrays) else (Closure(f), False)


def _of_attribute(f: Callable[..., Any]) -> Callable[..., Any]:
    if isinstance(f, Arrays):
        inner = f.function
        return Arrays(lambda ids, values: inner(values))
    return lambda _id, attr: f(attr)


class Function:
    """Holds the user's function. One of arrays is not called for nothing: no column has a kind then."""

    def __init__(self, f: Callable[..., Any]) -> None:
        self.f, self.of_arrays = function_for(f)


class _Send:
    """Vertices to their homes; with a function, messages of the same vertex are combined first."""

    def __init__(self, count: int, merge: Merge | None = None) -> None:
        self.count, self.merge = count, merge

    def __call__(self, index: int, records: Iterable[Any]) -> Iterable[Any]:
        given = vertices_of(records)
        if self.merge is not None:
            ids, to = np.unique(given.ids, return_inverse=True)
            who, values = self.merge.combine(len(ids), [(to, given.values)])
            given = VertexArrays(ids[who], values)
        return by_home(given, self.count)


class _Index:
    """The partition of the vertices that arrived."""

    def __call__(self, p: int, arrived: list[tuple[int, VertexArrays]]) -> VertexPartition:
        return placed(vertices_of(each for _, each in arrived), (), 0, None)


class _Map(Function):
    def __call__(self, p: int, mine: list[VertexPartition]) -> VertexPartition:
        (only,) = mine
        f = self.f.function
        if self.of_arrays and len(only):
            return only.with_values(column_for(len(only), f(only.ids, only.here), "a vertex function"))
        return only.with_values(column([f(vertex, attr) for vertex, attr in only.pairs()]))


class _Filter(Function):
    def __call__(self, p: int, mine: list[VertexPartition]) -> VertexPartition:
        (only,) = mine
        f = self.f.function
        if self.of_arrays and len(only):
            keep = mask_for(len(only), f(only.ids, only.here), "a predicate of vertices")
        else:
            keep = np.fromiter((bool(f(pair)) for pair in only.pairs()), bool, len(only))
        mask = np.zeros(len(only.mask), bool)
        mask[only.mask] = keep
        return only.masked(mask)


class _Diff:
    def __call__(self, p: int, new: list[VertexPartition], old: list[VertexPartition]) -> VertexPartition:
        if not np.array_equal(new[0].index.ids, old[0].index.ids):
            raise ValueError(
                "diff() compares VertexRDDs with the same index: of one graph, or made by map, filter or "
                "aggregateUsingIndex of the same; use minus() or a join for others"
            )
        return new[0].masked(new[0].diff(old[0]))


class _Minus:
    def __call__(self, p: int, mine: list[VertexPartition], other: list[VertexPartition]) -> VertexPartition:
        both, _ = mine[0].places_in(other[0])
        return mine[0].masked(~both)


class _Join(Function):
    reuse = True

    def sides(self, mine: VertexPartition, other: VertexPartition) -> tuple[np.ndarray, Any]:
        """Who is in both, and the attributes there."""
        both, places = mine.places_in(other, self.reuse)
        return both, other.values[places]

    def both(self, mine: VertexPartition, mask: np.ndarray, there: Any) -> Any:
        """The function's values for the vertices of the mask."""
        ids, here, f = mine.index.ids[mask], mine.values[mask], self.f.function
        if self.of_arrays and len(ids):
            return column_for(len(ids), f(ids, here, there), "a vertex function")
        rows = zip(ids.tolist(), values_of(here), values_of(there), strict=True)
        return column([f(*row) for row in rows])


class _InnerJoin(_Join):
    def __call__(self, p: int, mine: list[VertexPartition], other: list[VertexPartition]) -> VertexPartition:
        both, there = self.sides(mine[0], other[0])
        return mine[0].with_values(self.both(mine[0], both, there), both)


class _LeftJoin(_Join):
    def __call__(self, p: int, mine: list[VertexPartition], other: list[VertexPartition]) -> VertexPartition:
        (only,) = mine
        both, there = self.sides(only, other[0])
        f, has = self.f.function, both[only.mask]
        if self.of_arrays and len(only):
            return only.with_values(
                column_for(len(only), f(only.ids, only.here, there, has), "a vertex function")
            )
        found: list[Any] = [None] * len(only)
        for place, value in zip(np.flatnonzero(has).tolist(), values_of(there), strict=True):
            found[place] = value
        return only.with_values(
            column(
                [f(vertex, attr, value) for (vertex, attr), value in zip(only.pairs(), found, strict=True)]
            )
        )


class _Updated(_Join):
    def __init__(self, f: Callable[..., Any], reuse: bool) -> None:
        super().__init__(f)
        self.reuse = reuse

    def __call__(self, p: int, mine: list[VertexPartition], other: list[VertexPartition]) -> VertexPartition:
        (only,) = mine
        both, there = self.sides(only, other[0])
        if not both.any():
            return only.masked(only.mask)  # no messages, but the notes are not its own
        new = self.both(only, both, there)
        if both[only.mask].all():
            return only.with_values(new)
        if new.dtype == only.values.dtype and new.shape[1:] == only.values.shape[1:]:
            values = only.values.copy()
            values[both] = new
            return only.with_values(column(values[only.mask]))
        mixed = dict(only.pairs())
        mixed.update(zip(only.index.ids[both].tolist(), values_of(new), strict=True))
        return only.with_values(column(list(mixed.values())))


class _Gather:
    """Messages that arrived, combined."""

    def __init__(self, merge: Merge) -> None:
        self.merge = merge

    def __call__(self, p: int, mine: list[VertexPartition], arrived: list[tuple[int, VertexArrays]]) -> Any:
        (only,) = mine
        given = vertices_of(each for _, each in arrived)
        where = np.searchsorted(only.index.ids, given.ids)
        where[where == len(only.index.ids)] = 0
        known = only.index.ids[where] == given.ids if len(only.index.ids) else np.zeros(len(where), bool)
        who, values = self.merge.combine(len(only.index.ids), [(where[known], given.values[known])])
        mask = np.zeros(len(only.index.ids), bool)
        mask[who] = True
        return only.with_values(values, mask).masked(only.mask)


def _reindexed(p: int, mine: list[VertexPartition]) -> VertexPartition:
    (only,) = mine
    ids = only.ids
    return VertexPartition(indexed(ids, (), 0), np.ones(len(ids), bool), only.here)


class MapEdges(Function):
    """f(edge) of each edge; of arrays: f(TripletArrays)."""

    def __call__(self, p: int, mine: list[EdgePartition]) -> EdgePartition:
        (only,) = mine
        f = self.f.function
        if self.of_arrays and len(only):
            given = f(TripletArrays(only, None, (False, False)))
            return only.with_attrs(column_for(len(only), given, "a function of edges"))
        return only.with_attrs(column([f(edge) for edge in only.edges()]))


def _reversed_edges(p: int, mine: list[EdgePartition]) -> EdgePartition:
    return mine[0].reversed()


class _JoinEdges(Function):
    def __call__(self, p: int, mine: list[EdgePartition], other: list[EdgePartition]) -> EdgePartition:
        there = {(edge.srcId, edge.dstId): edge.attr for edge in other[0].edges()}
        edges = [(number, edge) for number, edge in enumerate(mine[0].edges()) if edge[:2] in there]
        kept = mine[0].with_edges(np.array([number for number, _ in edges], np.int64))
        f = self.f.function
        return kept.with_attrs(column([f(*edge, there[edge[:2]]) for _, edge in edges]))
