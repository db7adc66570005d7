"""Chord on one thread: the ring as it *should* be, computed from the list of its members.

With every member known, `successor(key)` is one bisection of a sorted list. This is what the distributed
nodes must agree with once they have stabilised, so it is the oracle of the tests, the builder of settled
rings, and what a reader compares the distributed version's cost with.

Path length follows one fixed definition: the hops of `find_predecessor`, *without* the last step from the
predecessor to the key's successor. Counted this way ideal fingers give the distribution of SIGCOMM Fig.
10(b), with its peak at 6 for 2**12 nodes.

    >>> ring = IdealRing([(0, "a"), (1, "b"), (3, "c")], bits=3)       # a textbook ring
    >>> [ring.successor(key).id for key in (1, 2, 6)]
    [1, 3, 0]
    >>> [finger.id for finger in ring.fingers(1)]                      # starts 2, 3, 5
    [3, 3, 0]
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from .ids import Peer, between, finger_start, in_half_open

__all__ = ["IdealRing"]


class IdealRing:
    """The settled ring of the given members (pairs of id and name)."""

    def __init__(self, members: Iterable[tuple[int, str]], bits: int) -> None:
        #: Members in id order; ids are unique.
        self.peers = [Peer(*member) for member in sorted(members)]
        self.bits = bits
        #: The ids alone, for bisection; `ids[i] == peers[i].id`.
        self.ids = [peer.id for peer in self.peers]
        if not self.peers:
            raise ValueError("a ring needs at least one member; write IdealRing([(0, 'a')], bits=3)")
        if len(set(self.ids)) != len(self.ids):
            twice = next(b for a, b in zip(self.peers, self.peers[1:], strict=False) if a.id == b.id)
            raise ValueError(f"two members have the id {twice.id}, one is {twice.name!r}; ids must be unique")

    def __len__(self) -> int:
        return len(self.peers)

    def at_or_after(self, point: int) -> int:
        """Index of the first member at or clockwise after a point of the circle."""
        index = bisect_left(self.ids, point)
        return index if index < len(self.ids) else 0

    def successor(self, key_id: int) -> Peer:
        """The member that owns a key: the first at or after it, clockwise."""
        return self.peers[self.at_or_after(key_id)]

    def predecessor(self, key_id: int) -> Peer:
        """The last member strictly before a point."""
        return self.peers[self.at_or_after(key_id) - 1]

    def successors(self, n: int, count: int) -> list[Peer]:
        """The successor list of node n: the next `count` other members, fewer if the ring is smaller."""
        start = self.at_or_after(n)
        return [self.peers[(start + i) % len(self)] for i in range(1, min(count, len(self) - 1) + 1)]

    def fingers(self, n: int) -> list[Peer]:
        """The finger table of node n: entry k-1 is the successor of n + 2**(k-1)."""
        return [self.successor(finger_start(n, k, self.bits)) for k in range(1, self.bits + 1)]

    def replicas(self, key_id: int, count: int) -> list[Peer]:
        """Where `count` copies of a key belong: its successor and the members that follow."""
        owner = self.successor(key_id)
        return [owner, *self.successors(owner.id, count - 1)]

    def path(self, origin: int, key_id: int) -> list[Peer]:
        """The nodes `find_predecessor` visits, from the origin to the key's predecessor (Fig. 4).

        `len(path) - 1` is the path length. The key's owner is the successor of the last.
        """
        here = self.peers[self.at_or_after(origin)]
        path = [here]
        while not in_half_open(here.id, key_id, self.successor(self._after(here.id)).id):
            here = self.closest_preceding_finger(here.id, key_id)
            path.append(here)
        return path

    def closest_preceding_finger(self, n: int, key_id: int) -> Peer:
        """The finger of n that comes closest before the key (Fig. 4)."""
        for k in range(self.bits, 0, -1):
            finger = self.successor(finger_start(n, k, self.bits))
            if between(n, finger.id, key_id):
                return finger
        return self.successor(n)

    def _after(self, point: int) -> int:
        return finger_start(point, 1, self.bits)
