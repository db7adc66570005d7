"""What a check of a recorded run has found, for every system's checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from labkit.runtime.cluster import Cluster
from labkit.runtime.errors import LabError
from labkit.trace.event import Event
from labkit.trace.words import many

__all__ = ["Findings", "Violation", "whole"]

#: Violations that a report prints; the others are counted.
SHOWN = 10


@dataclass(frozen=True)
class Violation:
    """Something that must not happen, and did."""

    time: float
    what: str
    detail: str

    def __str__(self) -> str:
        return f"at {self.time:.4f} s {self.what}: {self.detail}"


@dataclass
class Findings:
    """The base of a system's ``Report``, which adds what was judged."""

    violations: list[Violation] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing was violated."""
        return not self.violations

    def broken(self, event: Event, what: str, detail: str) -> None:
        """Note a violation at an event."""
        self.violations.append(Violation(event.time, what, detail))

    def lines(self, judged: Mapping[str, int] | str) -> list[str]:
        """The report's text: what was judged, how many violations there were, and the first of them. judged:
        how many of what (``{"job": 1, "task": 20}``), or that in words."""
        if not isinstance(judged, str):
            *others, last = (many(count, noun) for noun, count in judged.items())
            judged = f"{', '.join(others)} and {last}"
        head = f"{judged} judged, {many(len(self.violations), 'violation')}"
        return [head, *map(str, self.violations[:SHOWN])]


def whole(cluster: Cluster) -> list[Event]:
    """All events so far, in their final order, to be replayed from the beginning. On real processes, waits
    until the machines have reported. Raises ``LabError`` if the beginning is forgotten."""
    trace = cluster.trace
    trace.catch_up(whole=True)
    if trace.dropped:
        raise LabError(
            f"the first {trace.dropped} events are forgotten, so the run cannot be replayed: make the "
            f"cluster with Cluster(..., trace_limit={2 * (trace.dropped + trace.limit)}), or check sooner"
        )
    return trace.since(0, trace.settled())
