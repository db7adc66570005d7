"""The papers' programs: PageRank (VLDB 2012, Algorithm 1), greedy colouring (UAI 2010), alternating least
squares (VLDB §5.1), connected components."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from labkit.parts.graphs.csr import Graph
from labkit.parts.graphs.pagerank import GRAPHLAB, PageRankVariant

from .model import DataGraph, Program, Sync, Task
from .scopes import Scope

__all__ = ["ALS", "Colouring", "Components", "PageRank", "monochrome", "ratings"]


class PageRank(Program):
    """Algorithm 1: a vertex whose rank has changed has those that it links to updated; by how much, is their
    priority. variant: see ``parts.graphs.pagerank``; the VLDB paper's unless given. tolerance: of a change,
    as a part of the mean rank."""

    def __init__(self, variant: PageRankVariant = GRAPHLAB, tolerance: float = 1e-6) -> None:
        if variant.dangling != "lost":
            raise ValueError(f"{variant.name} spreads dangling ranks over all vertices, beyond any scope")
        self.variant, self.tolerance = variant, tolerance

    def data(self, graph: Graph) -> DataGraph:
        """Each vertex begins as the variant says."""
        return DataGraph(graph, self.variant.initial(graph.n))

    def update(self, v: int, scope: Scope) -> Iterable[Task]:
        """R(v) = reset + damping · Σ R(u) / out-degree(u)."""
        received = 0.0
        for u in scope.into:
            received += scope[u] / scope.out_degree(u)
        rank = self.variant.rank(received, scope.n)
        change, scope.value = abs(rank - scope.value), rank
        if change * scope.n / self.variant.total(scope.n) > self.tolerance:
            return [(u, change) for u in scope.out]
        return ()

    def syncs(self) -> Mapping[str, Sync]:
        """The sum of all ranks."""
        return {"total": Sync(lambda total, scope: total + scope.value, lambda a, b: a + b)}


class Components(Program):
    """Each vertex takes the smallest number that it hears of."""

    def data(self, graph: Graph) -> DataGraph:
        """Its own number."""
        return DataGraph(graph, list(range(graph.n)))

    def update(self, v: int, scope: Scope) -> Iterable[Task]:
        """The smallest of all around."""
        around = scope.neighbours
        least = min([scope.value, *(scope[u] for u in around)])
        if least == scope.value and least != v:
            return ()
        scope.value = least
        return [u for u in around if scope[u] > least]


class Colouring(Program):
    """Greedy colouring: a vertex that has a neighbour's colour takes the smallest that no neighbour has, and
    has its neighbours look again. Serializable, it ends after few updates; else two neighbours may change at
    the same time, to the same colour."""

    def data(self, graph: Graph) -> DataGraph:
        """All have the same one."""
        return DataGraph(graph, 0)

    def update(self, v: int, scope: Scope) -> Iterable[Task]:
        """The smallest colour that is free around it."""
        around = scope.neighbours
        taken = {scope[u] for u in around}
        if scope.value not in taken:
            return ()
        scope.value = next(colour for colour in range(len(taken) + 1) if colour not in taken)
        return around


def monochrome(graph: Graph, colours: Sequence[Any]) -> list[tuple[int, int]]:
    """The edges whose ends have the same colour, each once."""
    pairs = zip(graph.sources().tolist(), graph.targets.tolist(), strict=True)
    return sorted({(min(u, v), max(u, v)) for u, v in pairs if u != v and colours[u] == colours[v]})


class ALS(Program):
    """Collaborative filtering (§5.1): users and films are the vertices, ratings the edges, and each vertex
    has a vector of d numbers. An update solves the least squares problem of its ratings, its neighbours'
    vectors taken as given. It is *dynamic*: neighbours are updated where the error is large."""

    def __init__(self, d: int = 4, ridge: float = 0.05, tolerance: float = 0.05, most: int = 30,
                 seed: int = 0) -> None:  # fmt: skip
        self.d, self.ridge, self.tolerance, self.most, self.seed = d, ridge, tolerance, most, seed

    def data(self, graph: Graph) -> DataGraph:
        """Random vectors; the graph's weights are the ratings."""
        vectors = np.random.default_rng(self.seed).normal(size=(graph.n, self.d)) / np.sqrt(self.d)
        sources, targets, weights = graph.sources(), graph.targets, graph.weights
        if weights is None:
            raise ValueError(
                "the ratings are the weights of the edges: give Graph.of([(user, film, 4.0), …])"
            )
        ratings = dict(
            zip(zip(sources.tolist(), targets.tolist(), strict=True), weights.tolist(), strict=True)
        )
        return DataGraph(graph, [(vector, 0) for vector in vectors], ratings)

    def update(self, v: int, scope: Scope) -> Iterable[Task]:
        """Least squares, and those around it whose rating is not met."""
        around = scope.neighbours
        before, times = scope.value
        if not around:
            return ()
        others = np.array([scope[u][0] for u in around])
        wanted = np.array([scope.edge(v, u) for u in around])
        vector = np.linalg.solve(
            others.T @ others + self.ridge * len(around) * np.eye(self.d), others.T @ wanted
        )
        scope.value = (vector, times + 1)
        if times + 1 >= self.most or np.abs(vector - before).max() < self.tolerance:
            return ()
        errors = np.abs(others @ vector - wanted)
        return [(u, float(error)) for u, error in zip(around, errors, strict=True)]

    def syncs(self) -> Mapping[str, Sync]:
        """The root of the mean square error over all ratings."""

        def fold(total: tuple[float, int], scope: Scope) -> tuple[float, int]:
            vector, square, count = scope.value[0], total[0], total[1]
            for u in scope.neighbours:
                square += float(vector @ scope[u][0] - scope.edge(scope.v, u)) ** 2
                count += 1
            return square, count

        return {
            "rmse": Sync(
                fold, lambda a, b: (a[0] + b[0], a[1] + b[1]), (0.0, 0),
                lambda total: (total[0] / max(total[1], 1)) ** 0.5, every=0.25,
            )
        }  # fmt: skip


def ratings(users: int, films: int, each: int, d: int = 4, noise: float = 0.1, seed: int = 0) -> Graph:
    """A rating matrix of rank d with noise: an undirected graph in which vertices 0 to users-1 have rated
    ``each`` of the films that follow them."""
    random = np.random.default_rng(seed)
    left, right = random.normal(size=(users, d)), random.normal(size=(films, d))
    edges = []
    for user in range(users):
        for film in sorted(random.choice(films, min(each, films), replace=False).tolist()):
            rating = left[user] @ right[film] / np.sqrt(d) + noise * random.normal()
            edges.append((user, users + film, float(rating)))
    return Graph.from_arrays(
        [u for u, _, _ in edges], [v for _, v, _ in edges], users + films, [w for *_, w in edges],
        directed=False,
    )  # fmt: skip
