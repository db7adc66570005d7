"""Which of several machines gets what of a graph, and what that costs.

An *edge cut* gives each vertex to one machine; an edge between two machines is cut. A *vertex cut* gives each
edge to one machine; a vertex has a replica wherever it has an edge (PowerGraph, OSDI 2012, §5). Cuts are
arrays of part numbers 0 … parts-1: (n,) of vertices, (m,) of edges in the order of ``graph.targets``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labkit.parts.graphs.csr import Graph, Ints

__all__ = [
    "VERTEX_CUTS",
    "Greedy",
    "canonical",
    "coordinated",
    "cut_fraction",
    "edge_1d",
    "edge_2d",
    "expected_power_law",
    "expected_random",
    "hashed",
    "oblivious",
    "random_cut",
    "replicas",
    "replication_factor",
]

#: GraphX multiplies ids by it, so that neighbouring numbers do not meet (PartitionStrategy.scala).
MIXING_PRIME = np.uint64(1125899906842597)


# ── edge cuts ───────────────────────────────────────────────────────────────────────────────────────────────


def hashed(n: int, parts: int) -> Ints:
    """hash(ID) mod N, Pregel's default (§3): the part of each of n vertices. A number is its own hash."""
    _check(parts)
    return np.arange(n) % parts


def cut_fraction(graph: Graph, cut: Ints) -> float:
    """The part of the edges that join two machines; 1 - 1/p is expected of a random cut (Theorem 5.1)."""
    return float(np.mean(cut[graph.sources()] != cut[graph.targets])) if graph.m else 0.0


# ── vertex cuts ─────────────────────────────────────────────────────────────────────────────────────────────


def random_cut(graph: Graph, parts: int, seed: int = 0) -> Ints:
    """Each edge by a hash of both its ends, so that parallel edges stay together (§5.1; RandomVertexCut)."""
    _check(parts)
    return _pair(graph.sources(), graph.targets, parts, seed)


def canonical(graph: Graph, parts: int, seed: int = 0) -> Ints:
    """As ``random_cut``, but both directions of an edge come to one machine (CanonicalRandomVertexCut)."""
    _check(parts)
    u, v = graph.sources(), graph.targets
    return _pair(np.minimum(u, v), np.maximum(u, v), parts, seed)


def edge_1d(graph: Graph, parts: int) -> Ints:
    """By its source: all out-edges of a vertex on one machine (EdgePartition1D)."""
    _check(parts)
    return (_mixed(graph.sources()) % np.uint64(parts)).astype(np.int64)


def edge_2d(graph: Graph, parts: int) -> Ints:
    """By a square of machines, the source choosing the column and the target the row: at most 2·⌈√parts⌉ - 1
    replicas (EdgePartition2D). If parts is no square, the next larger one is folded back.
    """
    _check(parts)
    side = int(np.ceil(np.sqrt(parts)))
    column = _mixed(graph.sources()) % np.uint64(side)
    row = _mixed(graph.targets) % np.uint64(side)
    return ((column * np.uint64(side) + row) % np.uint64(parts)).astype(np.int64)


def coordinated(graph: Graph, parts: int, seed: int = 0) -> Ints:
    """Greedy (§5.2.1) with one table of replicas that all loaders share. The edges come in random order.

    On a small dense graph one machine may get several times its share: the rules ask for the load last.
    """
    _check(parts)
    order = np.random.default_rng(seed).permutation(graph.m)
    cut = np.empty(graph.m, dtype=np.int64)
    cut[order] = _greedy(graph, order, parts, rotate=0)
    return cut


def oblivious(graph: Graph, parts: int, seed: int = 0) -> Ints:
    """Greedy by as many loaders as parts, each of which knows only what it has itself placed."""
    _check(parts)
    order = np.random.default_rng(seed).permutation(graph.m)
    cut = np.empty(graph.m, dtype=np.int64)
    for loader, mine in enumerate(np.array_split(order, parts)):
        cut[mine] = _greedy(graph, mine, parts, rotate=loader)
    return cut


#: By the names that users choose them by.
VERTEX_CUTS: dict[str, Callable[[Graph, int], Ints]] = {
    "random": random_cut,
    "oblivious": oblivious,
    "coordinated": coordinated,
    "1d": edge_1d,
    "2d": edge_2d,
    "canonical": canonical,
}


