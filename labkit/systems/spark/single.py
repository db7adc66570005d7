"""Spark on one thread: the same RDDs and the same code for each partition, without driver, executors or
messages.

It is the oracle of the tests, and what a cluster's cost is compared with. What it keeps of the real one:
records are pickled on their way into the lineage, over shuffles and back to the user, so that no two
partitions share an object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from labkit.runtime.raised import Ending

from . import kinds  # noqa: F401  (importing this module alone must make every kind known)
from .blame import blame, to_action
from .closures import dumps, loads
from .dependencies import ShuffleDependency
from .errors import TaskFailed
from .evaluate import evaluate, splits, stage_parents, write_shuffle
from .inside import task_environment
from .kept import Kept, OwnCopies, hand_out, keep
from .model import BaseContext
from .rdd import RDD, Partition
from .sites import call_site
from .stage_code import dump_stage, load_stage

__all__ = ["SingleContext"]


class SingleContext(BaseContext):
    """A context whose jobs run in this thread. parallelism: partitions unless told."""

    def __init__(self, parallelism: int = 2) -> None:
        super().__init__()
        self.defaultParallelism = parallelism
        #: (RDD id, partition) to the records of persisted partitions.
        self.blocks: dict[tuple[int, int], Kept] = {}
        #: (shuffle id, map partition) to its pickled buckets.
        self.outputs: dict[tuple[int, int], list[bytes]] = {}
        #: (RDD id, partition) of everything computed, in order: what a test counts.
        self.computed: list[tuple[int, int]] = []
        self._broadcasts: dict[int, Kept] = {}
        self._tasks = 0

    def _run(self, rdd: RDD, function: Callable[..., Any], partitions: list[int], action: str) -> list[Any]:
        for dependency in self._missing(rdd):
            what, _ = dump_stage(dependency.rdd, dependency)
            for p in range(dependency.map_partitions):
                if (dependency.shuffle_id, p) not in self.outputs:
                    buckets = self._task(dependency.rdd, what, p)
                    self.outputs[dependency.shuffle_id, p] = [dumps(bucket) for bucket in buckets]
        stage, _ = dump_stage(rdd, function)
        site = call_site()[1]
        return [loads(dumps(self._task(rdd, stage, p, action, site))) for p in partitions]

    def _missing(self, rdd: RDD) -> list[ShuffleDependency]:
        """The shuffles that must be computed first, parents before children."""
        order: dict[int, ShuffleDependency] = {}
        seen: set[int] = set()
        todo = [(dependency, False) for dependency in self._parents(rdd)]
        while todo:
            dependency, done = todo.pop()
            if done:
                order[dependency.shuffle_id] = dependency
            elif dependency.shuffle_id not in seen:
                seen.add(dependency.shuffle_id)
                todo.append((dependency, True))
                todo += [(parent, False) for parent in self._parents(dependency.rdd)]
        return list(order.values())

    def _parents(self, rdd: RDD) -> list[ShuffleDependency]:
        return [each for each in stage_parents(rdd, self._wholly_cached) if not self._whole(each)]

    def _wholly_cached(self, rdd: RDD) -> bool:
        return all((rdd.id(), p) in self.blocks for p in range(rdd.getNumPartitions()))

    def _whole(self, dependency: ShuffleDependency) -> bool:
        return all((dependency.shuffle_id, p) in self.outputs for p in range(dependency.map_partitions))

    def _task(self, rdd: RDD, stage: bytes, p: int, action: str = "", site: str = "") -> Any:
        self._tasks += 1
        with task_environment(OwnCopies(self._broadcasts), partition=p, task=self._tasks) as task:
            last, what = load_stage(stage)
            try:
                records = evaluate(last, p, _Environment(self, splits(rdd, p, self._is_cached)))
                result = (
                    write_shuffle(what, records) if isinstance(what, ShuffleDependency) else what(p, records)
                )
            except Ending:
                raise
            except BaseException as error:
                blamed = to_action(blame(error, last, p, what), action, site)
                raise TaskFailed(str(blamed), blamed) from None
        self._add_updates(task.updates)
        return result

    def _is_cached(self, rdd: int, p: int) -> bool:
        return (rdd, p) in self.blocks

    def _forget(self, rdd: RDD) -> None:
        for block in [block for block in self.blocks if block[0] == rdd.id()]:
            del self.blocks[block]

    def _set_broadcast(self, number: int, data: bytes) -> None:
        self._broadcasts[number] = keep([loads(data)])

    def _drop_broadcast(self, number: int, forever: bool) -> None:
        if forever:
            self._broadcasts.pop(number, None)


class _Environment:
    """Blocks and buckets in dictionaries."""

    def __init__(self, context: SingleContext, leaves: dict[tuple[int, int], Partition]) -> None:
        self.context = context
        self.leaves = leaves

    def cached(self, rdd: RDD, p: int) -> Iterable[Any] | None:
        """The persisted partition."""
        kept = self.context.blocks.get((rdd.id(), p))
        return None if kept is None else hand_out(kept)

    def keep(self, rdd: RDD, p: int, records: Iterable[Any]) -> Iterable[Any]:
        """Store a persisted partition."""
        records = list(records)
        self.context.blocks.setdefault((rdd.id(), p), keep(records))
        return records

    def shuffled(self, dependency: ShuffleDependency, p: int) -> Iterable[list[Any]]:
        """The buckets for a reduce partition."""
        outputs = self.context.outputs
        return (loads(outputs[dependency.shuffle_id, m][p]) for m in range(dependency.map_partitions))

    def split(self, rdd: RDD, p: int) -> Partition:
        """A leaf's partition."""
        return self.leaves[rdd.id(), p]

    def note(self, rdd: RDD, p: int) -> None:
        """A partition is computed."""
        self.context.computed.append((rdd.id(), p))
