"""The paper's applications (§5): PageRank, shortest paths, bipartite matching, semi-clustering; and connected
components. Three of them also over arrays, for ``arrays=True``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from labkit.parts.graphs.pagerank import PREGEL

from .model import Vertex
from .reductions import Min, Sum

__all__ = ["BipartiteMatching", "Components", "PageRank", "SemiCluster", "SemiClustering", "ShortestPaths",
           "matching_errors"]  # fmt: skip


class PageRank(Vertex):
    """Figure 4; the variant ``PREGEL``: what vertices without edges have is lost. iterations: the paper's."""

    combiner = Sum()
    initial = 0.0
    iterations = 30

    def compute(self, messages: Sequence[float]) -> None:
        """A share of the own rank along each edge."""
        if self.superstep == 0:
            self.value = PREGEL.initial(self.num_vertices)
        else:
            self.value = PREGEL.rank(sum(messages), self.num_vertices)
        if self.superstep == self.iterations:
            self.vote_to_halt()
        elif self.out_edges:
            self.send_message_to_all_neighbors(self.value / len(self.out_edges))

    def compute_batch(self, values: Any, messages: Any, out_edges: Any) -> None:
        """The same."""
        if self.superstep == 0:
            values[:] = PREGEL.initial(self.num_vertices)
        else:
            values[:] = PREGEL.reset(self.num_vertices) + PREGEL.damping * messages.combined
        if self.superstep == self.iterations:
            self.vote_to_halt()
        else:
            out_edges.send(values / np.maximum(out_edges.degrees, 1))


class ShortestPaths(Vertex):
    """Figure 5: distances from ``source``; inf where there is no way. An edge without a value weighs 1.

    source: a vertex's id; over arrays its number, ``graph.index(name)``."""

    combiner = Min()
    initial = math.inf
    source: Any = 0

    def compute(self, messages: Sequence[float]) -> None:
        """A better distance is told to the neighbours."""
        mindist = (
            0.0 if self.superstep == 0 and self.vertex_id == self.source else min(messages, default=math.inf)
        )
        if mindist < self.value:
            self.value = mindist
            for target, weight in self.out_edges:
                self.send_message_to(target, mindist + (1.0 if weight is None else weight))
        self.vote_to_halt()

    def compute_batch(self, values: Any, messages: Any, out_edges: Any) -> None:
        """The same."""
        found = np.where(is_source(self), 0.0, math.inf) if self.superstep == 0 else messages.combined
        better = found < values
        values[better] = found[better]
        if better.any():
            weights = 1.0 if out_edges.values is None else out_edges.values
            sources = out_edges.sources
            out_edges.send_along(values[sources] + weights, where=better[sources])
        self.vote_to_halt()

    def holds(self, before: Any) -> Any:
        """A distance never grows."""
        return self.value <= before


def is_source(vertices: Any) -> Any:
    """(n,) of bool, over arrays. Raises ``ValueError`` for one that is no vertex's number."""
    source, n = vertices.source, vertices.num_vertices
    if not isinstance(source, (int, np.integer)) or not 0 <= source < n:
        raise ValueError(
            f"source={source!r:.60}: over arrays vertices are numbers, 0 to {n - 1}; of a graph with names "
            "write source=graph.index(name)"
        )
    return vertices.vertex_id == source


class Components(Vertex):
    """The least vertex of each vertex's connected component; edges are there in both directions."""

    combiner = Min()
    initial = math.inf

    def compute(self, messages: Sequence[Any]) -> None:
        """A smaller one is told to the neighbours."""
        least = self.vertex_id if self.superstep == 0 else min(messages, default=self.value)
        if self.superstep == 0 or least < self.value:
            self.value = least
            self.send_message_to_all_neighbors(least)
        self.vote_to_halt()

    def compute_batch(self, values: Any, messages: Any, out_edges: Any) -> None:
        """The same."""
        least = self.vertex_id if self.superstep == 0 else messages.combined
        better = least < values
        values[better] = least[better]
        if better.any():
            out_edges.send(values, where=better)
        self.vote_to_halt()


