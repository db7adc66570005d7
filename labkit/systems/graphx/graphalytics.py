"""The six algorithms of LDBC Graphalytics, by its definitions, on property graphs.

An undirected graph has each edge in both directions. Each function gives a graph whose vertices have the
answer; ``labkit.parts.graphs.oracles`` has the same on one thread.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from labkit.parts.graphs.pagerank import GRAPHALYTICS, PageRankVariant
from labkit.runtime.raised import short

from .algorithms import NOBODY, connected_components, propagate, simple, static_page_rank, steps
from .edge_partition import checked_id
from .pregel import pregel
from .triplets import EdgeDirection, arrays

__all__ = ["bfs", "cdlp", "lcc", "pagerank", "sssp", "wcc"]


def bfs(graph: Any, source: int) -> Any:
    """Edges on the shortest way from a vertex; 2⁶³-1 where there is none."""

    def send(t: Any) -> None:
        known, target = t.srcAttr != NOBODY, t.dstAttr
        t.sendToDst(np.where(known, t.srcAttr, 0) + 1, where=known & (t.srcAttr < target - 1))

    return pregel(
        graph.mapVertices(arrays(_Begin(source, 0, int(NOBODY)))), int(NOBODY), arrays(_least), arrays(send),
        min, None, EdgeDirection.Out, "bfs",
    )  # fmt: skip


def pagerank(graph: Any, iterations: int, variant: PageRankVariant = GRAPHALYTICS) -> Any:
    """Ranks that sum to 1; those of vertices without edges out are shared by all."""
    return static_page_rank(graph, iterations, 0.15, variant)


def wcc(graph: Any) -> Any:
    """The smallest id of the weakly connected component."""
    return connected_components(graph, None)


def cdlp(graph: Any, iterations: int, directed: bool = True) -> Any:
    """Labels after so many rounds; of a directed graph, edges in both directions count."""
    return propagate(graph, steps("iterations", iterations), directed)


def lcc(graph: Any) -> Any:
    """Of all pairs of different neighbours, the part that an edge joins.

    Vertices get their neighbours, in either direction, and the targets of their edges, as sets. For each pair
    of neighbours, each tells the other how many edges of its own lead to neighbours that they have in
    common."""
    around = graph.collectNeighborIds(EdgeDirection.Either).mapValues(frozenset)
    to = graph.collectNeighborIds(EdgeDirection.Out).mapValues(frozenset)
    sets = around.leftJoin(to, lambda vertex, near, out: (near - {vertex}, out - {vertex}))
    pairs = simple(graph).outerJoinVertices(sets, lambda vertex, _, both: both)

    def tell(t: Any) -> None:
        (near_source, out_source), (near_target, out_target) = t.srcAttr, t.dstAttr
        t.sendToSrc(len(out_target & near_source))
        t.sendToDst(len(out_source & near_target))

    found = pairs.aggregateMessages(tell, lambda a, b: a + b)
    with_counts = graph.vertices.leftJoin(sets, lambda vertex, _, both: len(both[0]))
    ratios = with_counts.leftJoin(
        found, lambda vertex, near, edges: (edges or 0) / (near * (near - 1)) if near > 1 else 0.0
    )
    return graph.outerJoinVertices(ratios, lambda vertex, _, ratio: ratio)


def sssp(graph: Any, source: int) -> Any:
    """The least sum of the edges' attributes on a way from a vertex; inf where there is none."""

    def send(t: Any) -> None:
        if t.attr.dtype == object:
            for each in t.attr:
                if not isinstance(each, (int, float)):
                    raise TypeError(
                        f"sssp() adds up the attributes of edges, and that of one is {short(each)}: write "
                        "numbers, graph.mapEdges(lambda edge: 1.0)"
                    )
        distance = t.srcAttr + t.attr
        t.sendToDst(distance, where=distance < t.dstAttr)

    return pregel(
        graph.mapVertices(arrays(_Begin(source, 0.0, float("inf")))), float("inf"), arrays(_least),
        arrays(send), min, None, EdgeDirection.Out, "sssp",
    )  # fmt: skip


def _least(ids: Any, attrs: Any, there: Any) -> Any:
    return np.minimum(attrs, there)


class _Begin:
    """One value for the source, and another for everybody else."""

    def __init__(self, source: int, here: Any, elsewhere: Any) -> None:
        self.source, self.here, self.elsewhere = checked_id(source), here, elsewhere

    def __call__(self, ids: Any, attrs: Any) -> Any:
        return np.where(ids == self.source, self.here, self.elsewhere)
