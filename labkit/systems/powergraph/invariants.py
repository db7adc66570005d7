"""What must hold of every run, judged on its trace (SYSTEMS.md §14(f)); on both engines of the lab.

==============  =============================================================================================
EdgeOnce        each edge is on exactly one machine
SomeReplica     every vertex has a replica: |A(v)| >= 1
OneMaster       every vertex has exactly one master
MirrorsEqual    a mirror takes the values that its master has applied, in their order; at the end they agree
CachedIsFull    a cached accumulator is what a full gather would give
Exclusive       under Async+S no two adjacent vertices run at once
Serializable    under Async+S the logged versions make no circle of conflicts
ProperColours   no edge has two ends of one colour: at the end, and under Async+S after every run
==============  =============================================================================================

All but the first three need the runs of single vertices in the trace (``log=True``).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from labkit.parts.checks import Findings, whole
from labkit.parts.serializability import Conflict, Transaction, conflict_cycle
from labkit.runtime.cluster import Cluster

from .model import VertexProgram
from .options import SERIALIZABLE, SYNCHRONOUS
from .programs import Colouring

__all__ = ["Replay", "Report", "check", "conflicts"]


@dataclass
class Report(Findings):
    """What replaying a run found."""

    edges: int = 0  #: placed, in all epochs
    runs: int = 0  #: of vertices, that were logged
    accumulators: int = 0  #: cached ones, compared with a full gather
    #: Of what ran on the asynchronous engines: a circle of conflicts; None: it was serializable, or not
    #: logged.
    cycle: list[Conflict] | None = field(default=None)

    def __str__(self) -> str:
        return "\n".join(self.lines({"placed edge": self.edges, "run of vertices": self.runs}))


def conflicts(graph: Any, values: Mapping[int, Any]) -> list[tuple[int, int]]:
    """The edges whose ends have the same value, by numbers; loops left out."""
    pairs = zip(graph.sources().tolist(), graph.targets.tolist(), strict=True)
    return [(u, v) for u, v in pairs if u != v and u in values and values[u] == values.get(v)]


class Read(NamedTuple):
    """What conflicts are about: a vertex's value, in one epoch."""

    epoch: int
    vertex: int

    def __repr__(self) -> str:
        return f"vertex {self.vertex}"


