"""Edges in the order of a Hilbert curve (COST, §3.1: "Improving graph layout").

Think of an edge as the point (source, target). Sorted by source, an iteration reads sources in order and
jumps between targets. A Hilbert curve visits all points so that consecutive ones are near each other in
*both*: more of what is read is still in the processor's cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.parts.graphs import Graph, only_graph

__all__ = ["distances", "ordered"]


def distances(u: NDArray[Any], v: NDArray[Any], bits: int) -> NDArray[np.int64]:
    """How far along the curve through a square of 2**bits × 2**bits points each (u, v) is."""
    x, y = u.astype(np.int64), v.astype(np.int64)
    along = np.zeros(len(x), dtype=np.int64)
    for bit in range(bits - 1, -1, -1):
        side = np.int64(1) << bit
        right, up = (x & side) > 0, (y & side) > 0
        along += side * side * np.where(right, np.where(up, 2, 3), np.where(up, 1, 0))
        # In the lower quarters the curve is turned: mirrored (in the right one), and its axes swapped.
        x, y = x & (side - 1), y & (side - 1)
        mirrored = right & ~up
        x = np.where(mirrored, side - 1 - x, x)
        y = np.where(mirrored, side - 1 - y, y)
        x, y = np.where(up, x, y), np.where(up, y, x)
    return along


def ordered(graph: Graph) -> tuple[NDArray[Any], NDArray[Any]]:
    """The graph's edges, sources and targets, in that order: each of them once."""
    graph = only_graph(graph)
    u, v = graph.sources(), graph.targets
    order = np.argsort(distances(u, v, max(graph.n - 1, 1).bit_length()), kind="stable")
    return u[order], v[order]
