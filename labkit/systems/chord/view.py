"""What Chord's events add up to: how each of them changes what is known of the ring, and what follows.

`joined`, `successors_changed`, `predecessor_changed` and `fingers_changed` give every node's pointers;
`stored` and `removed` every key's copies; `lookup_started`, `hop`, `hop_timed_out` and `lookup_finished` the
path of every lookup. Nothing is asked of a node. Who is dead is the runtime's word, not the ring's: the
difference between the two is what stabilisation has yet to repair.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from labkit.trace.machines import EventLine, Machines, MachineView, natural

from .invariants import Pointers, Verdict, judge

#: Finished lookups that the panel can replay, and hops remembered for the traffic on the ring.
LOOKUPS_KEPT, HOPS_KEPT = 40, 200
#: Above this many members the invariants are not judged ten times a second.
JUDGED_UP_TO = 300


@dataclass(frozen=True)
class Hop:
    """One step of a lookup: who asked whom."""

    seq: int
    time: float
    source: str
    target: str
    via: str = ""
    final: bool = False
    timed_out: bool = False
    place: int = 0  # in the sender's successor list: 1 is its successor, 0 is not in it


@dataclass(frozen=True)
class LookupView:
    """One lookup, as far as it has come."""

    number: int  # the seq of its `lookup_started`
    key: str
    key_id: int
    origin: str
    start: float
    hops: tuple[Hop, ...] = ()
    end: float | None = None
    owner: str | None = None
    counted: int | None = None  # hops as the paper counts them: without the final step to the successor
    timeouts: int = 0


@dataclass(frozen=True)
class RingNode:
    """One node's pointers and load."""

    name: str
    machine: str
    state: str  # alive, slow, paused or dead
    id: int
    predecessor: str | None = None
    successors: tuple[str, ...] = ()
    fingers: tuple[tuple[int, str], ...] = ()  # (k, node) for k that changed at least once
    own: int = 0
    copies: int = 0
    problem: str = ""  # what is wrong with its first successor, in words

    @property
    def right(self) -> bool:
        """Whether the first successor is the next living node."""
        return not self.problem


@dataclass(frozen=True)
class RingView:
    """The ring at one position."""

    time: float
    bits: int
    machines: tuple[MachineView, ...]
    nodes: tuple[RingNode, ...]  # by id, dead ones included
    lookups: tuple[LookupView, ...]  # oldest first; the running ones last
    hops: tuple[Hop, ...]
    finished: int  # lookups, and what they took together
    hop_sum: int
    timeout_sum: int
    verdicts: tuple[Verdict, ...]
    lines: tuple[EventLine, ...]
    keys: int
    scarce: int  # keys with fewer living copies than the ring promises
    lost: int  # keys with none

    def node(self, name: str) -> RingNode | None:
        """The node of that name, if it is on the stage."""
        return next((node for node in self.nodes if node.name == name), None)

    @property
    def living(self) -> tuple[RingNode, ...]:
        """The members that are not dead."""
        return tuple(node for node in self.nodes if node.state != "dead")


@dataclass
class RingState:
    """What has been told so far."""

    lab: Machines = field(default_factory=Machines)
    ids: dict[str, int] = field(default_factory=dict)
    members: dict[str, bool] = field(default_factory=dict)  # whether it has said so, or its pointers alone
    predecessors: dict[str, str | None] = field(default_factory=dict)
    successors: dict[str, tuple[str, ...]] = field(default_factory=dict)
    #: Inner dicts are replaced, never changed.
    fingers: dict[str, dict[int, str]] = field(default_factory=dict)
    holders: dict[str, tuple[tuple[str, bool], ...]] = field(default_factory=dict)  # key -> (node, is a copy)
    held: dict[str, tuple[int, int]] = field(default_factory=dict)  # node -> keys of its own, copies
    open: dict[tuple[int | None, int], LookupView] = field(default_factory=dict)
    lookups: deque[LookupView] = field(default_factory=lambda: deque(maxlen=LOOKUPS_KEPT))
    hops: deque[Hop] = field(default_factory=lambda: deque(maxlen=HOPS_KEPT))
    finished: int = 0
    hop_sum: int = 0
    timeout_sum: int = 0
    changes: int = 0  # counts what can change who holds which key; `memo` is good for one count
    memo: dict[str, Any] = field(default_factory=dict)

    def view(
        self, time: float | None, bits: int, replicas: int = 1, ids: Mapping[str, int] | None = None
    ) -> RingView:
        """The ring at `time` (None: the last event's). `ids`: of nodes of which the trace may lack them."""
        places = {**(ids or {}), **self.ids}
        machines = self.lab.views()
        nodes = _nodes(self, places, machines)
        living = [node for node in nodes if node.state != "dead"]
        keys, scarce, lost = _copies(self, max(1, min(replicas, len(living))))
        return RingView(
            time=self.lab.now if time is None else time,
            bits=bits,
            machines=machines,
            nodes=nodes,
            lookups=(*self.lookups, *self.open.values()),
            hops=tuple(self.hops),
            finished=self.finished,
            hop_sum=self.hop_sum,
            timeout_sum=self.timeout_sum,
            verdicts=_verdicts(living, places),
            lines=tuple(self.lab.lines),
            keys=keys,
            scarce=scarce,
            lost=lost,
        )


