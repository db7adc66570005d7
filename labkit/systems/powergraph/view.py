"""What the events add up to at a position of the trace: one fold, read by panel, checks and experiments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from labkit.trace.machines import Machines, MachineView

__all__ = ["Part", "Reducer", "State", "Step"]


class Part(NamedTuple):
    """What a machine has of the graph."""

    edges: int
    replicas: int
    masters: int
    gids: tuple[int, ...] = ()  #: its vertices, if they are logged
    mastered: tuple[int, ...] = ()

    @property
    def mirrors(self) -> int:
        """Replicas that are no masters."""
        return self.replicas - self.masters


class Step(NamedTuple):
    """A superstep: sums over the machines."""

    active: int = 0
    gathers: int = 0
    bytes: int = 0


class Totals(NamedTuple):
    """Of a program that is over, or of one machine's part in it."""

    gathers: int = 0
    applies: int = 0
    scatters: int = 0
    bytes: int = 0
    messages: int = 0


@dataclass
class State:
    """A run so far. What is said of vertices is known of small graphs only."""

    lab: Machines = field(default_factory=Machines)
    name: str = ""
    vertices: int = 0
    edges: int = 0
    epoch: int = 0
    members: tuple[str, ...] = ()
    machine_of: dict[str, str] = field(default_factory=dict)
    cut: str = ""
    engine: str = ""
    delta_caching: bool = True
    batch: bool = False
    going: bool = False
    parts: dict[str, Part] = field(default_factory=dict)  #: by machine
    replication: float | None = None
    factors: dict[str, float] = field(default_factory=dict)  #: by cut, of all loadings so far
    superstep: int = 0
    steps: dict[int, Step] = field(default_factory=dict)  #: of this epoch
    state: dict[int, str] = field(default_factory=dict)  #: by vertex: active, lock, gather; else inactive
    value: dict[int, Any] = field(default_factory=dict)
    version: dict[int, int] = field(default_factory=dict)
    runs: int = 0  #: applied, in all epochs
    waits: dict[int, tuple[int, ...]] = field(default_factory=dict)  #: vertex: whose forks it waits for
    snapshots: list[int] = field(default_factory=list)
    rollbacks: int = 0
    pending: dict[int, tuple[str, Any]] = field(default_factory=dict)  #: orders, by number
    began: float = 0.0
    end: float | None = None
    result: str = ""
    totals: Totals = field(default_factory=Totals)

    def vertex(self, gid: int) -> str:
        """The state of a vertex in a word."""
        return self.state.get(gid, "inactive")


class Reducer:
    """Folds the events of one PowerGraph's nodes, beginning with machines that are known, if any."""

    def __init__(self, name: str, known: Sequence[MachineView] = ()) -> None:
        self.prefix, self.known = f"{name}-", known

    def initial(self) -> State:
        """Nothing yet."""
        return State(Machines.known(self.known), self.prefix[:-1])

    def apply(self, state: State, event: Any) -> None:
        """Fold one event."""
        state.lab.apply(event)
        handler = _HANDLERS.get(event.kind)
        if handler is None or event.node is None or not event.node.startswith(self.prefix):
            return
        # A machine that was cut off may still tell of an epoch that is over.
        if event.kind == "epoch_began" or event.data.get("epoch", state.epoch) == state.epoch:
            handler(state, event, event.data)


def _epoch_began(state: State, event: Any, data: Mapping[str, Any]) -> None:
    state.rollbacks += state.epoch > 0
    state.epoch, state.members = data["epoch"], tuple(data["members"])
    state.machine_of = {member: member.removeprefix(f"{state.name}-") for member in state.members}
    state.cut, state.engine, state.delta_caching = data["cut"], data["engine"], data["delta_caching"]
    state.vertices, state.edges, state.going = data["vertices"], data["edges"], data["going"]
    state.batch = data["batch"]
    state.parts, state.steps, state.superstep = {}, {}, 0
    state.state, state.version, state.waits, state.totals = {}, {}, {}, Totals()


