"""The routing tables (§4.2): which vertices each edge partition has, told to where the vertices live.

A table is made by one shuffle when a graph's edges are placed, and computed when it is first needed. It stays
right for all graphs made from this one, since those have the same mirrors or fewer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from labkit.systems.spark import RDD

from .edge_partition import EdgePartition
from .rdds import VertexRDD, ZippedRDD, shuffled
from .replicated import each_of
from .vertex_partition import VertexArrays, VertexPartition, indexed, placed, routed

__all__ = ["Reversed", "measured", "routed_vertices"]


def routed_vertices(vertices: RDD, edges: RDD, default: Any) -> VertexRDD:
    """The vertices with a routing table for these edge partitions, and with those that only edges name."""
    count = edges.getNumPartitions()
    told = ZippedRDD([edges], _Tell(count))._pipe(each_of).setName("routing table")
    pairs = VertexRDD.of(vertices, count).partitionsRDD
    made = ZippedRDD([pairs, shuffled(told, count)], _Routed(count, default))
    return VertexRDD(made.setName("vertices"))


class _Tell:
    """Each edge partition tells each vertex partition which of its vertices it has."""

    def __init__(self, homes: int) -> None:
        self.homes = homes

    def __call__(self, p: int, mine: list[EdgePartition]) -> list[Any]:
        mirrors = mine[0].mirrors
        return [(home, (p, routed(mirrors, home, self.homes))) for home in range(self.homes)]


class _Routed:
    """A vertex partition with what the edge partitions have told it."""

    def __init__(self, parts: int, default: Any) -> None:
        self.parts, self.default = parts, default

    def __call__(self, p: int, mine: list[VertexPartition], arrived: list[Any]) -> VertexPartition:
        (only,) = mine
        told = [each for _, each in arrived]
        named = np.concatenate([np.empty(0, np.int64), *(ids for _, (ids, *_) in told)])
        if np.isin(named, only.ids).all():  # the index is good as it is
            return replace(only, index=indexed(only.index.ids, told, self.parts), notes=())
        return placed(VertexArrays(only.ids, only.here), told, self.parts, self.default)


class Reversed:
    """A vertex partition of the graph with all edges reversed."""

    def __call__(self, p: int, mine: list[VertexPartition]) -> VertexPartition:
        return replace(mine[0], index=mine[0].index.reversed())


def measured(graph: Any) -> dict[str, Any]:
    """How a graph is cut, told to the trace. Replication is the average over the vertices that have edges."""
    ctx = graph.ctx
    vertices = ctx._execute(graph.vertices.partitionsRDD, _of_vertices, "measure")
    edges = ctx._execute(graph.edges.partitionsRDD, _of_edges, "measure")
    replicas, with_edges = (sum(each[k] for each in vertices) for k in (1, 2))
    found = {
        "graph": graph.number, "strategy": graph._strategy or "as given",
        "vertices": sum(each[0] for each in vertices), "edges": sum(each[0] for each in edges),
        "replication": replicas / max(1, with_edges), "most": max(each[3] for each in vertices),
        "vertex_parts": [each[0] for each in vertices], "edge_parts": edges,
        "rdds": [graph.vertices.partitionsRDD.id(), graph.edges.partitionsRDD.id()],
    }  # fmt: skip
    graph._settings.tell("graph_measured", **found)
    return found


def _of_vertices(index: int, records: Iterable[VertexPartition]) -> tuple[int, int, int, int]:
    """Vertices; their replicas; those that have any; the most of one."""
    (only,) = records
    found = np.zeros(len(only.mask), np.int64)
    for route in only.index.routes:
        found[route.places] += 1
    return len(only), int(found.sum()), int(np.count_nonzero(found)), int(found.max(initial=0))


def _of_edges(index: int, records: Iterable[EdgePartition]) -> tuple[int, int]:
    """Edges, and replicas of vertices."""
    (only,) = records
    return len(only), len(only.ids)
