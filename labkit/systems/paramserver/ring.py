"""The ring: which servers are responsible for which keys (Li et al., OSDI 2014, section 4.3).

Every server stands at several points of a ring, its *virtual servers*, found by hashing its name. A range of
the ring belongs to the first point at or after its end, the *master*, and is copied to the next ``replicas``
other servers clockwise: so a server also holds copies of the ranges before its own, and when a master dies
the next in the chain has everything already.

Keys are not hashed but *direct-mapped*: key ``k`` of a vector with ``n`` keys stands at the fraction ``k/n``
of the ring. Neighbouring keys stay together, and a push of a range of keys is a few messages. Positions are
whole numbers from 0 to 2**64, so that no rounding ever puts a key into two ranges.

A ``View`` is the manager's word on who has what; views are numbered, and everybody keeps a copy.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from labkit.runtime.copying import stable_hash

from .vectors import VectorSpec

__all__ = ["WHOLE", "KeyRange", "View", "cut", "no_such_vector", "place", "points"]

#: One past the last position of the ring.
WHOLE = 1 << 64


class KeyRange(NamedTuple):
    """A range [lo, hi) of the ring and its chain: master, then replicas; the last one is the tail."""

    lo: int
    hi: int
    chain: tuple[str, ...]

    @property
    def head(self) -> str | None:
        """The master: it takes the pushes."""
        return self.chain[0] if self.chain else None

    @property
    def tail(self) -> str | None:
        """The end of the chain: it answers the pulls."""
        return self.chain[-1] if self.chain else None

    def successor(self, server: str) -> str | None:
        """The next of the chain after this server; None after the tail."""
        at = self.chain.index(server)
        return self.chain[at + 1] if at + 1 < len(self.chain) else None

    def predecessor(self, server: str) -> str | None:
        """The one of the chain before this server; None before the head."""
        at = self.chain.index(server)
        return self.chain[at - 1] if at else None


class View(NamedTuple):
    """Who has what, from now on: the ranges in order, without a gap, and the vectors there are."""

    number: int
    ranges: tuple[KeyRange, ...]
    vectors: Mapping[str, VectorSpec]

    def index(self, position: int) -> int:
        """Which range this position is in."""
        return bisect_right(self.ranges, position, key=lambda each: each.lo) - 1

    def find(self, lo: int, hi: int) -> KeyRange | None:
        """The range with exactly these bounds."""
        if not self.ranges:
            return None
        found = self.ranges[self.index(lo)]
        return found if (found.lo, found.hi) == (lo, hi) else None

    def covering(self, vector: VectorSpec, first: int, last: int) -> list[KeyRange]:
        """The ranges that hold keys ``first`` to ``last`` (inclusive) of a vector."""
        begin, end = self.index(vector.position(first)), self.index(vector.position(last))
        return list(self.ranges[begin : end + 1])


def points(server: str, virtual_servers: int) -> list[int]:
    """A server's places on the ring."""
    return [stable_hash(server, number) for number in range(virtual_servers)]


def place(servers: Iterable[str], replicas: int, virtual_servers: int) -> list[KeyRange]:
    """The ranges and chains that these servers should have. ``replicas``: copies beside the master's."""
    ring = sorted((point, server) for server in servers for point in points(server, virtual_servers))
    if not ring:
        return [KeyRange(0, WHOLE, ())]
    bounds = [0, *(point for point, _ in ring), WHOLE]
    ranges: list[KeyRange] = []
    for number, (lo, hi) in enumerate(pairwise(bounds)):
        if lo == hi:
            continue
        chain = _chain(ring, number % len(ring), replicas + 1)
        if ranges and ranges[-1].chain == chain:
            ranges[-1] = KeyRange(ranges[-1].lo, hi, chain)
        else:
            ranges.append(KeyRange(lo, hi, chain))
    return ranges


def _chain(ring: Sequence[tuple[int, str]], at: int, length: int) -> tuple[str, ...]:
    """The first ``length`` different servers clockwise from a point."""
    chain: list[str] = []
    for step in range(len(ring)):
        server = ring[(at + step) % len(ring)][1]
        if server not in chain:
            chain.append(server)
            if len(chain) == length:
                break
    return tuple(chain)


def cut(range_: KeyRange, wanted: Sequence[KeyRange]) -> list[KeyRange]:
    """The pieces of a range, each with the chain it should have."""
    pieces: list[KeyRange] = []
    for each in wanted:
        lo, hi = max(range_.lo, each.lo), min(range_.hi, each.hi)
        if lo < hi:
            pieces.append(KeyRange(lo, hi, each.chain))
    return pieces


def no_such_vector(name: object, view: View | None) -> KeyError:
    """The view has no vector of this name."""
    known = sorted(view.vectors) if view is not None else []
    return KeyError(f"there is no vector {name!r}; there are: {', '.join(known) or 'none'}")
