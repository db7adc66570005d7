"""Planted mistakes: roles that break one rule of the paper each, which ``job.check()`` must catch.

``program.start(..., roles=MISTAKES["no atomic rename"])``
"""

from __future__ import annotations

from typing import Any

from .counters import Counts, Tally
from .messages import REDUCE, Order, Outcome, Output
from .nodes import Master, Worker
from .options import JobSpec
from .readers import parts_of

__all__ = ["MISTAKES"]


class WritesInPlace(Worker):
    """No temporary file and no rename: each execution writes the output file itself (§3.3)."""

    async def commit(self, order: Order, data: bytes) -> None:
        """Whoever comes last has written it, and others may read what is not complete."""
        path = parts_of(self.job.output, self.options.R)[order.task]
        await self.store.write(path, data)
        self.emit("reduce_committed", task=order.task, attempt=order.attempt, path=path, bytes=len(data))


class EveryExecution(Tally):
    """Counts an execution that is done again once more (§4.9)."""

    def complete(self, task: Any, counts: Counts) -> None:
        """Beside those of the former execution."""
        super().complete((task, len(self.completed)), counts)


class CountsTwice(Master):
    """Does not eliminate "the effects of duplicate executions"."""

    def __init__(self, job: JobSpec) -> None:
        super().__init__(job)
        self.tally = EveryExecution()


class RunsReducesAgain(Master):
    """Takes the output of completed reduce tasks for lost with their worker, too (§3.3)."""

    def __init__(self, job: JobSpec) -> None:
        super().__init__(job)
        self.reduced_by: dict[int, str] = {}

    def _judge(self, attempt: Any, member: Any, outcome: Outcome) -> None:
        super()._judge(attempt, member, outcome)
        if attempt.group.name == REDUCE and outcome.result == "ok":
            self.reduced_by[attempt.task] = attempt.worker.name

    def _mark_failed(self, worker: str, why: str) -> None:
        super()._mark_failed(worker, why)
        for task in [task for task, name in self.reduced_by.items() if name == worker]:
            self.groups[REDUCE].done.discard(task)
            self._again(self.groups[REDUCE], task, "lost")
        self._assign()


class KeepsLostOutputs(Master):
    """Completed map tasks of a failed worker stay completed."""

    def _lose_outputs(self, worker: str, life: int) -> None:
        pass


class TakesNothingForEmpty(Worker):
    """A region that its worker has no longer is an empty one to it."""

    async def _fetch(self, order: Order, outputs: list[Output]) -> list[tuple[Output, bytes]]:
        found = await super()._fetch(order, outputs)
        return found or [(output, b"") for output in outputs]


MISTAKES: dict[str, tuple[type[Master], type[Worker]]] = {
    "no atomic rename": (Master, WritesInPlace),
    "counters counted twice": (CountsTwice, Worker),
    "a completed reduce run again": (RunsReducesAgain, Worker),
    "lost output read": (KeepsLostOutputs, TakesNothingForEmpty),
}
