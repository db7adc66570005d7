"""Which task runs where: the master's ledger. No message here, only who has what."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

__all__ = ["Attempt", "Group", "Ledger", "Policy", "WorkerRecord"]


@dataclass(frozen=True)
class Policy:
    """``locality_wait``: seconds that a task waits for a worker near its data. ``max_failures``: of one task
    by the user's code, before its group fails."""

    locality_wait: float = 0.0
    max_failures: int = 4


class WorkerRecord:
    """A worker as the master knows it."""

    def __init__(self, name: str, machine: str, slots: int, now: float) -> None:
        self.name, self.machine, self.slots = name, machine, slots
        self.attempts: dict[int, Attempt] = {}
        self.heard = now

    @property
    def free(self) -> int:
        """Slots without a task."""
        return self.slots - len(self.attempts)


@dataclass(eq=False)
class Attempt:
    """One execution of a task."""

    number: int
    group: Group
    task: int
    worker: WorkerRecord
    locality: str  #: "process" (near its data), "any", or "none" (it has no preference)
    why: str  #: "first", "retry", "lost" or "speculative"
    started: float
    wanted: bool = True


class Group:
    """The tasks of one phase."""

    def __init__(self, name: Any, now: float) -> None:
        self.name = name
        self.pending: dict[int, str] = {}  #: task to why it is to run, in order
        self.preferred: dict[int, tuple[str, ...]] = {}
        self.running: dict[int, list[Attempt]] = {}
        self.failures: dict[int, int] = {}
        self.seconds: list[float] = []
        self.done: set[int] = set()
        self.last_local = now


class Ledger:
    """``listener``: is told ``start_attempt(attempt)`` and ``wake_at(time)``."""

    def __init__(self, policy: Policy, now: Callable[[], float], listener: Any) -> None:
        self.policy, self.now, self.listener = policy, now, listener
        self.workers: dict[str, WorkerRecord] = {}
        self.idle: dict[str, WorkerRecord] = {}  #: those with a free slot, who has waited longest first
        self.groups: dict[Any, Group] = {}
        self._number = 0

    def join(self, worker: WorkerRecord) -> None:
        """A worker takes tasks from now on."""
        self.workers[worker.name] = self.idle[worker.name] = worker

    def add(self, group: Group, task: int, why: str, preferred: Iterable[str] = ()) -> None:
        """A task is to be run."""
        group.pending[task] = why
        group.preferred[task] = tuple(preferred)

    def schedule(self) -> None:
        """Give each free slot a task."""
        for group in self.groups.values():
            while group.pending and self._offer(group):
                pass

    def _offer(self, group: Group) -> bool:
        """One task of the group to the freest worker that takes one."""
        for worker in sorted(self.idle.values(), key=lambda each: -each.free):
            if (chosen := self._choose(group, worker)) is not None:
                self.start(group, chosen[0], worker, chosen[1], group.pending.pop(chosen[0]))
                return True
        return False

    def _choose(self, group: Group, worker: WorkerRecord) -> tuple[int, str] | None:
        other = None
        for task in group.pending:
            near = [name for name in group.preferred[task] if name in self.workers]
            if worker.name in near:
                group.last_local = self.now()
                return task, "process"
            if not near:
                return task, "none"
            other = task if other is None else other
        until = group.last_local + self.policy.locality_wait
        if other is not None and self.now() >= until:
            return other, "any"
        self.listener.wake_at(until)
        return None

    def start(self, group: Group, task: int, worker: WorkerRecord, locality: str, why: str) -> None:
        """Begin an attempt."""
        self._number += 1
        attempt = Attempt(self._number, group, task, worker, locality, why, self.now())
        worker.attempts[attempt.number] = attempt
        if not worker.free:
            self.idle.pop(worker.name, None)
        group.running.setdefault(task, []).append(attempt)
        self.listener.start_attempt(attempt)

    def ended(self, attempt: Attempt) -> None:
        """It does not run any more."""
        worker = attempt.worker
        worker.attempts.pop(attempt.number, None)
        if self.workers.get(worker.name) is worker:
            self.idle[worker.name] = worker
        running = attempt.group.running.get(attempt.task, [])
        if attempt in running:
            running.remove(attempt)
        if not running:
            attempt.group.running.pop(attempt.task, None)

    def lost(self, worker: str) -> list[Attempt]:
        """A worker is gone; its attempts, which have ended."""
        record = self.workers.pop(worker, None)
        self.idle.pop(worker, None)
        attempts = list(record.attempts.values()) if record is not None else []
        for attempt in attempts:
            self.ended(attempt)
        return attempts
