"""Vertex cuts (§3.1; PartitionStrategy.scala): which partition an edge belongs to, by its two vertices alone.

====================================  ===========================================  =======================
strategy                              edges together                               replicas of a vertex
====================================  ===========================================  =======================
``RandomVertexCut``                   same source and target                       up to p
``CanonicalRandomVertexCut``          the same, in either direction                up to p
``EdgePartition1D``                   same source                                  up to p
``EdgePartition2D``                   same column (source) and row (target)        at most 2⌈√p⌉
====================================  ===========================================  =======================

Without a strategy edges stay in the partitions in which they were given.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = [
    "STRATEGIES",
    "CanonicalRandomVertexCut",
    "EdgePartition1D",
    "EdgePartition2D",
    "PartitionStrategy",
    "RandomVertexCut",
    "strategy_of",
]

#: Ids are multiplied by a large prime first, so that neighbouring ones are spread.
MIXING_PRIME = np.uint64(1125899906842597)

Ids = np.ndarray


def _mixed(ids: Ids) -> Ids:
    """A number from 0 to 2⁶³-1 for each id, the product modulo 2⁶⁴ without its low, regular bits."""
    product = ids.astype(np.uint64) * MIXING_PRIME
    return (product ^ (product >> np.uint64(29))) & np.uint64((1 << 63) - 1)


def _random(sources: Ids, targets: Ids, parts: int) -> Ids:
    return _mixed(_mixed(sources) * np.uint64(31) + targets.astype(np.uint64)) % np.uint64(parts)


def _canonical(sources: Ids, targets: Ids, parts: int) -> Ids:
    return _random(np.minimum(sources, targets), np.maximum(sources, targets), parts)


def _edge_1d(sources: Ids, targets: Ids, parts: int) -> Ids:
    return _mixed(sources) % np.uint64(parts)


def _edge_2d(sources: Ids, targets: Ids, parts: int) -> Ids:
    # For p that is no square: the next larger square, whose cells are mapped back modulo p.
    side = np.uint64(math.isqrt(parts - 1) + 1)
    return (_mixed(sources) % side * side + _mixed(targets) % side) % np.uint64(parts)


@dataclass(frozen=True)
class PartitionStrategy:
    """A vertex cut. bound: the most partitions that any vertex can be in, by the number of partitions."""

    name: str
    place: Callable[[Ids, Ids, int], Ids]
    bound: Callable[[int], int]

    def getPartition(self, src: int, dst: int, numParts: int) -> int:
        """The partition of one edge."""
        return int(self.parts(np.array([src], np.int64), np.array([dst], np.int64), numParts)[0])

    def parts(self, sources: Ids, targets: Ids, parts: int) -> Ids:
        """The partition of each edge (int64); sources, targets: arrays of ids (int64)."""
        return self.place(sources, targets, parts).astype(np.int64)

    def __repr__(self) -> str:
        return self.name


def _everywhere(parts: int) -> int:
    return parts


def _row_and_column(parts: int) -> int:
    return min(parts, 2 * math.isqrt(parts - 1) + 2)


RandomVertexCut = PartitionStrategy("RandomVertexCut", _random, _everywhere)
CanonicalRandomVertexCut = PartitionStrategy("CanonicalRandomVertexCut", _canonical, _everywhere)
EdgePartition1D = PartitionStrategy("EdgePartition1D", _edge_1d, _everywhere)
EdgePartition2D = PartitionStrategy("EdgePartition2D", _edge_2d, _row_and_column)

STRATEGIES = {
    each.name: each for each in (RandomVertexCut, CanonicalRandomVertexCut, EdgePartition1D, EdgePartition2D)
}


def strategy_of(given: object) -> PartitionStrategy:
    """A strategy, also by its name."""
    found = STRATEGIES.get(given) if isinstance(given, str) else given
    if not isinstance(found, PartitionStrategy):
        raise ValueError(f"partitionBy({given!r:.60}): give one of {', '.join(STRATEGIES)}")
    return found
