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

from collections.abc import Iterable
from functools import partial
from typing import Any

from labkit.runtime.errors import LabError
from labkit.runtime.loop import Future, Task
from labkit.runtime.sync import gather

from .dependencies import ShuffleDependency
from .errors import JobFailed
from .evaluate import needs
from .events import INPUT_LOST
from .jobs import Job, MapStage, Stage
from .shuffle import MapOutputs
from .stage_code import dump_stage

__all__ = ["DAGScheduler"]


class DAGScheduler:
    """Belongs to the driver, a ``Driver``."""

    def __init__(self, driver: Any) -> None:
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
