"""The vertex programs of Fig. 3, and two more. Each names the variant that it computes."""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from labkit.parts.options import number, probability, whole

from .model import ALL, IN, OUT, BatchProgram, Vertex, VertexProgram

__all__ = ["SSSP", "Colouring", "Components", "LabelPropagation", "PageRank"]

INFINITY = float("inf")


class Rank(NamedTuple):
    """D_u of PageRank."""

    rank: Any
    delta: Any  #: how much more each out-neighbour gets than before
    out: Any  #: out-degree
    runs: Any  #: how often it was applied


class PageRank(BatchProgram):
    """Fig. 3, the variant ``POWERGRAPH``: 0.15 + 0.85 Σ rank(v) / out(v), from 1.0 on.

    tolerance: a vertex activates its out-neighbours while what it gives them changes by more than this.
    iterations: instead, every vertex that may change is applied so often (on the synchronous engine).
    """

    gather_nbrs, scatter_nbrs, zero = IN, OUT, 0.0

    def __init__(self, tolerance: float = 1e-3, iterations: int | None = None, damping: float = 0.85) -> None:
        self.tolerance = number(0, write=1e-3)("tolerance", tolerance)
        self.iterations = whole(1, write=20).or_none()("iterations", iterations)
        self.damping = probability(write=0.85)("damping", damping)

    def initial(self, vertex: Vertex) -> Rank:
        return Rank(1.0, 0.0, vertex.out_degree, 0)

    def gather(self, D_u: Rank, D_uv: float, D_v: Rank) -> float:
        return D_v.rank / D_v.out

    def sum(self, a: float, b: float) -> float:
        return a + b

    def apply(self, D_u: Rank, acc: float) -> Rank:
        rank = 1 - self.damping + self.damping * acc
        return Rank(rank, (rank - D_u.rank) / max(1, D_u.out), D_u.out, D_u.runs + 1)

    def scatter(self, D_u: Rank, D_uv: float, D_v: Rank) -> tuple[float, float]:
        if D_u.runs < self.iterations if self.iterations else abs(D_u.delta) > self.tolerance:
            self.activate()
        return D_uv, D_u.delta

    def result(self, D_u: Rank) -> Any:
        return D_u.rank

    def initial_batch(self, ids: Any, in_degree: Any, out_degree: Any, vertices: int) -> Rank:
        k = len(ids)
        return Rank(np.ones(k), np.zeros(k), np.maximum(out_degree, 1.0), np.zeros(k, np.int32))

    def gather_batch(self, D: Rank) -> Any:
        return D.rank / D.out

    def apply_batch(self, D: Rank, acc: Any) -> Rank:
        rank = 1 - self.damping + self.damping * acc
        delta = D.delta if self.iterations else (rank - D.rank) / D.out  # nobody asks for it
        return Rank(rank, delta, D.out, D.runs + np.int32(1))

    def changed_batch(self, D: Rank) -> Any:
        return D.runs < self.iterations if self.iterations else np.abs(D.delta) > self.tolerance


class Colouring(VertexProgram):
    """Fig. 3: the smallest colour that no neighbour has. Never ends on the synchronous engine, where two
    neighbours of one colour choose the next one both, and again."""

    gather_nbrs = scatter_nbrs = ALL
    zero, self_edges = frozenset(), False

    def initial(self, vertex: Vertex) -> int:
        return 0

    def gather(self, D_u: int, D_uv: Any, D_v: int) -> frozenset[int]:
        return frozenset((D_v,))

    def sum(self, a: frozenset[int], b: frozenset[int]) -> frozenset[int]:
        return a | b

    def apply(self, D_u: int, acc: frozenset[int]) -> int:
        return next(colour for colour in itertools.count() if colour not in acc)

    def scatter(self, D_u: int, D_uv: Any, D_v: int) -> tuple[Any, None]:
        if D_u == D_v:  # it has changed since the gather
            self.activate()
        return D_uv, None


class Changing(NamedTuple):
    """D_u of a program in which a number only falls."""

    now: Any
    before: Any


