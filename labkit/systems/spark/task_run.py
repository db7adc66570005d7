"""One attempt at a task, on its executor: what it is told, what it reads and computes, and how it ended.

Nothing here sends messages: the executor has fetched what the task needs before it computes.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from labkit.runtime.endable import Endable
from labkit.runtime.raised import Ending, named
from labkit.runtime.sync import Event

from .blame import blame
from .blocks import BlockStore, Key
from .closures import dumps, loads
from .dependencies import ShuffleDependency
from .evaluate import blocks_wanted, evaluate, needs, write_shuffle
from .inside import task_environment
from .kept import Copies, Kept, OwnCopies
from .options import Options
from .shuffle import ShuffleFiles, Source
from .stage_code import load_stage

__all__ = ["FetchFailed", "Outcome", "Running", "TaskDescription", "TaskRun", "patient_collector"]

#: Objects between two garbage collections while tasks run: a partition is many small tuples, and none is
#: garbage.
COLLECT_EVERY = 200_000


class TaskDescription(NamedTuple):
    """What the driver tells an executor about a task, besides the code of its stage."""

    task: int
    stage: int
    attempt: int  #: how many attempts at this partition came before
    partition: int
    splits: dict[Key, Any]  #: the leaf partitions that it may read
    inputs: dict[
        int, dict[Source, list[int]] | None
    ]  #: shuffle to where its map outputs are; None: not complete
    blocks: dict[Key, str]  #: cached partitions that it may read from another executor
    broadcasts: tuple[int, ...]
    copy_to: str | None  #: the executor that gets copies of replicated blocks


class Outcome(NamedTuple):
    """How a task ended: "ok", "error", "fetch_failed", "stale" or "cancelled"."""

    result: str
    value: Any = None  #: ok: a result task's pickled result, or the sizes of a map task's buckets
    error: str | None = None
    blame: Any = None  #: error: where in the user's code
    failed: tuple[int, Source | None, tuple[int, ...]] | None = (
        None  #: fetch_failed: shuffle, source, map tasks
    )
    updates: dict[int, Any] | None = None  #: what it added to accumulators
    metrics: dict[str, Any] | None = None


class FetchFailed(Exception):
    """Map outputs are not where they were said to be."""

    def __init__(self, shuffle: int, source: Source | None, maps: Iterable[int] = ()) -> None:
        where = "nowhere" if source is None else f"not on {source.executor}"
        super().__init__(f"output of shuffle {shuffle} is {where}")
        self.failed = (shuffle, source, tuple(maps))


class StaleView(Exception):
    """A cached block is not where the driver thought; the task was not told what it needs instead."""


class TaskCancelled(Ending):
    """Raised in the thread of a task that nobody wants any more."""


class Running:
    """A task on its executor, until the driver has its outcome."""

    def __init__(self) -> None:
        self.outcome: bytes | None = None
        self.done = Event()
        self.cancelled = False
        self._work = Endable(TaskCancelled)

    def finish(self, outcome: bytes) -> None:
        """The outcome is here."""
        self.outcome = outcome
        self.done.set()

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Inside, ``cancel`` raises ``TaskCancelled``."""
        with self._work.inside():
            if self.cancelled:
                raise TaskCancelled
            yield

    def cancel(self) -> None:
        """End the task at its next line of Python code; one that still fetches, before it computes."""
        if self.outcome is None:
            self.cancelled = True
            self._work.end()


