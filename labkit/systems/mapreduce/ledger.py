"""Which task runs where: the master's ledger. No message here, only who has what."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

__all__ = ["Attempt", "Group", "Ledger", "WorkerRecord"]


class WorkerRecord:
    """A worker as the master knows it."""

    def __init__(self, name: str, machine: str, slots: int) -> None:
        self.name, self.machine, self.slots = name, machine, slots
        self.attempts: dict[int, Attempt] = {}

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
    why: str  #: "first", "retry", "lost" or "backup"
    started: float


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
    """Of one phase.

    locality_wait: seconds that a task waits for a worker near its data. listener: is told
    ``start_attempt(attempt)`` and ``wake_at(time)``. first: attempts are numbered from the next on.
    """

    def __init__(
        self, group: Group, locality_wait: float, now: Callable[[], float], listener: Any, first: int = 0
    ) -> None:
        self.group, self.locality_wait, self.now, self.listener = group, locality_wait, now, listener
        self.workers: dict[str, WorkerRecord] = {}
        self.idle: dict[str, WorkerRecord] = {}  #: those with a free slot, who has waited longest first
        self._number = first

    def join(self, worker: WorkerRecord) -> None:
        """A worker takes tasks from now on."""
        self.workers[worker.name] = self.idle[worker.name] = worker

    def add(self, task: int, why: str, preferred: Iterable[str] = ()) -> None:
        """A task is to be run."""
        self.group.pending[task] = why
        self.group.preferred[task] = tuple(preferred)

    def schedule(self) -> None:
        """Give each free slot a task."""
        while self.group.pending and self._offer():
            pass

    def _offer(self) -> bool:
        """One task to the freest worker that takes one."""
        for worker in sorted(self.idle.values(), key=lambda each: -each.free):
            if (chosen := self._choose(worker)) is not None:
                self.start(chosen[0], worker, chosen[1], self.group.pending.pop(chosen[0]))
                return True
        return False

    def _choose(self, worker: WorkerRecord) -> tuple[int, str] | None:
        group, other = self.group, None
        for task in group.pending:
            near = [name for name in group.preferred[task] if name in self.workers]
            if worker.name in near:
                group.last_local = self.now()
                return task, "process"
            if not near:
                return task, "none"
            other = task if other is None else other
        until = group.last_local + self.locality_wait
        if other is not None and self.now() >= until:
            return other, "any"
        self.listener.wake_at(until)
        return None

    def start(self, task: int, worker: WorkerRecord, locality: str, why: str) -> None:
        """Begin an attempt."""
        self._number += 1
        attempt = Attempt(self._number, self.group, task, worker, locality, why, self.now())
        worker.attempts[attempt.number] = attempt
        if not worker.free:
            self.idle.pop(worker.name, None)
        self.group.running.setdefault(task, []).append(attempt)
        self.listener.start_attempt(attempt)

    def ended(self, attempt: Attempt) -> None:
        """It does not run any more."""
        worker = attempt.worker
        worker.attempts.pop(attempt.number, None)
        if self.workers.get(worker.name) is worker:
            self.idle[worker.name] = worker
        running = self.group.running.get(attempt.task, [])
        if attempt in running:
            running.remove(attempt)
        if not running:
            self.group.running.pop(attempt.task, None)

    def lost(self, worker: str) -> list[Attempt]:
        """A worker is gone; its attempts, which have ended."""
        record = self.workers.pop(worker, None)
        self.idle.pop(worker, None)
        attempts = list(record.attempts.values()) if record is not None else []
        for attempt in attempts:
            self.ended(attempt)
        return attempts
