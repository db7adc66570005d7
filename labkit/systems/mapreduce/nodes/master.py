"""The master (§3.2): which task is idle, in progress or completed, on which worker, and where outputs are.

==============  ==========================================================================================
what happens    what follows (§3.3)
==============  ==========================================================================================
worker silent   it is marked as failed; what it has in progress is idle again, and so are its completed map
                tasks, whose output died with its disk; its completed reduce tasks stay, "since their output
                is stored in a global file system"
map completed   its R locations and sizes are kept, and pushed to workers with reduce tasks in progress
completed twice ignored
near the end    backup executions of what is still in progress; the first to complete counts (§3.6)
user code fails tried again, at most ``max_failures`` times, then the job fails; with ``skip_bad_records`` a
                record on which it failed twice is left out (§4.6)
master dies     the job is aborted, unless it has checkpoints: then it goes on when its machine is back
==============  ==========================================================================================
"""

from __future__ import annotations

import pickle
from typing import Any

from labkit.parts.jobs import Mastering
from labkit.parts.members import Silence
from labkit.parts.store import Files
from labkit.parts.tasks import Attempt, Group, Ledger, Policy, WorkerRecord
from labkit.runtime.errors import LabError, Timeout
from labkit.runtime.node import every, rpc
from labkit.runtime.sync import Signal, wait_for

from ..backup import Remaining
from ..counters import Tally
from ..events import EVENTS
from ..messages import MAP, REDUCE, Order, Outcome, Output
from ..options import JobSpec
from ..readers import temporary

__all__ = ["Master"]

#: Workers that are pinged with news in one second: in a large cluster news is gathered before it is pushed.
PUSHES_PER_SECOND = 250
#: What ``output.sizes`` of a lost output are.
GONE: tuple[int, ...] = ()


class Member:
    """A worker that is not marked as failed. It has map slots and one reduce slot: a reduce task waits for
    map tasks, and must not take the place of one that is to be run again."""

    def __init__(self, name: str, machine: str, life: int, slots: int, now: float) -> None:
        self.machine, self.life, self.heard = machine, life, now
        self.slots = {MAP: WorkerRecord(name, machine, slots), REDUCE: WorkerRecord(name, machine, 1)}
        self.told = 0  #: entries of the news that it has taken in
        self.wake = Signal()


