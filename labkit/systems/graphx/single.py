"""Graphs on one thread: dictionaries and lists, as the definitions read (§3). The oracle of the tests.

``labkit.parts.graphs.oracles`` has the algorithms; here are the operators. The same program also runs on one
thread as it is, on a ``SingleContext`` of Spark's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

__all__ = ["LocalGraph", "Row"]


class Row(NamedTuple):
    """A triplet: a row of the join of edges and vertices."""

    srcId: int
    dstId: int
    srcAttr: Any
    dstAttr: Any
    attr: Any


class LocalGraph:
    """vertices: (id, attribute) pairs, the first of an id counts; edges: (srcId, dstId, attribute)."""

    def __init__(
        self, vertices: Iterable[tuple[int, Any]], edges: Iterable[tuple[int, int, Any]], default: Any = None
    ) -> None:
        self.edges = [tuple(edge) for edge in edges]
        self.vertices: dict[int, Any] = {}
        for vertex, attr in vertices:
            self.vertices.setdefault(vertex, attr)
        for source, target, _ in self.edges:
            self.vertices.setdefault(source, default)
            self.vertices.setdefault(target, default)

    def triplets(self) -> list[Row]:
        """SELECT … FROM edges JOIN vertices AS source JOIN vertices AS target."""
        return [Row(s, t, self.vertices[s], self.vertices[t], attr) for s, t, attr in self.edges]

    def aggregate(
        self, send: Callable[[Row], Iterable[tuple[int, Any]]], merge: Callable[[Any, Any], Any],
        rows: Iterable[Row] | None = None,
    ) -> dict[int, Any]:  # fmt: skip
        """SELECT vertex, merge(message) FROM (SELECT send(triplet) FROM triplets) GROUP BY vertex."""
        found: dict[int, Any] = {}
        for row in self.triplets() if rows is None else rows:
            for vertex, message in send(row):
                found[vertex] = merge(found[vertex], message) if vertex in found else message
        return found

    def pregel(
        self, first: Any, vprog: Callable[..., Any], send: Callable[[Row], Any], merge: Callable[..., Any],
        most: int | None = None,
    ) -> dict[int, Any]:  # fmt: skip
        """Attributes at the end; edges of which either end had a message are looked at."""
        graph = LocalGraph([(v, vprog(v, attr, first)) for v, attr in self.vertices.items()], self.edges)
        messages, done = graph.aggregate(send, merge), 0
        while messages and (most is None or done < most):
            done += 1
            for vertex, message in messages.items():
                graph.vertices[vertex] = vprog(vertex, graph.vertices[vertex], message)
            rows = [row for row in graph.triplets() if row.srcId in messages or row.dstId in messages]
            messages = graph.aggregate(send, merge, rows)
        return graph.vertices

    def subgraph(self, epred: Callable[[Row], bool], vpred: Callable[[int, Any], bool]) -> LocalGraph:
        """Vertices and edges for which the predicates hold; an edge needs both its ends."""
        there = {v: attr for v, attr in self.vertices.items() if vpred(v, attr)}
        rows = [row for row in self.triplets() if row.srcId in there and row.dstId in there and epred(row)]
        return LocalGraph(there.items(), [(row.srcId, row.dstId, row.attr) for row in rows])
