"""A small ring under a schedule of failures: the program that a fault search runs
(``labkit.explore.search``).

The promise that is put to the test: *fewer failures than a successor list has entries can never break the
ring*. It holds for the correct protocol, whose members have whole lists from the moment they join and never
adopt a dead entry. It does not for the published one: one failure right after a join is enough.
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.explore import random_schedules
from labkit.runtime.cluster import Cluster
from labkit.runtime.faults import Kill, Schedule

from .model import Chord
from .trace_checks import Report, check_trace

__all__ = ["broken", "failures", "small_ring"]

#: The ring that is put under stress: members at the start, members that join, and the length of successor
#: lists.
MEMBERS, JOINS, LENGTH = 8, 4, 3

#: Seconds at which members join, one after the other, and for which the run lasts.
JOIN_EVERY, LASTS = 1.3, 12.0


def small_ring(seed: int, schedule: Schedule, maintenance: str = "correct") -> Report:
    """Run a ring of eight, with four joining, under a schedule; judge every instant, whatever has failed.

    Every member has a machine of its own, ``m1`` to ``m8``; the joining ones are on ``m9`` to ``m12``.
    """
    with Cluster(machines=MEMBERS + JOINS, engine="sim", seed=seed) as cluster:
        first = [f"m{i}" for i in range(1, MEMBERS + 1)]
        ring = Chord(
            cluster, MEMBERS, bits=16, successors=LENGTH, replicas=1, maintenance=maintenance, machines=first
        )
        cluster.play(schedule)
        for number in range(JOINS):
            cluster.run(JOIN_EVERY)
            ring.start_joining(machine=f"m{MEMBERS + 1 + number}")
        cluster.run(LASTS - JOINS * JOIN_EVERY)
        return check_trace(cluster.trace, LENGTH, founders=ring.founders, whatever=True)


def failures() -> Iterator[Schedule]:
    """Schedules of fewer failures than a list has entries."""
    machines = [f"m{i}" for i in range(1, MEMBERS + 1)]
    return random_schedules(machines, [Kill], begin=0.5, until=8.0, most=LENGTH - 1)


def broken(report: Report) -> str:
    """The invariant for the search: the first violation, or nothing."""
    return str(report.violations[0]) if report.violations else ""
