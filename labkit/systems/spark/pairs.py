"""The transformations of key-value pairs: those that shuffle, and joins.

What is partitioned alike already is not shuffled again: ``reduceByKey`` of a partitioned RDD and the join of
co-partitioned ones are narrow.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from random import Random
from typing import TYPE_CHECKING, Any

from labkit.parts.keys import portable_hash
from labkit.runtime.copying import stable_hash

from . import operations as op
from .above import RDD
from .closures import Captured, Closure, function_of
from .dependencies import Aggregator, Grouping, Ordering
from .options import finite
from .partitioners import Partitioner, RangePartitioner

__all__ = ["PairTransformations", "ResultIterable"]

Placing = Callable[[Any], int]

#: Keys sampled for each partition to come when the bounds of a sort are chosen (Spark's RangePartitioner:
#: 20), and how many times more of each partition, because partitions differ in size (Spark's: 3).
SAMPLE_PER_PARTITION = 20
OVERSAMPLING = 3


class ResultIterable:
    """The values of one key. Can be iterated often, and has a length."""

    __slots__ = ("data",)

    def __init__(self, data: Any) -> None:
        self.data = data

    @property
    def maxindex(self) -> int:
        """How many values."""
        return len(self.data)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        return f"<ResultIterable of {len(self.data)}>"


class PairTransformations:
    """The part of an RDD that is for pairs. Keys must be hashable, with a hash that processes agree on."""

    if TYPE_CHECKING:
        ctx: Any
        partitioner: Partitioner | None
        id: Callable[[], int]
        map: Callable[..., RDD]
        union: Callable[[RDD], RDD]
        coalesce: Callable[..., RDD]
        getNumPartitions: Callable[[], int]
        _pipe: Callable[..., RDD]
        _cogroup: Callable[..., RDD]
        _shuffled: Callable[..., RDD]
        _seed: Callable[[int | None], int]
        _default_partitions: Callable[[int | None], int]
        _other: Callable[[Any, str], RDD]

    # --- one record at a time ---------------------------------------------------------------------------

    def keys(self) -> RDD:
        """The key of each pair."""
        return self._pipe(op.keys)

    def values(self) -> RDD:
        """The value of each pair."""
        return self._pipe(op.values)

    def mapValues(self, f: Callable[[Any], Any]) -> RDD:
        """Pairs of the key and f of the value. The partitioning stays."""
        return self._pipe(op.MappingValues(f), True)

    def flatMapValues(self, f: Callable[[Any], Iterable[Any]]) -> RDD:
        """A pair of the key and each of f of the value. The partitioning stays."""
        return self._pipe(op.FlatMappingValues(f), True)

    def sampleByKey(
        self, withReplacement: bool, fractions: Mapping[Any, float], seed: int | None = None
    ) -> RDD:
        """A sample with a fraction for each key."""
        for key, fraction in fractions.items():
            finite(f"the fraction of the key {key!r}", fraction)
        return self._pipe(op.SampleByKey(withReplacement, dict(fractions), self._seed(seed)), True)

    # --- by key -----------------------------------------------------------------------------------------

    def partitionBy(self, numPartitions: int | None, partitionFunc: Placing = portable_hash) -> RDD:
        """Each pair in the partition that partitionFunc(key) says, modulo their number."""
        partitioner = Partitioner(self._default_partitions(numPartitions), partitionFunc)
        return self if self.partitioner == partitioner else self._shuffled(partitioner)  # type: ignore[return-value]

    def combineByKey(
        self,
        createCombiner: Callable[[Any], Any],
        mergeValue: Callable[[Any, Any], Any],
        mergeCombiners: Callable[[Any, Any], Any],
        numPartitions: int | None = None,
        partitionFunc: Placing = portable_hash,
    ) -> RDD:
        """Pairs of a key and the combination of its values, combined on both sides of the shuffle.

        createCombiner makes a combination of a value, mergeValue puts a value to one, mergeCombiners puts two
        together.
        """
        aggregator = Aggregator(Closure(createCombiner), Closure(mergeValue), Closure(mergeCombiners))
        return self._combined(aggregator, numPartitions, partitionFunc)

    def reduceByKey(
        self,
        func: Callable[[Any, Any], Any],
        numPartitions: int | None = None,
        partitionFunc: Placing = portable_hash,
    ) -> RDD:
        """Pairs of a key and func over its values. func must be associative and commutative."""
        f = Closure(func)
        return self._combined(Aggregator(None, f, f), numPartitions, partitionFunc)

    def aggregateByKey(
        self,
        zeroValue: Any,
        seqFunc: Callable[[Any, Any], Any],
        combFunc: Callable[[Any, Any], Any],
        numPartitions: int | None = None,
        partitionFunc: Placing = portable_hash,
    ) -> RDD:
        """Pairs of a key and seqFunc over its values, from a zero of its own; combFunc puts partitions
        together.
        """
        f = Closure(seqFunc)
        return self._combined(
            Aggregator(_FromZero(zeroValue, f), f, Closure(combFunc)), numPartitions, partitionFunc
        )

    def foldByKey(
        self,
        zeroValue: Any,
        func: Callable[[Any, Any], Any],
        numPartitions: int | None = None,
        partitionFunc: Placing = portable_hash,
    ) -> RDD:
        """Pairs of a key and func over zeroValue and its values; the zero counts once for each partition."""
        f = Closure(func)
        return self._combined(Aggregator(_FromZero(zeroValue, f), f, f), numPartitions, partitionFunc)

    def groupByKey(self, numPartitions: int | None = None, partitionFunc: Placing = portable_hash) -> RDD:
        """Pairs of a key and all its values. To reduce them, ``reduceByKey`` moves far less."""
        return self._combined(Grouping(), numPartitions, partitionFunc)._pipe(_result_iterables, True)

    def _combined(self, aggregator: Aggregator, numPartitions: int | None, partitionFunc: Placing) -> RDD:
        partitioner = Partitioner(self._default_partitions(numPartitions), partitionFunc)
        if self.partitioner == partitioner:
            return self._pipe(_CombinedInPlace(aggregator), True)
        return self._shuffled(partitioner, aggregator, map_side_combine=True)

    # --- sorting ----------------------------------------------------------------------------------------

    def repartitionAndSortWithinPartitions(
        self,
        numPartitions: int | None = None,
        partitionFunc: Placing = portable_hash,
        ascending: bool = True,
        keyfunc: Callable[[Any], Any] | None = None,
    ) -> RDD:
        """Partitioned anew, each partition sorted by (keyfunc of) the keys, with one shuffle."""
        partitioner = Partitioner(self._default_partitions(numPartitions), partitionFunc)
        ordering = Ordering(None if keyfunc is None else Closure(keyfunc), bool(ascending))
        if self.partitioner == partitioner:
            return self._pipe(_SortedInPlace(ordering), True)
        return self._shuffled(partitioner, ordering=ordering)

    def sortByKey(
        self,
        ascending: bool | None = True,
        numPartitions: int | None = None,
        keyfunc: Callable[[Any], Any] | None = None,
    ) -> RDD:
        """Sorted by (keyfunc of) the keys, over all partitions. A first job samples keys for the bounds."""
        numPartitions = Partitioner(self._default_partitions(numPartitions)).numPartitions
        key = None if keyfunc is None else Closure(keyfunc)
        ordering = Ordering(key, bool(ascending))
        if numPartitions <= 1:
            one = self.coalesce(1) if self.getNumPartitions() > 1 else self
            return one._pipe(_SortedInPlace(ordering), True)  # type: ignore[union-attr]
        bounds = self._bounds(numPartitions, key)
        if bounds is None:
            return self  # type: ignore[return-value]  # nothing to sort
        return self._shuffled(RangePartitioner(bounds, key, bool(ascending)), ordering=ordering)

    def _bounds(self, numPartitions: int, key: Closure | None) -> list[Any] | None:
        """Keys that cut the data in parts of about equal size; None if there is no data."""
        per_partition = math.ceil(
            OVERSAMPLING * SAMPLE_PER_PARTITION * numPartitions / max(1, self.getNumPartitions())
        )
        sketches = self.ctx._execute(self, _Sketch(per_partition, key), "sortByKey")
        # Each sampled key stands for as many as its partition has for each key that it gave. nan is no bound.
        weighted = [(k, count / len(sample)) for count, sample in sketches for k in sample if k == k]
        if not weighted:
            return None
        try:
            weighted.sort(key=lambda pair: pair[0])
        except TypeError as error:
            raise TypeError(
                f"{error}: a sort needs keys of which each can be compared with each; "
                "give them an order, as sortBy(lambda x: (x is None, x)) does for None"
            ) from error
        total = sum(weight for _, weight in weighted)
        reached, sums = 0.0, []
        for _, weight in weighted:
            reached += weight
            sums.append(reached)
        cuts = [bisect_left(sums, total * part / numPartitions) for part in range(1, numPartitions)]
        return [weighted[min(cut, len(weighted) - 1)][0] for cut in cuts]

    # --- several RDDs -----------------------------------------------------------------------------------

    def cogroup(self, other: RDD, numPartitions: int | None = None) -> RDD:
        """Pairs of a key and its values in this RDD and in the other."""
        return self._cogroup([other], numPartitions)._pipe(_result_iterables_of_each, True)

    def groupWith(self, other: RDD, *others: RDD) -> RDD:
        """As ``cogroup``, of any number of RDDs."""
        return self._cogroup([other, *others])._pipe(_result_iterables_of_each, True)

    def join(self, other: RDD, numPartitions: int | None = None) -> RDD:
        """Pairs of a key and (value here, value there), for all combinations."""
        return self._cogroup([self._other(other, "join")], numPartitions)._pipe(_Joined(False, False), True)

    def leftOuterJoin(self, other: RDD, numPartitions: int | None = None) -> RDD:
        """As ``join``, and a key that is missing there has the value None there."""
        return self._cogroup([self._other(other, "leftOuterJoin")], numPartitions)._pipe(
            _Joined(True, False), True
        )

    def rightOuterJoin(self, other: RDD, numPartitions: int | None = None) -> RDD:
        """As ``join``, and a key that is missing here has the value None here."""
        return self._cogroup([self._other(other, "rightOuterJoin")], numPartitions)._pipe(
            _Joined(False, True), True
        )

    def fullOuterJoin(self, other: RDD, numPartitions: int | None = None) -> RDD:
        """As ``join``, and what is missing on either side is None."""
        return self._cogroup([self._other(other, "fullOuterJoin")], numPartitions)._pipe(
            _Joined(True, True), True
        )

    def subtractByKey(self, other: RDD, numPartitions: int | None = None) -> RDD:
        """The pairs whose key is not in ``other``."""
        return self._cogroup([self._other(other, "subtractByKey")], numPartitions)._pipe(_only_first, True)


class _FromZero:
    """A key's first combination: the user's function of a zero of its own and the first value."""

    def __init__(self, zero: Any, f: Closure) -> None:
        self.zero = Captured(zero)
        self.f = f

    def __call__(self, v: Any) -> Any:
        return self.f.function(self.zero.fresh(), v)


class _CombinedInPlace:
    """``reduceByKey`` and its like, of pairs that are where they belong."""

    def __init__(self, aggregator: Aggregator) -> None:
        self.aggregator = aggregator

    def __call__(self, index: int, pairs: Iterable[Any]) -> Iterable[Any]:
        return self.aggregator.combine_values(pairs).items()


class _SortedInPlace:
    def __init__(self, ordering: Ordering) -> None:
        self.ordering = ordering

    def __call__(self, index: int, records: Iterable[Any]) -> Iterable[Any]:
        pairs = list(records)
        self.ordering.sort(pairs)
        return pairs


class _Sketch:
    """How many keys a partition has, and some of them at random."""

    def __init__(self, size: int, key: Closure | None) -> None:
        self.size = size
        self.key = key

    def __call__(self, index: int, pairs: Iterable[Any]) -> tuple[int, list[Any]]:
        keys = list(map(op._keys, pairs))
        chosen = Random(stable_hash("sketch", index)).sample(keys, min(self.size, len(keys)))
        return len(keys), chosen if self.key is None else list(map(function_of(self.key), chosen))


def _result_iterables(index: int, pairs: Iterable[Any]) -> Iterable[Any]:
    return ((k, ResultIterable(group)) for k, group in pairs)


def _result_iterables_of_each(index: int, pairs: Iterable[Any]) -> Iterable[Any]:
    return ((k, tuple([ResultIterable(group) for group in groups])) for k, groups in pairs)


class _Joined:
    """From a key's lists of values to its pairs of values; an outer join puts None for what is missing."""

    def __init__(self, all_first: bool, all_second: bool) -> None:
        self.all_first = all_first
        self.all_second = all_second

    def __call__(self, index: int, pairs: Iterable[Any]) -> Iterable[Any]:
        nothing = [None]
        if self.all_first:
            pairs = ((k, (first, second or nothing)) for k, (first, second) in pairs)
        if self.all_second:
            pairs = ((k, (first or nothing, second)) for k, (first, second) in pairs)
        return ((k, (v, w)) for k, (first, second) in pairs for v in first for w in second)


def _only_first(index: int, pairs: Iterable[Any]) -> Iterable[Any]:
    return ((k, v) for k, (first, second) in pairs if not second for v in first)
