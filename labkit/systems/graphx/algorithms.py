"""The algorithms that come with GraphX, written with its operators alone (§5).

What works on numbers is written over arrays; PageRank's lines are those of the paper's Listing 1 all the
same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from labkit.parts.graphs.pagerank import POWERGRAPH, VARIANTS, PageRankVariant
from labkit.parts.options import number, whole
from labkit.runtime.raised import short

from .edge_partition import checked_id
from .pregel import Loop, pregel
from .triplets import EdgeDirection, TripletFields, arrays

__all__ = [
    "connected_components", "label_propagation", "page_rank", "propagate", "shortest_paths",
    "static_page_rank", "strongly_connected_components", "triangle_count",
]  # fmt: skip

steps = whole(0, says="a whole number of iterations", write=20)
fraction = number(0, 1, says="the probability of beginning anew, from 0 to 1", write=0.15)

#: Larger than every id.
NOBODY = np.iinfo(np.int64).max


# --- PageRank ---------------------------------------------------------------------------------------------


def with_shares(graph: Any, first: Any) -> Any:
    """Edges have the part of their source's rank that they carry; vertices have ``first``."""
    degrees = graph.outerJoinVertices(graph.outDegrees, arrays(_number_or_0))
    shares = degrees.mapTriplets(arrays(lambda t: 1.0 / t.srcAttr), TripletFields(True, False, False))
    return shares.mapVertices(
        arrays(lambda ids, _: np.broadcast_to(np.array(first), (len(ids), *np.shape(first))))
    )


def _number_or_0(ids: Any, attrs: Any, there: Any, has: Any) -> Any:
    degrees = np.zeros(len(ids))
    degrees[has] = there
    return degrees


def static_page_rank(graph: Any, numIter: int, resetProb: float, variant: PageRankVariant | None) -> Any:
    """See ``Graph``."""
    if variant is None:
        name = f"{POWERGRAPH.name}, reset probability {fraction('resetProb', resetProb)}"
        variant = PageRankVariant(name, POWERGRAPH.source, 1.0 - resetProb, "one", "vertices")
    if not isinstance(variant, PageRankVariant):
        raise TypeError(
            f"variant={short(variant)}: give one of labkit.parts.graphs.pagerank.VARIANTS, which are "
            + ", ".join(each.name for each in VARIANTS)
        )
    loop = Loop(graph, "pageRank", steps("numIter", numIter), halts=False)
    if not variant.self_links:
        graph = graph.subgraph(arrays(lambda t: t.srcId != t.dstId))
    n = max(1, graph.numVertices)
    ranks = with_shares(graph, variant.initial(n))
    sinks = graph.vertices.minus(graph.outDegrees).cache() if variant.dangling == "redistributed" else None
    for _ in range(numIter):
        loop.begin()
        messages = ranks.aggregateMessages(arrays(_share), _sum, TripletFields(True, False, True))
        loop.round(ranks, messages)
        lost = (
            0.0
            if sinks is None
            else _total(ranks.vertices.innerJoin(sinks, arrays(lambda ids, here, _: here)))
        )
        ranks = ranks.outerJoinVertices(messages, arrays(_NextRank(variant, n, lost)))
    return loop.result(ranks, "the maximum")


def _share(t: Any) -> None:
    t.sendToDst(t.srcAttr * t.attr)


def _sum(a: Any, b: Any) -> Any:
    return a + b


class _NextRank:
    def __init__(self, variant: PageRankVariant, vertices: int, dangling: float) -> None:
        self.variant, self.vertices, self.dangling = variant, vertices, dangling

    def __call__(self, ids: Any, ranks: Any, there: Any, has: Any) -> Any:
        received = np.zeros(len(ids))
        received[has] = there
        return self.variant.rank(received, self.vertices, self.dangling)  # type: ignore[arg-type]


def _total(ranks: Any) -> float:
    return float(sum(ranks.ctx._execute(ranks.partitionsRDD, _sum_of_partition, "sum")))


def _sum_of_partition(index: int, records: Any) -> float:
    return float(sum(each.here.sum() for each in records if len(each)))


def page_rank(graph: Any, tol: float, resetProb: float) -> Any:
    """Ranks that changed by more than ``tol`` are told on, as in PageRank.scala: attributes are (rank,
    change)."""
    tol = number(0, says="the largest change that is not told on", write=0.001)("tol", tol)
    damping = 1.0 - fraction("resetProb", resetProb)

    def vprog(ids: Any, attrs: Any, sums: Any) -> Any:
        new = attrs[:, 0] + damping * sums
        return np.column_stack((new, new - attrs[:, 0]))

    def send(t: Any) -> None:
        change = t.srcAttr[:, 1]
        t.sendToDst(change * t.attr, where=change > tol)

    if damping == 0.0:
        return with_shares(graph, 1.0)
    ranks = pregel(
        with_shares(graph, (0.0, 0.0)), resetProb / damping, arrays(vprog), arrays(send), _sum, None,
        EdgeDirection.Out, "pageRank",
    )  # fmt: skip
    return ranks.mapVertices(arrays(lambda ids, attrs: attrs[:, 0]))


# --- components -------------------------------------------------------------------------------------------


def _smaller(ids: Any, attrs: Any, there: Any) -> Any:
    return np.minimum(attrs, there)


def connected_components(graph: Any, maxIterations: int | None) -> Any:
    """The smallest id spreads along the edges."""

    def send(t: Any) -> None:
        source, target = t.srcAttr, t.dstAttr
        t.sendToDst(source, where=source < target)
        t.sendToSrc(target, where=target < source)

    labelled = graph.mapVertices(arrays(lambda ids, _: ids))
    return pregel(
        labelled, NOBODY, arrays(_smaller), arrays(send), min, maxIterations, EdgeDirection.Either,
        "connectedComponents",
    )  # fmt: skip


