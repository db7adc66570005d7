"""Which task runs where: a ledger of tasks that are *pending*, *running* and *done*, without input or output.

A system opens a ``Group`` of tasks (a stage of Spark, a phase of MapReduce) and adds tasks to it;
``schedule`` gives each free slot of a worker one of them, groups in the order in which they were opened. What
a start or a cancellation means is the listener's: it sends the messages, hears how an attempt ended, and
tells the ledger. How an attempt can end, and what a lost worker takes with it, differs from system to system
and is theirs.

*Delay scheduling* (Zaharia et al., EuroSys 2010): a task whose input is near a busy worker waits a while for
it before it goes elsewhere.

*Speculation* (MapReduce's backup tasks, OSDI 2004, section 3.6): a second attempt at a task that takes much
longer than the others of its group.

The same calls at the same times give the same assignment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any, Protocol

__all__ = ["Attempt", "Group", "Ledger", "Listener", "Policy", "Speculation", "WorkerRecord"]


@dataclass(frozen=True)
class Speculation:
    """A task is a straggler when it takes ``multiplier`` times the median of its group's successful attempts
    and at least ``minimum`` seconds, once the fraction ``quantile`` of the group has succeeded."""

    quantile: float = 0.75
    multiplier: float = 1.5
    minimum: float = 0.1


@dataclass(frozen=True)
class Policy:
    """locality_wait: seconds that a task waits for a worker near its data. max_failures: of one task by the
    user's code, before its group fails. speculation: None: never a second attempt."""

    locality_wait: float = 0.0
    max_failures: int = 4
    speculation: Speculation | None = None


class WorkerRecord:
    """A worker as the ledger's owner knows it. slots: tasks that it runs at the same time."""

    def __init__(self, name: str, machine: str, slots: int) -> None:
        self.name = name
        self.machine = machine
        self.slots = slots
        self.joined = 0  #: how many had joined its ledger before
        self.attempts: dict[int, Attempt] = {}

    @property
    def free(self) -> int:
        """Slots without a task."""
        return self.slots - len(self.attempts)


class Attempt:
    """One execution of a task."""

    def __init__(
        self, number: int, group: Any, task: int, worker: Any, locality: str, why: str, now: float
    ) -> None:
        self.number = number
        self.group = group
        self.task = task
        self.worker = worker
        self.locality = locality  #: "process" (near its data), "any" (not near), or "none" (near is nowhere)
        self.why = why  #: "first", "retry", "lost" or "speculative", or a word of the system's
        self.started = now
        self.wanted = True  #: until it is cancelled
        self.call: Any = None  #: the system's own: what waits for its end


class Group:
    """Tasks that belong together, by their number. total: how many, those included that were done before."""

    def __init__(self, name: Any, total: int, now: float) -> None:
        self.name = name
        self.total = total
        #: Task to why it is to run, in order; and where it would best run, by the workers' names.
        self.pending: dict[int, str] = {}
        self.preferred: dict[int, tuple[str, ...]] = {}
        self.running: dict[int, list[Attempt]] = {}
        self.done: set[int] = set()  #: tasks that have succeeded, and were not added again
        #: How often the user's code has failed in a task, and how many attempts there were.
        self.failures: dict[int, int] = {}
        self.attempts: dict[int, int] = {}
        self.seconds: list[float] = []  #: that successful attempts took
        self.choosy = False  #: whether some task would best run somewhere
        self.last_local = now  #: when a task was last started near its data


class Listener(Protocol):
    """What a ledger asks of the system that it belongs to."""

    def start_attempt(self, attempt: Attempt) -> None:
        """Have it run; say ``ended`` when it has."""

    def cancel_attempt(self, attempt: Attempt) -> None:
        """Nobody wants its result. It keeps its slot until ``ended``."""

    def wake_after(self, seconds: float) -> None:
        """Call ``schedule`` then: some task will have waited long enough."""


