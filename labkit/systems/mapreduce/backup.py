"""Backup tasks (§3.6): which of the last tasks are executed twice.

"When a MapReduce operation is close to completion, the master schedules backup executions of the remaining
in-progress tasks. The task is marked as completed whenever either the primary or the backup execution
completes. We have tuned this mechanism so that it typically increases the computational resources used by the
operation by no more than a few percent."
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

__all__ = ["Backup", "Remaining"]


class Remaining(NamedTuple):
    """A task in progress, of which there is one execution."""

    task: int
    seconds: float  #: since it began
    worker: str


@dataclass(frozen=True)
class Backup:
    """The master's rule. A rule of your own is a subclass with another ``choose``.

    close: the part of a phase's tasks that is completed when the operation is close to completion.
    slower: how many times longer than the median of the completed tasks one must have taken.
    """

    close: float = 0.75
    slower: float = 1.3

    def choose(
        self, remaining: Sequence[Remaining], seconds: Sequence[float], total: int, free: int
    ) -> list[int]:
        """The tasks to be executed once more, the most urgent first.

        remaining: those in progress; none is idle any more. seconds: that the completed ones took.
        total: the tasks of the phase. free: workers that have nothing else to do.
        """
        if len(seconds) < self.close * total:
            return []
        limit = self.slower * median(seconds) if seconds else 0.0
        late = [each for each in remaining if each.seconds >= limit]
        return [each.task for each in sorted(late, key=lambda each: -each.seconds)][:free]