class TaskRun:
    """What ``evaluate`` asks of its environment, and an account of what it did."""

    def __init__(self, told: TaskDescription, code: bytes, store: BlockStore, files: ShuffleFiles) -> None:
        self.told = told
        self.rdd, self.what = load_stage(code)
        self._store = store
        self._files = files
        #: From other executors: pickled blocks by key, and pickled buckets by (shuffle, reduce task) and map
        #: task.
        self.fetched_blocks: dict[Key, bytes] = {}
        self._buckets: dict[tuple[int, int], dict[int, bytes]] = {}
        #: New blocks with a replicated level.
        self.to_copy: list[tuple[Key, Any]] = []
        self._computed: list[list[int]] = []
        self._read: list[list[int]] = []
        self._records = self._input_bytes = self._local = self._remote = self._written = 0
        self._shuffled: dict[int, int] = {}

    # --- before it computes -------------------------------------------------------------------------------

    def remote_blocks(self) -> list[tuple[Key, str]]:
        """Cached partitions to be fetched, and from whom."""
        told = self.told
        known = {key: where for key, where in told.blocks.items() if key not in self._store}
        if not known:
            return []
        wanted = blocks_wanted(self.rdd, told.partition, lambda *key: key in known or key in self._store)
        return [(key, known[key]) for key in wanted if key in known]

    def shuffles_needed(self) -> list[tuple[int, int]]:
        """(shuffle, reduce task) to be fetched, given the blocks that are here now."""
        needed = needs(
            self.rdd, self.told.partition, lambda *key: key in self.fetched_blocks or key in self._store
        )
        return list(dict.fromkeys((dependency.shuffle_id, p) for dependency, p in needed))

    def expect_buckets(self, needed: Iterable[tuple[int, int]]) -> None:
        """These (shuffle, reduce task) are being fetched; of a shuffle without map tasks nothing comes."""
        for each in needed:
            self._buckets.setdefault(each, {})

    def take_buckets(
        self, shuffle: int, reduce_task: int, maps: list[int], buckets: tuple[bytes, ...], here: bool
    ) -> None:
        """Buckets that were fetched; ``here``: from this machine."""
        size = sum(map(len, buckets))
        self._buckets[shuffle, reduce_task].update(zip(maps, buckets, strict=True))
        self._shuffled[shuffle] = self._shuffled.get(shuffle, 0) + size
        if here:
            self._local += size
        else:
            self._remote += size

    # --- the computation ----------------------------------------------------------------------------------

    def compute(self, broadcasts: dict[int, Kept]) -> Outcome:
        """Evaluate the partition, and hand it to the action's function or write its buckets."""
        told = self.told
        environment = task_environment(
            OwnCopies(broadcasts),
            partition=told.partition,
            stage=told.stage,
            attempt=told.attempt,
            task=told.task,
        )
        with environment as task:
            try:
                value = self._value()
            except Ending:
                raise
            except StaleView as error:
                return Outcome("stale", error=str(error), metrics=self.metrics())
            except BaseException as error:
                where = blame(error, self.rdd, told.partition, self.what)
                return Outcome("error", error=named(error), blame=where, metrics=self.metrics())
        return Outcome("ok", value, updates=task.updates or None, metrics=self.metrics())

    def _value(self) -> Any:
        told = self.told
        records = evaluate(self.rdd, told.partition, self)
        if not isinstance(self.what, ShuffleDependency):
            return dumps(self.what(told.partition, records))
        buckets = write_shuffle(self.what, records)
        sizes = self._files.write(self.what.shuffle_id, told.partition, buckets)
        self._written = sum(sizes)
        return tuple(sizes)

    # --- what evaluate asks -------------------------------------------------------------------------------

    def cached(self, rdd: Any, p: int) -> list[Any] | Copies | None:
        """A persisted partition that is here or was fetched."""
        key = (rdd.id(), p)
        records = self._store.get(key)
        if records is None and key in self.fetched_blocks:
            records = loads(self.fetched_blocks[key])
            self._remote += len(self.fetched_blocks[key])
        if records is not None:
            self._read.append([*key])
            self._records += len(records)
        return records

    def keep(self, rdd: Any, p: int, records: Iterable[Any]) -> list[Any]:
        """A newly computed partition of a persisted RDD."""
        kept = list(records)  # a list of the user's own may grow later
        key, level = (rdd.id(), p), rdd.getStorageLevel()
        self._store.put(key, kept, level)
        if level.replication > 1:
            self.to_copy.append((key, level))
        return kept

    def shuffled(self, dependency: ShuffleDependency, p: int) -> Iterator[list[Any]]:
        """The buckets of a reduce partition, in the order of the map tasks."""
        buckets = self._buckets.get((dependency.shuffle_id, p))
        if buckets is None:
            raise StaleView(f"a cached block went away, and shuffle {dependency.shuffle_id} was not fetched")
        for map_task in sorted(buckets):
            if buckets[map_task]:
                bucket = loads(buckets[map_task])
                self._records += len(bucket)
                yield bucket

    def split(self, rdd: Any, p: int) -> Any:
        """A leaf's partition, which came with the task."""
        partition = self.told.splits.get((rdd.id(), p))
        if partition is None:
            raise StaleView(
                f"a cached block went away, and the data of RDD {rdd.id()} did not come with the task"
            )
        self._records += getattr(partition, "records", None) or 0
        self._input_bytes += getattr(partition, "bytes", None) or 0
        return partition

    def note(self, rdd: Any, p: int) -> None:
        """This partition of this RDD is computed here."""
        self._computed.append([rdd.id(), p])

    # --- the account --------------------------------------------------------------------------------------

    def metrics(self) -> dict[str, Any]:
        """What the event ``task_finished`` tells."""
        return {
            "computed": self._computed,
            "read": self._read,
            "records": self._records,
            "fetched_local": self._local,
            "fetched_remote": self._remote,
            "fetched": [[shuffle, size] for shuffle, size in self._shuffled.items()],
            "written": self._written,
        }

    def cost(self, options: Options) -> float:
        """Seconds that this takes in the simulator."""
        size = self._input_bytes + self._local + self._remote + self._written
        records = self._records * (1 + len(self._computed))
        return (
            options.seconds_per_task + records * options.seconds_per_record + size * options.seconds_per_byte
        )


@contextmanager
def patient_collector() -> Iterator[None]:
    """Inside, Python looks for garbage less often."""
    before = gc.get_threshold()
    if 0 < before[0] < COLLECT_EVERY:
        gc.set_threshold(COLLECT_EVERY, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
