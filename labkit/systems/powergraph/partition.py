"""What one machine has of the graph: its edges, and a replica of every vertex that they touch (Fig. 4b).

Vertices are numbers within the partition, in the order of their numbers in the graph. Because all machines
sort so, what a mirror's machine sends for its k vertices is in the order in which the master's has them, and
an array of values needs no names beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["Partition", "grouped"]

#: Reaches of ``nbrs``: edges that end in a vertex, that begin there.
ENDING, BEGINNING = "in", "out"


def grouped(keys: Any, count: int) -> tuple[Any, Any]:
    """Positions in the order of their keys (0 to count - 1), and where each key's begin: arrays (m),
    (count + 1)."""
    order = np.argsort(keys, kind="stable")
    begins = np.zeros(count + 1, np.int64)
    np.cumsum(np.bincount(keys, minlength=count), out=begins[1:])
    return order, begins


class Partition:
    """See the module's text.

    gid (k): the vertices' numbers in the graph, ascending. master (k): the rank of the machine that has each
    one's master. in_degree, out_degree (k): in the whole graph. eid, source, target, weight (m): its edges;
    eid are their numbers in the graph, source and target numbers of the partition.
    held: by rank, the vertices (of this partition) that another machine has a mirror of, and whose master is
    here; set by ``meet``.
    """

    def __init__(
        self, rank: int, machines: int, vertices: int, gid: Any, master: Any, degrees: tuple[Any, Any],
        edges: tuple[Any, Any, Any, Any],
    ) -> None:  # fmt: skip
        self.rank, self.machines, self.vertices = rank, machines, vertices
        self.gid, self.master = gid, master
        self.in_degree, self.out_degree = degrees
        self.eid, self.source, self.target, self.weight = edges
        self.size = len(gid)
        self.mastered = np.flatnonzero(master == rank)
        #: By rank: mirrors here whose master is there.
        self.mirrors = [np.flatnonzero(master == peer) for peer in range(machines)]
        self.mirrors[rank] = np.zeros(0, np.int64)
        #: By rank: masters here that have a mirror there.
        self.held: list[Any] = [np.zeros(0, np.int64)] * machines
        self.by_target = grouped(self.target, self.size)
        self.by_source = grouped(self.source, self.size)

    def meet(self, peers: Sequence[Any]) -> None:
        """Hear by rank which mirrors there have their master here: numbers in the graph, ascending."""
        self.held = [np.searchsorted(self.gid, gids) for gids in peers]

    def holders(self) -> list[list[int]]:
        """By vertex, the ranks with a replica, its own first; of a mirror only its own."""
        found: list[list[int]] = [[self.rank] for _ in range(self.size)]
        for peer, vertices in enumerate(self.held):
            for vertex in vertices.tolist():
                found[vertex].append(peer)
        return found

    def adjacency(self, which: str) -> list[list[tuple[int, int]]]:
        """By vertex the (edge, neighbour) that end in it ("in") or begin in it ("out")."""
        order, begins = self.by_target if which == ENDING else self.by_source
        others = (self.source if which == ENDING else self.target)[order].tolist()
        pairs, ends = list(zip(order.tolist(), others, strict=True)), begins.tolist()
        return [pairs[ends[v] : ends[v + 1]] for v in range(self.size)]

    def pairs(self) -> list[tuple[int, int]]:
        """Adjacent vertices, each pair once, the smaller number first; of them the philosophers share
        forks."""
        low, high = np.minimum(self.source, self.target), np.maximum(self.source, self.target)
        keep = low != high
        both = np.unique(np.stack([low[keep], high[keep]], axis=1), axis=0)
        return [(a, b) for a, b in both.tolist()]
