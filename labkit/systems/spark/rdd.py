"""Resilient distributed datasets: read-only, partitioned, and able to say how they are computed (NSDI 2012).

An RDD is described by five methods (Table 3): its partitions, where they are best computed, its dependencies
on parents, an iterator over one partition given the parents' iterators, and its partitioner. Nothing is
computed before an action. The transformations of Table 2 and the others that PySpark has are methods; each
makes one or a few RDDs of the kinds in ``kinds.py``. Those of key-value pairs are in ``pairs.py``, the
actions in ``actions.py``, what is for numbers in ``statistics.py``.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from labkit.parts.keys import portable_hash
from labkit.runtime.copying import stable_hash
from labkit.runtime.raised import short

from . import operations as op
from .above import BaseContext
from .actions import Actions
from .closures import CannotCapture, Closure
from .dependencies import Dependency, OneToOneDependency, Ordering, ShuffleDependency
from .options import finite, partition_count, whole_number
from .pairs import PairTransformations
from .partitioners import Partitioner
from .sites import call_site
from .statistics import Statistics
from .storage_level import StorageLevel

__all__ = ["RDD", "Partition"]


class Partition:
    """One part of an RDD. A leaf's partition also holds what it is read from.

    records: how many it has, or None if that is not known before it is read. bytes: how many are read for it.
    """

    __slots__ = ("index",)

    records: int | None = None
    bytes: int = 0

    def __init__(self, index: int) -> None:
        self.index = index

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.index}>"


class RDD(PairTransformations, Statistics, Actions):
    """Made by a context or from another RDD, never directly. See the module's text.

    ``leaf``: computed from something that is no RDD, which its partitions hold.
    """

    leaf = False

    def __init__(
        self,
        ctx: BaseContext,
        dependencies: Sequence[Dependency],
        partitions: int,
        partitioner: Partitioner | None = None,
    ) -> None:
        self.ctx = ctx
        #: The operation that made it and the line that called it.
        self.op, self.site = call_site()
        #: None, or how to place keys: each key's pairs are all in the partition that it says.
        self.partitioner = partitioner
        #: PySpark's flags.
        self.is_cached = False
        self.is_checkpointed = False
        #: Where computed partitions are kept; ``persisted`` if anywhere.
        self.storage = StorageLevel.NONE
        self.persisted = False
        #: Whether it is read from its only parent, a checkpoint, instead of computed.
        self.checkpoint_read = False
        #: "reliable" or "local" once asked for.
        self.checkpoint_kind: str | None = None
        self._id = ctx._new_id("rdd")
        self._name: str | None = None
        self._dependencies = list(dependencies)
        self._count = partitions
        ctx._rdds[self._id] = self

    # --- the five-method interface ----------------------------------------------------------------------

    def partitions(self) -> list[Partition]:
        """Its partitions, in order."""
        return [Partition(index) for index in range(self._count)]

    def preferredLocations(self, partition: Partition) -> list[str]:
        """Names of the machines where this partition is best computed; empty if it does not matter."""
        return []

    def dependencies(self) -> list[Dependency]:
        """The parents and how it depends on each; of a checkpointed RDD, the checkpoint."""
        return self._dependencies

    def iterator(self, partition: Partition, parents: list[Any]) -> Iterable[Any]:
        """The partition's records.

        parents: one entry for each dependency; narrow: the list of the parent partitions' iterables; wide: an
        iterator over the merged pairs.
        """
        raise NotImplementedError

    # (the fifth is the attribute ``partitioner``)

    # --- what travels to executors ----------------------------------------------------------------------

    #: Attributes that stay in the driver.
    _STAY = frozenset({"ctx", "_dependencies", "partitioner"})

    def _state_to_send(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in self._STAY}

    def __reduce__(self) -> Any:
        raise CannotCapture(
            "an RDD cannot be used inside a task of another, nor be a record: collect() it first and "
            "broadcast the result, or join the two RDDs"
        )

    # --- identity ---------------------------------------------------------------------------------------

    def id(self) -> int:
        """Its number in its context."""
        return self._id

    def name(self) -> str | None:
        """The name it was given."""
        return self._name

    def setName(self, name: str) -> RDD:
        """Give it a name."""
        self._name = name
        return self

    @property
    def context(self) -> BaseContext:
        """The context that made it."""
        return self.ctx

    @property
    def kind(self) -> str:
        """Its kind, as Spark's source names it."""
        return type(self).__name__

    def getNumPartitions(self) -> int:
        """How many partitions it has."""
        return self._count

    def __repr__(self) -> str:
        name = f"{self._name} " if self._name else ""
        return f"{name}{self.kind}[{self._id}] at {self.op} at {self.site}"

    def description(self) -> dict[str, Any]:
        """What a trace says of it: plain data."""
        parents = [
            [dep.rdd.id(), "wide", dep.shuffle_id]
            if isinstance(dep, ShuffleDependency)
            else [dep.rdd.id(), "narrow", None]
            for dep in self.dependencies()
        ]
        return {
            "rdd": self._id,
            "kind": self.kind,
            "name": self._name,
            "op": self.op,
            "site": self.site,
            "partitions": self._count,
            "parents": parents,
            "storage": "checkpoint" if self.isCheckpointed() else self.storage.label,
        }

    def toDebugString(self) -> bytes:
        """Its lineage, an RDD a line; what a shuffle separates is indented."""
        lines: list[str] = []
        todo: list[tuple[RDD, str, bool]] = [(self, "", True)]
        seen: set[int] = set()
        while todo:
            rdd, indent, shuffled = todo.pop()
            head = f"({rdd._count})" if shuffled else " |"
            join = " +-" if shuffled and lines else ""
            level = "" if rdd.storage.label is None else f" [{rdd.storage}]"
            lines.append(f"{indent}{join}{head} {rdd!r}{level}")
            if rdd._id in seen:
                continue
            seen.add(rdd._id)
            deeper = indent + ("    " if join else "")
            for dep in reversed(rdd.dependencies()):
                wide = isinstance(dep, ShuffleDependency)
                todo.append((dep.rdd, deeper, wide))
        return "\n".join(lines).encode()

    # --- keeping computed partitions --------------------------------------------------------------------

    def cache(self) -> RDD:
        """Keep computed partitions in memory."""
        return self.persist(StorageLevel.MEMORY_ONLY)

    def persist(self, storageLevel: StorageLevel = StorageLevel.MEMORY_ONLY) -> RDD:
        """Keep computed partitions, from the next action on. The level cannot be changed without
        ``unpersist``.
        """
        if not isinstance(storageLevel, StorageLevel):
            raise TypeError(
                f"{storageLevel!r} is not a StorageLevel; write rdd.persist(StorageLevel.MEMORY_AND_DISK)"
            )
        if self.storage not in (StorageLevel.NONE, storageLevel):
            raise ValueError(
                f"{self!r} has the storage level {self.storage} and cannot get {storageLevel}: "
                "unpersist() it first"
            )
        self._keep(storageLevel)
        return self

    def unpersist(self, blocking: bool = False) -> RDD:
        """Forget the kept partitions; they will be computed again when needed."""
        if self.checkpoint_kind == "local" and self.isCheckpointed():
            raise ValueError(f"{self!r} is locally checkpointed: its kept partitions are all there is of it")
        self._keep(StorageLevel.NONE)
        self.ctx._forget(self)
        return self

    def _keep(self, level: StorageLevel) -> None:
        self.storage = level
        self.persisted = self.is_cached = level != StorageLevel.NONE
        self.ctx._storage_changed(self)

    def getStorageLevel(self) -> StorageLevel:
        """Where its partitions are kept."""
        return self.storage

    def checkpoint(self) -> None:
        """Write it to the checkpoint directory after the next action that computes it, and forget its
        lineage.
        """
        if self.ctx.getCheckpointDir() is None:
            raise ValueError(
                "Checkpoint directory has not been set in the SparkContext: call sc.setCheckpointDir(path)"
            )
        if self.checkpoint_kind is None:
            self.checkpoint_kind = "reliable"
            self.is_checkpointed = True
            self.ctx._checkpoint_wanted(self)

    def localCheckpoint(self) -> None:
        """Keep it on the executors after the next action, and forget its lineage: faster, but lost with a
        machine.
        """
        if self.checkpoint_kind is None:
            self.checkpoint_kind = "local"
            if not self.persisted:
                self._keep(StorageLevel.MEMORY_AND_DISK)
            elif not self.storage.useDisk:
                self._keep(
                    StorageLevel(True, True, False, self.storage.deserialized, self.storage.replication)
                )
            self.ctx._checkpoint_wanted(self)

    def isCheckpointed(self) -> bool:
        """Whether it was checkpointed, in either way."""
        return self.checkpoint_read

    def isLocallyCheckpointed(self) -> bool:
        """Whether it is marked for a local checkpoint."""
        return self.checkpoint_kind == "local"

    def getCheckpointFile(self) -> str | None:
        """The directory of its checkpoint, if it has one."""
        if self.checkpoint_kind == "local" or not self.checkpoint_read:
            return None
        path: str = self._dependencies[0].rdd.path  # type: ignore[attr-defined]
        return path

    def _replace_lineage(self, checkpoint: RDD) -> None:
        self._dependencies = [OneToOneDependency(checkpoint)]
        self.checkpoint_read = True

    # --- transformations --------------------------------------------------------------------------------

    def _pipe(self, function: Callable[..., Any], preservesPartitioning: bool = False) -> RDD:
        """The RDD of function(partition index, iterable)."""
        return kinds.MapPartitionsRDD(self, function, preservesPartitioning)

    def map(self, f: Callable[[Any], Any], preservesPartitioning: bool = False) -> RDD:
        """f of each record."""
        return self._pipe(op.Mapping(f), preservesPartitioning)

    def flatMap(self, f: Callable[[Any], Iterable[Any]], preservesPartitioning: bool = False) -> RDD:
        """The records of f of each record, in one RDD."""
        return self._pipe(op.FlatMapping(f), preservesPartitioning)

    def filter(self, f: Callable[[Any], bool]) -> RDD:
        """The records for which f is true."""
        return self._pipe(op.Filtering(f), True)

    def mapPartitions(
        self, f: Callable[[Iterator[Any]], Iterable[Any]], preservesPartitioning: bool = False
    ) -> RDD:
        """f of an iterator over each partition."""
        return self._pipe(op.OfPartition(f), preservesPartitioning)

    def mapPartitionsWithIndex(
        self, f: Callable[[int, Iterator[Any]], Iterable[Any]], preservesPartitioning: bool = False
    ) -> RDD:
        """f of each partition's number and an iterator over it."""
        return self._pipe(op.OfPartitionWithIndex(f), preservesPartitioning)

    mapPartitionsWithSplit = mapPartitionsWithIndex

    def glom(self) -> RDD:
        """Each partition as a list."""
        return self._pipe(op.glom)

    def distinct(self, numPartitions: int | None = None) -> RDD:
        """Each record once. Records must be hashable."""
        return self._pipe(op.with_none).reduceByKey(op.first_of, numPartitions)._pipe(op.keys)

    def keyBy(self, f: Callable[[Any], Any]) -> RDD:
        """Pairs of f of a record and the record."""
        return self._pipe(op.KeyedBy(f))

    def groupBy(
        self,
        f: Callable[[Any], Any],
        numPartitions: int | None = None,
        partitionFunc: Callable[[Any], int] = portable_hash,
    ) -> RDD:
        """Pairs of a value of f and the records that have it."""
        return self.keyBy(f).groupByKey(numPartitions, partitionFunc)

    def sample(self, withReplacement: bool, fraction: float, seed: int | None = None) -> RDD:
        """A random part of the records. Deterministic: the same when computed again, here or elsewhere.

        fraction: the probability of each record, or, with replacement, the expected number of times it is
        chosen.
        """
        sampler = op.Sample(bool(withReplacement), finite("Fraction", fraction), self._seed(seed))
        return kinds.PartitionwiseSampledRDD(self, sampler, True)

    def randomSplit(self, weights: Sequence[float], seed: int | None = None) -> list[RDD]:
        """Each record in one of several RDDs, at random, with these relative probabilities."""
        total = float(sum(finite("Weights", weight) for weight in weights))
        if not total > 0:
            raise ValueError("Sum of weights must be positive")
        bounds, seed = [0.0], self._seed(seed)
        for weight in weights:
            bounds.append(bounds[-1] + weight / total)
        ranges = pairwise(bounds)
        return [
            kinds.PartitionwiseSampledRDD(self, op.RangeSample(low, high, seed), True) for low, high in ranges
        ]

    def _seed(self, seed: int | None) -> int:
        """A seed of its own for a sample that was given none: the same in each run of the program."""
        if seed is None:
            return stable_hash("sample", self.ctx._new_id("sample"), bits=63)
        return whole_number("seed", seed)

    def union(self, other: RDD) -> RDD:
        """The records of both; what is in both is there twice. Co-partitioned RDDs stay so."""
        return kinds.union(self.ctx, [self, self._other(other, "union")])

    def __add__(self, other: RDD) -> RDD:
        if not isinstance(other, RDD):
            raise TypeError(
                f"an RDD can be added to an RDD, not to {short(other)} of type {type(other).__name__}"
            )
        return self.union(other)

    def intersection(self, other: RDD) -> RDD:
        """The records that are in both, each once."""
        both = self._pipe(op.with_none)._cogroup([self._other(other, "intersection")._pipe(op.with_none)])
        return both._pipe(op.in_all)._pipe(op.keys)

    def subtract(self, other: RDD, numPartitions: int | None = None) -> RDD:
        """The records that are not in ``other``."""
        taken = self._other(other, "subtract")._pipe(op.with_none)
        return self._pipe(op.with_none).subtractByKey(taken, numPartitions)._pipe(op.keys)

    def cartesian(self, other: RDD) -> RDD:
        """All pairs of a record of this and one of the other."""
        return kinds.CartesianRDD(self, self._other(other, "cartesian"))

    def zip(self, other: RDD) -> RDD:
        """Pairs of the records in the same place. Both need equally many partitions and records in each."""
        other = self._other(other, "zip")
        if other._count != self._count:
            raise ValueError(
                "Can only zip with RDD which has the same number of partitions: "
                f"{self._count} and {other._count}"
            )
        return kinds.ZippedPartitionsRDD(self, other)

    def zipWithIndex(self) -> RDD:
        """Pairs of a record and its place in the whole. Counts the partitions first if there are several."""
        starts = [0]
        if self._count > 1:
            for count in self.ctx._execute(self, op.count, "zipWithIndex"):
                starts.append(starts[-1] + count)
        return self._pipe(op.WithIndex(starts))

    def zipWithUniqueId(self) -> RDD:
        """Pairs of a record and a number that no other has; needs no counting."""
        return self._pipe(op.WithUniqueId(self._count))

    def coalesce(self, numPartitions: int, shuffle: bool = False) -> RDD:
        """In fewer partitions: neighbours are put together, without a shuffle unless it is asked for."""
        numPartitions = partition_count("numPartitions", numPartitions)
        if shuffle:
            return (
                self._pipe(op.Scatter(numPartitions))._shuffled(Partitioner(numPartitions))._pipe(op.values)
            )
        return kinds.CoalescedRDD(self, min(numPartitions, self._count))

    def repartition(self, numPartitions: int) -> RDD:
        """In so many partitions of about equal size, by a shuffle."""
        return self.coalesce(numPartitions, shuffle=True)

    def sortBy(
        self, keyfunc: Callable[[Any], Any], ascending: bool = True, numPartitions: int | None = None
    ) -> RDD:
        """Sorted by the values of keyfunc."""
        return self.keyBy(keyfunc).sortByKey(ascending, numPartitions)._pipe(op.values)

    def sort(self, c: Callable[[Any], Any] | None = None) -> RDD:
        """The paper's sort (Table 2): pairs by their keys, in the order that the comparator's values have."""
        return self.sortByKey() if c is None else self.sortByKey(keyfunc=c)

    def pipe(self, command: str, env: dict[str, str] | None = None, checkCode: bool = False) -> RDD:
        """The lines that a command prints for each partition, which it reads a record a line."""
        return self._pipe(op.Pipe(shlex.split(command), dict(env or {}), checkCode))

    #: The paper's name (Table 2).
    crossProduct = cartesian

    # --- what the pair transformations build on ---------------------------------------------------------

    def _other(self, other: Any, operation: str) -> RDD:
        return check_other(self.ctx, other, operation)

    def _default_partitions(self, numPartitions: int | None) -> int:
        # Of an RDD without partitions too one can be partitioned anew: into one that is empty.
        return max(1, self._count) if numPartitions is None else numPartitions

    def _shuffled(
        self,
        partitioner: Partitioner,
        aggregator: Any = None,
        map_side_combine: bool = False,
        ordering: Ordering | None = None,
    ) -> RDD:
        return kinds.ShuffledRDD(self, partitioner, aggregator, map_side_combine, ordering)

    def _cogroup(self, others: Sequence[RDD], numPartitions: int | None = None) -> RDD:
        """Pairs of a key and, for each RDD, the list of its values."""
        rdds = [self, *(self._other(other, "cogroup") for other in others)]
        same = self.partitioner is not None and all(rdd.partitioner == self.partitioner for rdd in rdds)
        if numPartitions is None:
            numPartitions = self._count if same else max(1, sum(rdd._count for rdd in rdds))
        partitioner = Partitioner(numPartitions)
        if same and self.partitioner is not None and self.partitioner.numPartitions == numPartitions:
            partitioner = self.partitioner
        return kinds.CoGroupedRDD(self.ctx, rdds, partitioner)


def check_other(ctx: BaseContext, other: Any, operation: str) -> RDD:
    """An RDD that an operation is to take together with others of the context."""
    if not isinstance(other, RDD):
        raise TypeError(
            f"{operation}() needs an RDD, not {short(other)} of type {type(other).__name__}; "
            "make one with sc.parallelize(...)"
        )
    if other.ctx is not ctx:
        raise ValueError(
            f"{operation}() needs two RDDs of the same SparkContext; {other!r} belongs to another"
        )
    return other


def closures_in(rdd: RDD) -> Iterator[Closure]:
    """The user's functions that an RDD calls."""
    for dep in rdd.dependencies():
        if isinstance(dep, ShuffleDependency):
            yield from op.closures_in(dep.aggregator)
            yield from op.closures_in(dep.ordering)
            yield from op.closures_in(dep.partitioner)
    yield from op.closures_in(getattr(rdd, "function", None))


from . import kinds  # noqa: E402  (the kinds are subclasses of RDD)