def _loaded(state: State, event: Any, data: Mapping[str, Any]) -> None:
    state.parts[event.machine] = Part(
        data["edges"], data["vertices"], data["masters"], tuple(data["gids"] or ()),
        tuple(data["mastered"] or ()),
    )  # fmt: skip


def _graph_loaded(state: State, event: Any, data: Mapping[str, Any]) -> None:
    state.replication = state.factors[data["cut"]] = data["replication"]


def _ordered(state: State, event: Any, data: Mapping[str, Any]) -> None:
    state.pending[data["number"]] = (data["what"], data["value"])


def _performed(state: State, event: Any, data: Mapping[str, Any]) -> None:
    state.pending.pop(data["number"], None)
    if data["what"] == "go":
        state.going, state.began = True, event.time
    elif data["what"] == "engine":
        state.engine = data["value"]
    elif data["what"] == "delta_caching":
        state.delta_caching = data["value"]


def _superstep_began(state: State, event: Any, data: Mapping[str, Any]) -> None:
    number = state.superstep = data["superstep"]
    step = state.steps.get(number, Step())
    state.steps[number] = step._replace(active=step.active + data["active"])
    own = state.parts.get(event.machine, Part(0, 0, 0)).mastered
    for gid in own:
        state.state.pop(gid, None)
    for gid in data["vertices"] or ():
        state.state[gid] = "gather"


def _superstep_ended(state: State, event: Any, data: Mapping[str, Any]) -> None:
    step = state.steps.get(data["superstep"], Step())
    state.steps[data["superstep"]] = step._replace(
        gathers=step.gathers + data["gathers"], bytes=step.bytes + data["bytes"]
    )


def _to(what: str) -> Callable[[State, Any, Mapping[str, Any]], None]:
    def apply(state: State, event: Any, data: Mapping[str, Any]) -> None:
        state.state[data["vertex"]] = what

    return apply


def _vertex_gathers(state: State, event: Any, data: Mapping[str, Any]) -> None:
    state.state[data["vertex"]] = "gather"
    state.waits.pop(data["vertex"], None)


def _forks_wanted(state: State, event: Any, data: Mapping[str, Any]) -> None:
    vertex = data["vertex"]
    if state.state.get(vertex) == "lock":
        state.waits[vertex] = tuple(sorted({*state.waits.get(vertex, ()), *data["of"]}))


def _vertex_applied(state: State, event: Any, data: Mapping[str, Any]) -> None:
    state.runs += 1
    state.value[data["vertex"]], state.version[data["vertex"]] = data["value"], data["version"]


def _vertex_ended(state: State, event: Any, data: Mapping[str, Any]) -> None:
    state.state.pop(data["vertex"], None)


def _machine_done(state: State, event: Any, data: Mapping[str, Any]) -> None:
    state.totals = Totals(*(getattr(state.totals, name) + data[name] for name in Totals._fields))
    state.state.clear()


def _snapshot(state: State, event: Any, data: Mapping[str, Any]) -> None:
    state.snapshots.append(data["number"])


def _finished(state: State, event: Any, data: Mapping[str, Any]) -> None:
    state.end, state.result = event.time, data["result"]


_HANDLERS: dict[str, Callable[[State, Any, Mapping[str, Any]], None]] = {
    "epoch_began": _epoch_began,
    "loaded": _loaded,
    "graph_loaded": _graph_loaded,
    "ordered": _ordered,
    "performed": _performed,
    "superstep_began": _superstep_began,
    "superstep_ended": _superstep_ended,
    "vertex_activated": _to("active"),
    "vertex_locks": _to("lock"),
    "forks_wanted": _forks_wanted,
    "vertex_gathers": _vertex_gathers,
    "vertex_applied": _vertex_applied,
    "vertex_ended": _vertex_ended,
    "machine_done": _machine_done,
    "snapshot_taken": _snapshot,
    "finished": _finished,
}
