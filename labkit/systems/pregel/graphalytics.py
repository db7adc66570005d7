"""The six algorithms of LDBC Graphalytics, by its definitions, as in ``labkit.parts.graphs.oracles``.

``directed=False`` (``WCC.having(directed=False)``) is for graphs that have each edge in both directions. A
vertex of a directed graph that has to know who leads to it is told so in superstep 0. Over arrays the graph
does not change: there CDLP of a directed graph is that of ``both_ways(graph)``, and WCC is ``Components`` of
it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from labkit.parts.graphs.csr import Graph
from labkit.parts.graphs.oracles import FAR
from labkit.parts.graphs.pagerank import GRAPHALYTICS

from .model import Vertex
from .programs import ShortestPaths, is_source
from .reductions import Min, Sum

__all__ = ["BFS", "CDLP", "LCC", "SSSP", "WCC", "LabelPropagation", "PageRank", "both_ways"]


def both_ways(graph: Graph) -> Graph:
    """With each edge in both directions, too; those that are so already are there twice."""
    u, v = graph.sources(), graph.targets
    weights = None if graph.weights is None else np.concatenate([graph.weights, graph.weights])
    return Graph.from_arrays(np.concatenate([u, v]), np.concatenate([v, u]), graph.n, weights, ids=graph.ids)


class BFS(Vertex):
    """Edges on the shortest way from ``source``; ``FAR`` where there is none."""

    combiner = Min()
    initial = FAR
    source: Any = 0

    def compute(self, messages: Sequence[int]) -> None:
        """In superstep S those are reached that are S edges away."""
        if self.value == FAR and (messages or (self.superstep == 0 and self.vertex_id == self.source)):
            self.value = self.superstep
            self.send_message_to_all_neighbors(self.superstep)
        self.vote_to_halt()

    def compute_batch(self, values: Any, messages: Any, out_edges: Any) -> None:
        """The same."""
        reached = is_source(self) if self.superstep == 0 else messages.arrived
        reached = reached & (values == FAR)
        values[reached] = self.superstep
        if reached.any():
            out_edges.send(float(self.superstep), where=reached)
        self.vote_to_halt()


class SSSP(ShortestPaths):
    """The least sum of weights on a way from ``source``: the paper's program."""


class PageRank(Vertex):
    """The variant ``GRAPHALYTICS``: what vertices without edges have is given to all, by an aggregator."""

    combiner = Sum()
    aggregators = {"dangling": Sum()}  # noqa: RUF012 - never changed
    initial = 0.0
    iterations = 10

    def compute(self, messages: Sequence[float]) -> None:
        """A share along each edge, or to the aggregator."""
        n = self.num_vertices
        if self.superstep == 0:
            self.value = GRAPHALYTICS.initial(n)
        else:
            self.value = GRAPHALYTICS.rank(sum(messages), n, self.aggregated("dangling"))
        if self.superstep == self.iterations:
            self.vote_to_halt()
        elif self.out_edges:
            self.send_message_to_all_neighbors(self.value / len(self.out_edges))
        else:
            self.aggregate("dangling", self.value)

    def compute_batch(self, values: Any, messages: Any, out_edges: Any) -> None:
        """The same."""
        n = self.num_vertices
        if self.superstep == 0:
            values[:] = GRAPHALYTICS.initial(n)
        else:
            lost = self.aggregated("dangling")
            values[:] = GRAPHALYTICS.reset(n) + GRAPHALYTICS.damping * (messages.combined + lost / n)
        if self.superstep == self.iterations:
            self.vote_to_halt()
        else:
            self.aggregate("dangling", float(values[out_edges.degrees == 0].sum()))
            out_edges.send(values / np.maximum(out_edges.degrees, 1))