class Greedy:
    """The greedy heuristic of one loader: what it knows of the replicas, and where its next edge goes.

    With A(v) the machines that have v: (1) one in both A(u) and A(v); (2) both have some, but none in common:
    one of the vertex with most unassigned edges; (3) only one has some: one of those; (4) none: any. Always
    the least loaded of those that may be.

    left: by vertex, its edges that are still to be placed. rotate: the machine that a loader whose table is
    empty takes first. held: by vertex A(v), a bit for each machine. load: by machine, its edges.
    """

    def __init__(self, parts: int, left: list[int], rotate: int = 0) -> None:
        self.held, self.left, self.load = [0] * len(left), left, [0] * parts
        self._everywhere = (1 << parts) - 1
        self._turns = [(rotate + i) % parts for i in range(parts)]

    def place(self, u: int, v: int) -> int:
        """The machine of the edge (u, v), which is noted."""
        held, left, load = self.held, self.left, self.load
        mine, other = held[u], held[v]
        if mine & other:
            may = mine & other
        elif mine and other:
            may = mine if left[u] >= left[v] else other
        else:
            may = mine or other or self._everywhere
        if may & (may - 1):
            chosen = min((i for i in self._turns if may >> i & 1), key=load.__getitem__)
        else:
            chosen = may.bit_length() - 1
        load[chosen] += 1
        held[u] |= 1 << chosen
        held[v] |= 1 << chosen
        left[u] -= 1
        left[v] -= 1
        return chosen


def _greedy(graph: Graph, order: Ints, parts: int, rotate: int) -> list[int]:
    """The machine of each edge, in that order, by one loader that knows the degrees in the whole graph."""
    place = Greedy(parts, (graph.out_degrees + graph.in_degrees).tolist(), rotate).place
    return [
        place(u, v)
        for u, v in zip(graph.sources()[order].tolist(), graph.targets[order].tolist(), strict=True)
    ]


# ── what a vertex cut costs ─────────────────────────────────────────────────────────────────────────────────


def replicas(graph: Graph, cut: Ints, parts: int) -> NDArray[np.bool_]:
    """(n, parts): whether the vertex has a replica there. One without edges has none."""
    there = np.zeros((graph.n, parts), dtype=bool)
    there[graph.sources(), cut] = True
    there[graph.targets, cut] = True
    return there


def replication_factor(graph: Graph, cut: Ints, parts: int) -> float:
    """Replicas of a vertex in the mean; one without edges counts as one (it has to be somewhere)."""
    counts = replicas(graph, cut, parts).sum(axis=1)
    return float(np.maximum(counts, 1).mean()) if graph.n else 0.0


def expected_random(degrees: ArrayLike, parts: int) -> float:
    """Theorem 5.2: the replication factor that a random vertex cut has in expectation. degrees: of all
    vertices, in and out together.
    """
    d = np.asarray(degrees, dtype=np.float64)
    return float(parts * np.mean(1.0 - (1.0 - 1.0 / parts) ** d))


def expected_power_law(alpha: float, n: int, parts: int) -> float:
    """Equation 5.6: the same where P(d) ∝ d^-alpha, d in 1 … n-1. Degrees are in and out together: where only
    the out-degrees follow the law it predicts too little.
    """
    d = np.arange(1, n, dtype=np.float64)
    chance = d**-alpha
    return float(parts * np.sum(chance * (1.0 - (1.0 - 1.0 / parts) ** d)) / chance.sum())


# ── hashing ─────────────────────────────────────────────────────────────────────────────────────────────────


def _check(parts: Any) -> None:
    if not isinstance(parts, (int, np.integer)) or parts < 1:
        raise ValueError(f"a graph is cut into at least one part, not {parts!r}")


def _mixed(vertices: NDArray[Any]) -> NDArray[np.uint64]:
    # As Scala's: a signed 64-bit product, and its absolute value.
    product = (vertices.astype(np.uint64) * MIXING_PRIME).view(np.int64)
    return np.abs(product).astype(np.uint64)


def _pair(u: NDArray[Any], v: NDArray[Any], parts: int, seed: int) -> Ints:
    """A hash of two numbers and a seed: two rounds of splitmix64."""
    mixed = _scramble(u.astype(np.uint64) + np.uint64(seed))
    return (_scramble(mixed ^ v.astype(np.uint64)) % np.uint64(parts)).astype(np.int64)


def _scramble(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