class RingReducer:
    """Folds Chord's events and the lifecycle below them, beginning with machines that are known, if any."""

    def __init__(self, known: tuple[MachineView, ...] = ()) -> None:
        self.known = known

    def initial(self) -> RingState:
        """No ring yet."""
        return RingState(Machines.known(self.known))

    def apply(self, state: RingState, event: Any) -> None:
        """Fold one event."""
        state.lab.apply(event)
        handler = _HANDLERS.get(event.kind)
        if handler is not None:
            handler(state, event, event.data)
        if event.kind in _HOLDING:
            state.changes += 1


# -- events ------------------------------------------------------------


def _joined(state: RingState, event: Any, data: Mapping[str, Any]) -> None:
    state.ids[event.node] = data["id"]
    state.members[event.node] = True
    if data.get("successor") and not state.successors.get(event.node):
        state.successors[event.node] = (data["successor"],)


def _successors(state: RingState, event: Any, data: Mapping[str, Any]) -> None:
    state.successors[event.node] = tuple(data["successors"])
    state.members.setdefault(event.node, False)
    state.ids.update(zip(data["successors"], data.get("ids", ()), strict=False))


def _predecessor(state: RingState, event: Any, data: Mapping[str, Any]) -> None:
    state.predecessors[event.node] = data["predecessor"]


def _fingers(state: RingState, event: Any, data: Mapping[str, Any]) -> None:
    changed = {int(k): name for k, name in data["fingers"].items()}
    state.fingers[event.node] = {**state.fingers.get(event.node, {}), **changed}


def _departed(state: RingState, event: Any, data: Mapping[str, Any]) -> None:
    """A node left, was stopped for good, or begins anew: it is no member, and knows nobody until it says so.

    What the disk of one that begins anew has kept, it will report as stored.
    """
    for table in (state.members, state.predecessors, state.successors, state.fingers):
        table.pop(event.node, None)
    _drop_keys(state, event.node)


def _stored(state: RingState, event: Any, data: Mapping[str, Any]) -> None:
    key, copy = data["key"], bool(data.get("replica"))
    others = _without(state, key, event.node)
    state.holders[key] = (*others, (event.node, copy))
    _count(state, event.node, copy, +1)


def _removed(state: RingState, event: Any, data: Mapping[str, Any]) -> None:
    state.holders[data["key"]] = _without(state, data["key"], event.node)
    if not state.holders[data["key"]]:
        del state.holders[data["key"]]


def _without(state: RingState, key: str, node: str) -> tuple[tuple[str, bool], ...]:
    """The other holders of a key; this one's copy counts no more."""
    entries = state.holders.get(key, ())
    for holder, copy in entries:
        if holder == node:
            _count(state, node, copy, -1)
    return tuple(entry for entry in entries if entry[0] != node)


def _count(state: RingState, node: str, copy: bool, change: int) -> None:
    own, copies = state.held.get(node, (0, 0))
    state.held[node] = (own, copies + change) if copy else (own + change, copies)


def _drop_keys(state: RingState, node: str) -> None:
    """Forget what a departed node held. A key of which it was the only holder stays, with no copy.

    It is lost.
    """
    if not any(state.held.pop(node, (0, 0))):
        return
    for key, entries in list(state.holders.items()):
        if any(holder == node for holder, _ in entries):
            state.holders[key] = tuple(entry for entry in entries if entry[0] != node)


def _lookup_started(state: RingState, event: Any, data: Mapping[str, Any]) -> None:
    key, origin = str(data.get("key")), data.get("origin") or event.node
    view = LookupView(event.seq, key, data["key_id"], origin, event.time)
    state.open[event.span, view.key_id] = view
    if len(state.open) > LOOKUPS_KEPT:  # never finished: their client gave up, or their machine died
        state.open.pop(next(iter(state.open)))


def _hop(state: RingState, event: Any, data: Mapping[str, Any]) -> None:
    to, near = data["to"], state.successors.get(event.node, ())
    place = near.index(to) + 1 if to in near else 0
    via, final = str(data.get("via", "")), bool(data.get("final"))
    hop = Hop(event.seq, event.time, event.node, to, via, final, place=place)
    state.hops.append(hop)
    key = (event.span, data["key_id"])
    if key in state.open:
        view = state.open[key]
        state.open[key] = replace(view, hops=(*view.hops, hop))