def strongly_connected_components(graph: Any, numIter: int | None) -> Any:
    """In each round vertices get the smallest id that reaches them, their colour; who of a colour reaches the
    vertex of that id is in one component with it, and leaves the graph."""
    rounds = None if numIter is None else steps("numIter", numIter)
    result = graph.mapVertices(arrays(lambda ids, _: ids))
    rest, done = result, 0
    while rest.numVertices and (rounds is None or done < rounds):
        done += 1
        coloured = pregel(
            rest, NOBODY, arrays(_smaller), arrays(_told_if_smaller), min, None, EdgeDirection.Out, "colours"
        ).cache()  # fmt: skip
        same = coloured.subgraph(arrays(lambda t: t.srcAttr == t.dstAttr))
        roots = same.mapVertices(arrays(lambda ids, colours: ids == colours)).reverse()
        reached = pregel(
            roots, False, arrays(lambda ids, a, b: a | b), arrays(_told_if_true), max, None,
            EdgeDirection.Out, "roots",
        )  # fmt: skip
        found = reached.vertices.filter(arrays(lambda ids, here: here)).innerJoin(
            coloured.vertices, arrays(lambda ids, here, colours: colours)
        )
        result = result.joinVertices(found, arrays(lambda ids, here, colours: colours)).cache()
        result.vertices.count()
        left = coloured.outerJoinVertices(found, arrays(lambda ids, here, there, has: ~has))
        rest = (
            left.subgraph(vpred=arrays(lambda ids, here: here))
            .mapVertices(arrays(lambda ids, _: ids))
            .cache()
        )
    return result


def _told_if_smaller(t: Any) -> None:
    t.sendToDst(t.srcAttr, where=t.srcAttr < t.dstAttr)


def _told_if_true(t: Any) -> None:
    t.sendToDst(True, where=t.srcAttr & ~t.dstAttr)


# --- labels, triangles, paths -----------------------------------------------------------------------------


def label_propagation(graph: Any, maxSteps: int) -> Any:
    """See ``Graph``. Of labels that are as frequent the smallest wins."""
    return propagate(graph, steps("maxSteps", maxSteps), True)


def propagate(graph: Any, count: int, both: bool) -> Any:
    """Labels along the edges, or in both directions, so many times."""
    loop = Loop(graph, "labelPropagation", count)
    labelled = graph.mapVertices(arrays(lambda ids, _: ids))
    for _ in range(count):
        loop.begin()
        messages = labelled.aggregateMessages(_labels_to_both if both else _label_to_target, _added)
        if not loop.round(labelled, messages):
            return loop.result(labelled, "no messages")
        labelled = labelled.joinVertices(messages, _most_frequent)
    return loop.result(labelled, "the maximum")


def _label_to_target(t: Any) -> None:
    t.sendToDst(Counter((t.srcAttr,)))


def _labels_to_both(t: Any) -> None:
    t.sendToDst(Counter((t.srcAttr,)))
    t.sendToSrc(Counter((t.dstAttr,)))


def _added(a: Any, b: Any) -> Any:
    a.update(b)
    return a


def _most_frequent(vertex: int, label: int, counts: Any) -> int:
    return int(min(counts, key=lambda each: (-counts[each], each)))


def simple(graph: Any) -> Any:
    """The graph without loops, directions and parallel edges: each edge once, from the smaller to the larger
    id."""
    pairs = graph.edges.map(lambda edge: (min(edge[:2]), max(edge[:2]), 1)).filter(
        lambda edge: edge[0] != edge[1]
    )
    made = type(graph)(graph.vertices.mapValues(lambda attr: None), pairs)
    return made.partitionBy("CanonicalRandomVertexCut").groupEdges(max)


def triangle_count(graph: Any) -> Any:
    """The neighbours that both ends of an edge have make triangles with it."""
    one_way = simple(graph)
    ids = one_way.collectNeighborIds(EdgeDirection.Either).mapValues(frozenset)
    with_sets = one_way.outerJoinVertices(ids, lambda vertex, _, found: found)

    def common(t: Any) -> None:
        both = len(t.srcAttr & t.dstAttr)
        t.sendToSrc(both)
        t.sendToDst(both)

    counts = with_sets.aggregateMessages(common, _sum)
    return graph.outerJoinVertices(counts, lambda vertex, _, twice: (twice or 0) // 2)


def shortest_paths(graph: Any, landmarks: list[int]) -> Any:
    """As ShortestPaths.scala: what a vertex knows goes against the edges, one hop farther."""
    if not isinstance(landmarks, Iterable):
        raise TypeError(
            f"shortestPaths({short(landmarks)}): give a list of ids, shortestPaths([{short(landmarks)}])"
        )
    known = frozenset(map(checked_id, landmarks))

    def send(t: Any) -> list[tuple[int, Any]]:
        farther = {each: hops + 1 for each, hops in t.dstAttr.items()}
        return [] if _nearest(farther, t.srcAttr) == t.srcAttr else [(t.srcId, farther)]

    begun = graph.mapVertices(lambda vertex, _: {vertex: 0} if vertex in known else {})
    return pregel(
        begun, {}, lambda vertex, attr, told: _nearest(attr, told), send, _nearest, None, EdgeDirection.In,
        "shortestPaths",
    )  # fmt: skip


def _nearest(a: Any, b: Any) -> Any:
    return {each: min(a.get(each, NOBODY), b.get(each, NOBODY)) for each in sorted({**a, **b})}
