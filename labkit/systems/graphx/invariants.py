"""What must hold (SYSTEMS.md §15(f)), judged on the trace and on the graphs that still exist.

==============  ==============================================================================================
ExactJoin       a replica that the edges hold is equal to its vertex, and every end of an edge is a vertex
Routed          the routing table names exactly the vertices that an edge partition has
InPlace         an edge is in the partition that its graph's strategy says
ReplicaBound    no vertex is in more edge partitions than the strategy allows (2D: 2⌈√p⌉)
Subgraph        a subgraph has what satisfies the predicates, all of it, and nothing else
MaskOfBoth      what ``mask`` leaves is in both graphs
EndsRight       a loop goes on while there are messages, up to its maximum
==============  ==============================================================================================

Spark's own invariants are judged as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from labkit.parts.checks import Findings, Violation, whole

from .columns import changed
from .edge_partition import EdgePartition, on_sides
from .strategies import STRATEGIES
from .triplets import Arrays
from .vertex_partition import VertexPartition

__all__ = ["Report", "check_graphs", "judge"]

#: Graphs with more edges than this are not looked at: they would have to be brought here.
LARGEST = 100_000

Wrong = Callable[[str, str], None]


@dataclass
class Report(Findings):
    """What was found."""

    graphs: int = 0
    runs: int = 0
    iterations: int = 0
    too_large: list[int] = field(default_factory=list)  #: graphs that were not judged

    def __str__(self) -> str:
        judged = {"graph": self.graphs, "loop": self.runs, "iteration": self.iterations}
        return "\n".join(self.lines(judged))


def check_graphs(sc: Any, name: str, graphs: list[Any]) -> Report:
    """The report on a context's graphs. name: of the node that tells of them."""
    report = Report(list(sc.check().violations))
    _Loops(report, name).judge(whole(sc.cluster))
    now = sc.cluster.now
    for graph in sorted(graphs, key=lambda each: each.number):
        if sum(_partitions(graph.edges.partitionsRDD, _length)) > LARGEST:
            report.too_large.append(graph.number)
            continue
        report.graphs += 1
        for what, detail in judge(graph):
            report.violations.append(Violation(now, what, f"graph {graph.number}: {detail}"))
    return report


# -- loops, from the trace ---------------------------------------------------------------------------------


class _Loops:
    def __init__(self, report: Report, name: str) -> None:
        self.report, self.name = report, name
        self.active: dict[str, list[int]] = {}
        self.most: dict[str, int | None] = {}
        self.halts: dict[str, bool] = {}

    def judge(self, events: Iterable[Any]) -> None:
        for event in events:
            handler = getattr(self, f"on_{event.kind}", None)
            if handler is not None and event.node == self.name:
                handler(event, event.data)

    def on_run_started(self, event: Any, data: Any) -> None:
        self.report.runs += 1
        run = data["run"]
        self.active[run], self.most[run], self.halts[run] = [], data["most"], data["halts"]

    def on_iteration_started(self, event: Any, data: Any) -> None:
        done = self.active[data["run"]]
        if self.halts[data["run"]] and done and not done[-1]:
            self.report.broken(
                event, "EndsRight", f"{data['run']} goes on after an iteration without messages"
            )

    def on_iteration_finished(self, event: Any, data: Any) -> None:
        self.report.iterations += 1
        self.active[data["run"]].append(data["active"])

    def on_run_finished(self, event: Any, data: Any) -> None:
        run, done = data["run"], self.active[data["run"]]
        if data["why"] == "no messages" and (not done or done[-1]):
            self.report.broken(
                event, "EndsRight", f"{run} ended with {done[-1:]} vertices that have messages"
            )
        if data["why"] == "the maximum" and self.most[run] is not None and len(done) != self.most[run]:
            self.report.broken(
                event, "EndsRight", f"{run} ended after {len(done)} of {self.most[run]} iterations"
            )


# -- graphs ------------------------------------------------------------------------------------------------


def judge(graph: Any) -> list[tuple[str, str]]:
    """What is wrong with a graph: rules and details. Its partitions are brought here."""
    found: list[tuple[str, str]] = []

    def wrong(what: str, detail: str) -> None:
        found.append((what, detail))

    vertices = _partitions(graph.vertices.partitionsRDD, _only)
    view = graph._view
    edges = _partitions(view.edges, _only)
    shipped = vertices if view.of in (None, graph.vertices) else _partitions(view.of.partitionsRDD, _only)
    _ends(vertices, edges, wrong)
    for home, part in enumerate(shipped):
        _routed(home, part, edges, wrong)
        if view.of is not None:
            _joined(home, part, edges, len(vertices), view.sides, wrong)
    _placed(graph, edges, wrong)
    kind, parent, *more = graph._origin or ("", None)
    if found:  # it could not even be computed with
        return found
    if kind == "subgraph":
        _subgraph(graph, parent, *more, wrong)
    elif kind == "mask":
        _masked(graph, parent, more[0], wrong)
    return found


