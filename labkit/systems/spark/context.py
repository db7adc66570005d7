"""``SparkContext``: the programming model on a cluster of executors.

It starts the driver in the user's process and an executor on each machine, hands actions to the driver, and
waits. It may be used from several threads, as by a panel beside a busy cell.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

from labkit.parts.checks import whole
from labkit.parts.system import System
from labkit.progress import Progress
from labkit.runtime.again import changed
from labkit.runtime.cluster import Cluster
from labkit.runtime.errors import LabError, UnknownNode
from labkit.runtime.node import Node
from labkit.runtime.script import Made, options_of

from .closures import loads
from .conf import SparkConf, parse_master
from .driver import Driver
from .errors import JobFailed, TaskFailed
from .executor import Executor
from .jobs import Job
from .model import BaseContext
from .options import check_options
from .rdd import RDD
from .sites import call_site
from .trace_checks import Report, check_trace

__all__ = ["SparkContext", "StatusTracker"]

#: Seconds that executors may take to register.
REGISTERED_WITHIN = 60.0

#: How often a node is removed whose machine dies meanwhile.
STOP_ATTEMPTS = 3

#: The context that is running on each cluster: there can be one, as in Spark.
_running: weakref.WeakKeyDictionary[Cluster, weakref.ref[SparkContext]] = weakref.WeakKeyDictionary()

#: What a context keeps when it is reset: the numbers of its RDDs, and what those refer to.
_KEPT = ("_ids", "_rdds", "_accumulators", "_checkpoint_dir", "_to_checkpoint")

#: The name of a cluster that a context makes for itself.
OWN = "spark"


def _running_contexts() -> list[SparkContext]:
    found = [reference() for reference in _running.values()]
    return [context for context in found if context is not None and not context._stopped and not context.over]


def _own_cluster(master: str, options: dict[str, Any]) -> tuple[Cluster, dict[str, Any]]:
    """A cluster for this master, and the options that the master stands for added to the given ones."""
    asked = parse_master(master)
    if any(context.cluster.name == OWN for context in _running_contexts()):
        raise ValueError(
            "Cannot run multiple SparkContexts at once: stop the other first, sc.stop(), or take it: "
            "SparkContext.getOrCreate()"
        )
    meant: dict[str, Any] = {"cores": asked.cores}
    if asked.max_failures is not None:
        meant["max_failures"] = asked.max_failures
    options = {**meant, **options}
    check_options(options)  # before there is anything to be closed
    return Cluster(asked.machines, name=OWN), options


class SparkContext(System, BaseContext):
    """RDDs on a cluster.

    cluster: a ``Cluster``. Or, as in a PySpark program, the master (``"local[4]"``, see ``parse_master``;
        none is ``"local[*]"``) and the program's name: the context then has a cluster of its own.
    executors: how many, or the names of the machines to use; by default one on every living machine.
    cores: tasks that an executor runs at the same time. memory: bytes for cached partitions on each.
    options: any further field of ``Options``.
    """

    panel_class = "LineagePanel"

    def __init__(
        self,
        cluster: Cluster | str | None = None,
        executors: int | Iterable[str] | None = None,
        *,
        master: str | None = None,
        appName: str | None = None,
        conf: SparkConf | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        conf = SparkConf() if conf is None else conf
        own = not isinstance(cluster, Cluster)
        if own:
            if not (cluster is None or isinstance(cluster, str)):
                raise TypeError(
                    f"SparkContext takes a cluster or a master, SparkContext(Cluster(machines=4)) or "
                    f"SparkContext('local[4]'), not {cluster!r}"
                )
            if isinstance(executors, str):  # PySpark's order: SparkContext("local[4]", "word count")
                executors, appName = None, executors
            master = cluster or master or conf.get("spark.master") or "local[*]"
        elif master is not None:
            raise TypeError(f"either a cluster or a master: SparkContext(cluster), not master={master!r} too")
        self.appName = appName or conf.get("spark.app.name") or "labkit"
        self.master = master or "labkit"
        options = {**conf.options(), **options}
        self._owner = own
        if own:
            cluster, options = _own_cluster(self.master, options)
        try:
            self._begin(cluster, executors, options)
        except BaseException:
            if own:
                cluster.close()
            raise
        if own:
            self.defaultParallelism = len(self.executors) * self.options.cores

    def _begin(
        self, cluster: Cluster, executors: int | Iterable[str] | None, options: dict[str, Any]
    ) -> None:
        self.options = check_options(options)
        self.cluster = cluster
        other = _running.get(cluster, lambda: None)()
        if other is not None and not other._stopped and not other.over:
            raise ValueError(
                "Cannot run multiple SparkContexts at once: one is running on this cluster; "
                "stop it first: sc.stop()"
            )
        self._local = threading.local()
        self.one_process = cluster.engine == "sim"
        machines = self._machines(executors)
        self.defaultParallelism = max(2, len(machines) * self.options.cores)
        # A machine that is paused cannot be told to stop an executor of an earlier context.
        free = (name for name in map("executor-{}".format, count()) if name not in cluster.nodes)
        self.executors = list(islice(free, len(machines)))
        self._driver: Driver = cluster.spawn_here(Driver, self.options, tuple(self.executors), name="driver")
        _running[cluster] = weakref.ref(self)
        try:
            cluster.spawn_many(
                (Executor, ("driver", self.options), {}, name, machine)
                for name, machine in zip(self.executors, machines, strict=True)
            )
            cluster.submit(self._all_registered).result(REGISTERED_WITHIN)
        except BaseException:
            self.stop()
            raise
        cluster.trace.meta.update(system="Spark", cores=self.options.cores, memory=self.options.memory)

    def _machines(self, executors: int | Iterable[str] | None) -> list[str]:
        alive = [machine.name for machine in self.cluster.machines if machine.alive]
        if executors is None:
            return alive
        if isinstance(executors, int) and not isinstance(executors, bool) and executors >= 1 and alive:
            return [alive[number % len(alive)] for number in range(executors)]
        if isinstance(executors, Iterable) and not isinstance(executors, str):
            names = [self.cluster.machine(machine).name for machine in executors]
            if names:
                return names
        raise ValueError(
            f"executors is how many there shall be, or the names of machines, not {executors!r}; "
            f"living machines are {', '.join(alive) or 'none'}"
        )

    async def _all_registered(self, client: Node) -> None:
        while len(self._driver.executors) < len(self.executors):
            await self._driver.changed.wait()

    async def _no_jobs(self, client: Node) -> None:
        while self.statusTracker().getActiveJobsIds():
            await client.sleep(0.01)

    # --- running ------------------------------------------------------------------------------------------

    def _run(self, rdd: RDD, function: Callable[..., Any], partitions: list[int], action: str) -> list[Any]:
        driver = self._driver
        job = Job(self._new_id("job"), action, getattr(self._local, "group", None))
        site = call_site()[1]

        async def program(client: Node) -> list[bytes]:
            job.run = driver.spawn(driver.run_job(job, rdd, function, partitions, site))
            results: list[bytes] = await job.run
            return results

        with self.cluster.span(action), Progress(action, "tasks") as job.progress:
            try:
                results = self.cluster.submit(program).result()
            except (JobFailed, TaskFailed) as error:
                raise error.with_traceback(None) from None  # the driver's own frames are of no use to anybody
            finally:
                job.run = None  # it holds the results
                updates, job.updates = job.updates, []
                for each in updates:
                    self._add_updates(each)
        return [loads(result) for result in results]

    def _forget(self, rdd: RDD) -> None:
        self.cluster.do(lambda: self._driver.forget_rdd(rdd.id()))

    def _set_broadcast(self, number: int, data: bytes) -> None:
        self._driver.broadcasts[number] = data

    def _drop_broadcast(self, number: int, forever: bool) -> None:
        self.cluster.do(lambda: self._driver.drop_broadcast(number, forever))

    def _storage_changed(self, rdd: RDD) -> None:
        storage = rdd.description()["storage"]
        self.cluster.do(lambda: self._driver.storage_changed(rdd.id(), storage))

    def _checkpointed(self, rdd: RDD, path: str, size: int) -> None:
        self.cluster.do(lambda: self._driver.emit("checkpointed", rdd=rdd.id(), path=path, bytes=size))

    # --- groups of jobs -----------------------------------------------------------------------------------

    def setJobGroup(self, groupId: str, description: str, interruptOnCancel: bool = False) -> None:
        """The actions of this thread from now on belong to the group."""
        self._local.group = groupId
        self._local.description = description

    def cancelJobGroup(self, groupId: str) -> None:
        """End the group's running jobs; their actions raise ``JobCancelled``."""
        self.cluster.do(lambda: self._driver.cancel_jobs(groupId, f"its group {groupId!r} was cancelled"))

    def cancelAllJobs(self) -> None:
        """End all running jobs."""
        self.cluster.do(lambda: self._driver.cancel_jobs(None, "all jobs were cancelled"))

    def statusTracker(self) -> StatusTracker:
        """What is running."""
        return StatusTracker(self._driver)

    # --- the context itself -------------------------------------------------------------------------------

    @classmethod
    def getOrCreate(cls, conf: SparkConf | None = None) -> SparkContext:
        """The context that is running, else a new one on a cluster of its own."""
        running = _running_contexts()
        return running[-1] if running else cls(conf=conf)

    def made(self) -> Made:
        """The context as code."""
        executors = options_of(self).get("executors")
        options = {} if executors is None or isinstance(executors, str) else {"executors": executors}
        options |= {"appName": self.appName} if self.appName != "labkit" else {}
        options |= changed(self.options)
        lacks = "your RDDs and the actions on them"
        return Made("labkit.systems.spark", "sc_again", "SparkContext", options, lacks)

    def check(self) -> Report:
        """The invariants at every event of this context's driver so far, and what ran again as it was lost.

        Raises ``LabError`` if the trace has forgotten its beginning.
        """
        return check_trace(whole(self.cluster), self.options.cores, self.options.memory)

    def reset(self) -> None:
        """The same context once more, on the same cluster begun anew. RDDs stay what they are, a recipe: the
        next action computes them again.
        """
        kept = {name: self.__dict__[name] for name in _KEPT}
        broadcasts = dict(self._driver.broadcasts)
        _running.pop(self._cluster, None)  # what it ran on goes with the machines
        if self._owner:
            self._cluster.close()
        else:
            self._cluster.reset()
        self.__init__(*self._made[0], **self._made[1])  # type: ignore[misc]
        self.__dict__.update(kept)
        self._driver.broadcasts.update(broadcasts)

    def stop(self) -> None:
        """Remove driver and executors; harmless when called again."""
        if self._stopped:
            return
        super().stop()
        if self.over:
            return
        if self.statusTracker().getActiveJobsIds():  # of other threads, which are not to wait for ever
            self.cluster.do(lambda: self._driver.cancel_jobs(None, "the SparkContext was stopped"))
            self.cluster.submit(self._no_jobs).result()
        if self._owner:
            self.cluster.close()
            return
        for name in [*self.executors, "driver"]:
            self._remove(name)

    def _remove(self, name: str) -> None:
        for _ in range(STOP_ATTEMPTS):
            try:
                return self.cluster.remove(name)
            except UnknownNode:
                return None  # it did not come up
            except LabError:
                continue  # its machine died this very moment: then there is only a name to be removed
        return None

    def _in_short(self) -> str:
        state = (
            "stopped"
            if self._stopped
            else f"{len(self._driver.executors)} of {len(self.executors)} executors"
        )
        return f"SparkContext on {self._cluster.name!r}: {state}"