class _Neighbours(Vertex):
    """A vertex that has edges to its in-neighbours, too, from superstep 1 on."""

    directed = True

    def meet(self, messages: Sequence[Any]) -> bool:
        """In superstep 0 tell the out-neighbours, in 1 add edges back; whether the program begins now."""
        if not self.directed:
            return self.superstep == 0
        if self.superstep == 0:
            self.send_message_to_all_neighbors(self.vertex_id)
        elif self.superstep == 1:
            for source in messages:
                self.add_edge(source)
        return self.superstep == 1

    @property
    def step(self) -> int:
        """Supersteps since the program has begun."""
        return self.superstep - self.directed


class WCC(_Neighbours):
    """The least vertex of each vertex's weakly connected component."""

    initial = float("inf")

    def compute(self, messages: Sequence[Any]) -> None:
        """As ``Components``, when all know their neighbours."""
        if self.meet(messages):
            self.value = self.vertex_id
            self.send_message_to_all_neighbors(self.vertex_id)
        elif self.step > 0:
            least = min(messages, default=self.value)
            if least < self.value:
                self.value = least
                self.send_message_to_all_neighbors(least)
        if self.step >= 0:
            self.vote_to_halt()


class CDLP(_Neighbours):
    """Community detection by label propagation: the most frequent label among the neighbours (one that is in-
    and out-neighbour counts twice), of several the smallest; all vertices at once, ``iterations`` times."""

    iterations = 10
    initial = 0

    def compute(self, messages: Sequence[Any]) -> None:
        """Count the labels."""
        if self.meet(messages):
            self.value = self.vertex_id
        elif self.step > 0 and messages:
            counts = Counter(messages)
            self.value = min(counts, key=lambda label: (-counts[label], label))
        if 0 <= self.step < self.iterations:
            self.send_message_to_all_neighbors(self.value)
        elif self.step >= 0:
            self.vote_to_halt()

    def compute_batch(self, values: Any, messages: Any, out_edges: Any) -> None:
        """The same, of a graph with each edge in both directions."""
        if self.superstep == 0:
            values[:] = self.vertex_id
        else:
            owners, labels = most_frequent(messages.values, messages.indptr)
            values[owners] = labels
        if self.superstep < self.iterations:
            out_edges.send(values)
        else:
            self.vote_to_halt()


LabelPropagation = CDLP


def most_frequent(values: np.ndarray, indptr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each row ``values[indptr[v]:indptr[v + 1]]`` that is not empty: its number, and its most frequent
    value, of several the smallest."""
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    order = np.lexsort((values, rows))
    rows, values = rows[order], values[order]
    if not len(rows):
        return rows, values
    starts = np.flatnonzero(np.concatenate([[True], (rows[1:] != rows[:-1]) | (values[1:] != values[:-1])]))
    counts = np.diff(np.append(starts, len(rows)))
    rows, values = rows[starts], values[starts]
    best = np.lexsort((values, -counts, rows))
    first = np.concatenate([[True], rows[best][1:] != rows[best][:-1]])
    return rows[best][first], values[best][first]


class LCC(_Neighbours):
    """Local clustering coefficient: of all pairs (a, b) of different neighbours, the part that an edge a → b
    joins; 0 with fewer than two neighbours."""

    initial = 0.0

    def compute(self, messages: Sequence[Any]) -> None:
        """Tell the neighbours who they all are; each says to how many of them it has an edge."""
        if self.superstep == 0:
            self.value = [tuple(sorted({target for target, _ in self.out_edges} - {self.vertex_id}))]
        if self.meet(messages):
            near = tuple(sorted({target for target, _ in self.out_edges} - {self.vertex_id}))
            self.value = [*self.value, near]
            if len(near) > 1:
                for each in near:
                    self.send_message_to(each, (self.vertex_id, near))
        elif self.step == 1:
            own = set(self.value[0])
            for asker, near in messages:
                self.send_message_to(asker, len(own.intersection(near)))
        elif self.step == 2:
            pairs = len(self.value[1]) * (len(self.value[1]) - 1)
            self.value = sum(messages) / pairs if pairs else 0.0
            self.vote_to_halt()
