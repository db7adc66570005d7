"""What the events add up to: graphs and how they are cut, loops and what each iteration shipped.

Bytes are those of Spark's shuffle files, as its driver tells them (``outputs_stored``); which shuffle carries
what, GraphX tells when it plans one (``shipment``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from labkit.systems.spark.state import LineageState
from labkit.systems.spark.view import LineageReducer
from labkit.trace.machines import MachineView

__all__ = ["Cut", "GraphReducer", "GraphXState", "Iteration", "RunView"]


@dataclass(frozen=True)
class Cut:
    """A graph as it was measured."""

    graph: int
    strategy: str
    vertices: int
    edges: int
    replication: float  #: replicas of a vertex, on average
    most: int  #: of one vertex
    vertex_parts: tuple[int, ...]  #: vertices in each vertex partition
    edge_parts: tuple[tuple[int, int], ...]  #: edges and replicas in each edge partition
    rdds: tuple[int, int]  #: of vertices and of edges


@dataclass(frozen=True)
class Iteration:
    """One, so far."""

    number: int
    began: float
    end: float | None = None
    vertex_bytes: int = 0  #: of attributes and active sets that went to the edges
    message_bytes: int = 0
    again_bytes: int = 0  #: of both, written once more after a loss
    received: int = 0  #: attributes that the edges were sent
    sent: int = 0  #: messages, combined in each edge partition
    active: int = 0  #: vertices with messages
    edges: int = 0
    touched: int = 0  #: edges looked at
    #: Of each edge partition: whether the index was used, edges touched, attributes received, messages.
    by_part: tuple[tuple[Any, ...], ...] = ()
    rdds: tuple[int, int] | None = None  #: of the partitions of vertices and of edges
    places: tuple[str, ...] = ()  #: the machine of each edge partition, at the end; "" if it is not known

    @property
    def by_index(self) -> int:
        """Edge partitions that used the index."""
        return sum(bool(each[0]) for each in self.by_part)

    def row(self) -> dict[str, Any]:
        """As a row of a table."""
        return {
            "iteration": self.number, "bytes": self.vertex_bytes + self.message_bytes,
            "vertex bytes": self.vertex_bytes, "message bytes": self.message_bytes,
            "attributes shipped": self.received, "messages": self.sent, "active": self.active,
            "edges looked at": self.touched, "by index": self.by_index,
            "seconds": None if self.end is None else self.end - self.began,
        }  # fmt: skip


@dataclass(frozen=True)
class RunView:
    """A loop."""

    name: str
    graph: int
    began: float
    most: int | None = None
    iterations: tuple[Iteration, ...] = ()
    end: float | None = None
    why: str = ""
    result: tuple[int, int] | None = None  #: RDDs of the partitions of the graph that it made

    @property
    def planned(self) -> list[tuple[int, int]]:
        """RDDs of the partitions of vertices and of edges: of each planned iteration, and at the end."""
        return [each for each in (*(one.rdds for one in self.iterations), self.result) if each is not None]


@dataclass
class GraphXState:
    """Everything so far."""

    spark: LineageState
    cuts: dict[int, Cut] = field(default_factory=dict)
    runs: dict[str, RunView] = field(default_factory=dict)
    #: By shuffle: the run, its iteration and what it carries.
    shipments: dict[int, tuple[str, int, str]] = field(default_factory=dict)
    #: Bytes by shuffle and map task.
    outputs: dict[tuple[int, int], int] = field(default_factory=dict)
    running: str = ""

    def machine(self, rdds: tuple[int, int] | None, part: int, which: int = 1) -> str:
        """Where a partition of the vertices (which=0) or of the edges is kept; "" if nowhere."""
        copies = () if rdds is None else self.spark.blocks.get((rdds[which], part), ())
        return copies[0].machine if copies else ""

    @property
    def run(self) -> RunView | None:
        """The loop that runs, or ran last."""
        return list(self.runs.values())[-1] if self.runs else None

    @property
    def cut(self) -> Cut | None:
        """The graph of that loop, or the one that was measured last."""
        graph = self.run.graph if self.run is not None else -1
        return self.cuts.get(graph) or (list(self.cuts.values())[-1] if self.cuts else None)


class GraphReducer:
    """Folds the events of Spark, and of the GraphX of this name; of any without one."""

    def __init__(self, name: str, known: tuple[MachineView, ...] = ()) -> None:
        self.name = name
        self.spark = LineageReducer(known)

    def initial(self) -> GraphXState:
        """Nothing yet."""
        return GraphXState(self.spark.initial())

    def apply(self, state: GraphXState, event: Any) -> None:
        """Fold one event."""
        self.spark.apply(state.spark, event)
        if event.kind == "outputs_stored":
            _stored(state, event.data)
        elif event.kind in _HANDLERS and (event.node == self.name or not self.name):
            _HANDLERS[event.kind](state, event, event.data)


def _stored(state: GraphXState, data: Mapping[str, Any]) -> None:
    if (found := state.shipments.get(data["shuffle"])) is None:
        return
    name, number, what = found
    key, size = (data["shuffle"], data["map"]), int(data.get("bytes") or 0)
    again, state.outputs[key] = key in state.outputs, size
    which = "again_bytes" if again else "vertex_bytes" if what == "vertices" else "message_bytes"
    _change(state, name, number, lambda each: {which: getattr(each, which) + size})


def _change(state: GraphXState, name: str, number: int, made: Any) -> None:
    run = state.runs.get(name)
    if run is not None and 0 < number <= len(run.iterations):
        each = run.iterations[number - 1]
        others = run.iterations[: number - 1], run.iterations[number:]
        changed = replace(each, **made(each))
        state.runs[name] = replace(run, iterations=(*others[0], changed, *others[1]))


def _measured(state: GraphXState, event: Any, data: Mapping[str, Any]) -> None:
    values = {**data, "vertex_parts": tuple(data["vertex_parts"]), "rdds": tuple(data["rdds"])}
    state.cuts[data["graph"]] = Cut(**values | {"edge_parts": tuple(map(tuple, data["edge_parts"]))})


def _started(state: GraphXState, event: Any, data: Mapping[str, Any]) -> None:
    state.running = data["run"]
    state.runs[data["run"]] = RunView(data["run"], data["graph"], event.time, data.get("most"))


def _iteration(state: GraphXState, event: Any, data: Mapping[str, Any]) -> None:
    run = state.runs.get(data["run"])
    if run is not None:
        state.running = run.name
        more = Iteration(data["iteration"], event.time)
        state.runs[run.name] = replace(run, iterations=(*run.iterations, more))


def _planned(state: GraphXState, event: Any, data: Mapping[str, Any]) -> None:
    _change(state, data["run"], data["iteration"], lambda each: {"rdds": tuple(data["rdds"])})


def _shipment(state: GraphXState, event: Any, data: Mapping[str, Any]) -> None:
    run = state.runs.get(state.running)
    if run is not None and run.iterations:
        state.shipments[data["shuffle"]] = run.name, len(run.iterations), data["what"]


def _finished(state: GraphXState, event: Any, data: Mapping[str, Any]) -> None:
    told = {name: data[name] for name in ("active", "edges", "touched", "received", "sent")}
    told["by_part"] = tuple(map(tuple, data["by_part"]))

    def changed(each: Iteration) -> dict[str, Any]:
        places = tuple(state.machine(each.rdds, part) for part in range(len(told["by_part"])))
        return {"end": event.time, "places": places, **told}

    _change(state, data["run"], data["iteration"], changed)


def _over(state: GraphXState, event: Any, data: Mapping[str, Any]) -> None:
    run = state.runs.get(data["run"])
    state.running = ""
    if run is not None:
        state.runs[run.name] = replace(
            run, end=event.time, why=data["why"], result=tuple(data["rdds"]) or None
        )


_HANDLERS = {
    "graph_measured": _measured,
    "run_started": _started,
    "iteration_started": _iteration,
    "iteration_planned": _planned,
    "shipment": _shipment,
    "iteration_finished": _finished,
    "run_finished": _over,
}