class Ledger:
    """See the module's text. now: the time in seconds."""

    def __init__(self, policy: Policy, now: Callable[[], float], listener: Listener) -> None:
        self.policy = policy
        self.now = now
        self.listener = listener
        self.workers: dict[str, Any] = {}  #: by name, those that have joined and are not lost
        self.groups: dict[Any, Any] = {}  #: by name, in the order in which they were opened
        self.number = 0  #: the last attempt's
        self._alarm: float | None = None  #: when the next waiting for locality ends
        #: All workers with a free slot, and perhaps some without: of thousands, few are looked at.
        self._idle: set[Any] = set()
        self._joined = 0

    # --- workers ------------------------------------------------------------------------------------------

    def join(self, worker: WorkerRecord) -> None:
        """It takes tasks from now on."""
        worker.joined, self._joined = self._joined, self._joined + 1
        self.workers[worker.name] = worker
        self._idle.add(worker)

    def idle(self) -> list[Any]:
        """Workers with a free slot, the freest first; of equal ones who joined first."""
        idle = [each for each in self._idle if each.free > 0 and self.workers.get(each.name) is each]
        return sorted(idle, key=lambda each: (-each.free, each.joined))

    def lost(self, worker: WorkerRecord) -> list[Attempt]:
        """A worker is gone; the attempts that have ended with it."""
        if self.workers.get(worker.name) is worker:
            del self.workers[worker.name]
        attempts = list(worker.attempts.values())
        for attempt in attempts:
            self.ended(attempt)
        self._idle.discard(worker)
        return attempts

    # --- tasks --------------------------------------------------------------------------------------------

    def add(self, group: Group, task: int, why: str, preferred: Iterable[str] = ()) -> None:
        """A task is to be run. preferred: workers near its data."""
        group.done.discard(task)
        group.pending[task] = why
        group.preferred[task] = near = tuple(preferred)
        group.choosy = group.choosy or bool(near)

    def suspend(self, group: Group) -> None:
        """Start nothing more of it until tasks are added again. What runs may still succeed."""
        group.pending.clear()

    def abort(self, name: Any) -> None:
        """Nobody wants this group any more, if it is there; its attempts end in their own time."""
        group = self.groups.pop(name, None)
        if group is not None:
            for attempts in list(group.running.values()):
                for attempt in list(attempts):
                    self.cancel(attempt)

    # --- offering slots -----------------------------------------------------------------------------------

    def schedule(self) -> None:
        """Offer each free slot to the groups, the oldest first; one slot of each worker before the next."""
        for group in list(self.groups.values()):
            while group.pending and sum(self.offer(group, worker) for worker in self.idle()):
                pass

    def offer(self, group: Group, worker: WorkerRecord) -> bool:
        """Start the task of a group that suits the worker best, if one does."""
        distant = None
        anywhere = None if group.choosy else next(iter(group.pending), None)
        for task in group.pending if group.choosy else ():
            near = group.preferred[task]
            if worker.name in near:
                group.last_local = self.now()
                self.start(group, task, worker, "process", group.pending.pop(task))
                return True
            if any(name in self.workers for name in near):
                distant = task if distant is None else distant
            elif anywhere is None:
                anywhere = task
        if anywhere is not None:
            self.start(group, anywhere, worker, "none", group.pending.pop(anywhere))
            return True
        if distant is None:
            return False
        patience = group.last_local + self.policy.locality_wait
        if self.now() < patience:
            self._wake_at(patience)
            return False
        self.start(group, distant, worker, "any", group.pending.pop(distant))
        return True

    def _wake_at(self, time: float) -> None:
        now = self.now()
        if self._alarm is None or time < self._alarm or self._alarm <= now:
            self._alarm = time
            self.listener.wake_after(max(0.0, time - now) + 1e-6)  # not a rounding error too early

    # --- attempts -----------------------------------------------------------------------------------------

    def start(self, group: Group, task: int, worker: WorkerRecord, locality: str, why: str) -> None:
        """Begin an attempt."""
        self.number += 1
        attempt = Attempt(self.number, group, task, worker, locality, why, self.now())
        group.running.setdefault(task, []).append(attempt)
        group.attempts[task] = group.attempts.get(task, 0) + 1
        worker.attempts[attempt.number] = attempt
        if worker.free <= 0:
            self._idle.discard(worker)
        self.listener.start_attempt(attempt)

    def ended(self, attempt: Attempt) -> None:
        """It runs no more, however it has ended; said twice, once counts."""
        if attempt.worker.attempts.pop(attempt.number, None) is not None:
            self._idle.add(attempt.worker)
            running = attempt.group.running[attempt.task]
            running.remove(attempt)
            if not running:
                del attempt.group.running[attempt.task]

    def succeeded(self, attempt: Attempt) -> None:
        """Its task is done, and nobody wants another attempt at it.

        What was cancelled with its group may succeed all the same: then the group that has its name now has
        that task, and need not wait for an attempt of its own.
        """
        attempt.group.seconds.append(self.now() - attempt.started)
        group = self.groups.get(attempt.group.name)
        if group is not None:
            group.done.add(attempt.task)
            group.pending.pop(attempt.task, None)  # another attempt that no worker has taken yet
            for other in list(group.running.get(attempt.task, ())):
                self.cancel(other)

    def failed(self, attempt: Attempt) -> bool:
        """The user's code has failed in it; whether that was once too often."""
        failures: dict[int, int] = attempt.group.failures
        failures[attempt.task] = failures.get(attempt.task, 0) + 1
        return failures[attempt.task] >= self.policy.max_failures

    def cancel(self, attempt: Attempt) -> None:
        """Nobody wants this attempt's result."""
        if attempt.wanted:
            attempt.wanted = False
            self.listener.cancel_attempt(attempt)

    # --- stragglers ---------------------------------------------------------------------------------------

    def speculate(self) -> None:
        """Start second attempts at stragglers where a slot is free."""
        for group in list(self.groups.values()):
            for slow in self.stragglers(group):
                self.second(slow)

    def second(self, attempt: Attempt, why: str = "speculative") -> bool:
        """Another attempt at the same task on the freest other worker, if one has a free slot."""
        near = [name for name in attempt.group.preferred[attempt.task] if name in self.workers]
        for worker in self.idle():
            if worker is not attempt.worker:
                locality = "process" if worker.name in near else "any" if near else "none"
                self.start(attempt.group, attempt.task, worker, locality, why)
                return True
        return False

    def stragglers(self, group: Group) -> Iterator[Attempt]:
        """Attempts without a second one that take much longer than those that have succeeded."""
        rule, seconds = self.policy.speculation, group.seconds
        if rule is None or group.pending or not seconds or len(seconds) < rule.quantile * group.total:
            return
        limit = max(rule.multiplier * median(seconds), rule.minimum)
        for attempts in list(group.running.values()):
            if len(attempts) == 1 and attempts[0].wanted and self.now() - attempts[0].started > limit:
                yield attempts[0]
