"""The task scheduler: what follows when a task ends, and how an executor is asked until it has.

A stage that may run hands its missing partitions in (``run``). Which of them runs where, and when it gets a
second attempt, is the ledger's (``labkit/parts/tasks.py``; delay scheduling is what the RDD paper's section
5.1 uses). The first attempt that succeeds counts.

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
"""

from __future__ import annotations

import pickle
from typing import Any

from labkit.parts.tasks import Attempt, Group, Ledger, Policy, Speculation
from labkit.runtime.errors import Timeout
from labkit.runtime.loop import Future, Loop
from labkit.runtime.raised import Ending, named

from .blame import to_action
from .closures import dumps, loads
from .errors import JobFailed, TaskFailed
from .executor import NOT_ME, SEND_STAGE, UNKNOWN_TASK
from .jobs import ExecutorRecord, Stage
from .task_run import Outcome

__all__ = ["StageTasks", "TaskScheduler"]

#: What ``task_finished`` tells of an attempt that never said what it did.
NO_METRICS: dict[str, Any] = {
    "computed": [], "read": [], "records": 0,
    "fetched_local": 0, "fetched_remote": 0, "fetched": [], "written": 0,
}  # fmt: skip


class StageTasks(Group):
    """The tasks of a stage that is being run, by partition."""

    def __init__(self, stage: Stage, loop: Loop) -> None:
        super().__init__(stage.id, stage.total, loop.now)
        self.stage = stage
        self.over = Future(loop)  #: resolved when nothing is missing, or an input was lost


class TaskScheduler:
    """Belongs to the driver, a ``Driver``, in whose name it calls executors."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver
        self.options = options = driver.options
        slow = Speculation(
            options.speculation_quantile, options.speculation_multiplier, options.speculation_minimum
        )
        policy = Policy(options.locality_wait, options.max_failures, slow if options.speculation else None)
        self.ledger = Ledger(policy, lambda: driver.now, self)
        self.stages: dict[int, StageTasks] = self.ledger.groups

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
            self.add(tasks, partition, "retry" if partition in tasks.attempts else "first")
        self.ledger.schedule()
        return over

    def add(self, tasks: StageTasks, partition: int, why: str) -> None:
        """A partition is to be run, unless that is under way."""
        stage = tasks.stage
        if partition not in tasks.running and partition not in tasks.pending:
            why = "lost" if partition in stage.succeeded else why
            self.ledger.add(tasks, partition, why, self.driver.preferred(stage, partition))

    def suspend(self, tasks: StageTasks) -> None:
        """An input is gone: start nothing more until ``run`` is called again."""
        self.ledger.suspend(tasks)
        tasks.over.set_result(False)

    # --- what the driver tells ----------------------------------------------------------------------------

    def executor_lost(self, executor: ExecutorRecord) -> None:
        """Its attempts have ended."""
        for attempt in self.ledger.lost(executor):
            if attempt.call is not None:
                attempt.call.cancel()
            self.finished(attempt, Outcome("executor_lost"))

    def outputs_lost(self, shuffles: dict[int, list[int]]) -> None:
        """Map outputs are gone: those who need them wait, and a stage that makes them has more to do."""
        for tasks in list(self.stages.values()):
            stage = tasks.stage
            if not shuffles.keys().isdisjoint(stage.reads):
                self.suspend(tasks)
            elif stage.shuffle_id in shuffles and not tasks.over.done:
                for partition in shuffles[stage.shuffle_id]:
                    self.add(tasks, partition, "lost")

    # --- what the ledger asks -----------------------------------------------------------------------------

    def wake_after(self, seconds: float) -> None:
        """Offer again when a task has waited long enough for a core near its data."""

        async def wake() -> None:
            await self.driver.sleep(seconds)
            self.ledger.schedule()

        self.driver.spawn(wake())

    def start_attempt(self, attempt: Attempt) -> None:
        """Send one task to one executor."""
        stage, executor = attempt.group.stage, attempt.worker
        executor.newest = attempt.number
        told = self.driver.describe(attempt)
        self.driver.emit(
            "task_started", task=attempt.number, stage=stage.id, partition=attempt.task,
            attempt=stage.attempt, executor=executor.name, machine=executor.machine,
            locality=attempt.locality, speculative=attempt.why == "speculative", why=attempt.why,
        )  # fmt: skip
        loop = self.driver.loop
        outer, loop.span = loop.span, _span(stage)  # whatever led here, it belongs to the job that wants it
        attempt.call = self.driver.spawn(self.call(attempt, _pickle(told)))
        loop.span = outer

    def cancel_attempt(self, attempt: Attempt) -> None:
        """It keeps its core until the executor says that it has ended."""
        self.driver.send(attempt.worker.name, "cancel_task", attempt.number)

    # --- an attempt ---------------------------------------------------------------------------------------

    async def call(self, attempt: Attempt, told: bytes) -> None:
        """Have the task run, and hear how it ended."""
        try:
            pickled, first, entries = await self.answer(attempt, told)
            self.driver.take_journal(attempt.worker, first, entries)
            outcome = loads(pickled)
        except Ending:
            raise
        except BaseException as error:  # what was sent cannot be read over there, or its answer here
            outcome = Outcome("error", error=named(error))
        self.finished(attempt, outcome)
        self.ledger.schedule()

    async def answer(self, attempt: Attempt, told: bytes) -> tuple[bytes, int, Any]:
        """Ask again while there is no answer; if the executor is lost, this is cancelled."""
        executor, stage = attempt.worker, attempt.group.stage
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
        tasks, partition, executor = attempt.group, attempt.task, attempt.worker
        stage = tasks.stage
        self.ledger.ended(attempt)
        result = outcome.result
        if result == "ok" and not stage.accept(partition, outcome, executor):
            result = "too_late"
        self.driver.emit(
            "task_finished", task=attempt.number, stage=stage.id, partition=partition, executor=executor.name,
            machine=executor.machine, result=result, error=outcome.error,
            seconds=self.driver.now - attempt.started, **(outcome.metrics or NO_METRICS),
        )  # fmt: skip
        self.driver.task_ended(stage, partition, outcome, result, executor)
        if result == "ok":
            self.ledger.succeeded(attempt)
        elif result == "fetch_failed":
            self.suspend(tasks)
        # What was cancelled, with its job or for another attempt, may succeed all the same: then those who
        # run the stage now have that partition.
        now = self.stages.get(stage.id)
        if now is tasks or (now is not None and result == "ok"):
            self.follow(now, attempt, outcome, result)

    def follow(self, tasks: StageTasks, attempt: Attempt, outcome: Outcome, result: str) -> None:
        """What the end of an attempt means for its stage."""
        stage, partition = tasks.stage, attempt.task
        if result == "ok":
            for job in stage.jobs.values():
                job.task_done()
            if stage.complete:
                del self.stages[stage.id]
                tasks.over.set_result(True)
            return
        if result == "stale" and partition not in stage.distrusts:
            stage.distrusts.add(partition)
        elif result in ("error", "stale") and self.ledger.failed(attempt):
            self.fail(tasks, _failure(stage, partition, tasks.failures[partition], outcome))
            return
        # Else the stage waits for its inputs.
        if not tasks.over.done and partition in stage.missing():
            self.add(tasks, partition, "retry")

    def fail(self, tasks: StageTasks, error: Exception) -> None:
        """The stage cannot be completed, nor can those who need it."""
        self.ledger.abort(tasks.name)
        tasks.over.set_error(error)


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
