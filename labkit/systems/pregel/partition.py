"""Which partition a vertex is in (§4.1): ``hash(ID) mod N`` unless the user's function says otherwise. "The
assignment of a vertex to a partition depends solely on the vertex ID", so every worker knows where a vertex
is, even one that it has never seen.
"""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Number
from typing import Any

import numpy as np

from labkit.runtime.copying import stable_hash

__all__ = ["Homes", "hash_partition", "misplaced", "partitions_of"]

#: Spreads numbers that share their low bits (Knuth, TAOCP 3, 6.4: a multiple of the golden ratio).
GOLDEN, MASK = 0x9E3779B97F4A7C15, (1 << 64) - 1


def hash_partition(vertex_id: Any, N: int) -> int:
    """``hash(ID) mod N``; ids that are equal are one vertex, whatever their type."""
    vertex_id = _plain(vertex_id)
    if isinstance(vertex_id, int):
        return ((vertex_id * GOLDEN & MASK) >> 32) % N
    return stable_hash(vertex_id) % N


def _plain(vertex_id: Any) -> Any:
    """One of all ids that are equal to it: of NumPy's numbers and texts Python's, also inside of tuples."""
    if isinstance(vertex_id, tuple):
        return tuple([_plain(each) for each in vertex_id])
    if isinstance(vertex_id, str):
        return str(vertex_id)
    for kind in (int, float) if isinstance(vertex_id, Number) else ():
        try:
            if (same := kind(vertex_id)) == vertex_id:
                return same
        except (TypeError, ValueError, OverflowError):
            pass  # complex, NaN, infinite
    return vertex_id


class Homes(dict[Any, int]):
    """The partition of each vertex that was asked for. Raises ``ValueError`` for one that there is not."""

    def __init__(self, partitioner: Callable[[Any, int], int], N: int) -> None:
        super().__init__()
        self._partitioner, self._N = partitioner, N

    def __missing__(self, vertex_id: Any) -> int:
        home = self._partitioner(vertex_id, self._N)
        if not isinstance(home, Integral) or not 0 <= home < self._N:
            raise ValueError(
                f"partitioner({vertex_id!r:.60}, {self._N}) returned {home!r:.40}, not a whole number from 0 "
                f"to {self._N - 1}"
            )
        self[vertex_id] = int(home)
        return int(home)


def misplaced(vertex_id: Any, here: int, there: int) -> ValueError:
    """The error about a partitioner that says one thing on one machine and another on another."""
    return ValueError(
        f"the partitioner puts vertex {vertex_id!r:.60} into partition {there} on one machine and {here} on "
        "another: it is to depend on the id alone, not on random numbers or hash() of a text; write "
        "partitioner=hash_partition"
    )


def partitions_of(n: int, N: int, partitioner: Callable[[Any, int], int] = hash_partition) -> np.ndarray:
    """The partition of each vertex 0 to n-1, (n,) of int32."""
    if partitioner is hash_partition:
        hashed = np.arange(n, dtype=np.uint64) * np.uint64(GOLDEN)
        return ((hashed >> np.uint64(32)) % np.uint64(N)).astype(np.int32)
    homes = Homes(partitioner, N)
    return np.fromiter((homes[vertex] for vertex in range(n)), np.int32, n)
