"""The task scheduler: which task runs where, and what follows when it ends.

A stage that may run hands its missing partitions in (``run``). Each is *pending* until an executor with a
free core takes it, then *running* as one or more attempts; the first that succeeds counts.

=================  ===========================================================================================
it ends in         what follows
=================  ===========================================================================================
``ok``             its partition is done; other attempts at it are cancelled
``too_late``       another attempt was first, or nobody can read its output any more
``error``          the user's code raised: tried again, at most ``max_failures`` times, then the job fails
``fetch_failed``   map outputs are gone: the stage waits for the DAG scheduler to compute them again
``stale``          a cached block it was to read is gone: tried again, told where else the data come from
``executor_lost``  tried again elsewhere; it counts as nobody's fault
``cancelled``      nobody wanted it any more
=================  ===========================================================================================

*Delay scheduling* (Zaharia et al., EuroSys 2010; the RDD paper's section 5.1 uses it): a task whose cached
input is on a busy executor waits ``locality_wait`` seconds for it before it goes elsewhere.

*Speculation*: a second attempt at a task that takes much longer than the others of its stage.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from statistics import median
from typing import TYPE_CHECKING, Any

from labkit.runtime.errors import Timeout
from labkit.runtime.loop import Future, Loop, Task
from labkit.runtime.raised import Ending, named

from .blame import to_action
from .closures import dumps, loads
from .errors import JobFailed, TaskFailed
from .executor import NOT_ME, SEND_STAGE, STAGES_KEPT, UNKNOWN_TASK
from .shuffle import Source
from .task_run import Outcome

if TYPE_CHECKING:
    from .dag import Stage
    from .driver import Driver

__all__ = ["Attempt", "ExecutorRecord", "StageTasks", "TaskScheduler"]

#: What ``task_finished`` tells of an attempt that never said what it did.
NO_METRICS: dict[str, Any] = {
    "computed": [], "read": [], "records": 0,
    "fetched_local": 0, "fetched_remote": 0, "fetched": [], "written": 0,
}  # fmt: skip


class ExecutorRecord:
    """An executor as the driver knows it."""

    def __init__(self, name: str, machine: str, cores: int, incarnation: int, life: int, now: float) -> None:
        self.name = name
        self.machine = machine
        self.cores = cores
        self.source = Source(name, incarnation)
        self.life = (
            life  #: a number that this life of the executor chose: a repeated registration is no new one
        )
        self.heard = now
        self.attempts: dict[int, Attempt] = {}
        self.newest = 0  #: the last task that it was given
        self.codes: dict[int, None] = {}  #: the stage codes that it has, as far as it keeps them
        self.journal = 0  #: entries of its blocks' journal that were taken in

    def gets_code(self, code: int) -> None:
        """The next message has a stage's code; the executor forgets the oldest as this does."""
        self.codes[code] = None
        if len(self.codes) > STAGES_KEPT:
            del self.codes[next(iter(self.codes))]

    @property
    def free(self) -> int:
        """Cores without a task."""
        return self.cores - len(self.attempts)


class Attempt:
    """One attempt at one partition of a stage."""

    def __init__(
        self,
        number: int,
        tasks: StageTasks,
        partition: int,
        executor: ExecutorRecord,
        locality: str,
        why: str,
        now: float,
    ) -> None:
        self.number = number
        self.tasks = tasks
        self.partition = partition
        self.executor = executor
        self.locality = locality
        self.why = why
        self.started = now
        self.wanted = True
        self.call: Task | None = None


class StageTasks:
    """The tasks of a stage that is being run."""

    def __init__(self, stage: Stage, loop: Loop) -> None:
        self.stage = stage
        #: Partition to why it is to run, in order; and where it would best run, by executor name.
        self.pending: dict[int, str] = {}
        self.preferred: dict[int, list[str]] = {}
        self.choosy = False  #: whether some partition would best run somewhere
        self.running: dict[int, list[Attempt]] = {}
        #: How often the user's code has failed in a partition, and how many attempts there were.
        self.failures: dict[int, int] = {}
        self.attempts: dict[int, int] = {}
        self.seconds: list[float] = []  #: that successful attempts took
        self.last_local = loop.now  #: when a task was last started near its data
        self.over = Future(loop)  #: resolved when nothing is missing, or an input was lost

    def suspend(self) -> None:
        """An input is gone: start nothing more until ``run`` is called again. What runs may still succeed."""
        self.pending.clear()
        self.over.set_result(False)


