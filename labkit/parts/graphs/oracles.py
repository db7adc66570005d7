"""The six algorithms of LDBC Graphalytics on one thread, by its definitions (specification, chapter 2).

They are what the engines' answers are compared with. Each returns one value per vertex, (n,). Parallel edges
count as often as they are there, but for ``lcc``, which speaks of sets of neighbours.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter, deque

import numpy as np
from numpy.typing import NDArray

from labkit.parts.graphs.csr import Graph, Ints
from labkit.parts.graphs.pagerank import GRAPHALYTICS, PageRankVariant

__all__ = ["FAR", "bfs", "cdlp", "lcc", "pagerank", "sssp", "wcc"]

Floats = NDArray[np.float64]

#: BFS's depth of a vertex that is not reached: the largest 64-bit integer.
FAR = np.iinfo(np.int64).max


def bfs(graph: Graph, source: int) -> Ints:
    """Edges on the shortest way from the source; ``FAR`` where there is none."""
    source = _vertex(graph, source)
    depth = np.full(graph.n, FAR, dtype=np.int64)
    depth[source] = 0
    waiting = deque([source])
    while waiting:
        v = waiting.popleft()
        for w in graph.out(v).tolist():
            if depth[w] == FAR:
                depth[w] = depth[v] + 1
                waiting.append(w)
    return depth


def pagerank(graph: Graph, iterations: int, variant: PageRankVariant = GRAPHALYTICS) -> Floats:
    """Of any definition, over arrays; ``PageRankVariant.solve`` is the same in plain Python."""
    n = graph.n
    if not n:
        return np.zeros(0)
    u, v = graph.sources(), graph.targets
    if not variant.self_links:
        keep = u != v
        u, v = u[keep], v[keep]
    degrees = np.bincount(u, minlength=n)
    dangling = degrees == 0
    ranks = np.full(n, variant.initial(n))
    for _ in range(iterations):
        shares = ranks / np.maximum(degrees, 1)
        received = np.bincount(v, weights=shares[u], minlength=n).astype(np.float64)
        lost = float(ranks[dangling].sum())
        if variant.dangling == "redistributed":
            received = received + lost / n
        ranks = variant.reset(n) + variant.damping * received
    return ranks


def wcc(graph: Graph) -> Ints:
    """The least vertex of each vertex's weakly connected component."""
    parent = list(range(graph.n))

    def root(v: int) -> int:
        while parent[v] != v:
            parent[v] = parent[parent[v]]
            v = parent[v]
        return v

    for u, v in zip(graph.sources().tolist(), graph.targets.tolist(), strict=True):
        a, b = root(u), root(v)
        if a != b:
            parent[max(a, b)] = min(a, b)
    return np.array([root(v) for v in range(graph.n)], dtype=np.int64)


def cdlp(graph: Graph, iterations: int) -> Ints:
    """Community detection by label propagation, all vertices at once: the most frequent label among the
    neighbours (of a directed graph in- and out-neighbours, one that is both counts twice), of several the
    smallest.
    """
    back = graph.reversed() if graph.directed else None
    labels = list(range(graph.n))
    for _ in range(iterations):
        following = []
        for v in range(graph.n):
            counts = Counter(labels[w] for w in graph.out(v).tolist())
            if back is not None:
                counts.update(labels[w] for w in back.out(v).tolist())
            following.append(min(counts, key=lambda label: (-counts[label], label)) if counts else labels[v])
        labels = following
    return np.array(labels, dtype=np.int64)


def lcc(graph: Graph) -> Floats:
    """Local clustering coefficient: of all pairs (a, b) of different neighbours, the part that an edge a → b
    joins; 0 with fewer than two neighbours. Of a directed graph, in- and out-neighbours are neighbours.
    """
    to: list[set[int]] = [set(graph.out(v).tolist()) - {v} for v in range(graph.n)]
    around: list[set[int]] = [set(each) for each in to]
    for v, others in enumerate(to):
        for w in others:
            around[w].add(v)
    found = np.zeros(graph.n)
    for v, near in enumerate(around):
        if len(near) > 1:
            found[v] = sum(len(to[w] & near) for w in near) / (len(near) * (len(near) - 1))
    return found


def sssp(graph: Graph, source: int) -> Floats:
    """The least sum of weights on a way from the source (Dijkstra); inf where there is none. An edge of a
    graph without weights weighs 1.
    """
    if graph.weights is not None and len(graph.weights) and not graph.weights.min() >= 0:
        raise ValueError(f"weights are at least 0, and one is {graph.weights.min()}")
    source = _vertex(graph, source)
    distance = [math.inf] * graph.n
    distance[source] = 0.0
    heap = [(0.0, source)]
    while heap:
        d, v = heapq.heappop(heap)
        if d > distance[v]:
            continue
        for w, weight in zip(graph.out(v).tolist(), graph.out_weights(v).tolist(), strict=True):
            if d + weight < distance[w]:
                distance[w] = d + weight
                heapq.heappush(heap, (d + weight, w))
    return np.array(distance)


def _vertex(graph: Graph, source: int) -> int:
    if not isinstance(source, (int, np.integer)) or isinstance(source, bool) or not 0 <= source < graph.n:
        raise ValueError(
            f"source={source!r:.60}: vertices are numbers from 0 to {graph.n - 1}; of one with a name write "
            "source=graph.index(name)"
        )
    return int(source)
