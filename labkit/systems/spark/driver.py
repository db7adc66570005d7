"""The driver: the user's program runs here, and so do lineage and scheduling (NSDI 2012, sections 4 and 5.1).

It keeps the lineage graph in its memory and tells executors what to compute. Of each executor it knows how
long ago it last gave a sign of life, which tasks it runs, which map outputs and which cached partitions it
has. When one is silent for too long it is lost, with all of that, and the schedulers compute again what is
still wanted (``dag.py``: which partitions; ``tasks.py``: where).

The driver itself is a single point of failure, as in the paper: it lives in the user's process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from labkit.parts.members import Silence
from labkit.parts.tasks import Attempt
from labkit.runtime.loop import Loop
from labkit.runtime.node import Node, every, rpc
from labkit.runtime.sync import Signal

from .blocks import Key
from .cleaner import Cleaner
from .dag import DAGScheduler
from .errors import JobCancelled, JobFailed
from .evaluate import blocks_wanted, splits
from .events import EVENTS
from .jobs import ExecutorRecord, Job, ResultStage, Stage
from .options import Options
from .shuffle import Source
from .task_run import Outcome, TaskDescription
from .tasks import TaskScheduler

if TYPE_CHECKING:
    from .rdd import RDD

__all__ = ["Driver"]

#: Jobs that ``statusTracker`` still knows (``spark.ui.retainedJobs``).
JOBS_KEPT = 1000


class Driver(Node):
    """See the module's text."""

    events = EVENTS

    def __init__(self, options: Options, names: tuple[str, ...]) -> None:
        self.options = options
        self.names = names  #: of its own executors; an earlier context may have left one on a paused machine
        self.heartbeat_every = options.heartbeat_every
        self.speculation_every = options.speculation_every if options.speculation else None
        self.changed = Signal()  #: when an executor registers
        self.no_executor_since: float | None = None
        #: Cached partitions, and the executors that have each, with the place on it.
        self.blocks: dict[Key, dict[str, str]] = {}
        self.broadcasts: dict[int, bytes] = {}
        self.jobs: dict[int, Job] = {}
        self.announced: dict[int, str | None] = {}  #: RDDs that are in the trace, and their storage level
        self.lives: dict[str, int] = {}
        self.tasks = TaskScheduler(self)
        #: Living executors by name.
        self.executors: dict[str, ExecutorRecord] = self.tasks.ledger.workers
        self.dag = DAGScheduler(self)
        self.cleaner = Cleaner(self)

    def start(self) -> None:
        """Listen from now on."""
        self.silence = Silence(self.options.executor_timeout, self.now)

    @property
    def loop(self) -> Loop:
        """The loop that runs it."""
        return self._machine.loop

    # --- jobs ---------------------------------------------------------------------------------------------

    async def run_job(
        self, job: Job, rdd: RDD, function: Any, partitions: list[int], site: str
    ) -> list[bytes]:
        """The pickled result of ``function(partition, iterator)`` for each partition, in order."""
        self.jobs[job.id] = job
        job.site = site
        job.span = self.loop.span
        self.announce(rdd)
        stage = ResultStage(rdd, function, partitions)
        job.planned = self.dag.plan(stage)
        self.dag.claim(stage, job)
        started = self.now
        self.emit("job_started", job=job.id, rdd=rdd.id(), action=job.action, site=site, stages=job.planned)
        error: str | None = "cancelled"
        try:
            await self.dag.available(stage)
            error = None
        except Exception as raised:
            error = f"{type(raised).__name__}: {raised}"
            raise
        finally:
            job.state = "SUCCEEDED" if error is None else "FAILED"
            self.dag.release(job)
            while len(self.jobs) > JOBS_KEPT and next(iter(self.jobs.values())).state != "RUNNING":
                del self.jobs[next(iter(self.jobs))]
            self.emit("job_finished", job=job.id, ok=error is None, error=error, seconds=self.now - started)
        return [stage.results[partition] for partition in partitions]

    def cancel_jobs(self, group: str | None, reason: str) -> None:
        """End the jobs of a group, or (None) all."""
        for job in list(self.jobs.values()):
            if job.state == "RUNNING" and job.run is not None and (group is None or job.group == group):
                job.run.cancel(JobCancelled(f"job {job.id} ({job.action}) was cancelled: {reason}"))

    def announce(self, rdd: RDD) -> None:
        """Put an RDD and its lineage into the trace, parents first, unless they are there."""
        todo, new = [rdd], []
        while todo:
            each = todo.pop()
            if each.id() not in self.announced:
                self.announced[each.id()] = None
                new.append(each)
                todo.extend(dependency.rdd for dependency in each.dependencies())
        for each in sorted(new, key=lambda each: each.id()):
            described = each.description()
            self.announced[each.id()] = described["storage"]
            self.cleaner.watch_rdd(each)
            self.emit("rdd", **described)

    def storage_changed(self, rdd: int, storage: str | None) -> None:
        """A known RDD was persisted, unpersisted or checkpointed."""
        if rdd in self.announced and self.announced[rdd] != storage:
            self.announced[rdd] = storage
            self.emit("rdd_storage", rdd=rdd, storage=storage)

    # --- executors ----------------------------------------------------------------------------------------

    @rpc
    def register(self, name: str, machine: str, life: int) -> int | None:
        """A new executor; which of its lives this is. Asked again by the same life, the same answer. None: it
        is not one of this driver's."""
        if name not in self.names:
            return None
        known = self.executors.get(name)
        if known is not None and known.life == life:
            return known.source.incarnation
        if known is not None:
            self.lose(known, "it began anew")
        self.lives[name] = incarnation = self.lives.get(name, 0) + 1
        self.tasks.ledger.join(ExecutorRecord(name, machine, self.options.cores, incarnation, life, self.now))
        self.emit(
            "executor_registered",
            executor=name,
            machine=machine,
            cores=self.options.cores,
            incarnation=incarnation,
        )
        self.changed.fire()
        self.tasks.ledger.schedule()
        return incarnation

    @rpc
    def heartbeat(self, name: str, incarnation: int, first: int, entries: tuple[Any, ...]) -> Any:
        """A sign of life. None: the driver has given this executor up.

        Else how many entries of its journal were taken in, the last task that it was given, and those whose
        outcome is awaited.
        """
        executor = self.executors.get(name)
        if executor is None or executor.source.incarnation != incarnation:
            return None
        executor.heard = self.now
        self.take_journal(executor, first, entries)
        return executor.journal, executor.newest, tuple(executor.attempts)

    @every(seconds="heartbeat_every")
    def look_for_silence(self) -> None:
        """Executors that have been silent for too long are lost; jobs do not wait for ever without one."""
        for name, silent in self.silence.look(self.executors, self.now):
            self.lose(self.executors[name], f"silent for {silent:.2f} s")
        self.cleaner.clean()
        waiting = bool(self.tasks.stages) and not self.executors
        if not waiting:
            self.no_executor_since = None
        elif self.no_executor_since is None:
            self.no_executor_since = self.now
        elif self.now - self.no_executor_since > self.options.no_executor_timeout:
            for tasks in list(self.tasks.stages.values()):
                self.tasks.fail(
                    tasks, JobFailed('every executor is lost; restart a machine: cluster.restart("m1")')
                )

    def lose(self, executor: ExecutorRecord, why: str) -> None:
        """An executor is gone, with its tasks, its blocks and its map outputs."""
        del self.executors[executor.name]
        self.emit("executor_lost", executor=executor.name, machine=executor.machine, why=why)
        for key in [key for key, places in self.blocks.items() if executor.name in places]:
            self.block_dropped(executor, *key, "lost")
        self.outputs_lost(
            self.dag.outputs.lose(executor.source), executor.source, executor.machine, "executor_lost"
        )
        self.tasks.executor_lost(executor)
        for other in self.executors:
            self.send(other, "executor_lost", *executor.source)
        self.tasks.ledger.schedule()

    @every(seconds="speculation_every")
    def speculate(self) -> None:
        """Copies of stragglers."""
        self.tasks.ledger.speculate()

    # --- map outputs --------------------------------------------------------------------------------------

    def task_ended(
        self, stage: Stage, partition: int, outcome: Outcome, result: str, executor: ExecutorRecord
    ) -> None:
        """What an attempt has left: updates of accumulators, an output, or word of outputs that are gone."""
        shuffle = stage.shuffle_id
        if result == "ok":
            job = stage.jobs.get(min(stage.jobs, default=-1))
            if outcome.updates and job is not None:
                job.updates.append(outcome.updates)
            if shuffle is not None:
                self.emit(
                    "outputs_stored", shuffle=shuffle, map=partition, executor=executor.name,
                    machine=executor.machine, bytes=sum(outcome.value), buckets=list(outcome.value),
                )  # fmt: skip
        elif result == "fetch_failed":
            assert outcome.failed is not None
            self.fetch_failed(stage, partition, *outcome.failed)
        elif result == "too_late" and shuffle is not None and not self.dag.outputs.knows(shuffle):
            self.send(executor.name, "drop_shuffle", shuffle)  # its job was stopped, and it was forgotten

    def fetch_failed(
        self, stage: Stage, partition: int, shuffle: int, source: Source | None, maps: tuple[int, ...]
    ) -> None:
        """A reduce task did not get these outputs: they count as lost."""
        if source is None:  # it had relied on a cached block, and needs a shuffle that nobody has made
            stage.distrusts.add(partition)
            return
        source = Source(*source)
        executor = self.executors.get(source.executor)
        machine = executor.machine if executor is not None else "?"
        self.outputs_lost(self.dag.outputs.lose(source, shuffle, maps), source, machine, "fetch_failed")

    def outputs_lost(self, lost: dict[int, list[int]], source: Source, machine: str, why: str) -> None:
        """Tell of it, and have the stages that need them wait."""
        for shuffle, maps in lost.items():
            self.emit(
                "outputs_lost", shuffle=shuffle, maps=maps, executor=source.executor, machine=machine, why=why
            )
        if lost:
            self.tasks.outputs_lost(lost)

    # --- blocks -------------------------------------------------------------------------------------------

    def is_cached(self, rdd: int, partition: int) -> bool:
        """Whether some executor has this persisted partition."""
        return (rdd, partition) in self.blocks

    def sure_of(self, stage: Stage, partition: int) -> Callable[[int, int], bool]:
        """``is_cached``, unless a task has looked for such a block in vain."""
        return _nothing if partition in stage.distrusts else self.is_cached

    def take_journal(self, executor: ExecutorRecord, first: int, entries: Iterable[tuple[Any, ...]]) -> None:
        """What became of an executor's blocks; each entry is taken in once, in order."""
        if self.executors.get(executor.name) is not executor or first > executor.journal:
            return
        for what, rdd, partition, *rest in list(entries)[executor.journal - first :]:
            executor.journal += 1
            if what == "stored":
                where, size = rest
                self.blocks.setdefault((rdd, partition), {})[executor.name] = where
                self.emit(
                    "block_stored", rdd=rdd, partition=partition, executor=executor.name,
                    machine=executor.machine, where=where, bytes=size,
                )  # fmt: skip
            else:
                self.block_dropped(executor, rdd, partition, rest[0])

    def block_dropped(self, executor: ExecutorRecord, rdd: int, partition: int, why: str) -> None:
        """An executor has a block no more."""
        places = self.blocks.get((rdd, partition), {})
        if places.pop(executor.name, None) is not None:
            if not places:
                del self.blocks[rdd, partition]
            self.emit(
                "block_dropped",
                rdd=rdd,
                partition=partition,
                executor=executor.name,
                machine=executor.machine,
                why=why,
            )

    def forget_rdd(self, rdd: int) -> None:
        """Have every executor drop its blocks of an RDD."""
        for executor in list(self.executors.values()):
            if any(key[0] == rdd and executor.name in places for key, places in self.blocks.items()):
                self.send(executor.name, "drop_rdd", rdd)

    # --- what tasks are told ------------------------------------------------------------------------------

    def preferred(self, stage: Stage, partition: int) -> list[str]:
        """Executors that have what a task would read: its cached blocks, or else what its leaves prefer."""
        names: dict[str, None] = {}
        if any(rdd.persisted for rdd in stage.rdds):
            for key in blocks_wanted(stage.rdd, partition, self.is_cached):
                names.update(dict.fromkeys(self.blocks.get(key, ())))
        if names:
            return list(names)
        liked: set[str] = set()
        leaves = {rdd.id(): rdd for rdd in stage.rdds if rdd.leaf}
        for (rdd, _), leaf in splits(stage.rdd, partition, self.is_cached).items():
            liked.update(leaves[rdd].preferredLocations(leaf))
        return [each.name for each in self.executors.values() if each.machine in liked]

    def describe(self, attempt: Attempt) -> TaskDescription:
        """What an executor needs to know of a task."""
        stage, partition, executor = attempt.group.stage, attempt.task, attempt.worker
        elsewhere: dict[Key, str] = {}
        persisted = any(rdd.persisted for rdd in stage.rdds)
        if persisted:
            for key in blocks_wanted(stage.rdd, partition, self.is_cached):
                places = self.blocks.get(key, {})
                if places and executor.name not in places:
                    elsewhere[key] = next(iter(places))
        replicated = any(rdd.storage.replication > 1 for rdd in stage.rdds) if persisted else False
        return TaskDescription(
            task=attempt.number,
            stage=stage.id,
            attempt=attempt.group.attempts[partition] - 1,
            partition=partition,
            splits=splits(stage.rdd, partition, self.sure_of(stage, partition)),
            inputs={shuffle: self.dag.outputs.sources(shuffle) for shuffle in stage.reads},
            blocks=elsewhere,
            broadcasts=stage.broadcasts,
            copy_to=self.neighbour(executor) if replicated else None,
        )

    def neighbour(self, executor: ExecutorRecord) -> str | None:
        """The next executor on another machine, for a second copy of a block."""
        names = list(self.executors)
        start = names.index(executor.name)
        for name in names[start + 1 :] + names[:start]:
            if self.executors[name].machine != executor.machine:
                return name
        return None

    # --- broadcast variables ------------------------------------------------------------------------------

    @rpc
    def get_broadcast(self, number: int) -> bytes:
        """The pickled value, for an executor that does not have it yet."""
        return self.broadcasts[number]

    def drop_broadcast(self, number: int, forever: bool) -> None:
        """Remove it from the executors, and ``forever`` from here too."""
        if forever:
            self.broadcasts.pop(number, None)
        for name in self.executors:
            self.send(name, "drop_broadcast", number)


def _nothing(rdd: int, partition: int) -> bool:
    return False
