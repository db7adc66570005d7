"""The DAG scheduler: a job as stages, and what to run again after a loss (NSDI 2012, section 5.1).

A stage pipelines as many narrow dependencies as possible; it ends where a shuffle begins. A *map stage* makes
the outputs of one shuffle, the *result stage* of a job hands each partition to the action. A stage is run
once the shuffles that it reads are complete, so its parents come first; what is there already is not made
again:

* a map stage whose outputs are all there is skipped;
* a persisted partition that some executor has is read, and what is above it is not looked at;
* after a loss, only the missing partitions of a map stage run again, and that as often as needed, back to
  partitions that are there or to the data that the lineage begins with.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from labkit.runtime.errors import LabError
from labkit.runtime.loop import Future, Task
from labkit.runtime.sync import gather

from .closures import dump_stage, narrow_lineage
from .dependencies import ShuffleDependency
from .errors import JobFailed
from .evaluate import needs
from .events import INPUT_LOST
from .shuffle import MapOutputs, Output
from .task_run import Outcome

if TYPE_CHECKING:
    from .driver import Driver, Job
    from .tasks import ExecutorRecord

__all__ = ["DAGScheduler", "MapStage", "ResultStage", "Stage"]


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


class DAGScheduler:
    """Belongs to the driver."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.outputs = MapOutputs()
        self.map_stages: dict[int, MapStage] = {}  #: by shuffle
        self.running: dict[int, Task] = {}  #: by stage
        self._stages = 0
        self._codes = 0

    # --- the graph ----------------------------------------------------------------------------------------

    def map_stage(self, dependency: ShuffleDependency) -> MapStage:
        """The stage of a shuffle."""
        stage = self.map_stages.get(dependency.shuffle_id)
        if stage is None:
            stage = self.map_stages[dependency.shuffle_id] = MapStage(dependency, self.outputs)
            self.driver.cleaner.watch_shuffle(dependency)
        return stage

    def forget_shuffle(self, shuffle: int) -> bool:
        """Nobody can read it any more; whether it was known."""
        self.outputs.remove(shuffle)
        return self.map_stages.pop(shuffle, None) is not None

    def number(self, stage: Stage) -> int:
        """The stage's number; a new one if it has none."""
        if stage.id < 0:
            stage.id = self._stages
            self._stages += 1
        return stage.id

    def parents(self, stage: Stage, partitions: Iterable[int]) -> list[MapStage]:
        """The map stages that must run before these partitions can be computed."""
        incomplete = [number for number in stage.reads if not self.outputs.complete(number)]
        if not incomplete:
            return []
        needed = {
            dependency.shuffle_id
            for partition in partitions
            for dependency, _ in needs(stage.rdd, partition, self.driver.sure_of(stage, partition))
        }
        return [self.map_stage(stage.reads[number]) for number in incomplete if number in needed]

    def plan(self, stage: Stage) -> list[int]:
        """The stages that will run for this one if nothing goes wrong, parents first."""
        order: list[int] = []
        seen: set[Stage] = set()
        todo: list[tuple[Stage, bool]] = [(stage, False)]
        while todo:
            each, done = todo.pop()
            if done:
                order.append(self.number(each))
            elif each not in seen:
                seen.add(each)
                todo.append((each, True))
                todo.extend((parent, False) for parent in reversed(self.parents(each, each.missing())))
        return order

    # --- running ------------------------------------------------------------------------------------------

    def available(self, stage: Stage) -> Future:
        """Resolved when every partition of the stage is there; several jobs may wait for one run of it."""
        run = self.running.get(self.number(stage))
        if run is None:
            run = self.running[stage.id] = self.driver.spawn(self.complete(stage))
        outcome = Future(self.driver.loop)
        run.add_done(partial(_hand_on, outcome))
        return outcome

    async def complete(self, stage: Stage) -> None:
        """Run what is missing of a stage, its parents first, until nothing is missing."""
        try:
            failures = 0
            while missing := stage.missing():
                stage.look()
                parents = self.parents(stage, missing)
                if parents:
                    await self.parents_available(stage, parents)
                    continue  # meanwhile others may have been lost
                if await self.attempt(stage, missing):
                    return
                failures += 1
                if failures >= self.driver.options.stage_attempts:
                    raise JobFailed(
                        f"stage {stage.id} lost its input {failures} times in a row: machines die faster "
                        "than it can be computed. More attempts: SparkContext(cluster, stage_attempts=10)"
                    )
        finally:
            self.running.pop(stage.id, None)

    async def parents_available(self, stage: Stage, parents: list[MapStage]) -> None:
        """Run parents, those that do not depend on each other at the same time."""
        stage.waits_for = {parent.id: parent for parent in parents}
        for job in list(stage.jobs.values()):
            self.claim(stage, job)
        try:
            await gather(*map(self.available, parents))
        finally:
            stage.waits_for = {}

    async def attempt(self, stage: Stage, missing: list[int]) -> bool:
        """Run a stage's missing partitions; False if one of its inputs was lost meanwhile."""
        self.encode(stage)
        stage.attempt += 1
        driver = self.driver
        started = {
            "stage": stage.id,
            "job": min(stage.jobs, default=-1),
            "attempt": stage.attempt,
            "kind": stage.kind,
            "rdd": stage.rdd.id(),
            "rdds": [rdd.id() for rdd in stage.rdds],
            "shuffle": stage.shuffle_id,
            "partitions": missing,
            "total": stage.total,
            "parents": [self.number(self.map_stage(dependency)) for dependency in stage.reads.values()],
        }
        driver.emit("stage_started", **started)
        error: str | None = "cancelled"
        try:
            complete: bool = await driver.tasks.run(stage)
            error = None if complete else INPUT_LOST
        except Exception as raised:
            error = f"{type(raised).__name__}: {raised}"
            raise
        finally:
            driver.emit(
                "stage_finished", stage=stage.id, attempt=stage.attempt, ok=error is None, error=error
            )
        return complete

    def encode(self, stage: Stage) -> None:
        """Pickle what its tasks need; unchanged since the last time, it need not be sent again."""
        code, broadcasts = dump_stage(stage.rdd, stage.what)
        gone = [number for number in broadcasts if number not in self.driver.broadcasts]
        if gone:
            raise LabError(
                f"{stage.rdd!r} needs the broadcast variable {gone[0]}, which was destroyed: make a new one "
                "with sc.broadcast(...), and the RDDs that use it"
            )
        if code != stage.code:
            stage.code, stage.broadcasts = code, tuple(broadcasts)
            stage.code_id = self._codes
            self._codes += 1

    # --- who wants what -----------------------------------------------------------------------------------

    def claim(self, stage: Stage, job: Job) -> None:
        """The job wants this stage, and with it the parents that are being run for it."""
        todo = [stage]
        while todo:
            each = todo.pop()
            each.jobs[job.id] = job
            job.stages[each.id] = each
            todo.extend(each.waits_for.values())

    def release(self, job: Job) -> None:
        """The job has ended: stages that nobody else wants end too."""
        for stage in job.stages.values():
            del stage.jobs[job.id]
            if not stage.jobs:
                self.driver.tasks.ledger.abort(stage.id)
                run = self.running.pop(stage.id, None)
                if run is not None:
                    run.cancel()
        job.stages.clear()


def _hand_on(outcome: Future, run: Future) -> None:
    if run.error is not None:
        outcome.set_error(run.error)
    else:
        outcome.set_result(None)
