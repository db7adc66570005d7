"""Graphs to order: random ones with a seed, which fixes them, and small ones of a known shape."""

from __future__ import annotations

import numpy as np

from labkit.data import import_graph
from labkit.parts.graphs.csr import Graph, Ints

__all__ = [
    "barabasi_albert",
    "binary_tree",
    "chain",
    "grid",
    "imports",
    "log_normal",
    "power_law",
    "rmat",
    "star",
]


def rmat(
    scale: int,
    edges: int,
    seed: int = 0,
    *,
    a: float = 0.57,
    b: float = 0.19,
    c: float = 0.19,
    weighted: bool = False,
) -> Graph:
    """R-MAT (Chakrabarti et al., SDM 2004) with Graph500's probabilities: 2**scale vertices, so many edges,
    loops and parallel ones among them. Each edge falls, bit by bit, into one of the adjacency matrix's
    quarters.

    weighted: with weights above 0 up to 1.
    """
    _at_least("scale", scale, 0)
    _at_least("edges", edges, 0)
    if not (min(a, b, c) >= 0 and a + b + c <= 1):
        raise ValueError(f"a, b and c are probabilities of at most 1 together, not {a!r}, {b!r}, {c!r}")
    random = np.random.default_rng(seed)
    u, v = np.zeros(edges, dtype=np.int64), np.zeros(edges, dtype=np.int64)
    for _ in range(scale):
        quarter = random.random(edges)
        down = quarter >= a + b
        right = ((quarter >= a) & ~down) | (quarter >= a + b + c)
        u, v = 2 * u + down, 2 * v + right
    shuffled = random.permutation(2**scale)  # else the heavy vertices are the first ones
    weights = 1.0 - random.random(edges) if weighted else None
    return Graph.from_arrays(shuffled[u], shuffled[v], 2**scale, weights)


def power_law(n: int, alpha: float, seed: int = 0) -> Graph:
    """Out-degrees d in 1 … n-1 with probability ∝ d^-alpha, targets drawn evenly ("fan-out")."""
    _at_least("n", n, 2)
    random = np.random.default_rng(seed)
    d = np.arange(1, n)
    chance = d.astype(np.float64) ** -alpha
    return _fan_out(random.choice(d, size=n, p=chance / chance.sum()), random)


def log_normal(n: int, seed: int = 0, mu: float = 4.0, sigma: float = 1.3) -> Graph:
    """Out-degrees drawn log-normally, targets evenly. The defaults are Pregel's (§5.2): a mean degree of
    127.1.
    """
    _at_least("n", n, 1)
    random = np.random.default_rng(seed)
    return _fan_out(np.minimum(np.round(random.lognormal(mu, sigma, n)), n - 1).astype(np.int64), random)


def _fan_out(degrees: Ints, random: np.random.Generator) -> Graph:
    """Each vertex has so many targets, different ones and never itself; degrees are below n."""
    n = len(degrees)
    u = np.repeat(np.arange(n), degrees)
    v = random.integers(0, max(n - 1, 1), len(u))
    starts = np.cumsum(degrees) - degrees
    for heavy in np.flatnonzero(degrees > n // 2):  # drawing again would take long
        v[starts[heavy] : starts[heavy] + degrees[heavy]] = random.permutation(n - 1)[: degrees[heavy]]
    while True:
        _, first = np.unique(u * n + v, return_index=True)
        again = np.ones(len(u), dtype=bool)
        again[first] = False
        if not again.any():
            break
        v[again] = random.integers(0, n - 1, int(again.sum()))
    return Graph.from_arrays(u, v + (v >= u), n)


def barabasi_albert(n: int, k: int, seed: int = 0) -> Graph:
    """Undirected; each new vertex is joined to k others, chosen in proportion to their degrees."""
    _at_least("k", k, 1)
    _at_least("n", n, k + 1)
    random = np.random.default_rng(seed)
    ends: list[int] = []  # each vertex as often as it has edges
    edges: list[tuple[int, int]] = []
    chosen = list(range(k))
    for new in range(k, n):
        edges += [(new, old) for old in chosen]
        ends += [*chosen, *[new] * k]
        some: dict[int, None] = {}
        while len(some) < k:
            some[ends[int(random.integers(len(ends)))]] = None
        chosen = list(some)
    pairs = np.array(edges)
    return Graph.from_arrays(pairs[:, 0], pairs[:, 1], n, directed=False)


def grid(rows: int, columns: int) -> Graph:
    """Undirected; vertex row·columns + column is joined to those beside, above and below it."""
    _at_least("rows", rows, 1)
    _at_least("columns", columns, 1)
    number = np.arange(rows * columns).reshape(rows, columns)
    u = np.concatenate([number[:, :-1].ravel(), number[:-1].ravel()])
    v = np.concatenate([number[:, 1:].ravel(), number[1:].ravel()])
    return Graph.from_arrays(u, v, rows * columns, directed=False)


def chain(n: int) -> Graph:
    """0 → 1 → … → n-1."""
    _at_least("n", n, 1)
    return Graph.from_arrays(np.arange(n - 1), np.arange(1, n), n)


def star(n: int) -> Graph:
    """Vertex 0 in the middle has an edge to each of the other n-1."""
    _at_least("n", n, 1)
    return Graph.from_arrays(np.zeros(n - 1, dtype=np.int64), np.arange(1, n), n)


def binary_tree(depth: int) -> Graph:
    """Edges from parent v to 2v + 1 and 2v + 2; depth 0 is the root alone."""
    _at_least("depth", depth, 0)
    n = 2 ** (depth + 1) - 1
    child = np.arange(1, n)
    return Graph.from_arrays((child - 1) // 2, child, n)


def imports() -> Graph:
    """Which module of Python's standard library imports which: 270 vertices with their names, 1,200 edges."""
    links = import_graph()
    return Graph.of(((name, other) for name, others in links.items() for other in others), links)


def _at_least(what: str, value: int, least: int) -> None:
    if not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{what} is a whole number of at least {least}, not {value!r}")
