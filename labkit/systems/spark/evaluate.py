"""Computing one partition, inside a task: pure Python, without nodes or messages.

An executor and the single-thread version run this same code; they differ in the environment that they hand to
it: where persisted partitions and shuffled buckets come from. Narrow dependencies are pipelined (NSDI 2012,
section 5.1): records stream through the iterators of all RDDs of a stage, and only what is persisted is kept
as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol

from .dependencies import NarrowDependency, ShuffleDependency

if TYPE_CHECKING:
    from .rdd import RDD, Partition

__all__ = ["Environment", "blocks_wanted", "evaluate", "needs", "read_shuffle", "splits", "write_shuffle"]

Pair = tuple[Any, Any]

#: Iterators inside one another before their records are put into a list: each is a frame of Python's or more,
#: and Python allows about a thousand, of which the user's functions need some.
DEEPEST = 100


class Environment(Protocol):
    """What a task finds around it."""

    def cached(self, rdd: RDD, p: int) -> Iterable[Any] | None:
        """The persisted partition if it is here."""

    def keep(self, rdd: RDD, p: int, records: Iterable[Any]) -> Iterable[Any]:
        """Store a newly computed partition of a persisted RDD, and hand its records on."""

    def shuffled(self, dependency: ShuffleDependency, p: int) -> Iterable[list[Pair]]:
        """The buckets for reduce partition p, in the order of the map partitions."""

    def split(self, rdd: RDD, p: int) -> Partition:
        """A leaf's partition with what it holds."""

    def note(self, rdd: RDD, p: int) -> None:
        """This partition of this RDD is computed here, rather than read."""


def evaluate(rdd: RDD, p: int, env: Environment) -> Iterable[Any]:
    """The records of a partition: read if it is persisted and here, else computed from its parents."""
    # A stack of our own: a lineage may be longer than Python's recursion may be deep.
    unfinished = [_Computation(rdd, p, env)]
    while True:
        last = unfinished[-1]
        parent = last.next_parent()
        if parent is not None:
            unfinished.append(_Computation(*parent, env))
            continue
        records, depth = last.finish(env)
        unfinished.pop()
        if not unfinished:
            return records
        unfinished[-1].take(records, depth)


class _Computation:
    """A partition that is being computed: the parents' partitions that it has, and those that it still needs.

    depth: how many iterators lie inside one another in what was computed.
    """

    def __init__(self, rdd: RDD, p: int, env: Environment) -> None:
        self.rdd = rdd
        self.p = p
        self.found = env.cached(rdd, p) if rdd.persisted else None
        self.depth = 0
        #: For each dependency the parents' records so far; None over a shuffle.
        self.inputs: list[list[Any] | None] = []
        self._wanted: list[tuple[list[Any], RDD, int]] = []
        if self.found is None:
            for dep in rdd.dependencies():
                inputs: list[Any] | None = [] if isinstance(dep, NarrowDependency) else None
                self.inputs.append(inputs)
                if isinstance(dep, NarrowDependency) and inputs is not None:
                    self._wanted += [(inputs, dep.rdd, parent) for parent in dep.parents(p)]
            self._wanted.reverse()

    def next_parent(self) -> tuple[RDD, int] | None:
        """The next that it needs; None if it has all."""
        return self._wanted[-1][1:] if self._wanted else None

    def take(self, records: Iterable[Any], depth: int) -> None:
        """What ``next_parent`` asked for."""
        self._wanted.pop()[0].append(records)
        self.depth = max(self.depth, depth)

    def finish(self, env: Environment) -> tuple[Iterable[Any], int]:
        """Its records, and their depth."""
        rdd, p = self.rdd, self.p
        if self.found is not None:
            return self.found, 0
        parents: list[Any] = [
            read_shuffle(dep, env.shuffled(dep, p)) if isinstance(dep, ShuffleDependency) else records
            for dep, records in zip(rdd.dependencies(), self.inputs, strict=True)
        ]
        env.note(rdd, p)
        if rdd.checkpoint_read:
            records = parents[0][0]
        else:
            records = rdd.iterator(env.split(rdd, p) if rdd.leaf else _plain(p), parents)
        if rdd.persisted:
            return env.keep(rdd, p, records), 0
        if self.depth < DEEPEST:
            return records, self.depth + 1
        return list(records), 0


