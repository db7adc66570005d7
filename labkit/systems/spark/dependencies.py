"""How one RDD's partitions depend on another's (Zaharia et al., NSDI 2012, section 4).

Narrow: a partition of the child needs a few known partitions of the parent, so that both can be computed in
one task and a lost partition is recomputed from those few. Wide: it needs some records of *every* parent
partition, so the parent's records must be shuffled, and a stage ends there.
"""

from __future__ import annotations

import datetime
import decimal
import fractions
import operator
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import chain, islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from .above import RDD
from .closures import function_of
from .sites import call_site

if TYPE_CHECKING:
    from .partitioners import Partitioner

__all__ = [
    "Aggregator",
    "CartesianDependency",
    "Dependency",
    "GroupDependency",
    "Grouping",
    "NarrowDependency",
    "OneToOneDependency",
    "Ordering",
    "RangeDependency",
    "ShuffleDependency",
]


class Dependency:
    """An edge of the lineage graph. ``rdd`` is the parent."""

    def __init__(self, rdd: RDD) -> None:
        self.rdd = rdd

    def without_parent(self) -> Dependency:
        """A copy to send: the parent goes separately, or, over a shuffle, not at all."""
        sent = copy(self)
        sent.rdd = None  # type: ignore[assignment]
        return sent


class NarrowDependency(Dependency):
    """Each partition depends on a few partitions of the parent."""

    def parents(self, partition: int) -> Sequence[int]:
        """The parent's partitions that the child's partition needs, in order."""
        raise NotImplementedError


class OneToOneDependency(NarrowDependency):
    """Partition p needs the parent's partition p."""

    def parents(self, partition: int) -> Sequence[int]:
        return (partition,)


class RangeDependency(NarrowDependency):
    """Partitions ``start`` to ``start + length - 1`` of the child are the parent's, in order (a union's
    part).
    """

    def __init__(self, rdd: RDD, start: int, length: int) -> None:
        super().__init__(rdd)
        self.start = start
        self.length = length

    def parents(self, partition: int) -> Sequence[int]:
        if self.start <= partition < self.start + self.length:
            return (partition - self.start,)
        return ()


class GroupDependency(NarrowDependency):
    """Partition p needs the p-th group of the parent's partitions (``coalesce``)."""

    def __init__(self, rdd: RDD, groups: Sequence[Sequence[int]]) -> None:
        super().__init__(rdd)
        self.groups = groups

    def parents(self, partition: int) -> Sequence[int]:
        return self.groups[partition]


class CartesianDependency(NarrowDependency):
    """Partition p of a product of m × n partitions needs p // n of the first, p % n of the second parent."""

    def __init__(self, rdd: RDD, second_partitions: int, first: bool) -> None:
        super().__init__(rdd)
        self.second_partitions = second_partitions
        self.first = first

    def parents(self, partition: int) -> Sequence[int]:
        first, second = divmod(partition, self.second_partitions)
        return (first,) if self.first else (second,)


class Aggregator:
    """How the values of one key are combined: V to C (None: a value is its own C), C with V, and C with C."""

    def __init__(
        self,
        create: Callable[[Any], Any] | None,
        merge_value: Callable[[Any, Any], Any],
        merge_combiners: Callable[[Any, Any], Any],
    ) -> None:
        self.create = create
        self.merge_value = merge_value
        self.merge_combiners = merge_combiners

    def combine_values(self, pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
        """Key to the combination of its values."""
        create, merge = function_of(self.create), function_of(self.merge_value)
        combined: dict[Any, Any] = {}
        if create is None:
            for pair in pairs:
                k, v = pair
                combined[k] = merge(combined[k], v) if k in combined else v
        else:
            for pair in pairs:
                k, v = pair
                combined[k] = merge(combined[k], v) if k in combined else create(v)
        return combined

    def combine_combiners(self, pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
        """Key to the combination of its combinations."""
        merge = function_of(self.merge_combiners)
        combined: dict[Any, Any] = {}
        for k, c in pairs:
            combined[k] = merge(combined[k], c) if k in combined else c
        return combined


class Grouping(Aggregator):
    """Collects the values of a key in a list (``groupByKey``)."""

    def __init__(self) -> None:
        pass

    def combine_values(self, pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
        """Key to the list of its values."""
        groups: defaultdict[Any, list[Any]] = defaultdict(list)
        for pair in pairs:
            k, v = pair
            groups[k].append(v)
        return groups

    def combine_combiners(self, pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
        """Key to the concatenation of its lists."""
        groups: defaultdict[Any, list[Any]] = defaultdict(list)
        for k, c in pairs:
            groups[k] += c
        return groups


@dataclass(frozen=True)
class Ordering:
    """Pairs in the order of ``key`` of their keys (None: of the keys themselves)."""

    key: Callable[[Any], Any] | None = None
    ascending: bool = True

    def sort(self, pairs: list[tuple[Any, Any]]) -> None:
        """Sort in place; pairs with equal keys keep their order."""
        key = function_of(self.key)
        by = itemgetter(0) if key is None else (lambda pair: key(pair[0]))
        pairs.sort(key=by, reverse=not self.ascending)

    def sort_to_places(self, pairs: list[tuple[Any, Any]]) -> bool:
        """As ``sort``; whether each pair has its place: nan has none, and two sets may have no order."""
        key = function_of(self.key)
        keys = list(map(itemgetter(0), pairs)) if key is None else []
        by = itemgetter(0) if key is None else (lambda pair: keys.append(k := key(pair[0])) or k)
        pairs.sort(key=by, reverse=not self.ascending)
        return _all_of_ordered_types(keys) or self._in_order(list(map(by, pairs)))

    def _in_order(self, keys: list[Any]) -> bool:
        try:
            return all(map(operator.le if self.ascending else operator.ge, keys, islice(keys, 1, None)))
        except TypeError:  # a class may have no more than what sorting needs, ``__lt__``
            return False


#: Types of which one of two values is less than the other, or they are equal; but for nan.
ORDERED = frozenset(
    {bool, int, float, str, bytes, type(None), datetime.date, datetime.datetime, datetime.time}
    | {datetime.timedelta, decimal.Decimal, fractions.Fraction}
)


def _all_of_ordered_types(keys: list[Any]) -> bool:
    while (kinds := set(map(type, keys))) == {tuple}:
        keys = list(chain.from_iterable(keys))
    if float in kinds or decimal.Decimal in kinds:
        return kinds <= ORDERED and all(map(operator.eq, keys, keys))
    return kinds <= ORDERED


class ShuffleDependency(Dependency):
    """A partition depends on all of the parent's, whose pairs ``partitioner`` places by their keys."""

    def __init__(
        self,
        rdd: RDD,
        partitioner: Partitioner,
        shuffle_id: int,
        aggregator: Aggregator | None = None,
        map_side_combine: bool = False,
        ordering: Ordering | None = None,
    ) -> None:
        super().__init__(rdd)
        self.partitioner = partitioner
        self.shuffle_id = shuffle_id
        self.aggregator = aggregator
        self.map_side_combine = map_side_combine
        self.ordering = ordering
        #: The operation that shuffles and its line, for errors on the map side.
        self.op, self.site = call_site()
        #: Map tasks, known also where the parent is not sent.
        self.map_partitions = rdd.getNumPartitions()
