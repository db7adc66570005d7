"""What a node knows about the ring, and the local decision: which known node a lookup goes to next (SIGCOMM
2001, sections 4.3-4.4 and 5.2).

A node knows its predecessor, a list of its next members clockwise, and fingers, each about twice as far away
as the one before. It also remembers for a while who did not answer, and avoids it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence

from labkit.runtime.errors import Definite
from labkit.runtime.node import Node

from .ids import Peer, distance, in_half_open, shared_peer
from .options import Settings

__all__ = ["LookupFailed", "NotAMember", "RoutingTable"]


#: Old acquaintances remembered for sampling.
ACQUAINTANCES = 64


class LookupFailed(Definite):
    """No node that the lookup reached knew a live way on."""


class NotAMember(Definite):
    """The node is not (or no longer) part of the ring: to its peers that is as good as dead."""


class RoutingTable(Node):
    """A node's pointers, and what follows from them."""

    # Slots lie side by side in memory: with ten thousand nodes, reaching a node's state costs more than
    # using it.
    __slots__ = (
        "_distances",
        "_first",
        "_mask",
        "_met",
        "_near_names",
        "_reach",
        "_routes",
        "_timeout",
        "avoided",
        "fingers",
        "id",
        "joined",
        "predecessor",
        "settings",
        "successors",
    )

    def __init__(self, id: int, settings: Settings) -> None:
        self.settings = settings
        #: The node's place on the circle.
        self.id = id
        #: Whether the node is part of the ring.
        self.joined = False
        #: The closest live member counter-clockwise, as far as known; None is always safe.
        self.predecessor: Peer | None = None
        #: The next members clockwise, nearest first, without the node itself; empty only in a ring of one.
        self.successors: tuple[Peer, ...] = ()
        #: ``fingers[k-1]`` is the best known successor of id + 2**(k-1), None while unknown.
        self.fingers: list[Peer | None] = [None] * settings.bits
        #: Nodes that did not answer, with the time until which they are avoided.
        self.avoided: dict[str, float] = {}
        #: Names met so far, the latest last: whom to ask when sampling. A dict, for its order.
        self._met: dict[str, None] = {}
        #: All known peers by their distance clockwise, and what follows from them; None when a pointer has
        #: changed.
        self._distances: Sequence[int] | None = None
        self._routes: list[Peer] = []
        self._first: Peer = Peer(id, "")  # successors[0], or the node itself
        self._reach = 0  # distance to it: keys up to there are its own
        self._near_names: frozenset[str] = frozenset()  # of the successor list
        self._mask = (1 << settings.bits) - 1
        self._timeout = settings.timeout

    @property
    def peer(self) -> Peer:
        """How others know this node."""
        return Peer(self.id, self.name)

    def require_membership(self) -> None:
        """Raises ``NotAMember``: before joining and after leaving, a node answers no ring message."""
        if not self.joined:
            raise NotAMember(f"{self.name} is not a member of the ring")

    # --- the local decision -----------------------------------------------------------------------------

    def successor(self, avoid: tuple[str, ...] = ()) -> Peer:
        """The first entry of the successor list that is not known to be silent; the node itself if alone."""
        avoided = self.avoided
        for peer in self.successors:
            if peer.name not in avoided and peer.name not in avoid:
                return peer
        for peer in self.successors:
            if peer.name not in avoid:
                return peer
        return Peer(self.id, self.name)

    def closest_preceding_finger(self, key_id: int, avoid: tuple[str, ...] = ()) -> Peer:
        """The known node closest before the key, else itself (Fig. 4, with the successor list of 5.2)."""
        distances = self._distances or self._sort_routes()
        span = (key_id - self.id) & self._mask or self._mask + 1
        routes, avoided = self._routes, self.avoided
        # for i = m downto 1: if finger[i].node in (n, id) return it (Fig. 4); by bisection, as all are sorted
        for i in range(bisect_left(distances, span) - 1, -1, -1):
            peer = routes[i]
            if peer.name not in avoided and peer.name not in avoid:
                return peer
        return Peer(self.id, self.name)

    def next_hop(self, key_id: int, avoid: tuple[str, ...] = ()) -> tuple[Peer, bool]:
        """Where a lookup goes from here, and whether that is the final step, to the owner."""
        if self.avoided:
            self._forgive()
        if not avoid and not self.avoided:  # nearly always: two comparisons and a bisection
            distances = self._distances or self._sort_routes()
            span = (key_id - self.id) & self._mask or self._mask + 1
            # id in (n, n.successor]: n is the predecessor, and its successor the owner (Fig. 4)
            if span <= self._reach:
                return self._first, True
            return self._routes[bisect_left(distances, span) - 1], False
        # The first live entry of the list serves as successor (section 5.2).
        successor = self.successor(avoid)
        if in_half_open(self.id, key_id, successor.id):
            return successor, True
        hop = self.closest_preceding_finger(key_id, avoid)
        return (successor, False) if hop.name == self.name else (hop, False)

    def _sort_routes(self) -> Sequence[int]:
        here, mask = self.id, self._mask
        # Fingers and successor list together: each entry is a way on (section 5.2).
        known = {
            (peer.id - here) & mask: peer for peer in (*self.fingers, *self.successors) if peer is not None
        }
        known.pop(0, None)
        distances = sorted(known)
        self._routes = [known[distance] for distance in distances]
        # machine words side by side, where they fit: a search touches one or two cache lines
        self._distances = array("Q", distances) if self.settings.bits <= 64 else distances
        self._first = self.successors[0] if self.successors else self.peer
        self._reach = (self._first.id - here) & mask or mask + 1
        self._near_names = frozenset([peer.name for peer in self.successors])
        return self._distances

    def avoid(self, peer: Peer) -> None:
        """Remember that a node did not answer, so that the next lookups need not wait for it again."""
        if self.settings.avoid_for > 0 and peer.name != self.name:
            if peer.name not in self.avoided:
                self.emit("dead_seen", peer=peer.name)
            self.avoided[peer.name] = self.now + self.settings.avoid_for

    def _forgive(self) -> None:
        now = self.now
        for name in [name for name, until in self.avoided.items() if until <= now]:
            del self.avoided[name]

    def _is_mine(self, key_id: int) -> bool:
        """Whether no known member stands between the key and this node."""
        before = self.predecessor
        return before is None or in_half_open(before.id, key_id, self.id)

    def silent(self, peer: Peer) -> None:
        """A node did not answer. Lookups avoid it; a silent predecessor is forgotten (nil is always safe)."""
        self.avoid(peer)
        if peer == self.predecessor:
            self.set_predecessor(None)

    # --- changing the pointers --------------------------------------------------------------------------

    def set_predecessor(self, peer: Peer | None) -> None:
        """Change the predecessor and say so."""
        if peer != self.predecessor:
            self.predecessor = peer
            if self.settings.announce:
                self.emit("predecessor_changed", predecessor=peer.name if peer else None)
            self.keys_changed()

    def set_successors(self, peers: tuple[Peer, ...]) -> None:
        """Change the successor list: at most L entries, nobody twice, and it ends before the node itself."""
        kept: dict[Peer, None] = {}
        for peer in peers:
            if peer.name == self.name or len(kept) == self.settings.successors:
                break
            kept[shared_peer(*peer)] = None
        after = tuple(kept)
        if after == self.successors:
            return
        before, self.successors = self.successors, after
        self._distances = None
        self.followers_changed(before)
        for peer in after:
            self._meet(peer)
        self._announce_successors()
        self._fill_near_fingers()

    def _announce_successors(self) -> None:
        if self.settings.announce:
            names = tuple(peer.name for peer in self.successors)
            self.emit("successors_changed", successors=names, ids=tuple(peer.id for peer in self.successors))

    def _near(self) -> int:
        """How many fingers start between the node and its successor: all these are the successor."""
        return distance(self.id, self.successor().id, self.settings.bits).bit_length()

    def _fill_near_fingers(self) -> None:
        successor = self.successors[0] if self.successors else None
        if successor is not None:
            self.set_fingers(dict.fromkeys(range(1, self._near() + 1), successor))

    def set_fingers(self, fingers: dict[int, Peer]) -> None:
        """Change some fingers, and say which."""
        changed = {k: peer for k, peer in fingers.items() if self.fingers[k - 1] != peer}
        if not changed:
            return
        for k, peer in changed.items():
            self.fingers[k - 1] = peer
            self._meet(peer)
        self._distances = None
        if self.settings.announce:
            self.emit("fingers_changed", fingers={k: peer.name for k, peer in changed.items()})

    def _meet(self, peer: Peer) -> None:
        self._met.pop(peer.name, None)
        self._met[peer.name] = None
        if len(self._met) > ACQUAINTANCES:
            del self._met[next(iter(self._met))]

    # --- upcalls: what the layer above is told (Fig. 1); that layer overrides them ------------------------

    def keys_changed(self) -> None:
        """The set of keys that this node is responsible for has changed: its predecessor is another."""

    def followers_changed(self, before: tuple[Peer, ...]) -> None:
        """The members that follow are others than ``before``: where a store keeps its copies."""