def _plain(p: int) -> Partition:
    from .rdd import Partition

    return Partition(p)


def write_shuffle(dependency: ShuffleDependency, records: Iterable[Pair]) -> list[list[Pair]]:
    """A map task's output: a bucket of pairs for each reduce partition, combined by key if that is wanted."""
    partitioner, aggregator = dependency.partitioner, dependency.aggregator
    if aggregator is not None and dependency.map_side_combine:
        return partitioner.split_distinct(aggregator.combine_values(records).items())
    if dependency.ordering is not None:
        pairs = list(records)
        if not dependency.ordering.sort_to_places(pairs):
            return partitioner.split(pairs)
        return partitioner.split_sorted(pairs, dependency.ordering.key, dependency.ordering.ascending)
    return partitioner.split(records)


def read_shuffle(dependency: ShuffleDependency, buckets: Iterable[list[Pair]]) -> Iterator[Pair]:
    """A reduce partition's pairs: merged by key, or sorted, or one bucket after the other."""
    pairs = chain.from_iterable(buckets)
    aggregator = dependency.aggregator
    if aggregator is not None:
        combine = aggregator.combine_combiners if dependency.map_side_combine else aggregator.combine_values
        return iter(combine(pairs).items())
    if dependency.ordering is not None:
        # The buckets are sorted, and Python's sort merges sorted runs.
        merged = list(pairs)
        dependency.ordering.sort(merged)
        return iter(merged)
    return pairs


IsCached = Callable[[int, int], bool]


def _nothing_cached(_rdd: int, _p: int) -> bool:
    return False


def walk(rdd: RDD, p: int, is_cached: IsCached) -> Iterator[tuple[RDD, int]]:
    """The partitions that a task for (rdd, p) computes or reads, nearest first; it stops at cached ones."""
    seen: set[tuple[int, int]] = set()
    todo = [(rdd, p)]
    while todo:
        each, partition = todo.pop()
        if (each.id(), partition) in seen:
            continue
        seen.add((each.id(), partition))
        yield each, partition
        if each.persisted and is_cached(each.id(), partition):
            continue
        parents = [
            (dep.rdd, parent)
            for dep in each.dependencies()
            if isinstance(dep, NarrowDependency)
            for parent in dep.parents(partition)
        ]
        todo.extend(reversed(parents))


def needs(rdd: RDD, p: int, is_cached: IsCached = _nothing_cached) -> list[tuple[ShuffleDependency, int]]:
    """The reduce partitions that a task for (rdd, p) must have fetched before it computes."""
    return [
        (dependency, partition)
        for each, partition in walk(rdd, p, is_cached)
        if not (each.persisted and is_cached(each.id(), partition))
        for dependency in each.dependencies()
        if isinstance(dependency, ShuffleDependency)
    ]


def blocks_wanted(rdd: RDD, p: int, is_cached: IsCached = _nothing_cached) -> list[tuple[int, int]]:
    """The persisted partitions on the narrow path, nearest first, as (RDD id, partition)."""
    return [(each.id(), partition) for each, partition in walk(rdd, p, is_cached) if each.persisted]


def splits(rdd: RDD, p: int, is_cached: IsCached = _nothing_cached) -> dict[tuple[int, int], Partition]:
    """The leaf partitions that a task for (rdd, p) reads. Call it in the driver: leaves travel without their
    data.
    """
    return {
        (each.id(), partition): each.partitions()[partition]
        for each, partition in walk(rdd, p, is_cached)
        if each.leaf and not (each.persisted and is_cached(each.id(), partition))
    }


def stage_parents(
    rdd: RDD, is_cached: Callable[[RDD], bool] = lambda _rdd: False
) -> Sequence[ShuffleDependency]:
    """The shuffles that the stage ending in ``rdd`` reads, in order; it looks no further than wholly cached
    RDDs.
    """
    found: dict[int, ShuffleDependency] = {}
    seen: set[int] = set()
    todo = [rdd]
    while todo:
        each = todo.pop()
        if each.id() in seen or (each.persisted and is_cached(each)):
            continue
        seen.add(each.id())
        for dependency in each.dependencies():
            if isinstance(dependency, ShuffleDependency):
                found.setdefault(dependency.shuffle_id, dependency)
        todo.extend(dep.rdd for dep in reversed(each.dependencies()) if isinstance(dep, NarrowDependency))
    return list(found.values())
