"""The invariants over time: a recorded run, replayed event by event and judged at every change.

Three questions, each asked of every instant rather than of the end:

* Did Zave's invariant and its consequences hold after every change of a pointer, every join and every
  failure?
* Was the answer of each lookup a live node that owned the key at some instant between its start and its end?
  The owner is the first member *on the ring* at or after the key, or a newcomer between the key and it, which
  has joined but to which the ring does not lead yet.
* Did a key lose its last copy, without having been deleted and without ``replicas`` of its holders having
  failed?

The theory assumes fail-stop nodes, perfect failure detection, and failures that leave every member a live
successor and L + 1 principals. From the first event that breaks an assumption on (a partition, a pause, a
loss of messages, a failure too many) the pointers promise nothing, and the report says so instead of judging.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from labkit.systems.report import Findings, Violation

from .invariants import Pointers, failure_allowed, rings, with_names
from .model_check import first_broken

__all__ = ["Report", "Violation", "check_trace"]

#: Faults after which a silent node need not be dead.
IMPERFECT = ("paused", "slowed", "partitioned", "loss_changed", "latency_changed")


@dataclass
class Report(Findings):
    """What replaying a trace found."""

    #: Instants at which the pointers were judged, and lookups whose answer was.
    states: int = 0
    lookups: int = 0
    #: Why nothing was judged from then on, if an assumption of the theory was broken.
    suspended: str = ""

    def __str__(self) -> str:
        lines = self.lines(f"{self.states} states and {self.lookups} lookups")
        return "\n".join([*lines, f"not judged further: {self.suspended}"] if self.suspended else lines)


@dataclass
class _Open:
    """A lookup under way, and everybody who may rightly be its answer."""

    key_id: int
    owners: set[str] = field(default_factory=set)


class _Replay:
    def __init__(self, length: int, replicas: int, founders: int, whatever: bool) -> None:
        self.length = length
        self.whatever = whatever
        #: Members still to be heard of before there is a ring to judge.
        self.founding = founders
        self.replicas = replicas
        self.report = Report()
        if founders == 1:
            self.report.suspended = f"it began with one member, and the theory needs {length + 1}"
        self.machines: dict[str, str] = {}
        self.ids: dict[str, int] = {}
        self.names: dict[int, str] = {}
        self.successors: dict[str, tuple[int, ...]] = {}
        self.predecessors: dict[str, int | None] = {}
        self.joined: dict[str, None] = {}
        self.open: dict[tuple[Any, str, int], list[_Open]] = {}
        self.holders: dict[Any, dict[str, None]] = {}
        self.failures: dict[Any, int] = {}

    # --- state ------------------------------------------------------------------------------------------

    def members(self) -> dict[int, Pointers]:
        """The live members' pointers at this instant."""
        return {
            self.ids[name]: Pointers(self.predecessors.get(name), self.successors.get(name, ()))
            for name in self.joined
        }

    def apply(self, event: Any) -> None:
        """One event."""
        handler = getattr(self, f"on_{event.kind}", None)
        if handler is not None:
            handler(event, event.data)
        elif event.kind in IMPERFECT and not self.report.suspended:
            self.report.suspended = (
                f"{event.kind} at {event.time:.3f} s: a silent node need not be dead any more"
            )

    def judge(self, event: Any) -> None:
        """Judge the state after a change, and add who owns the keys that are being looked up."""
        if self.report.suspended or self.founding > 0:
            return
        members = self.members()
        self.report.states += 1
        broken, _ = first_broken(members, self.length)
        if broken:
            _, detail = first_broken(with_names(members, self.names), self.length)
            self.report.violations.append(Violation(event.time, broken, detail))
            self.report.suspended = "the invariant is broken"
        for lookups in self.open.values():
            for lookup in lookups:
                self.add_owners(lookup, members)

    def add_owners(self, lookup: _Open, members: dict[int, Pointers]) -> None:
        """Everybody who may be said to own the key now."""
        cycles = rings(members)
        order = sorted(members)
        index = bisect_left(order, lookup.key_id)
        on_ring = set(cycles[0]) if len(cycles) == 1 else members
        for step in range(len(order)):
            n = order[(index + step) % len(order)]
            lookup.owners.add(self.names[n])
            if n in on_ring:
                return

    # --- members ----------------------------------------------------------------------------------------

    def on_node_started(self, event: Any, data: dict[str, Any]) -> None:
        self.machines[event.node] = event.machine
        self.forget([event.node])

    def on_joined(self, event: Any, data: dict[str, Any]) -> None:
        self.ids[event.node] = data["id"]
        self.names[data["id"]] = event.node
        self.joined[event.node] = None
        self.judge(event)

    def on_successors_changed(self, event: Any, data: dict[str, Any]) -> None:
        self.successors[event.node] = tuple(data["ids"])
        self.names.update(zip(data["ids"], data["successors"], strict=True))
        self.founding -= self.founding > 0  # a founder says it has joined, and then its pointers
        if event.node in self.joined:
            self.judge(event)

    def on_predecessor_changed(self, event: Any, data: dict[str, Any]) -> None:
        self.predecessors[event.node] = self.ids.get(data["predecessor"])

    def on_killed(self, event: Any, data: dict[str, Any]) -> None:
        self.fail(event, [name for name, machine in self.machines.items() if machine == event.machine])

    on_machine_died = on_killed

    def on_node_stopped(self, event: Any, data: dict[str, Any]) -> None:
        self.fail(event, [event.node])

    on_left = on_node_stopped

    def fail(self, event: Any, names: list[str]) -> None:
        """These members are gone; the invariants go on holding only if that was allowed."""
        gone = [name for name in names if name in self.joined]
        if not gone:
            return
        allowed = failure_allowed(self.members(), [self.ids[name] for name in gone], self.length)
        if not allowed and not self.whatever and not self.report.suspended:
            self.report.suspended = f"the failure of {', '.join(gone)} at {event.time:.3f} s was one too many"
        self.forget(gone)
        for key, holders in self.holders.items():
            lost = [name for name in gone if holders.pop(name, 0) is None]
            self.failures[key] = self.failures.get(key, 0) + len(lost)
            if lost and not holders and self.failures[key] < self.replicas:
                self.report.violations.append(
                    Violation(event.time, "KeyLost", f"{key!r} had its last copy on {lost[0]}")
                )
        self.judge(event)

    def forget(self, names: Iterable[str]) -> None:
        """They know and are known no more; what their disk keeps they will report again."""
        for name in names:
            self.joined.pop(name, None)
            self.successors.pop(name, None)
            self.predecessors.pop(name, None)

    # --- keys -------------------------------------------------------------------------------------------

    def on_stored(self, event: Any, data: dict[str, Any]) -> None:
        holders = self.holders.setdefault(data["key"], {})
        holders[event.node] = None
        if len(holders) >= self.replicas:
            self.failures[data["key"]] = 0

    def on_removed(self, event: Any, data: dict[str, Any]) -> None:
        holders = self.holders.get(data["key"], {})
        holders.pop(event.node, None)
        if data["why"] == "deleted":
            self.holders.pop(data["key"], None)  # the other copies follow
        elif not holders and data["key"] in self.holders:
            self.report.violations.append(
                Violation(event.time, "KeyLost", f"{event.node} dropped the last copy of {data['key']!r}")
            )

    # --- lookups ----------------------------------------------------------------------------------------

    def on_lookup_started(self, event: Any, data: dict[str, Any]) -> None:
        lookup = _Open(data["key_id"])
        if not self.report.suspended:
            self.add_owners(lookup, self.members())
        self.open.setdefault((event.span, event.node, data["key_id"]), []).append(lookup)

    def on_lookup_finished(self, event: Any, data: dict[str, Any]) -> None:
        lookups = self.open.get((event.span, event.node, data["key_id"]), [])
        if not lookups:
            return
        lookup = lookups.pop(0)
        if self.report.suspended:
            return
        self.report.lookups += 1
        if data["owner"] not in lookup.owners:
            owners = ", ".join(sorted(lookup.owners))
            detail = f"{data['key_id']} was owned by {owners}, the answer was {data['owner']}"
            self.report.violations.append(Violation(event.time, "WrongOwner", detail))

    def on_lookup_failed(self, event: Any, data: dict[str, Any]) -> None:
        lookups = self.open.get((event.span, event.node, data["key_id"]), [])
        if lookups:
            lookups.pop(0)


def check_trace(
    trace: Iterable[Any], length: int, replicas: int = 1, founders: int = 0, whatever: bool = False
) -> Report:
    """Replay a trace of level "domain" or "messages".

    ``length``: of successor lists; ``replicas``: copies of each key; ``founders``: members that the ring
    started with, since the trace tells of them one after the other; ``whatever``: judge on even after a
    failure that the theory does not allow.
    """
    replay = _Replay(length, replicas, founders, whatever)
    for event in trace:
        replay.apply(event)
    return replay.report
