"""The three programs compiled by numba: the baseline that corresponds to the paper's. Extra
``labkit[cost]``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["programs"]

Edges = tuple[NDArray[Any], NDArray[Any]]


@njit
def _pagerank20(u: Any, v: Any, n: int, alpha: float, iterations: int) -> Any:
    a, b, d = np.zeros(n), np.zeros(n), np.zeros(n)
    for i in range(len(u)):
        d[u[i]] += 1.0
    for _ in range(iterations):
        for x in range(n):
            b[x] = alpha * a[x] / d[x] if d[x] > 0 else 0.0
            a[x] = 1.0 - alpha
        for i in range(len(u)):
            a[v[i]] += b[u[i]]
    return a


@njit
def _label_propagation(u: Any, v: Any, n: int) -> Any:
    label = np.arange(n)
    done = False
    while not done:
        done = True
        for i in range(len(u)):
            x, y = label[u[i]], label[v[i]]
            if x != y:
                done = False
                label[u[i]] = label[v[i]] = min(x, y)
    return label


@njit
def _find(root: Any, x: int) -> int:
    while root[x] != x:
        root[x] = root[root[x]]
        x = root[x]
    return x


@njit
def _union_find(u: Any, v: Any, n: int) -> Any:
    root, rank = np.arange(n), np.zeros(n, np.int8)
    for i in range(len(u)):
        x, y = _find(root, u[i]), _find(root, v[i])
        if x != y:
            if rank[x] == rank[y]:
                rank[x] += 1
            if rank[x] < rank[y]:
                x, y = y, x
            root[y] = x
    least = np.full(n, -1)
    label = np.empty(n, np.int64)
    for x in range(n):
        r = _find(root, x)
        if least[r] < 0:
            least[r] = x
        label[x] = least[r]
    return label


def programs(alpha: float, iterations: int) -> dict[str, Callable[[Edges, int], NDArray[Any]]]:
    """By name: what runs on (sources, targets) and a number of vertices."""
    return {
        "pagerank20": lambda edges, n: _pagerank20(*edges, n, alpha, iterations),
        "label propagation": lambda edges, n: _label_propagation(*edges, n),
        "union-find": lambda edges, n: _union_find(*edges, n),
    }