def _partitions(rdd: Any, function: Any) -> list[Any]:
    found: list[Any] = rdd.ctx._execute(rdd, function, "check")
    return found


def _only(index: int, records: Iterable[Any]) -> Any:
    (only,) = records
    return only


def _length(index: int, records: Iterable[Any]) -> int:
    return sum(map(len, records))


def _ends(vertices: list[VertexPartition], edges: list[EdgePartition], wrong: Wrong) -> None:
    there = np.concatenate([part.ids for part in vertices])
    for p, part in enumerate(edges):
        for ids in (part.src_ids, part.dst_ids):
            if len(lost := ids[~np.isin(ids, there)]):
                wrong("ExactJoin", f"edge partition {p} has an edge of {int(lost[0])}, which is no vertex")


def _routed(home: int, vertices: VertexPartition, edges: list[EdgePartition], wrong: Wrong) -> None:
    for p, (route, part) in enumerate(zip(vertices.index.routes, edges, strict=True)):
        here = part.mirrors.ids[
            part.mirrors.ids % len(edges) == home
        ]  # as many vertex partitions as of edges
        told = vertices.index.ids[route.places]
        if not np.array_equal(told, here):
            odd = np.setxor1d(told, here)
            wrong(
                "Routed", f"edge partition {p} and the routing table of {home} disagree on {odd[:3].tolist()}"
            )


def _joined(
    home: int, vertices: VertexPartition, edges: list[EdgePartition], homes: int, sides: Any, wrong: Wrong
) -> None:
    for p, part in enumerate(edges):
        ends = np.zeros(len(part.ids), bool)  # only what edges still name must be right
        ends[part.source] |= sides[0]
        ends[part.target] |= sides[1]
        local = np.flatnonzero(ends & (part.ids % homes == home) & on_sides(*_flags(part), sides))
        places = np.searchsorted(vertices.index.ids, part.ids[local])
        if not len(local):
            continue
        if not len(part.values):
            wrong("ExactJoin", f"edge partition {p} has no attribute of {int(part.ids[local[0]])}")
            continue
        bad = changed(vertices.values[places], part.values[local])
        if bad.any() and _really(vertices.values[places], part.values[local], bad):
            wrong(
                "ExactJoin",
                f"the replica of vertex {int(part.ids[local[bad][0]])} in edge partition {p} is another",
            )


def _flags(part: EdgePartition) -> tuple[np.ndarray, np.ndarray]:
    return part.mirrors.is_source, part.mirrors.is_target


def _really(there: np.ndarray, here: np.ndarray, bad: np.ndarray) -> bool:
    """What cannot be compared, such as nan, is equal if it reads the same."""
    return any(repr(a) != repr(b) for a, b in zip(there[bad].tolist(), here[bad].tolist(), strict=True))


def _placed(graph: Any, edges: list[EdgePartition], wrong: Wrong) -> None:
    strategy = STRATEGIES.get(graph._strategy)
    if strategy is None or graph._placement != (strategy.name, len(edges)):
        return  # as given, or reversed
    for p, part in enumerate(edges):
        where = strategy.parts(part.src_ids, part.dst_ids, len(edges))
        if len(odd := np.flatnonzero(where != p)):
            edge = int(part.src_ids[odd[0]]), int(part.dst_ids[odd[0]])
            wrong("InPlace", f"the edge {edge} is in partition {p}, and {strategy} says {int(where[odd[0]])}")
    ends = [np.unique(np.concatenate((part.src_ids, part.dst_ids))) for part in edges]
    ids, counts = np.unique(np.concatenate(ends), return_counts=True)
    if len(ids) and counts.max() > strategy.bound(len(edges)):
        worst = int(ids[counts.argmax()])
        wrong("ReplicaBound", f"vertex {worst} is in {counts.max()} of {len(edges)} edge partitions")


def _subgraph(graph: Any, parent: Any, epred: Any, vpred: Any, wrong: Wrong) -> None:
    if isinstance(epred, Arrays) or isinstance(vpred, Arrays):
        return
    before = dict(parent.vertices.collect())
    there = {vertex for vertex, attr in before.items() if vpred is None or vpred(vertex, attr)}
    if there != set(graph.vertices.keys().collect()):
        wrong("Subgraph", "its vertices are not those for which vpred is true")
    triplets = [t for t in parent.triplets.collect() if t.srcId in there and t.dstId in there]
    right = sorted((t.srcId, t.dstId) for t in triplets if epred is None or epred(t))
    if right != sorted(edge[:2] for edge in graph.edges.collect()):
        wrong("Subgraph", "its edges are not those for which epred is true and both ends are there")


def _masked(graph: Any, parent: Any, other: Any, wrong: Wrong) -> None:
    for name in ("vertices", "edges"):
        left, *both = (
            {(each[0] if name == "vertices" else each[:2]) for each in getattr(one, name).collect()}
            for one in (graph, parent, other)
        )
        if not left <= both[0] & both[1]:
            wrong("MaskOfBoth", f"{name} that are not in both: {sorted(left - (both[0] & both[1]))[:3]}")