class TaskScheduler:
    """Belongs to the driver, in whose name it calls executors."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.options = driver.options
        self.stages: dict[int, StageTasks] = {}  #: in the order in which they began: first come, first served
        self._number = 0
        self._alarm: float | None = None  #: when the next waiting for locality ends

    # --- what the DAG scheduler asks ----------------------------------------------------------------------

    def run(self, stage: Stage) -> Future:
        """Run a stage's missing partitions. True when they are done, False when an input was lost meanwhile.

        Raises ``TaskFailed`` and ``JobFailed``.
        """
        tasks = self.stages.get(stage.id)
        if tasks is None:
            tasks = self.stages[stage.id] = StageTasks(stage, self.driver.loop)
        over = tasks.over = Future(self.driver.loop)
        for partition in stage.missing():
            if partition not in tasks.running:
                self.add(tasks, partition, "retry" if partition in tasks.attempts else "first")
        self.schedule()
        return over

    def add(self, tasks: StageTasks, partition: int, why: str) -> None:
        """A partition is to be run."""
        tasks.pending[partition] = "lost" if partition in tasks.stage.succeeded else why
        tasks.preferred[partition] = self.driver.preferred(tasks.stage, partition)
        tasks.choosy = tasks.choosy or bool(tasks.preferred[partition])

    def abort(self, stage: Stage) -> None:
        """Nobody wants this stage any more."""
        tasks = self.stages.pop(stage.id, None)
        if tasks is not None:
            for attempts in list(tasks.running.values()):
                for attempt in attempts:
                    self.cancel(attempt)

    # --- what the driver tells ----------------------------------------------------------------------------

    def executor_lost(self, executor: ExecutorRecord) -> None:
        """Its attempts have ended."""
        for attempt in list(executor.attempts.values()):
            if attempt.call is not None:
                attempt.call.cancel()
            self.finished(attempt, Outcome("executor_lost"))

    def outputs_lost(self, shuffles: dict[int, list[int]]) -> None:
        """Map outputs are gone: those who need them wait, and a stage that makes them has more to do."""
        for tasks in list(self.stages.values()):
            stage = tasks.stage
            if not shuffles.keys().isdisjoint(stage.reads):
                tasks.suspend()
            elif stage.shuffle_id in shuffles and not tasks.over.done:
                for partition in shuffles[stage.shuffle_id]:
                    if partition not in tasks.running:
                        self.add(tasks, partition, "lost")

    # --- offering cores -----------------------------------------------------------------------------------

    def schedule(self) -> None:
        """Offer each free core to the stages, the oldest first."""
        executors = list(self.driver.executors.values())
        for tasks in list(self.stages.values()):
            while tasks.pending:
                started = False
                for executor in sorted(executors, key=lambda each: -each.free):
                    if executor.free > 0 and self.offer(tasks, executor):
                        started = True
                if not started:
                    break

    def offer(self, tasks: StageTasks, executor: ExecutorRecord) -> bool:
        """Start the task of a stage that suits the executor best, if one does."""
        now, distant = self.driver.now, None
        anywhere = None if tasks.choosy else next(iter(tasks.pending), None)
        for partition in tasks.pending if tasks.choosy else ():
            preferred = [name for name in tasks.preferred[partition] if name in self.driver.executors]
            if executor.name in preferred:
                tasks.last_local = now
                self.start(tasks, partition, executor, "process", tasks.pending.pop(partition))
                return True
            if preferred:
                distant = partition if distant is None else distant
            elif anywhere is None:
                anywhere = partition
        if anywhere is not None:
            self.start(tasks, anywhere, executor, "none", tasks.pending.pop(anywhere))
            return True
        if distant is None:
            return False
        patience = tasks.last_local + self.options.locality_wait
        if now < patience:
            self.wake_at(patience)
            return False
        self.start(tasks, distant, executor, "any", tasks.pending.pop(distant))
        return True

    def wake_at(self, time: float) -> None:
        """Offer again when a task has waited long enough."""
        if self._alarm is None or time < self._alarm or self._alarm <= self.driver.now:
            self._alarm = time
            self.driver.spawn(self.wake(time))

    async def wake(self, time: float) -> None:
        await self.driver.sleep(max(0.0, time - self.driver.now) + 1e-6)
        self.schedule()

    # --- an attempt ---------------------------------------------------------------------------------------

    def start(
        self, tasks: StageTasks, partition: int, executor: ExecutorRecord, locality: str, why: str
    ) -> None:
        """Send one task to one executor."""
        self._number += 1
        attempt = Attempt(self._number, tasks, partition, executor, locality, why, self.driver.now)
        tasks.running.setdefault(partition, []).append(attempt)
        executor.attempts[attempt.number] = attempt
        executor.newest = attempt.number
        stage = tasks.stage
        before = tasks.attempts.get(partition, 0)
        tasks.attempts[partition] = before + 1
        told = self.driver.describe(stage, partition, attempt.number, before, executor)
        self.driver.emit(
            "task_started", task=attempt.number, stage=stage.id, partition=partition, attempt=stage.attempt,
            executor=executor.name, machine=executor.machine, locality=locality,
            speculative=why == "speculative", why=why,
        )  # fmt: skip
        loop = self.driver.loop
        outer, loop.span = loop.span, _span(stage)  # whatever led here, it belongs to the job that wants it
        attempt.call = self.driver.spawn(self.call(attempt, _pickle(told)))
        loop.span = outer

    async def call(self, attempt: Attempt, told: bytes) -> None:
        """Have the task run, and hear how it ended."""
        try:
            pickled, first, entries = await self.answer(attempt, told)
            self.driver.take_journal(attempt.executor, first, entries)
            outcome = loads(pickled)
        except Ending:
            raise
        except BaseException as error:  # what was sent cannot be read over there, or its answer here
            outcome = Outcome("error", error=named(error))
        self.finished(attempt, outcome)
        self.schedule()

    async def answer(self, attempt: Attempt, told: bytes) -> tuple[bytes, int, Any]:
        """Ask again while there is no answer; if the executor is lost, this is cancelled."""
        executor, stage = attempt.executor, attempt.tasks.stage
        number, incarnation = attempt.number, executor.source.incarnation
        asked: tuple[Any, ...]
        running = False  #: whether the executor may know of the task
        answer: Any = None
        while not isinstance(answer, tuple):
            if running and answer not in (UNKNOWN_TASK, NOT_ME, SEND_STAGE):
                asked = ("await_task", incarnation, number, attempt.wanted)
            else:
                code = None if stage.code_id in executor.codes and answer != SEND_STAGE else stage.code
                executor.gets_code(stage.code_id)
                asked = ("run_task", incarnation, number, stage.code_id, code, told)
            running = True
            try:
                answer = await self.driver.call(executor.name, *asked, timeout=self.options.call_timeout)
            except Timeout:
                answer = None
            if answer == NOT_ME:  # it is about to register, as this life or as a new one
                await self.driver.sleep(self.options.heartbeat_every)
        return answer

    def finished(self, attempt: Attempt, outcome: Outcome) -> None:
        """An attempt has ended in one of the ways of the table above."""
        tasks, partition, executor = attempt.tasks, attempt.partition, attempt.executor
        stage = tasks.stage
        del executor.attempts[attempt.number]
        tasks.running[partition].remove(attempt)
        if not tasks.running[partition]:
            del tasks.running[partition]
        result = outcome.result
        if result == "ok" and not stage.accept(partition, outcome, executor):
            result = "too_late"
        seconds = self.driver.now - attempt.started
        self.driver.emit(
            "task_finished", task=attempt.number, stage=stage.id, partition=partition, executor=executor.name,
            machine=executor.machine, result=result, error=outcome.error, seconds=seconds,
            **(outcome.metrics or NO_METRICS),
        )  # fmt: skip
        self.driver.take_updates(stage, outcome, result)
        if result == "ok":
            tasks.seconds.append(seconds)
            self.driver.output_stored(stage, partition, outcome, executor)
        elif result == "fetch_failed":
            assert outcome.failed is not None
            self.driver.fetch_failed(stage, partition, *outcome.failed)
            tasks.suspend()
        elif result == "too_late":
            self.driver.output_refused(stage, executor)
        now = self.stages.get(stage.id)
        # What was cancelled, with its job or for another attempt, may succeed all the same: then those who
        # run the stage now have that partition, and need not wait for their own attempt at it.
        if now is tasks or (now is not None and result == "ok"):
            self.follow(now, partition, outcome, result)

    def follow(self, tasks: StageTasks, partition: int, outcome: Outcome, result: str) -> None:
        """What the end of an attempt means for its stage."""
        if result == "ok":
            tasks.pending.pop(partition, None)  # a copy that nobody has taken yet
            for job in tasks.stage.jobs.values():
                job.task_done()
            for other in tasks.running.get(partition, []):
                self.cancel(other)
            if tasks.stage.complete:
                del self.stages[tasks.stage.id]
                tasks.over.set_result(True)
            return
        if result == "stale" and partition not in tasks.stage.distrusts:
            tasks.stage.distrusts.add(partition)
        elif result in ("error", "stale"):
            failures = tasks.failures[partition] = tasks.failures.get(partition, 0) + 1
            if failures >= self.options.max_failures:
                self.fail(tasks, _failure(tasks.stage, partition, failures, outcome))
                return
        if tasks.over.done or partition in tasks.running or partition in tasks.pending:
            return  # the stage waits for its inputs, or another attempt is under way
        if partition in tasks.stage.missing():
            self.add(tasks, partition, "retry")

    def fail(self, tasks: StageTasks, error: Exception) -> None:
        """The stage cannot be completed, nor can those who need it."""
        self.abort(tasks.stage)
        tasks.over.set_error(error)

    def cancel(self, attempt: Attempt) -> None:
        """Nobody wants this attempt's result. It keeps its core until the executor says that it has ended."""
        if attempt.wanted:
            attempt.wanted = False
            self.driver.send(attempt.executor.name, "cancel_task", attempt.number)

    # --- stragglers ---------------------------------------------------------------------------------------

    def speculate(self) -> None:
        """Start second attempts at stragglers where a core is free."""
        for tasks in list(self.stages.values()):
            for slow in self.stragglers(tasks):
                for executor in sorted(self.driver.executors.values(), key=lambda each: -each.free):
                    if executor.free > 0 and executor is not slow.executor:
                        self.start(tasks, slow.partition, executor, "any", "speculative")
                        break

    def stragglers(self, tasks: StageTasks) -> Iterator[Attempt]:
        """Attempts without a copy that take much longer than those that have succeeded."""
        options, total = self.options, tasks.stage.total
        if tasks.pending or len(tasks.seconds) < options.speculation_quantile * total or not tasks.seconds:
            return
        limit = max(options.speculation_multiplier * median(tasks.seconds), options.speculation_minimum)
        for attempts in list(tasks.running.values()):
            if len(attempts) == 1 and attempts[0].wanted and self.driver.now - attempts[0].started > limit:
                yield attempts[0]


def _span(stage: Stage) -> int | None:
    """The user's operation for which it runs: that of the oldest job that wants it."""
    return stage.jobs[min(stage.jobs)].span if stage.jobs else None


def _pickle(told: Any) -> bytes:
    try:
        return pickle.dumps(told, protocol=5)
    except Ending:
        raise
    except BaseException:  # a leaf's partition that holds something of the user's
        return dumps(told)


def _failure(stage: Stage, partition: int, failures: int, outcome: Outcome) -> Exception:
    if outcome.blame is not None:
        job = stage.jobs.get(min(stage.jobs, default=-1))
        blamed = to_action(outcome.blame, *(("?", "?") if job is None else (job.action, job.site)))
        return TaskFailed(str(blamed), blamed)
    times = f"{failures} times" if failures > 1 else "once"
    return JobFailed(f"partition {partition} of stage {stage.id} failed {times}: {outcome.error}")