class _Falling(BatchProgram):
    """What SSSP and components share: a vertex takes the least of what it has and what it gathers."""

    zero = INFINITY
    sum_batch = np.minimum

    def sum(self, a: float, b: float) -> float:
        return min(a, b)

    def apply(self, D_u: Changing, acc: float) -> Changing:
        return Changing(min(D_u.now, acc), D_u.now)

    def scatter(self, D_u: Changing, D_uv: float, D_v: Changing) -> tuple[float, float]:
        if D_u.now < D_u.before:
            self.activate()
        return D_uv, self.gather(D_v, D_uv, D_u)

    def result(self, D_u: Changing) -> Any:
        return D_u.now

    def gather_batch(self, D: Changing) -> Any:
        return D.now

    def apply_batch(self, D: Changing, acc: Any) -> Changing:
        return Changing(np.minimum(D.now, acc), D.now)

    def changed_batch(self, D: Changing) -> Any:
        return D.now < D.before


class SSSP(_Falling):
    """Fig. 3: lengths of the shortest paths from a vertex, along edges; weights are lengths, none negative.
    Fig. 3 gathers from all neighbours; here edges have a direction, as a ``Graph`` has them."""

    gather_nbrs, scatter_nbrs = IN, OUT
    along = np.add

    def __init__(self, source: Any) -> None:
        self.source = source

    def bound(self, graph: Any) -> SSSP:
        if graph.weights is not None and not (graph.weights >= 0).all():
            wrong = graph.weights[~(graph.weights >= 0)][0]
            raise ValueError(f"an edge weighs {wrong:g}: weights are lengths here, give numbers >= 0")
        twin = copy.copy(self)
        twin.source = graph.index(self.source)
        return twin

    def initial(self, vertex: Vertex) -> Changing:
        return Changing(0.0 if vertex.id == self.source else INFINITY, INFINITY)

    def gather(self, D_u: Changing, D_uv: float, D_v: Changing) -> float:
        return D_v.now + D_uv

    def initial_batch(self, ids: Any, in_degree: Any, out_degree: Any, vertices: int) -> Changing:
        return Changing(np.where(ids == self.source, 0.0, INFINITY), np.full(len(ids), INFINITY))


class Components(_Falling):
    """Weakly connected components: each vertex ends with the least number of its component."""

    gather_nbrs = scatter_nbrs = ALL

    def initial(self, vertex: Vertex) -> Changing:
        return Changing(float(vertex.id), INFINITY)

    def gather(self, D_u: Changing, D_uv: Any, D_v: Changing) -> float:
        return D_v.now

    def initial_batch(self, ids: Any, in_degree: Any, out_degree: Any, vertices: int) -> Changing:
        return Changing(ids.astype(float), np.full(len(ids), INFINITY))


class Label(NamedTuple):
    """D_u of label propagation."""

    label: int
    runs: int


class LabelPropagation(VertexProgram):
    """Each vertex takes the label that most of its neighbours have, the least of several; ``iterations``
    times, on the synchronous engine (Graphalytics' CDLP)."""

    gather_nbrs = scatter_nbrs = ALL

    def __init__(self, iterations: int = 10) -> None:
        self.iterations = whole(1, write=10)("iterations", iterations)

    def initial(self, vertex: Vertex) -> Label:
        return Label(vertex.id, 0)

    def gather(self, D_u: Label, D_uv: Any, D_v: Label) -> Counter[int]:
        return Counter((D_v.label,))

    def sum(self, a: Counter[int], b: Counter[int]) -> Counter[int]:
        return a + b

    def apply(self, D_u: Label, acc: Counter[int] | None) -> Label:
        if not acc:
            return Label(D_u.label, D_u.runs + 1)
        return Label(min(acc, key=lambda label: (-acc[label], label)), D_u.runs + 1)

    def scatter(self, D_u: Label, D_uv: Any, D_v: Label) -> tuple[Any, None]:
        if D_u.runs < self.iterations:
            self.activate()
        return D_uv, None

    def result(self, D_u: Label) -> int:
        return D_u.label
