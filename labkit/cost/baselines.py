"""The paper's three programs on one thread: Figures 2, 3 and 4, with which systems have to compete.

Each exists in three kinds: ``python`` as the figures print it, ``numpy`` over arrays, ``numba`` compiled (the
fair one: the paper's are compiled, too; it needs the extra ``labkit[cost]``). Name the kind beside every
COST: the answer depends on it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.parts.graphs import Graph, only_graph

__all__ = ["KINDS", "PROGRAMS", "Baseline", "baseline", "graph_iterator"]

#: The names of the programs: what each returns is one number per vertex, (n,).
PROGRAMS = ("pagerank20", "label propagation", "union-find")
KINDS = ("python", "numpy", "numba")
ALPHA, ITERATIONS = 0.85, 20

Edges = tuple[NDArray[Any], NDArray[Any]]


@dataclass(frozen=True)
class Baseline:
    """A program of one thread; ``baseline()`` finds one. Calling it with a graph returns its result.

    edges: sources and targets in the order in which they are gone through; without them, by source.
    """

    program: str
    kind: str
    run: Callable[[Edges, int], NDArray[Any]]

    def __call__(self, graph: Graph, edges: Edges | None = None) -> NDArray[Any]:
        graph = only_graph(graph)
        return self.run(edges or (graph.sources(), graph.targets), graph.n)

    def warm(self) -> None:
        """Compile what is compiled, so that a measurement does not."""
        self(Graph.from_arrays([0, 1], [1, 0]))

    def __str__(self) -> str:
        language = {"python": "Python", "numpy": "NumPy", "numba": "numba"}[self.kind]
        return f"{self.program} in {language}, one thread"


def baseline(program: str, kind: str | None = None) -> Baseline:
    """One of ``PROGRAMS`` of one of ``KINDS``; without a kind, compiled if numba is installed, else in
    NumPy.
    """
    has_numba = importlib.util.find_spec("numba") is not None
    kind = kind or ("numba" if has_numba else "numpy")
    if program not in PROGRAMS:
        raise ValueError(f"a baseline is one of {', '.join(map(repr, PROGRAMS))}, not {program!r}")
    if kind not in KINDS:
        raise ValueError(f"kind is one of {', '.join(KINDS)}, not {kind!r}")
    if kind == "numba":
        if not has_numba:
            raise ModuleNotFoundError(
                "numba is not installed: pip install 'labkit[cost]', or take kind='numpy'"
            )
        from labkit.cost import compiled

        return Baseline(program, kind, compiled.programs(ALPHA, ITERATIONS)[program])
    return Baseline(program, kind, (IN_PYTHON if kind == "python" else IN_NUMPY)[program])


# ── in plain Python, as the figures have them ───────────────────────────────────────────────────────────────


def graph_iterator(edges: Edges, action: Callable[[int, int], None]) -> None:
    """Call ``action(source, target)`` once for each edge: the interface of all three figures."""
    for x, y in zip(edges[0].tolist(), edges[1].tolist(), strict=True):
        action(x, y)


def pagerank20(edges: Edges, n: int) -> NDArray[np.float64]:
    """Figure 2, ranks that start at 0."""
    a, b, d = [0.0] * n, [0.0] * n, [0.0] * n

    def count(x: int, y: int) -> None:
        d[x] += 1.0

    def give(x: int, y: int) -> None:
        a[y] += b[x]

    graph_iterator(edges, count)
    for _ in range(ITERATIONS):
        for i in range(n):
            b[i] = ALPHA * a[i] / d[i] if d[i] else 0.0
            a[i] = 1.0 - ALPHA
        graph_iterator(edges, give)
    return np.array(a)


def label_propagation(edges: Edges, n: int) -> NDArray[np.int64]:
    """Figure 3: both ends of an edge take the smaller label, until no edge changes one."""
    label = list(range(n))
    done = False

    def relax(x: int, y: int) -> None:
        nonlocal done
        if label[x] != label[y]:
            done = False
            label[x] = label[y] = min(label[x], label[y])

    while not done:
        done = True
        graph_iterator(edges, relax)
    return np.array(label, dtype=np.int64)


def union_find(edges: Edges, n: int) -> NDArray[np.int64]:
    """Figure 4: union by rank with path compression. Then every vertex gets the least one of its
    component.
    """
    root, rank = list(range(n)), [0] * n

    def find(x: int) -> int:
        while root[x] != x:
            root[x] = x = root[root[x]]
        return x

    def unite(x: int, y: int) -> None:
        x, y = find(x), find(y)
        if x != y:
            if rank[x] == rank[y]:
                rank[x] += 1
            if rank[x] < rank[y]:
                x, y = y, x
            root[y] = x

    graph_iterator(edges, unite)
    least: dict[int, int] = {}
    return np.array([least.setdefault(find(v), v) for v in range(n)], dtype=np.int64)


IN_PYTHON: dict[str, Callable[[Edges, int], NDArray[Any]]] = {
    "pagerank20": pagerank20,
    "label propagation": label_propagation,
    "union-find": union_find,
}


# ── over arrays ─────────────────────────────────────────────────────────────────────────────────────────────


def array_pagerank20(edges: Edges, n: int) -> NDArray[np.float64]:
    """Figure 2, all edges of an iteration at once."""
    u, v = edges
    degrees = np.maximum(np.bincount(u, minlength=n), 1)
    a: NDArray[np.float64] = np.zeros(n)
    for _ in range(ITERATIONS):
        b = ALPHA * a / degrees
        a = (1.0 - ALPHA) + np.bincount(v, weights=b[u], minlength=n).astype(np.float64, copy=False)
    return a


def array_label_propagation(edges: Edges, n: int) -> NDArray[np.int64]:
    """Figure 3, but every round reads the labels of the one before."""
    u, v = edges
    label = np.arange(n)
    while True:
        following = label.copy()
        np.minimum.at(following, v, label[u])
        np.minimum.at(following, u, label[v])
        if np.array_equal(following, label):
            return label
        label = following


def array_union_find(edges: Edges, n: int) -> NDArray[np.int64]:
    """Another algorithm for arrays: roots of both ends of all edges are hooked to the smaller one, ways to
    the roots are halved until every vertex points at its root, and again, until no edge joins two roots.
    """
    u, v = edges
    root = np.arange(n)
    while len(u):
        a, b = root[u], root[v]
        apart = a != b
        u, v, a, b = u[apart], v[apart], a[apart], b[apart]
        np.minimum.at(root, np.maximum(a, b), np.minimum(a, b))
        while not np.array_equal(above := root[root], root):
            root = above
    return root


IN_NUMPY: dict[str, Callable[[Edges, int], NDArray[Any]]] = {
    "pagerank20": array_pagerank20,
    "label propagation": array_label_propagation,
    "union-find": array_union_find,
}