def _hop_timed_out(state: RingState, event: Any, data: Mapping[str, Any]) -> None:
    lost = Hop(event.seq, event.time, event.node, data["to"], timed_out=True)
    state.hops.append(lost)
    key = (event.span, data["key_id"])
    view = state.open.get(key)
    if view is None:
        return
    hops = list(view.hops)
    for number in range(len(hops) - 1, -1, -1):
        hop = hops[number]
        if (hop.source, hop.target, hop.timed_out) == (event.node, data["to"], False):
            hops[number] = replace(hop, timed_out=True)
            break
    else:
        hops.append(lost)
    state.open[key] = replace(view, hops=tuple(hops), timeouts=view.timeouts + 1)


def _lookup_finished(state: RingState, event: Any, data: Mapping[str, Any]) -> None:
    view = state.open.pop((event.span, data["key_id"]), None)
    state.finished += 1
    state.hop_sum += data.get("hops") or 0
    state.timeout_sum += data.get("timeouts") or 0
    if view is not None:
        told = {"owner": data.get("owner"), "counted": data.get("hops")}
        told["timeouts"] = max(view.timeouts, data.get("timeouts") or 0)
        state.lookups.append(replace(view, end=event.time, **told))


_HANDLERS = {
    "joined": _joined,
    "successors_changed": _successors,
    "predecessor_changed": _predecessor,
    "fingers_changed": _fingers,
    "left": _departed,
    "node_stopped": _departed,
    "node_started": _departed,
    "stored": _stored,
    "removed": _removed,
    "lookup_started": _lookup_started,
    "hop": _hop,
    "hop_timed_out": _hop_timed_out,
    "lookup_finished": _lookup_finished,
}

#: Kinds after which somebody else may hold a key, or a holder may be dead.
_HOLDING = {
    "stored",
    "removed",
    "left",
    "node_started",
    "node_stopped",
    "killed",
    "machine_died",
    "restarted",
}


# -- what follows from the state ------------------------------------------------------------


def _nodes(
    state: RingState, ids: Mapping[str, int], machines: tuple[MachineView, ...]
) -> tuple[RingNode, ...]:
    states = {machine.name: machine.state for machine in machines}
    names = sorted((n for n in state.members if n in ids), key=lambda n: (ids[n], natural(n)))
    dead = {n for n in names if n in state.lab.gone or states.get(state.lab.places.get(n, "")) == "dead"}
    ring = [n for n in names if n not in dead]
    following = {name: ring[(index + 1) % len(ring)] for index, name in enumerate(ring)}
    found = []
    for name in names:
        machine, successors = state.lab.places.get(name, ""), state.successors.get(name, ())
        own, copies = state.held.get(name, (0, 0))
        found.append(
            RingNode(
                name=name,
                machine=machine,
                state="dead" if name in dead else states.get(machine, "alive"),
                id=ids[name],
                predecessor=state.predecessors.get(name),
                successors=successors,
                fingers=tuple(sorted(state.fingers.get(name, {}).items())),
                own=own,
                copies=copies,
                problem="" if name in dead else _problem(successors, following[name], len(ring), dead),
            )
        )
    return tuple(found)


def _problem(successors: tuple[str, ...], following: str, living: int, dead: set[str]) -> str:
    first = successors[0] if successors else None
    if first in dead:
        return f"its successor {first} is dead; it has not noticed yet"
    if first is None or (first != following and living > 1):
        return f"its successor should be {following}, it is {first}"
    return ""


def _copies(state: RingState, wanted: int) -> tuple[int, int, int]:
    """Keys; those with fewer living copies than wanted; those with none. Counted anew after changes."""
    known = (state.changes, wanted, len(state.members))
    if state.memo.get("known") != known:
        # What lies on the disk of a node that is back and no member yet, nobody can find.
        there = state.members.keys() - state.lab.gone
        living = [sum(node in there for node, _ in entries) for entries in state.holders.values()]
        copies = len(living), sum(copies < wanted for copies in living), living.count(0)
        state.memo.update(known=known, copies=copies)
    keys, scarce, lost = state.memo["copies"]
    return keys, scarce, lost


def _verdicts(living: list[RingNode], ids: Mapping[str, int]) -> tuple[Verdict, ...]:
    """The invariants of the correct protocol, judged on the living members' pointers."""
    if not 1 < len(living) <= JUDGED_UP_TO:
        return ()
    return _judged(
        tuple(
            (
                node.id,
                Pointers(ids.get(node.predecessor or ""), tuple(ids[s] for s in node.successors if s in ids)),
            )
            for node in living
        )
    )


@lru_cache(maxsize=32)
def _judged(members: tuple[tuple[int, Pointers], ...]) -> tuple[Verdict, ...]:
    """Judged once for each constellation of pointers: between changes a panel asks ten times a second."""
    return tuple(judge(dict(members), max(len(pointers.successors) for _, pointers in members)))
