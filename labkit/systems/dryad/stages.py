"""Stage managers (§3.6): callbacks that may change the graph while the job runs.

Every stage has a manager. It is called when its vertices change their state, and by a timer, and holds a
global lock on the job manager's data meanwhile: a node does one thing at a time, so here every callback has
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any, Protocol

from labkit.parts.tasks import Speculation

from .plan import Link

__all__ = ["Duplicates", "Refining", "StageManager"]


class Refining(Protocol):
    """What a stage manager may ask of the job, and do to it. Vertices are numbers."""

    @property
    def now(self) -> float:
        """Seconds since the cluster began."""

    def vertices(self, stage: str) -> list[int]:
        """All of a stage, those inserted included."""

    def links(self, vertex: int) -> Sequence[Link]:
        """Its output channels."""

    def inputs(self, vertex: int) -> Sequence[Link]:
        """Its input channels."""

    def size(self, link: Link) -> int:
        """Bytes of a channel whose source is completed."""

    def where(self, vertex: int) -> tuple[str, str]:
        """Machine and rack on which the chosen version of a completed vertex ran."""

    def begun(self, vertex: int) -> bool:
        """Whether it runs or has completed: then its inputs must stay as they are."""

    def insert(self, links: list[Link], program: Any, stage: str, manager: StageManager) -> int:
        """A vertex between these links' sources and their one target; it reports to the manager."""

    def replicate(self, links: list[Link]) -> int:
        """Another vertex like these links' target, which takes them over."""

    def running(self, stage: str) -> list[tuple[int, float]]:
        """Vertices with exactly one execution under way, and the seconds since it began."""

    def seconds(self, stage: str) -> Sequence[float]:
        """What successful executions took."""

    def duplicate(self, vertex: int) -> bool:
        """A second execution, if a computer is free."""


class StageManager:
    """Does nothing: the base of those that do."""

    def begin(self, job: Refining, stage: str) -> None:
        """The job begins."""

    def completed(self, job: Refining, vertex: int) -> None:
        """A vertex is completed; called again if it had to be executed again."""

    def failed(self, job: Refining, vertex: int) -> None:
        """An execution of a vertex has failed."""

    def timer(self, job: Refining) -> None:
        """Some time has passed."""


class Duplicates(StageManager):
    """The default manager: a vertex that runs much slower than its peers gets a duplicate."""

    def __init__(self, rule: Speculation) -> None:
        self.rule = rule
        self.stage = ""

    def begin(self, job: Refining, stage: str) -> None:
        """Of this stage."""
        self.stage = stage

    def timer(self, job: Refining) -> None:
        """Look for slow ones."""
        seconds, rule = job.seconds(self.stage), self.rule
        if not seconds or len(seconds) < rule.quantile * len(job.vertices(self.stage)):
            return
        limit = max(rule.multiplier * median(seconds), rule.minimum)
        for vertex, taken in job.running(self.stage):
            if taken > limit:
                job.duplicate(vertex)
