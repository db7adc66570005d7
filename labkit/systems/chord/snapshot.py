"""A snapshot of a Chord ring, as the invariants judge it: for every live member its pointers; ids, not names.

Whoever is not in it is dead or has not joined.

    >>> best_successor({0: Pointers(3, (1, 3)), 3: Pointers(0, (0, 3))}, 0)
    3
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["Pointers", "Snapshot", "best_successor"]


class Pointers(NamedTuple):
    """The part of a node's state that Chord's correctness is about; ids, not names."""

    predecessor: int | None
    successors: tuple[int, ...]


Snapshot = Mapping[int, Pointers]


def best_successor(members: Snapshot, n: int) -> int | None:
    """The first live entry of n's successor list: where the ring goes on from n. A lone member goes on to
    itself.
    """
    if len(members) == 1 and not members[n].successors:
        return n
    for entry in members[n].successors:
        if entry in members:
            return entry
    return None