@dataclass(frozen=True)
class SparkJobInfo:
    """A job's stages and state."""

    jobId: int
    stageIds: list[int]
    status: str


@dataclass(frozen=True)
class SparkStageInfo:
    """A stage's progress."""

    stageId: int
    currentAttemptId: int
    name: str
    numTasks: int
    numActiveTasks: int
    numCompletedTasks: int
    numFailedTasks: int


class StatusTracker:
    """Progress of jobs and stages, as PySpark's."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def getJobIdsForGroup(self, jobGroup: str | None = None) -> list[int]:
        """All jobs of a group, or (None) those without one."""
        return [job.id for job in list(self._driver.jobs.values()) if job.group == jobGroup]

    def getActiveJobsIds(self) -> list[int]:
        """Jobs that are running."""
        return [job.id for job in list(self._driver.jobs.values()) if job.state == "RUNNING"]

    def getActiveStageIds(self) -> list[int]:
        """Stages that are running."""
        return sorted(self._driver.tasks.stages)

    def getJobInfo(self, jobId: int) -> SparkJobInfo | None:
        """One job, or None if there is none of this number."""
        job = self._driver.jobs.get(jobId)
        return None if job is None else SparkJobInfo(job.id, list(job.planned), job.state)

    def getStageInfo(self, stageId: int) -> SparkStageInfo | None:
        """A stage that is running, or None."""
        tasks = self._driver.tasks.stages.get(stageId)
        if tasks is None:
            return None
        stage = tasks.stage
        return SparkStageInfo(
            stage.id,
            stage.attempt,
            repr(stage.rdd),
            stage.total,
            len(tasks.running),
            stage.total - len(stage.missing()),
            sum(tasks.failures.values()),
        )