class Replay:
    """Judges the events of one PowerGraph, in their order."""

    def __init__(self, name: str, graph: Any, program: VertexProgram) -> None:
        self.prefix, self.graph, self.program = f"{name}-", graph, program
        self.report = Report()
        self.colouring = isinstance(program, Colouring)
        self.neighbours: dict[int, set[int]] = {}
        for u, v in (
            zip(graph.sources().tolist(), graph.targets.tolist(), strict=True) if graph.n < 10_000 else ()
        ):
            if u != v:
                self.neighbours.setdefault(u, set()).add(v)
                self.neighbours.setdefault(v, set()).add(u)
        self.epoch, self.engine, self.edges = 0, SYNCHRONOUS, 0
        self.running: dict[int, str] = {}  #: vertex: the machine of its master
        self.transactions: list[Transaction] = []
        self.serializable: list[Transaction] = []

    def apply(self, event: Any) -> None:
        if event.kind in ("killed", "machine_died"):  # what it ran is over, and it may not have told so
            self.running = {vertex: home for vertex, home in self.running.items() if home != event.machine}
        own = event.node is not None and event.node.startswith(self.prefix)
        # A machine that was cut off may still tell of an epoch that is over.
        if own and (event.kind == "epoch_began" or event.data.get("epoch", self.epoch) == self.epoch):
            handler = getattr(self, f"on_{event.kind}", None)
            if handler is not None:
                handler(event, event.data)

    def on_epoch_began(self, event: Any, data: Any) -> None:
        self.epoch, self.members, self.engine = data["epoch"], len(data["members"]), data["engine"]
        self.edges = data["edges"]
        self.parts: list[Any] = []
        self.values: dict[int, Any] = {}
        self.applied: dict[tuple[int, int], Any] = {}  #: vertex, version: value
        self.taken: dict[tuple[str, int], int] = {}  #: node, vertex: version
        self.running = {}
        self.states: list[Any] = []

    # loading ------------------------------------------------------------

    def on_loaded(self, event: Any, data: Any) -> None:
        self.parts.append(data)
        if len(self.parts) < self.members:
            return
        self.report.edges += self.edges
        edges, masters = (sum(part[what] for part in self.parts) for what in ("edges", "masters"))
        if edges != self.edges:
            self.report.broken(event, "EdgeOnce", f"{edges} edges were placed, of {self.edges}")
        if masters != self.graph.n:
            self.report.broken(event, "OneMaster", f"{masters} masters for {self.graph.n} vertices")
        if any(part["gids"] is None for part in self.parts):
            return
        self._each_once(event, "EdgeOnce", "edge", (part["eids"] for part in self.parts))
        self._each_once(event, "OneMaster", "vertex", (part["mastered"] for part in self.parts))
        there = set().union(*(part["gids"] for part in self.parts))
        if missing := sorted(set(range(self.graph.n)) - there):
            self.report.broken(event, "SomeReplica", f"vertices {missing[:5]} have no replica")

    def _each_once(self, event: Any, what: str, noun: str, lists: Iterable[list[int]]) -> None:
        counts = Counter(number for each in lists for number in each)
        if several := sorted(number for number, count in counts.items() if count > 1):
            self.report.broken(event, what, f"{noun} {several[0]} is on {counts[several[0]]} machines")

    # running ------------------------------------------------------------

    def on_performed(self, event: Any, data: Any) -> None:
        if data["what"] == "engine":
            self.engine = data["value"]

    def on_vertex_gathers(self, event: Any, data: Any) -> None:
        vertex = data["vertex"]
        if self.engine == SERIALIZABLE:
            for other in sorted(self.neighbours.get(vertex, set()) & self.running.keys()):
                self.report.broken(event, "Exclusive", f"{vertex} runs while its neighbour {other} does")
        self.running[vertex] = event.machine

    def on_vertex_ended(self, event: Any, data: Any) -> None:
        self.running.pop(data["vertex"], None)

    def on_vertex_applied(self, event: Any, data: Any) -> None:
        vertex, version, value = data["vertex"], data["version"], data["value"]
        self.report.runs += 1
        self.applied[vertex, version] = self.values[vertex] = value
        if self.engine == SYNCHRONOUS:
            return
        epoch, again = self.epoch, f" in epoch {self.epoch}" if self.epoch > 1 else ""
        transaction = Transaction(
            f"run {version} of vertex {vertex}{again}",
            reads={Read(epoch, item): read for item, read in data["reads"].items()},
            writes={Read(epoch, vertex): version},
        )  # fmt: skip
        self.transactions.append(transaction)
        if self.engine == SERIALIZABLE:
            self.serializable.append(transaction)
            for other in sorted(self.neighbours.get(vertex, ())) if self.colouring else ():
                if self.values.get(other) == value:
                    self.report.broken(event, "ProperColours", f"{vertex} takes {value}, as {other} has")

    def on_mirror_updated(self, event: Any, data: Any) -> None:
        vertex, version = data["vertex"], data["version"]
        before = self.taken.get((event.node, vertex))
        self.taken[event.node, vertex] = version
        if before is not None and version != before + 1:
            self.report.broken(
                event, "MirrorsEqual", f"{event.node} takes version {version} of {vertex} after {before}"
            )
        if not _equal(self.applied.get((vertex, version), data["value"]), data["value"]):
            self.report.broken(
                event, "MirrorsEqual",
                f"{event.node} has {data['value']} for {vertex}, whose master applied "
                f"{self.applied[vertex, version]}",
            )  # fmt: skip

    # the end ------------------------------------------------------------

    def on_machine_done(self, event: Any, data: Any) -> None:
        self.states.append(data["state"])
        if len(self.states) == self.members and all(self.states):
            self._judge_state(event)

    def _judge_state(self, event: Any) -> None:
        values: dict[int, Any] = {}
        for state in self.states:
            for gid, value in state["values"].items():
                if not _equal(values.setdefault(gid, value), value):
                    self.report.broken(
                        event, "MirrorsEqual", f"replicas of {gid} have {values[gid]} and {value}"
                    )
            for gid, (acc, full) in state["cached"].items():
                self.report.accumulators += 1
                if not _equal(acc, full, nearly=True):
                    self.report.broken(
                        event,
                        "CachedIsFull",
                        f"the accumulator of {gid} is {acc}, a full gather gives {full}",
                    )
        for u, v in conflicts(self.graph, values)[:5] if self.colouring else ():
            self.report.broken(event, "ProperColours", f"{u} and {v} are both {values[u]}")

    def on_finished(self, event: Any, data: Any) -> None:
        self.report.cycle = conflict_cycle(self.transactions)
        if cycle := conflict_cycle(self.serializable):
            self.report.broken(event, "Serializable", "; ".join(map(str, cycle[:4])))


def _equal(a: Any, b: Any, nearly: bool = False) -> bool:
    """Also NaN and NaN, and arrays. nearly: for sums, which depend on their order."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.shape(a) == np.shape(b) and _equal(np.ravel(a).tolist(), np.ravel(b).tolist(), nearly)
    if isinstance(a, (tuple, list)) and isinstance(b, (tuple, list)):
        return len(a) == len(b) and all(map(_equal, a, b, [nearly] * len(a)))
    if isinstance(a, float) and isinstance(b, float):
        close = nearly and math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9)
        return a == b or close or (a != a and b != b)
    return bool(a == b)


def check(cluster: Cluster, name: str, graph: Any, program: VertexProgram) -> Report:
    """The report on a run. Raises ``LabError`` if the trace has forgotten its beginning."""
    replay = Replay(name, graph, program)
    for event in whole(cluster):
        replay.apply(event)
    return replay.report