class Master(Mastering):
    """See the module's text."""

    events = EVENTS

    def __init__(self, job: JobSpec) -> None:
        self.job, self.options = job, job.options
        self.stage = 0
        self.check_every = job.options.timeout / 5
        self.members: dict[str, Member] = {}
        self.failed: dict[int, str] = {}  #: lives that were marked as failed
        #: The R locations and sizes of each completed map task, and every change of them, in order.
        self.outputs: dict[int, Output] = {}
        self.news: list[Output] = []
        self.fresh = Signal()
        self.tally = Tally()
        self.store = Files(self, job.files)
        self.preferred: list[tuple[str, ...]] = [()] * len(job.splits)
        self.gasps: dict[tuple[str, int], dict[int, set[int]]] = {}  #: by task and record: attempts
        self.skip: dict[tuple[str, int], list[int]] = {}  #: by task: records that are left out
        self.attempts: dict[int, Attempt] = {}
        self._begin_job(job.options.call_timeout / 2)
        self._packed: tuple[int, int, bytes] = (0, 0, b"")

    def start(self) -> None:
        """Begin the job, or go on from a checkpoint (§3.3)."""
        options = self.options
        lives = self.disk["lives"] = self.disk.get("lives", 0) + 1
        self.disk.sync()
        policy = Policy(options.locality_wait, options.max_failures)
        self.ledgers: dict[str, Ledger] = {}  #: one for each kind of slots
        self.groups: dict[str, Group] = {}
        for kind, total, first in ((MAP, len(self.job.splits), 0), (REDUCE, options.R, 10**9)):
            ledger = self.ledgers[kind] = Ledger(policy, lambda: self.now, self)
            # No two executions have the same number, in whichever life of the master they began.
            ledger.number = first + (lives - 1) * 10**6
            ledger.groups[kind] = self.groups[kind] = Group(kind, total, self.now)
        self.silence = Silence(options.timeout, self.now)
        if "ended" in self.disk:  # what has ended is not begun again, whatever has become of the output
            self.error, self.tally.completed = self.disk["ended"]
            self.over.set()
            self.cleaned.set()
            return
        if lives > 1 and options.checkpoint_every is None:
            self._fail("aborted", "the master died and had no checkpoint; run the job again")
            return
        self._recover(lives > 1)
        self.spawn(self._begin(lives == 1))

    async def _begin(self, first: bool) -> None:
        """All tasks that are not completed are idle; map tasks know where their input is (§3.4)."""
        if first:
            self.emit(
                "job_started", job=self.job.name, M=self.groups[MAP].total, R=self.options.R,
                input=sum(s.end - s.start for split in self.job.splits for s in split),
                output=self.job.output, workers=self.job.workers, backup=self.options.backup is not False,
            )  # fmt: skip
        await self._open("first" if first else "retry")

    async def _open(self, why: str) -> None:
        self.preferred = await self._places()
        for kind, group in self.groups.items():
            for task in range(group.total):
                if task not in group.done:
                    self._idle(kind, task, why)
        self._assign()
        self._check_over()

    async def _places(self) -> list[tuple[str, ...]]:
        """By map task the workers whose machines have most of its input."""
        return [await self._place(task) for task in range(len(self.job.splits))]

    async def _place(self, task: int) -> tuple[str, ...]:
        held: dict[str, int] = {}
        for path, start, end in self.job.splits[task]:
            try:
                parts = await self.store.locations(path, start, end - start)
            except (LabError, OSError):  # whoever is to read it will say so
                continue
            for part in parts:
                for machine in part.machines:
                    held[machine] = held.get(machine, 0) + part.length
        most = max(held.values(), default=0)
        return tuple(self.job.worker(m) for m, size in held.items() if size == most)

    # workers ------------------------------------------------------------

    @rpc
    def register(self, worker: str, life: int, machine: str) -> str:
        """A worker that runs nothing, or one that has missed the master's pings: "welcome", "over", or
        "failed": this life of it is marked so."""
        if self.over.is_set():
            return "over"
        if life in self.failed:
            return "failed"
        member = self.members.get(worker)
        if member is not None and member.life != life:
            self._mark_failed(worker, "it has restarted")
            member = None
        if member is None:
            member = self.members[worker] = Member(worker, machine, life, self.options.slots, self.now)
            for kind, ledger in self.ledgers.items():
                ledger.join(member.slots[kind])
            self.emit("worker_registered", worker=worker, machine=machine)
            self.spawn(self._keep_pinging(worker, member))
            self._assign()
        return "welcome"

    async def _keep_pinging(self, worker: str, member: Member) -> None:
        """§3.3: "The master pings every worker periodically." With each ping it pushes what is new."""
        wait = self.options.ping_every
        while self.members.get(worker) is member and not self.over.is_set():
            first, news = self._news_for(member)
            try:
                answer = await self.call(
                    worker, "ping", member.life, first, news, timeout=self.options.call_timeout
                )
            except LabError:
                continue
            if self.members.get(worker) is not member:
                return
            if answer is None:
                self._mark_failed(worker, "it has restarted")
                return
            member.heard = self.now
            member.told, counts = answer
            for number, each in counts.items():
                if (attempt := self.attempts.get(number)) is not None:
                    self.tally.heard((attempt.group.name, attempt.task), number, each)
            if not self._lacks_news(member):
                try:
                    signal = self.fresh if member.slots[REDUCE].attempts else member.wake
                    await wait_for(signal.wait(), wait)
                except Timeout:
                    continue
            await self.sleep(len(self.members) / PUSHES_PER_SECOND)

    def _lacks_news(self, member: Member) -> bool:
        """News is for workers that have reduce tasks in progress."""
        return member.told < len(self.news) and bool(member.slots[REDUCE].attempts)

    def _news_for(self, member: Member) -> tuple[int, bytes]:
        """Packed once for all who lack the same."""
        first, last = member.told, len(self.news)
        if not self._lacks_news(member):
            return first, b""
        if self._packed[:2] != (first, last):
            self._packed = (first, last, pickle.dumps(self.news[first:last]))
        return first, self._packed[2]

    def _tell(self, output: Output) -> None:
        self.news.append(output)
        self.fresh.fire()

    @every("check_every")
    def check(self) -> None:
        """§3.3: "If no response is received from a worker in a certain amount of time, the master marks the
        worker as failed." Unless it was the master that stood still: then it could hear nobody."""
        silent_ones = self.silence.look(self.members, self.now)
        if self.over.is_set():  # nobody is pinged any more
            return
        for worker, silent in silent_ones:
            self._mark_failed(worker, f"silent for {silent:.1f} s")
        self._assign()

    def _mark_failed(self, worker: str, why: str) -> None:
        """Its tasks in progress are idle again; "completed map tasks are re-executed on a failure because
        their output is stored on the local disk(s) of the failed machine"."""
        member = self.members.pop(worker)
        self.failed[member.life] = worker
        self.emit("worker_failed", worker=worker, machine=member.machine, why=why)
        for kind, ledger in self.ledgers.items():
            for attempt in ledger.lost(member.slots[kind]):
                self._ended(attempt, "lost")
                self._again(attempt.group, attempt.task, "retry")
        self._lose_outputs(worker, member.life)
        self._assign()

    def _lose_outputs(self, worker: str, life: int) -> None:
        lost = [task for task, output in self.outputs.items() if output.life == life]
        if lost and not self.over.is_set():
            self.emit("outputs_lost", worker=worker, tasks=lost)
        for task in lost:
            self._tell(self.outputs.pop(task)._replace(sizes=GONE))
            self._idle(MAP, task, "lost")

    # tasks ------------------------------------------------------------

    def _idle(self, kind: str, task: int, why: str) -> None:
        self.ledgers[kind].add(self.groups[kind], task, why, self._near(kind, task))

    def _near(self, kind: str, task: int) -> tuple[str, ...]:
        """Workers where it would best run."""
        return self.preferred[task] if kind == MAP else ()

    def _again(self, group: Group, task: int, why: str) -> None:
        """An execution has come to nothing: the task is idle, unless another one runs or was first."""
        if task not in group.running and task not in group.done:
            self._idle(group.name, task, why)

    def _assign(self) -> None:
        """§3.1 step 2: idle workers get tasks. Then, when nothing is idle, backup tasks (§3.6)."""
        if self.over.is_set():
            return
        rule = self.options.backup_rule
        for kind, ledger in self.ledgers.items():
            ledger.schedule()
            group = self.groups[kind]
            if rule is None or group.pending or not group.running or not (free := len(ledger.idle())):
                continue
            remaining = [
                Remaining(task, self.now - attempts[0].started, attempts[0].worker.name)
                for task, attempts in group.running.items()
                if len(attempts) == 1
            ]
            for task in rule.choose(remaining, group.seconds, group.total, free):
                ledger.second(group.running[task][0], "backup")

    def start_attempt(self, attempt: Attempt) -> None:
        """The ledger has found a worker for a task."""
        kind, task, worker = attempt.group.name, attempt.task, attempt.worker
        self.attempts[attempt.number] = attempt
        data = {"kind": kind, "task": task, "attempt": attempt.number, "worker": worker.name}
        if attempt.why == "backup":
            self.emit("backup_started", **data)
        self.emit("task_started", **data, machine=worker.machine, why=attempt.why, locality=attempt.locality)
        split = self.job.splits[task] if kind == MAP else ()
        skip = tuple(self.skip.get((kind, task), ()))
        order = Order(attempt.number, kind, task, skip, split, len(self.news), self.stage, self._plan())
        self.spawn(self._order(attempt, order, self.members[worker.name]))

    async def _order(self, attempt: Attempt, order: Order, member: Member) -> None:
        """Until the worker has heard, or is marked as failed."""
        while order.attempt in self.attempts:
            try:
                await self.call(
                    attempt.worker.name, "assign", member.life, order, timeout=self.options.call_timeout
                )
            except LabError:
                continue
            member.wake.fire()
            return

    def _plan(self) -> Any:
        """What an order says of its stage; a job with one stage has nothing to say."""
        return None

    def cancel_attempt(self, attempt: Attempt) -> None:
        """Another execution was first. Its slot is free at once: the worker ends it when it hears of it."""
        self.ledgers[attempt.group.name].ended(attempt)
        self._ended(attempt, "cancelled")
        self.send(attempt.worker.name, "cancel", attempt.number)

    def wake_after(self, seconds: float) -> None:
        """The ledger wants to be asked again: a task waits for a worker near its input."""

        async def wake() -> None:
            await self.sleep(seconds)
            self._assign()

        self.spawn(wake())

    @rpc
    def completed(self, worker: str, life: int, number: int, outcome: Outcome) -> bool:
        """A worker's message that a task has ended. False: this life of it is marked as failed."""
        if self.over.is_set():
            return True
        member = self.members.get(worker)
        if member is None or member.life != life:
            return life not in self.failed
        attempt = self.attempts.get(number)
        if attempt is not None:
            self.ledgers[attempt.group.name].ended(attempt)
            self._judge(attempt, member, outcome)
            self._assign()
            self._check_over()
        return True

    @rpc
    def may_commit(self, worker: str, life: int, number: int) -> bool:
        """Whether an execution still counts. The rename alone would do within a job; but a worker may wake
        up, or its master be dead, when another job writes into the same folder. (Hadoop asks, too.)"""
        return number in self.attempts

    def _judge(self, attempt: Attempt, member: Member, outcome: Outcome) -> None:
        group, task = attempt.group, attempt.task
        if outcome.result == "failed":
            self._ended(attempt, "failed")
            self._failed(attempt, outcome)
        elif task in group.done:  # "it ignores the message"
            self._ended(attempt, "too_late")
        else:
            self.tally.complete((group.name, task), outcome.counts)
            self._ended(attempt, "ok", outcome)
            if group.name == MAP:
                worker = attempt.worker
                output = Output(
                    task, attempt.number, worker.name, worker.machine, member.life, outcome.sizes, self.stage
                )
                self.outputs[task] = output
                self._tell(output)
            self.ledgers[group.name].succeeded(attempt)

    def _ended(self, attempt: Attempt, result: str, outcome: Outcome | None = None) -> None:
        kind, task = attempt.group.name, attempt.task
        self.attempts.pop(attempt.number, None)
        self.tally.ended((kind, task), attempt.number)
        found = outcome or Outcome(result)
        self.emit(
            "task_finished", kind=kind, task=task, attempt=attempt.number, worker=attempt.worker.name,
            machine=attempt.worker.machine, result=result, why=attempt.why, began=attempt.started,
            bytes_in=found.bytes_in, bytes_out=found.bytes_out, records=found.records,
            pairs=list(found.pairs), counts=found.counts, skipped=found.skipped,
        )  # fmt: skip

    # failures of the user's code ------------------------------------------------------------

    @rpc
    def last_gasp(self, kind: str, task: int, attempt: int, record: int) -> None:
        """§4.6: "When the master has seen more than one failure on a particular record, it indicates that the
        record should be skipped when it issues the next re-execution"."""
        seen = self.gasps.setdefault((kind, task), {}).setdefault(record, set())
        seen.add(attempt)  # the message may come twice
        skip = self.skip.setdefault((kind, task), [])
        if self.options.skip_bad_records and len(seen) > 1 and record not in skip:
            skip.append(record)
            self.groups[kind].failures.pop(task, None)
            self.emit("record_skipped", kind=kind, task=task, record=record)

    def _failed(self, attempt: Attempt, outcome: Outcome) -> None:
        group, task = attempt.group, attempt.task
        first = outcome.error.splitlines()[0] if outcome.error else "?"
        self.emit("task_failed", kind=group.name, task=task, attempt=attempt.number, error=first)
        if self.ledgers[group.name].failed(attempt):
            failures = group.failures[task]
            times = f"{failures} times" if failures > 1 else "once"
            self._fail(
                "failed", f"{group.name} task {task} failed {times}, the last time with {outcome.error}"
            )
        else:
            self._again(group, task, "retry")

    # the end ------------------------------------------------------------

    def _check_over(self) -> None:
        if len(self.groups[REDUCE].done) == self.groups[REDUCE].total and not self.over.is_set():
            self._completed()

    def _completed(self) -> None:
        """All tasks are."""
        self._end("ok")

    def _end(self, result: str) -> None:
        """§3.1 step 7: "the master wakes up the user program"; workers forget what they have."""
        for attempt in list(self.attempts.values()):
            self.ledgers[attempt.group.name].ended(attempt)
            self._ended(attempt, "cancelled")
        self.over.set()
        self.disk["ended"] = (self.error, self.tally.completed)
        self.disk.sync()
        self.emit("job_finished", job=self.job.name, result=result, counters=self.tally.final)
        for worker in self.members:
            self.send(worker, "job_over")
        if result == "aborted":  # its output folder may be another job's by now
            self.cleaned.set()
        else:
            self.spawn(self._clean())

    async def _clean(self) -> None:
        """Temporary files of executions that died, and what said that this job writes into the folder."""
        try:
            await self.store.delete(temporary(self.job.output), recursive=True)
        except (LabError, OSError):  # there are none, or nobody who could
            pass
        self.cleaned.set()

    def _told(self) -> tuple[Any, ...]:
        """The counters."""
        return (self.tally.final,)

    @rpc
    def counters(self) -> dict[str, int]:
        """Counters so far, for the status page (§4.8, §4.9)."""
        return self.tally.current

    # checkpoints ------------------------------------------------------------

    def _recover(self, again: bool) -> None:
        """§3.3: "If the master task dies, a new copy can be started from the last checkpointed state." Lives
        of workers that do not come back are marked as failed after the timeout."""
        state = self.disk.get("checkpoint")
        if again and state is not None:
            outputs, self.tally.completed, reduces, self.skip = state
            self.outputs = dict(outputs)
            self.news = list(self.outputs.values())
            self.groups[MAP].done |= set(self.outputs)
            self.groups[REDUCE].done |= set(reduces)
        if again:
            reduces = sorted(self.groups[REDUCE].done)
            self.emit("master_recovered", maps=sorted(self.outputs), reduces=reduces)
            self.spawn(self._miss())
        if self.options.checkpoint_every is not None:
            self.spawn(self._keep_checkpoints())

    async def _miss(self) -> None:
        """Outputs whose worker has not come back in time died with it."""
        await self.sleep(2 * self.options.timeout)
        living = {member.life for member in self.members.values()}
        for worker, life in {(o.worker, o.life): None for o in self.outputs.values() if o.life not in living}:
            self.failed[life] = worker
            self._lose_outputs(worker, life)
        self._assign()

    async def _keep_checkpoints(self) -> None:
        """§3.3: "It is easy to make the master write periodic checkpoints of the master data structures"."""
        while not self.over.is_set():
            await self.sleep(self.options.checkpoint_every or 1.0)
            reduces = sorted(self.groups[REDUCE].done)
            self.disk["checkpoint"] = (self.outputs, self.tally.completed, reduces, self.skip)
            self.disk.sync()
            self.emit("checkpoint_written", maps=len(self.outputs), reduces=len(reduces))
