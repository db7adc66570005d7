"""What the driver knows of its jobs, of their stages, and of the executors."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

from labkit.parts.tasks import WorkerRecord
from labkit.progress import Progress
from labkit.runtime.loop import Task

from .dependencies import ShuffleDependency
from .executor import STAGES_KEPT
from .shuffle import MapOutputs, Output, Source
from .stage_code import narrow_lineage
from .task_run import Outcome

__all__ = ["ExecutorRecord", "Job", "MapStage", "ResultStage", "Stage"]


class Job:
    """One action."""

    def __init__(self, number: int, action: str, group: str | None) -> None:
        self.id = number
        self.action = action
        self.site = "?"  #: of the line that called it
        self.group = group
        self.state = "RUNNING"  #: as ``statusTracker`` tells it: then "SUCCEEDED" or "FAILED"
        self.stages: dict[int, Stage] = {}  #: those that it wants now
        self.planned: list[int] = []
        self.updates: list[dict[int, Any]] = []  #: what its tasks have added to accumulators
        self.run: Task | None = None
        self.span: int | None = None  #: the user's operation that it belongs to
        self.tasks_done = 0
        self.progress: Progress | None = None

    def task_done(self) -> None:
        """Tell whoever waits for long."""
        self.tasks_done += 1
        if self.progress is not None and self.progress.due:
            to_do = sum(len(stage.missing()) for stage in self.stages.values())
            self.progress.show(self.tasks_done, self.tasks_done + to_do)


class ExecutorRecord(WorkerRecord):
    """An executor as the driver knows it."""

    def __init__(self, name: str, machine: str, cores: int, incarnation: int, life: int, now: float) -> None:
        super().__init__(name, machine, cores)
        self.heard = now
        self.source = Source(name, incarnation)
        #: A number that this life of the executor chose: a repeated registration is no new one.
        self.life = life
        self.newest = 0  #: the last task that it was given
        self.codes: dict[int, None] = {}  #: the stage codes that it has, as far as it keeps them
        self.journal = 0  #: entries of its blocks' journal that were taken in

    def gets_code(self, code: int) -> None:
        """The next message has a stage's code; the executor forgets the oldest as this does."""
        self.codes[code] = None
        if len(self.codes) > STAGES_KEPT:
            del self.codes[next(iter(self.codes))]


class Stage:
    """What both kinds have in common."""

    kind = ""
    #: That it makes; None if it is a result stage.
    shuffle_id: int | None = None

    def __init__(self, rdd: Any, total: int) -> None:
        self.id = -1  #: its number, once it has one: parents first, as Spark counts them
        self.rdd = rdd
        self.total = total
        self.attempt = -1  #: how often it was started, less one
        self.jobs: dict[int, Job] = {}  #: those that want it
        self.waits_for: dict[int, MapStage] = {}  #: parents that are being run for it
        self.succeeded: set[int] = set()  #: partitions that were there once
        #: Partitions whose task did not find a cached block where the driver had thought it was.
        self.distrusts: set[int] = set()
        self.code = b""
        self.code_id = -1
        self.broadcasts: tuple[int, ...] = ()
        self.look()

    def look(self) -> None:
        """The lineage may have been cut by a checkpoint since."""
        self.rdds = narrow_lineage(self.rdd)
        #: The shuffles that it reads.
        self.reads: dict[int, ShuffleDependency] = {
            dep.shuffle_id: dep
            for rdd in self.rdds
            for dep in rdd.dependencies()
            if isinstance(dep, ShuffleDependency)
        }

    @property
    def what(self) -> Any:
        """What a task does with its partition."""
        raise NotImplementedError

    def missing(self) -> list[int]:
        """The partitions that are still to be computed."""
        raise NotImplementedError

    @property
    def complete(self) -> bool:
        """Whether nothing is missing; asked after each task, of which there may be thousands."""
        raise NotImplementedError

    def accept(self, partition: int, outcome: Outcome, executor: ExecutorRecord) -> bool:
        """Take a successful attempt's result, unless there is one already; whether it was taken."""
        raise NotImplementedError


class MapStage(Stage):
    """Makes the outputs of a shuffle. It is the same stage in all jobs that read the shuffle."""

    kind = "map"

    def __init__(self, dependency: ShuffleDependency, outputs: MapOutputs) -> None:
        super().__init__(dependency.rdd, dependency.rdd.getNumPartitions())
        #: Weak: when the program has let go of it, so does ``cleaner.py`` of the outputs.
        self._dependency = weakref.ref(dependency)
        self.shuffle_id: int = dependency.shuffle_id
        self.outputs = outputs
        outputs.add_shuffle(dependency.shuffle_id, self.total)

    @property
    def what(self) -> Any:
        """Write buckets."""
        dependency = self._dependency()
        assert dependency is not None, "whoever wants the stage holds it"
        return dependency

    def missing(self) -> list[int]:
        """Map tasks whose output nobody has."""
        return self.outputs.missing(self.shuffle_id)

    @property
    def complete(self) -> bool:
        """Whether all outputs are there."""
        return self.outputs.complete(self.shuffle_id)

    def accept(self, partition: int, outcome: Outcome, executor: ExecutorRecord) -> bool:
        """Note where the output is."""
        self.succeeded.add(partition)
        output = Output(executor.source, executor.machine, outcome.value)
        return self.outputs.store(self.shuffle_id, partition, output)


class ResultStage(Stage):
    """Hands partitions of a job's RDD to the action's function."""

    kind = "result"

    def __init__(self, rdd: Any, function: Any, partitions: Iterable[int]) -> None:
        self.function = function
        self.partitions = list(dict.fromkeys(partitions))
        self.results: dict[int, bytes] = {}
        super().__init__(rdd, len(self.partitions))

    @property
    def what(self) -> Any:
        """The action's function of (partition, iterator)."""
        return self.function

    def missing(self) -> list[int]:
        """Partitions without a result."""
        return [partition for partition in self.partitions if partition not in self.results]

    @property
    def complete(self) -> bool:
        """Whether all results are there."""
        return len(self.results) == self.total

    def accept(self, partition: int, outcome: Outcome, executor: ExecutorRecord) -> bool:
        """Keep the first result."""
        if partition in self.results:
            return False
        self.succeeded.add(partition)
        self.results[partition] = outcome.value
        return True
