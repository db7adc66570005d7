"""The programming model (VLDB 2012, §3): a data graph, update functions on scopes, and a sync operation.

::

    class PageRank(Program):
        def data(self, graph):                          # D: a value for each vertex and edge
            return DataGraph(graph, vertices=1.0)

        def update(self, v, scope):                     # f(v, S_v) -> (S_v, T)
            rank = 0.15 + 0.85 * sum(scope[u] / scope.out_degree(u) for u in scope.into)
            change, scope.value = abs(rank - scope.value), rank
            return [(u, change) for u in scope.out] if change > 1e-4 else ()

The *execution model* is Algorithm 2: while the set T of tasks is not empty, take one vertex, update it, and
add what the update returns. A vertex is in T once, however often it is added; the one with the larger
priority counts. Which is taken next is the scheduler's business, and all that are in T are once executed.

A value is replaced, not changed in place: write ``scope.value = scope.value + 1``. What was changed in place
has no new version, and ghosts of it are never told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from labkit.parts.graphs.csr import Graph, only_graph
from labkit.runtime.raised import short

from .scopes import Scope

__all__ = ["DataGraph", "Program", "Sync", "Task", "data_of", "parsed"]

#: A vertex to be updated, or (vertex, priority); the larger the sooner, and 0 unless given.
Task = int | tuple[int, float]


def parsed(task: Any) -> tuple[int, float]:
    """A task as (vertex, priority). Raises ``TypeError``."""
    v, priority = task if isinstance(task, tuple) and len(task) == 2 else (task, 0.0)
    numbers = isinstance(v, (int, np.integer)) and isinstance(priority, (int, float, np.number))
    if not numbers or priority != priority:
        raise TypeError(
            f"{short(task)} is no task: write a vertex's number, as 3, or (vertex, priority), as (3, 0.5)"
        )
    return int(v), float(priority)


def data_of(program: Any, graph: Any) -> DataGraph:
    """The data graph on which a program runs. Raises ``TypeError`` for what is no program, or no graph."""
    if not isinstance(program, Program):
        hint = f": write {program.__name__}()" if isinstance(program, type) else ""
        raise TypeError(f"a program is a Program with an update(self, v, scope), not {program!r:.80}{hint}")
    data = graph if isinstance(graph, DataGraph) else program.data(only_graph(graph))
    if not isinstance(data, DataGraph):
        raise TypeError(
            f"{type(program).__name__}.data() gives {short(data)}: write return DataGraph(graph, …)"
        )
    return data


class Sync(NamedTuple):
    """Z = Finalize(⊕ Map(S_v)) over all vertices (VLDB §3.5); the UAI paper's Fold, Merge and Apply.

    Each machine folds its own vertices, in order; the results are merged, in the order of the machines. No
    locks are taken: while updates run, the result is of no single moment.
    """

    fold: Callable[[Any, Scope], Any]  #: (accumulator, scope) -> accumulator; the scope is read-only
    merge: Callable[[Any, Any], Any]  #: two accumulators to one; commutative and associative
    initial: Any = 0.0  #: where each machine begins: merging it in must change nothing
    apply: Callable[[Any], Any] = lambda total: total  #: makes what the table holds
    every: float | None = None  #: seconds between two in the background; None: on demand, and at the end


class Program:
    """The base of a program. Its attributes and functions must be picklable."""

    def data(self, graph: Graph) -> DataGraph:
        """The data graph to begin with; no values unless it is defined."""
        return DataGraph(graph)

    def update(self, v: int, scope: Scope) -> Iterable[Task] | None:
        """Update a vertex, and return tasks: vertices of the scope, or (vertex, priority)."""
        raise NotImplementedError(f"{type(self).__name__} has no update(self, v, scope)")

    def syncs(self) -> Mapping[str, Sync]:
        """The shared data table's entries by name."""
        return {}

    def until(self, table: Mapping[str, Any]) -> bool:
        """The *termination function*: asked after each sync; the run ends where it is True."""
        return False


Values = Any


class DataGraph:
    """G = (V, E, D). The structure is static; vertices are numbers 0..n-1, and ``graph.name(v)`` says whose.

    vertices: D_v: a sequence with one value for each vertex, a function of the vertex, or one value for all.
    edges: D_u→v: by (u, v), a function of u and v, or one value for all; None: no data on the edges. In an
    undirected graph an edge has one value, whichever way it is named.
    """

    def __init__(self, graph: Graph, vertices: Values = None, edges: Values = None) -> None:
        only_graph(graph)
        if isinstance(vertices, (Mapping, Iterator)):
            raise TypeError(
                f"vertices={short(vertices)}: write a list with a value for each vertex, in their order, or "
                "vertices=lambda v: values[v]"
            )
        if hasattr(vertices, "to_numpy"):  # a column of pandas
            vertices = vertices.to_numpy()
        if _several(vertices) and len(vertices) != graph.n:
            raise ValueError(
                f"vertices= has {len(vertices)} values, and the graph {graph.n} vertices: give one for each, "
                "or one number for all; a list for each is vertices=lambda v: []"
            )
        self.graph, self.vertices, self.edges = graph, vertices, edges

    def vertex(self, v: int) -> Any:
        """D_v to begin with."""
        if callable(self.vertices):
            return self.vertices(v)
        if isinstance(self.vertices, np.ndarray):
            found = self.vertices[v]
            return found.item() if isinstance(found, np.generic) else found.copy()
        return self.vertices[v] if _several(self.vertices) else self.vertices

    def edge(self, u: int, v: int) -> Any:
        """D_u→v to begin with. Raises ``KeyError`` for an edge that was given none."""
        if callable(self.edges):
            return self.edges(u, v)
        if isinstance(self.edges, Mapping):
            found = (u, v) if (u, v) in self.edges or self.graph.directed else (v, u)
            if found not in self.edges:
                raise KeyError(
                    f"edges= has no value for {(u, v)}: give one for each edge, by the numbers of its ends, "
                    "or a function, edges=lambda u, v: 0.0"
                )
            return self.edges[found]
        return self.edges

    def neighbours(self) -> tuple[Sequence[Any], Sequence[Any]]:
        """By vertex: whom its edges lead to, and from whom edges come to it; sorted, each once, no loops."""
        n, targets, sources = self.graph.n, np.asarray(self.graph.targets), self.graph.sources()
        out, into = _grouped(sources, targets, n), _grouped(targets, sources, n)
        return out, into


def _several(values: Any) -> bool:
    """Whether it is one value for each vertex; a named tuple is a single one."""
    return isinstance(values, (list, tuple, np.ndarray)) and not hasattr(values, "_fields")


def _grouped(keys: Any, values: Any, n: int) -> list[Any]:
    """By key its different values, sorted, without the key itself."""
    other = keys != values
    pairs = np.unique(keys[other].astype(np.int64) * n + values[other]) if n else np.empty(0, np.int64)
    bounds = np.searchsorted(pairs, np.arange(n + 1) * max(n, 1))
    found = pairs % max(n, 1)
    return [found[bounds[v] : bounds[v + 1]] for v in range(n)]
