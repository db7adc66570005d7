"""What Chord's events add up to: how each of them changes what is known of the ring.

`joined`, `successors_changed`, `predecessor_changed` and `fingers_changed` give every node's pointers;
`stored` and `removed` every key's copies; `lookup_started`, `hop`, `hop_timed_out` and `lookup_finished` the
path of every lookup.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from labkit.trace.machines import Machines, MachineView

#: Finished lookups that the panel can replay, and hops remembered for the traffic on the ring.
LOOKUPS_KEPT, HOPS_KEPT = 40, 200


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


@dataclass
class RingState:
    """The fold behind `RingFrame`."""

    lab: Machines = field(default_factory=Machines)
    ids: dict[str, int] = field(default_factory=dict)
    members: dict[str, bool] = field(default_factory=dict)  # in order of joining; a dict, for its order
    predecessors: dict[str, str | None] = field(default_factory=dict)
    successors: dict[str, tuple[str, ...]] = field(default_factory=dict)
    fingers: dict[str, dict[int, str]] = field(
        default_factory=dict
    )  # inner dicts are replaced, never changed
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
    state.members.setdefault(event.node, True)
    state.ids.update(zip(data["successors"], data.get("ids", ()), strict=False))


def _predecessor(state: RingState, event: Any, data: Mapping[str, Any]) -> None:
    state.predecessors[event.node] = data["predecessor"]


def _fingers(state: RingState, event: Any, data: Mapping[str, Any]) -> None:
    changed = {int(k): name for k, name in data["fingers"].items()}
    state.fingers[event.node] = {**state.fingers.get(event.node, {}), **changed}


def _departed(state: RingState, event: Any, data: Mapping[str, Any]) -> None:
    """A node left or was stopped for good: it leaves the stage, with what it held."""
    for table in (state.members, state.predecessors, state.successors, state.fingers):
        table.pop(event.node, None)
    _drop_keys(state, event.node)


def _node_started(state: RingState, event: Any, data: Mapping[str, Any]) -> None:
    """After a restart a node knows nobody until it says so; what its disk kept it will report as stored."""
    for table in (state.predecessors, state.successors, state.fingers):
        table.pop(event.node, None)
    if event.node in state.members:
        del state.members[event.node]
    _drop_keys(state, event.node)


def _stored(state: RingState, event: Any, data: Mapping[str, Any]) -> None:
    key, copy = data["key"], bool(data.get("replica"))
    others = tuple(entry for entry in state.holders.get(key, ()) if entry[0] != event.node)
    if len(others) != len(state.holders.get(key, ())):
        _count(state, event.node, dict(state.holders[key])[event.node], -1)
    state.holders[key] = (*others, (event.node, copy))
    _count(state, event.node, copy, +1)


def _removed(state: RingState, event: Any, data: Mapping[str, Any]) -> None:
    entries = state.holders.get(data["key"], ())
    for node, copy in entries:
        if node == event.node:
            _count(state, node, copy, -1)
    rest = tuple(entry for entry in entries if entry[0] != event.node)
    if rest:
        state.holders[data["key"]] = rest
    else:
        state.holders.pop(data["key"], None)


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
    view = LookupView(
        event.seq, str(data.get("key")), data["key_id"], data.get("origin") or event.node, event.time
    )
    state.open[event.span, data["key_id"]] = view
    if len(state.open) > LOOKUPS_KEPT:  # never finished: their client gave up, or their machine died
        state.open.pop(next(iter(state.open)))


def _hop(state: RingState, event: Any, data: Mapping[str, Any]) -> None:
    hop = Hop(
        event.seq,
        event.time,
        event.node,
        data["to"],
        str(data.get("via", "")),
        bool(data.get("final")),
        place=_place(state, event.node, data["to"]),
    )
    state.hops.append(hop)
    key = (event.span, data["key_id"])
    if key in state.open:
        view = state.open[key]
        state.open[key] = replace(view, hops=(*view.hops, hop))


def _place(state: RingState, node: str, other: str) -> int:
    near = state.successors.get(node, ())
    return near.index(other) + 1 if other in near else 0


def _hop_timed_out(state: RingState, event: Any, data: Mapping[str, Any]) -> None:
    lost = Hop(event.seq, event.time, event.node, data["to"], timed_out=True)
    state.hops.append(lost)
    key = (event.span, data["key_id"])
    view = state.open.get(key)
    if view is None:
        return
    hops = list(view.hops)
    for number in range(len(hops) - 1, -1, -1):
        if (
            hops[number].target == data["to"]
            and hops[number].source == event.node
            and not hops[number].timed_out
        ):
            hops[number] = replace(hops[number], timed_out=True)
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
        timeouts = max(view.timeouts, data.get("timeouts") or 0)
        state.lookups.append(
            replace(
                view, end=event.time, owner=data.get("owner"), counted=data.get("hops"), timeouts=timeouts
            )
        )


_HANDLERS = {
    "joined": _joined,
    "successors_changed": _successors,
    "predecessor_changed": _predecessor,
    "fingers_changed": _fingers,
    "left": _departed,
    "node_stopped": _departed,
    "node_started": _node_started,
    "stored": _stored,
    "removed": _removed,
    "lookup_started": _lookup_started,
    "hop": _hop,
    "hop_timed_out": _hop_timed_out,
    "lookup_finished": _lookup_finished,
}

#: Kinds after which somebody else may hold a key, or a holder may be dead.
_HOLDING = {
    "stored", "removed", "left", "node_started", "node_stopped", "killed", "machine_died", "restarted",
    "crash",
}  # fmt: skip
