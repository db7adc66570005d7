"""The invariants over time: a recorded run, replayed event by event and judged at every change.

Three questions, each asked of every instant rather than of the end:

* Did Zave's invariant and its consequences hold after every change of a pointer, every join and every
  failure?
* Was the answer of each lookup a live node that owned the key at some instant between its start and its end?
  The owner is the first member *on the ring* at or after the key, or a newcomer between the key and it, which
  has joined but to which the ring does not lead yet.
* Had a write that was acknowledged as many copies as its owner said? And did a key lose the last copy of what
  was written, without having been deleted and without as many of its holders having failed as it had copies?
  An older version is no copy of it.

The theory assumes fail-stop nodes, perfect failure detection, and failures that leave every member a live
successor and L + 1 principals. From the first event that breaks an assumption on (a partition, a pause, a
loss of messages, a failure too many) the pointers promise nothing, and the report says so instead of judging.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from labkit.parts.checks import Findings, Violation

from .invariants import Pointers, failure_allowed, rings, with_names
from .model_check import first_broken
from .view import RingReducer

__all__ = ["Report", "Violation", "check_trace"]

#: Faults after which a silent node need not be dead.
IMPERFECT = ("paused", "slowed", "partitioned", "loss_changed", "latency_changed")
#: Events after which members are gone.
FAILURES = ("killed", "machine_died", "node_stopped", "left")


@dataclass
class Report(Findings):
    """What replaying a trace found."""

    #: Instants at which the pointers were judged, and lookups whose answer was.
    states: int = 0
    lookups: int = 0
    #: Why nothing was judged from then on, if an assumption of the theory was broken.
    suspended: str = ""

    def __str__(self) -> str:
        lines = self.lines({"state": self.states, "lookup": self.lookups})
        return "\n".join([*lines, f"not judged further: {self.suspended}"] if self.suspended else lines)


@dataclass
class _Open:
    """A lookup under way, and everybody who may rightly be its answer."""

    key_id: int
    owners: set[str] = field(default_factory=set)


#: Older than every version.
NEVER: tuple[Any, ...] = ()


@dataclass
class _Key:
    """Who has which version of a key's value."""

    #: The newest version that each node has ever said it has.
    told: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    #: The versions of the copies that are still there.
    holders: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    #: The newest version whose writer was told of its copies, and how many, or that has all of them. It, or
    #: a newer one, must not be lost before so many holders fail.
    safe: tuple[Any, ...] = NEVER
    promised: int = 0
    deleted: tuple[Any, ...] = NEVER
    #: Holders that have failed since.
    failures: int = 0

    def lose(self, node: str) -> bool:
        """A copy is gone; whether it was one that counts."""
        version = self.holders.pop(node, None)
        return version is not None and version >= self.safe

    def delete(self, version: tuple[Any, ...]) -> None:
        """The value of this version is not wanted any more; a newer one may be there."""
        self.deleted = max(self.deleted, version)
        for table in (self.told, self.holders):
            for node in [node for node, has in table.items() if has <= self.deleted]:
                del table[node]
        if self.safe <= self.deleted:
            self.safe, self.promised, self.failures = NEVER, 0, 0

    @property
    def lost(self) -> bool:
        """Whether nobody has what was safe, or, if nothing was, anything."""
        return not any(version >= self.safe for version in self.holders.values())


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
        self.reducer = RingReducer()
        self.ring = self.reducer.initial()
        self.open: dict[tuple[Any, str, int], list[_Open]] = {}
        self.keys: dict[Any, _Key] = {}

    # --- state ------------------------------------------------------------------------------------------

    def members(self) -> dict[int, Pointers]:
        """The pointers of those who have joined and live, at this instant."""
        ring, ids = self.ring, self.ring.ids
        return {
            ids[name]: Pointers(
                ids.get(ring.predecessors.get(name) or ""),
                tuple([ids[each] for each in ring.successors.get(name, ()) if each in ids]),
            )
            for name, joined in ring.members.items()
            if joined and name not in ring.lab.gone
        }

    def names(self) -> dict[int, str]:
        """Whose the identifiers are."""
        return {id: name for name, id in self.ring.ids.items()}

    def apply(self, event: Any) -> None:
        """One event."""
        before = self.members() if event.kind in FAILURES else {}
        self.reducer.apply(self.ring, event)
        handler = getattr(self, f"on_{event.kind}", None)
        if before:
            self.fail(event, before)
        elif handler is not None:
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
            _, detail = first_broken(with_names(members, self.names()), self.length)
            self.report.broken(event, broken, detail)
            self.report.suspended = "the invariant is broken"
        for lookups in self.open.values():
            for lookup in lookups:
                self.add_owners(lookup, members)

    def add_owners(self, lookup: _Open, members: dict[int, Pointers]) -> None:
        """Everybody who may be said to own the key now."""
        cycles, names = rings(members), self.names()
        order = sorted(members)
        index = bisect_left(order, lookup.key_id)
        on_ring = set(cycles[0]) if len(cycles) == 1 else members
        for step in range(len(order)):
            n = order[(index + step) % len(order)]
            lookup.owners.add(names[n])
            if n in on_ring:
                return

    # --- members ----------------------------------------------------------------------------------------

    def on_joined(self, event: Any, data: dict[str, Any]) -> None:
        self.judge(event)

    def on_successors_changed(self, event: Any, data: dict[str, Any]) -> None:
        self.founding -= self.founding > 0  # a founder says it has joined, and then its pointers
        if self.ring.members[event.node]:
            self.judge(event)

    def fail(self, event: Any, before: dict[int, Pointers]) -> None:
        """Some members are gone; the invariants go on holding only if that was allowed."""
        names, after = self.names(), self.members()
        ids = [id for id in before if id not in after]
        gone = [names[id] for id in ids]
        if not gone:
            return
        allowed = failure_allowed(before, ids, self.length)
        if not allowed and not self.whatever and not self.report.suspended:
            self.report.suspended = f"the failure of {', '.join(gone)} at {event.time:.3f} s was one too many"
        for key, known in self.keys.items():
            lost = [name for name in gone if known.lose(name)]
            known.failures += len(lost)
            if lost and known.lost and known.failures < known.promised:
                self.report.broken(event, "KeyLost", f"{key!r} had its last copy on {lost[0]}")
        self.judge(event)

    # --- keys -------------------------------------------------------------------------------------------

    def on_stored(self, event: Any, data: dict[str, Any]) -> None:
        key, version = self.keys.setdefault(data["key"], _Key()), tuple(data.get("version", NEVER))
        if version < key.deleted:
            return  # an old copy on a disk that has returned; its owner knows better
        counted = key.lose(event.node)
        key.told[event.node] = max(version, key.told.get(event.node, NEVER))
        key.holders[event.node] = version
        if counted and key.lost:
            detail = f"{event.node} put an older value over the last copy of {data['key']!r}"
            self.report.broken(event, "KeyLost", detail)
        if len(key.holders) >= self.replicas:
            everywhere = sorted(key.holders.values(), reverse=True)[self.replicas - 1]
            if everywhere >= key.safe:
                key.safe, key.promised, key.failures = everywhere, self.replicas, 0

    def on_written(self, event: Any, data: dict[str, Any]) -> None:
        key = self.keys.setdefault(data["key"], _Key())
        version, copies = tuple(data["version"]), data["copies"]
        if version < key.deleted:
            return  # deleted meanwhile: who has that already takes no copy
        have = [node for node, newest in key.told.items() if newest >= version]
        if len(have) < copies:
            detail = (
                f"{event.node} said that {data['key']!r} has {copies} copies, "
                f"and only {', '.join(have) or 'nobody'} took it"
            )
            self.report.broken(event, "FewerCopies", detail)
        if version >= key.safe:
            there = sum(has >= version for has in key.holders.values())
            key.safe, key.promised, key.failures = version, copies, len(have) - there

    def on_removed(self, event: Any, data: dict[str, Any]) -> None:
        key = self.keys.setdefault(data["key"], _Key())
        counted = key.lose(event.node)
        if data["why"] == "deleted":
            key.delete(tuple(data.get("version", NEVER)))
        elif counted and key.lost:
            self.report.broken(event, "KeyLost", f"{event.node} dropped the last copy of {data['key']!r}")

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
            self.report.broken(event, "WrongOwner", detail)

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