class BipartiteMatching(Vertex):
    """§5.3: a maximal matching, by a handshake of four phases. Edges lead from left to right; a vertex with
    edges is a left one. The value is whom it is matched with, or None."""

    def compute(self, messages: Sequence[Any]) -> None:
        """Request, grant, accept, note."""
        phase = self.superstep % 4
        if phase == 0:
            # A left vertex whose neighbours are all matched gets no answer, and is never reactivated.
            if self.value is None:
                self.send_message_to_all_neighbors(self.vertex_id)
            self.vote_to_halt()
        elif phase == 1:
            if self.value is None and messages:
                chosen = self.random.choice(sorted(messages, key=repr))
                for each in messages:
                    self.send_message_to(each, (self.vertex_id, each == chosen))
            self.vote_to_halt()
        elif phase == 2:
            granted = sorted((each for each, grant in messages if grant), key=repr)
            if granted:
                self.value = self.random.choice(granted)
                self.send_message_to(self.value, self.vertex_id)
                self.vote_to_halt()  # who was only denied stays active, and asks again in phase 0
        elif messages:
            (self.value,) = messages  # at most one accepts, since only one was granted
            self.vote_to_halt()


def matching_errors(graph: dict[Any, Sequence[Any]], values: Any) -> list[str]:
    """What makes these values no maximal matching of ``{left: [right]}``; empty if they are one."""
    found = [f"{one!r} has {two!r}, who has {values[two]!r}" for one, two in values.items()
             if two is not None and values[two] != one]  # fmt: skip
    found += [
        f"{left!r} and {right!r} have nobody, and could have each other"
        for left, rights in graph.items()
        for right in rights
        if values[left] is None and values[right] is None
    ]
    found += [
        f"{left!r} has {values[left]!r}, to whom it has no edge"
        for left, rights in graph.items()
        if rights and values[left] is not None and values[left] not in rights
    ]
    return found


class SemiCluster(NamedTuple):
    """A semi-cluster: its vertices, and the weight of the edges inside and across its boundary."""

    vertices: tuple[Any, ...]
    inside: float
    boundary: float

    def score(self, factor: float) -> float:
        """(I - f·B) / (V·(V-1)/2); 1 for a single vertex."""
        size = len(self.vertices)
        return 1.0 if size == 1 else (self.inside - factor * self.boundary) / (size * (size - 1) / 2)


class SemiClustering(Vertex):
    """§5.4: groups of vertices that have much to do with each other; a vertex may be in several. The value is
    a tuple of the best clusters that it is in, as pairs (score, vertices). Edges are there both ways.

    kept: clusters that a vertex keeps (Cmax); sent: that it sends on (Smax); largest: vertices in a cluster
    (Vmax); factor: what a boundary edge costs (fB); iterations: supersteps at most.
    """

    kept, sent, largest, factor, iterations = 3, 3, 4, 0.2, 10

    def compute(self, messages: Sequence[list[SemiCluster]]) -> None:
        """Add the vertex to clusters that it hears of, and tell the best ones."""
        weights = {target: 1.0 if weight is None else weight for target, weight in self.out_edges}
        if self.superstep == 0:
            alone = SemiCluster((self.vertex_id,), 0.0, sum(weights.values()))
            self.value = ((1.0, alone.vertices),)
            self.send_message_to_all_neighbors([alone])
            return
        heard = {cluster for several in messages for cluster in several}
        found = heard | {
            self._joined(cluster, weights)
            for cluster in heard
            if self.vertex_id not in cluster.vertices and len(cluster.vertices) < self.largest
        }
        ranked = sorted(found, key=lambda each: (-each.score(self.factor), repr(each)))
        mine = {(round(c.score(self.factor), 12), c.vertices) for c in ranked if self.vertex_id in c.vertices}
        best = tuple(sorted({*self.value, *mine}, key=lambda each: (-each[0], repr(each)))[: self.kept])
        changed, self.value = best != self.value, best
        if self.superstep < self.iterations and (changed or self.superstep < self.largest):
            self.send_message_to_all_neighbors(ranked[: self.sent])
        self.vote_to_halt()

    def _joined(self, cluster: SemiCluster, weights: dict[Any, float]) -> SemiCluster:
        """The cluster with this vertex: its edges to members are no boundary any more."""
        to_members = sum(weights.get(each, 0.0) for each in cluster.vertices)
        vertices = tuple(sorted((*cluster.vertices, self.vertex_id), key=repr))
        boundary = cluster.boundary - to_members + sum(weights.values()) - to_members
        return SemiCluster(vertices, cluster.inside + to_members, boundary)
