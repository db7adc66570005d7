"""The programming model of Spark: a context makes RDDs, RDDs make RDDs, actions compute.

``BaseContext`` has PySpark's creation API and everything else that does not depend on where tasks run. A
``SparkContext`` runs them on a cluster; a ``SingleContext`` in this thread. Both give the same results.

    sc = SparkContext(cluster)
    words = sc.textFile("book.txt").flatMap(str.split)
    words.map(lambda word: (word, 1)).reduceByKey(add).takeOrdered(10, key=lambda pair: -pair[1])
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from labkit.runtime.errors import LabError
from labkit.runtime.raised import short

from . import files, kinds
from . import operations as op
from .closures import CannotCapture, Closure, dumps
from .inside import current_task
from .options import partition_count, whole_number
from .paths import check_seen, file_system, whole
from .rdd import RDD, check_other
from .saving import WriteCheckpoint
from .shared import Accumulator, AccumulatorParam, Broadcast, param_of
from .stage_code import lineage

__all__ = ["BaseContext"]

#: Records in a pickled batch of ``parallelize``, at most: as PySpark, so that records land in the same
#: partitions.
BATCH = 1024


class BaseContext:
    """What every context can do. A subclass implements the hooks at the end."""

    #: What ``parallelize`` makes unless told.
    defaultParallelism = 2
    #: Whether tasks run in this very process, and see its memory.
    one_process = True

    def __init__(self) -> None:
        _refuse_in_task()
        self._ids: dict[str, itertools.count[int]] = {}
        self._accumulators: dict[int, Accumulator[Any]] = {}
        self._checkpoint_dir: str | None = None
        #: RDDs that are marked for a checkpoint and have none yet.
        self._to_checkpoint: dict[int, RDD] = {}
        self._stopped = False
        self._rdds: weakref.WeakValueDictionary[int, RDD] = weakref.WeakValueDictionary()

    # --- making RDDs ------------------------------------------------------------------------------------

    def parallelize(self, c: Iterable[Any], numSlices: int | None = None) -> RDD:
        """An RDD of these records, which are copied now."""
        self._check_open()
        slices = self._slices(numSlices)
        if not isinstance(c, Iterable):
            raise TypeError(f"parallelize() needs a list or another iterable of records, not {short(c)}")
        if isinstance(c, range):
            bounds = [part * len(c) // slices for part in range(slices + 1)]
            return kinds.ParallelCollectionRDD(self, [c[a:b] for a, b in itertools.pairwise(bounds)])
        records = list(c)
        size = max(1, min(len(records) // slices, BATCH))
        batches = -(-len(records) // size)
        bounds = [part * batches // slices * size for part in range(slices + 1)]
        return kinds.ParallelCollectionRDD(self, [records[a:b] for a, b in itertools.pairwise(bounds)])

    def range(self, start: int, end: int | None = None, step: int = 1, numSlices: int | None = None) -> RDD:
        """An RDD of the numbers of ``range(start, end, step)``, or of ``range(start)``."""
        return self.parallelize(range(start) if end is None else range(start, end, step), numSlices)

    def _slices(self, numSlices: int | None) -> int:
        return self.defaultParallelism if numSlices is None else partition_count("numSlices", numSlices)

    def emptyRDD(self) -> RDD:
        """An RDD without partitions and records."""
        self._check_open()
        return kinds.EmptyRDD(self)

    def union(self, rdds: Iterable[RDD]) -> RDD:
        """The records of all of them."""
        if isinstance(rdds, RDD):
            raise TypeError("union() needs a list of RDDs: sc.union([first, second])")
        rdds = list(rdds)
        if not rdds:
            raise ValueError("union() needs at least one RDD")
        for rdd in rdds:
            check_other(self, rdd, "union")
        return kinds.union(self, rdds)

    def textFile(self, name: str | Path, minPartitions: int | None = None, use_unicode: bool = True) -> RDD:
        """The lines of a text file, of all files of a directory, or of a pattern; ``.gz`` and ``.bz2`` too.

        Every machine must see the file. How files are named: ``labkit.systems.spark.paths``.
        use_unicode=False gives bytes. Raises ``FileNotFoundError``.
        """
        self._check_open()
        return kinds_of_files(files.HadoopRDD, self, name, minPartitions, use_unicode)

    def wholeTextFiles(
        self, path: str | Path, minPartitions: int | None = None, use_unicode: bool = True
    ) -> RDD:
        """Pairs of a file's path and its whole text."""
        self._check_open()
        return kinds_of_files(files.WholeTextFileRDD, self, path, minPartitions, use_unicode)

    def binaryFiles(self, path: str | Path, minPartitions: int | None = None) -> RDD:
        """Pairs of a file's path and its bytes."""
        self._check_open()
        return kinds_of_files(files.BinaryFilesRDD, self, path, minPartitions)

    def pickleFile(self, name: str | Path, minPartitions: int | None = None) -> RDD:
        """The records that ``saveAsPickleFile`` wrote: a partition for each file."""
        self._check_open()
        return files.PickleFileRDD(self, str(name))

    @property
    def defaultMinPartitions(self) -> int:
        """What ``textFile`` makes unless told: at most two."""
        return min(self.defaultParallelism, 2)

    # --- shared variables -------------------------------------------------------------------------------

    def broadcast(self, value: Any) -> Broadcast[Any]:
        """A value that travels to each executor once, however many tasks use it."""
        self._check_open()
        broadcast = Broadcast(self, self._new_id("broadcast"), value)
        self._set_broadcast(broadcast.id, dumps(value))
        return broadcast

    def accumulator(self, value: Any, accum_param: AccumulatorParam[Any] | None = None) -> Accumulator[Any]:
        """A variable that tasks add to and the driver reads. Other types than numbers need an
        ``AccumulatorParam``.
        """
        self._check_open()
        made = Accumulator(self._new_id("accumulator"), value, param_of(value, accum_param), self)
        self._accumulators[made.aid] = made
        return made

    def _add_updates(self, updates: dict[int, Any]) -> None:
        """What a task added to accumulators counts from now on."""
        for number, term in updates.items():
            self._accumulators[number].add(term)

    # --- running ----------------------------------------------------------------------------------------

    def runJob(
        self,
        rdd: RDD,
        partitionFunc: Callable[[Iterable[Any]], Iterable[Any]],
        partitions: Sequence[int] | None = None,
        allowLocal: bool = False,
    ) -> list[Any]:
        """The results of partitionFunc of an iterator over each of these partitions (all), in one list."""
        parts = self._execute(rdd, _ListOf(partitionFunc), "runJob", partitions)
        return [x for part in parts for x in part]

    def _execute(
        self, rdd: RDD, function: Callable[..., Any], action: str, partitions: Iterable[int] | None = None
    ) -> list[Any]:
        """function(partition index, iterable) of each partition; then the checkpoints that are due."""
        self._check_open()
        wanted = list(range(rdd.getNumPartitions()) if partitions is None else partitions)
        for p in wanted:
            if not 0 <= p < rdd.getNumPartitions():
                raise IndexError(f"{rdd!r} has the partitions 0 to {rdd.getNumPartitions() - 1}, not {p}")
        results = self._run(rdd, function, wanted, action) if wanted else []
        if self._to_checkpoint:
            self._make_checkpoints(rdd)
        return results

    # --- checkpoints ------------------------------------------------------------------------------------

    def setCheckpointDir(self, dirName: str | Path) -> None:
        """Where ``checkpoint()`` writes: a directory that every machine sees. Each context has its own below
        it.
        """
        path = whole(dirName)
        check_seen(self, path)
        fs, inside = file_system(path)
        fs.makedirs(inside, exist_ok=True)
        for number in itertools.count(1):
            try:
                fs.mkdir(f"{inside}/context-{number}")
            except FileExistsError:
                continue
            self._checkpoint_dir = f"{path}/context-{number}"
            return

    def getCheckpointDir(self) -> str | None:
        """This context's own checkpoint directory."""
        return self._checkpoint_dir

    def _checkpoint_wanted(self, rdd: RDD) -> None:
        self._to_checkpoint[rdd.id()] = rdd
        self._storage_changed(rdd)

    def _make_checkpoints(self, rdd: RDD) -> None:
        """Those that a job for ``rdd`` computed, ancestors first."""
        for each in lineage(rdd):
            if self._to_checkpoint.pop(each.id(), None) is not None:
                if each.checkpoint_kind == "local":
                    # What the job did not compute and keep is computed and kept now.
                    self._run(each, _drain, list(range(each.getNumPartitions())), "localCheckpoint")
                    each._replace_lineage(files.LocalCheckpointRDD(each))
                    self._storage_changed(each)
                else:
                    self._write_checkpoint(each)

    def _write_checkpoint(self, rdd: RDD) -> None:
        assert self._checkpoint_dir is not None
        path = f"{self._checkpoint_dir}/rdd-{rdd.id()}"
        fs, inside = file_system(path)
        fs.makedirs(inside, exist_ok=True)
        everything = list(range(rdd.getNumPartitions()))
        sizes = self._run(rdd, WriteCheckpoint(path), everything, "checkpoint") if everything else []
        rdd._replace_lineage(files.CheckpointRDD(self, path, rdd.getNumPartitions()))
        self._checkpointed(rdd, path, sum(sizes))
        self._storage_changed(rdd)

    def rdd(self, number: int) -> RDD | None:
        """The RDD with this id, if it still exists."""
        return self._rdds.get(number)

    # --- the context itself -----------------------------------------------------------------------------

    def _new_id(self, kind: str) -> int:
        """The next number of a kind ("rdd", "shuffle", "broadcast", "accumulator") in this context."""
        return next(self._ids.setdefault(kind, itertools.count()))

    def _check_open(self) -> None:
        _refuse_in_task()
        if self._stopped:
            raise LabError("this SparkContext was stopped; make a new one")

    def stop(self) -> None:
        """End it. Its RDDs can no longer be computed."""
        self._stopped = True

    def setLogLevel(self, logLevel: str) -> None:
        """Accepted for PySpark programs; there is no log here but the cluster's trace."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __reduce__(self) -> Any:
        raise CannotCapture("the SparkContext exists only in the driver: it cannot be sent to a task")

    # --- hooks ------------------------------------------------------------------------------------------

    def _run(self, rdd: RDD, function: Callable[..., Any], partitions: list[int], action: str) -> list[Any]:
        """function(partition index, iterable) of each of these partitions, in order."""
        raise NotImplementedError

    def _forget(self, rdd: RDD) -> None:
        """Drop its kept partitions."""
        raise NotImplementedError

    def _set_broadcast(self, number: int, data: bytes) -> None:
        """A broadcast variable was made; data: its pickled value."""
        raise NotImplementedError

    def _drop_broadcast(self, number: int, forever: bool) -> None:
        """Remove a broadcast variable from the executors; forever: from the driver too."""
        raise NotImplementedError

    def _storage_changed(self, rdd: RDD) -> None:
        """An RDD was persisted, unpersisted, or its checkpoint asked for or made."""

    def _checkpointed(self, rdd: RDD, path: str, size: int) -> None:
        """A reliable checkpoint of so many bytes was written."""


def _refuse_in_task() -> None:
    if current_task() is not None:
        raise CannotCapture(
            "the SparkContext exists only in the driver, and this is code of a task: compute what you need "
            "before, collect() it, and broadcast the result, or join the two RDDs"
        )


class _ListOf:
    def __init__(self, f: Callable[..., Any]) -> None:
        self.f = Closure(f)

    def __call__(self, index: int, records: Iterable[Any]) -> list[Any]:
        return list(op.made_by(self.f.function(iter(records)), "runJob"))


def _drain(index: int, records: Iterable[Any]) -> None:
    for _ in records:
        pass


def kinds_of_files(
    kind: Any, ctx: BaseContext, path: str | Path, minPartitions: int | None, *more: Any
) -> RDD:
    """An RDD of files with the context's default number of partitions."""
    if minPartitions is None:
        minPartitions = ctx.defaultMinPartitions
    made: RDD = kind(ctx, str(path), whole_number("minPartitions", minPartitions), *more)
    return made
