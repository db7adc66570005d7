"""Finding a key's successor: fingers, hops, and what to do when a hop does not answer (SIGCOMM 2001, sections
4.3-4.4 and 5.2).

A lookup is a walk along the circle to the key's *predecessor*, each hop to the known node that comes closest
before the key, and then one final step to that node's successor, which is asked too, so that the answer is
never a node known only from hearsay. In both styles only a node that answers is on the path.

* **recursive**: each node passes the request on, and waits only for the next node's acknowledgement. The
  owner answers the origin directly. A node whose next hop stays silent takes another route: an earlier finger
  or a further entry of its successor list.
* **iterative**: the origin asks one node after the other for its best next hop, and does the waiting itself.

The path length counts the hops of `find_predecessor` and not the final step (``Lookup.hops``).

Left out: proximity neighbour selection; a node that misbehaves instead of failing.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from labkit.runtime.errors import Definite, Timeout
from labkit.runtime.loop import Future, Loop, running_loop
from labkit.runtime.node import Node, rpc

from .events import EVENTS
from .ids import Peer, in_half_open

__all__ = ["Found", "LookupFailed", "NotAMember", "Routing", "Settings"]


class LookupFailed(Definite):
    """No node that the lookup reached knew a live way on."""


class NotAMember(Definite):
    """The node is not (or no longer) part of the ring: to its peers that is as good as dead."""


class Settings(NamedTuple):
    """What all nodes of a ring agree on."""

    bits: int = 32
    #: Length of the successor lists: L in Zave's papers, r in the SIGCOMM paper.
    successors: int = 8
    #: Copies of each value, the owner's included.
    replicas: int = 3
    #: Seconds between two rounds of each maintenance task; None: no maintenance (a frozen ring, for
    #: experiments).
    stabilize_every: float | None = 1.0
    routing: str = "recursive"
    #: Seconds without an answer after which a node takes another for dead.
    timeout: float = 0.5
    #: How often a lookup starts anew before it is given up.
    attempts: int = 3
    #: Whether a node whose next hop is silent tries another; False: the lookup fails (SIGCOMM section 6.4).
    detours: bool = True
    #: Seconds for which a node avoids one that did not answer.
    avoid_for: float = 10.0
    #: Fingers looked up anew in each round; the paper fixes one, its simulator all (0 here).
    fingers_per_round: int = 1
    #: Whether nodes compare the ring with a random old acquaintance's view, which alone can join two rings
    #: again.
    sampling: bool = True
    #: Whether nodes emit their pointers as events; off for rings too large to watch.
    announce: bool = True


class Found(NamedTuple):
    """The answer to a lookup: the owner, who was asked on the way to its predecessor, and how many did not
    answer.
    """

    owner: Peer
    path: tuple[str, ...]
    timeouts: int

    @classmethod
    def of(cls, answer: Answer) -> Found:
        """Read a `find_successor` or `lookup` answer."""
        id, owner, timeouts, path = answer
        return cls(Peer(id, owner), tuple(path.split(" ")), timeouts)


#: A lookup's answer as it travels: the owner's id and name, timeouts, and the path as in `find_predecessor`.
#: Plain values travel without being copied.
Answer = tuple[int, str, int, str]


class Search(Future):
    """A lookup that its origin waits for; resolved with its ``Answer``."""

    __slots__ = ("attempt", "key_id", "number", "traced")

    key_id: int
    #: The origin's number of it in the present attempt, counted from 1.
    number: int
    attempt: int
    #: Whether it tells its story in the trace.
    traced: bool


#: What stays the same on the way of a recursive lookup: key_id, origin, the origin's number for it, and
#: whether it is traced.
Request = tuple[int, str, int, bool]

#: Times `Settings.timeout` that a recursive lookup may take before its origin starts it anew.
PATIENCE = 60


class Routing(Node):
    """A node's pointers, and the lookups that use them."""

    events = EVENTS

    # Slots lie side by side in memory: with ten thousand nodes, reaching a node's state costs more than
    # using it.
    __slots__ = (
        "_distances",
        "_first",
        "_lookups",
        "_mask",
        "_near_names",
        "_reach",
        "_routes",
        "_timeout",
        "_waiting",
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
        #: Whether the node is part of the ring; before, and after leaving, it answers no ring message.
        self.joined = False
        #: The closest live member counter-clockwise, as far as known; None is always safe.
        self.predecessor: Peer | None = None
        #: The next members clockwise, nearest first, without the node itself; empty only in a ring of one.
        self.successors: tuple[Peer, ...] = ()
        #: ``fingers[k-1]`` is the best known successor of id + 2**(k-1), None while unknown.
        self.fingers: list[Peer | None] = []
        #: Nodes that did not answer, with the time until which they are avoided.
        self.avoided: dict[str, float] = {}
        #: Recursive lookups this node waits for, by number.
        self._waiting: dict[int, Search] = {}
        self._lookups = 0
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
        """The known node closest before the key, the node itself if none is (Fig. 4, with the successor list
        of 5.2).
        """
        distances = self._distances
        if distances is None:
            distances = self._sort_routes()
        span = (key_id - self.id) & self._mask or self._mask + 1
        nearest = bisect_left(distances, span)
        routes, avoided = self._routes, self.avoided
        for i in range(nearest - 1, -1, -1):
            peer = routes[i]
            if peer.name not in avoided and peer.name not in avoid:
                return peer
        return Peer(self.id, self.name)

    def next_hop(self, key_id: int, avoid: tuple[str, ...] = ()) -> tuple[Peer, bool]:
        """Where a lookup goes from here, and whether that is the final step, from the predecessor to the
        owner.
        """
        if self.avoided:
            self._forgive()
        distances = self._distances
        if distances is None:
            distances = self._sort_routes()
        if not avoid and not self.avoided:  # nearly always: two comparisons and a bisection
            span = (key_id - self.id) & self._mask or self._mask + 1
            if span <= self._reach:
                return self._first, True
            return self._routes[bisect_left(distances, span) - 1], False
        successor = self.successor(avoid)
        if in_half_open(self.id, key_id, successor.id):
            return successor, True
        hop = self.closest_preceding_finger(key_id, avoid)
        return (successor, False) if hop.name == self.name else (hop, False)

    def _sort_routes(self) -> Sequence[int]:
        here, mask = self.id, self._mask
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

    # --- lookups ----------------------------------------------------------------------------------------

    @rpc
    def lookup(self, key: Any, key_id: int) -> Future:
        """A user's lookup, with its story in the trace: an ``Answer``. Raises ``LookupFailed``."""
        self.emit("lookup_started", key=key, key_id=key_id, origin=self.name)
        return self._seek(key_id, True)

    @rpc
    def find_successor(self, key_id: int) -> Future:
        """The live node that owns an identifier, as an ``Answer``. Raises ``LookupFailed`` when every attempt
        ended at dead nodes.
        """
        return self._seek(key_id, False)

    def _seek(self, key_id: int, traced: bool) -> Future:
        if not self.joined:
            raise NotAMember(f"{self.name} is not a member of the ring; ask a node that is")
        search = Search(running_loop())
        search.key_id, search.traced, search.attempt = key_id, traced, 1
        self._begin(search)
        return search

    def _begin(self, search: Search) -> None:
        self._lookups = search.number = number = self._lookups + 1
        if self.settings.routing == "iterative":
            self.spawn(self._walk(search))
            return
        self._waiting[number] = search
        search.loop.expire(PATIENCE * self._timeout, search, self._got_lost)
        self.find_predecessor(search.key_id, self.name, number, search.traced, 0, "", False)

    def _got_lost(self, search: Search) -> None:
        self._waiting.pop(search.number, None)
        search.set_error(
            Timeout(f"a lookup by {self.name} got no answer within {PATIENCE * self._timeout} s")
        )

    def _found(self, search: Search, answer: Answer) -> None:
        """The end of a lookup, back at its origin."""
        if search.traced:
            _, owner, timeouts, path = answer
            names = tuple(path.split(" "))
            self.emit(
                "lookup_finished",
                key_id=search.key_id,
                owner=owner,
                hops=len(names) - 1,
                timeouts=timeouts,
                path=names,
            )
        search.set_result(answer)

    def _not_found(self, search: Search, reason: str) -> None:
        """A dead end: start anew, since the ring repairs itself meanwhile, or give up."""
        if search.attempt < self.settings.attempts:
            search.attempt += 1
            self.spawn(self._once_more(search))
            return
        if search.traced:
            self.emit("lookup_failed", key_id=search.key_id, error=reason)
        search.set_error(
            LookupFailed(
                f"{self.name} found no live way to {search.key_id} in {search.attempt} attempt(s): {reason}"
            )
        )

    async def _once_more(self, search: Search) -> None:
        await self.sleep(self._timeout * self.random.random())
        if not search.done:
            self._begin(search)

    # recursive: the request travels, and only its acknowledgement comes back from each hop

    @rpc
    def find_predecessor(
        self, key_id: int, origin: str, number: int, traced: bool, timeouts: int, path: str, final: bool
    ) -> None:
        """One hop of a recursive lookup; returning is the acknowledgement. ``final``: the sender takes us for
        the owner.

        ``path`` holds the names so far, separated by spaces: a string travels without being copied.
        """
        if not self.joined:
            raise NotAMember(f"{self.name} is not a member of the ring")
        if final:
            self._arrive(key_id, origin, number, traced, timeouts, path)
            return
        path = f"{path} {self.name}" if path else self.name
        distances = self._distances
        if distances is None or self.avoided:
            peer, final = self.next_hop(key_id)
        else:  # next_hop, written out for the case that nearly always holds
            span = (key_id - self.id) & self._mask or self._mask + 1
            final = span <= self._reach
            peer = self._first if final else self._routes[bisect_left(distances, span) - 1]
        name = peer[1]
        if traced:
            self._emit_hop(name, key_id, path, final)
        loop = running_loop()
        call = self.call(
            name,
            "find_predecessor",
            key_id,
            origin,
            number,
            traced,
            timeouts,
            path,
            final,
            timeout=self._timeout,
        )
        # A task that awaits the acknowledgement would cost as much as the hop itself: one is started only if
        # there is none.
        call.add_done(
            partial(self._acknowledged, loop, loop.span, peer, key_id, origin, number, traced, timeouts, path)
        )

    def _acknowledged(
        self,
        loop: Loop,
        span: int | None,
        peer: Peer,
        key_id: int,
        origin: str,
        number: int,
        traced: bool,
        timeouts: int,
        path: str,
        call: Future,
    ) -> None:
        if call.error is not None:
            loop.span, loop.cause = span, call.cause
            request = (key_id, origin, number, traced)
            self.spawn(self._detour(call.error, peer, request, timeouts, path))

    async def _detour(
        self, error: BaseException, peer: Peer, request: Request, timeouts: int, path: str
    ) -> None:
        """The best next node is silent: try the others, an earlier finger or a further successor."""
        key_id, origin, number, traced = request
        tried: tuple[str, ...] = ()
        while True:
            self._no_answer(error, peer, key_id, traced)
            timeouts += 1
            tried = (*tried, peer.name)
            peer, final = self.next_hop(key_id, tried)
            dead_end = peer.name in tried or (peer.name == self.name and self.successors)
            if dead_end or not self.settings.detours:
                self.send(origin, "answer", number, None, None, timeouts, path)
                return
            if traced:
                self._emit_hop(peer.name, key_id, path, final)
            try:
                await self.call(
                    peer.name, "find_predecessor", *request, timeouts, path, final, timeout=self._timeout
                )
                return
            except (Timeout, NotAMember) as again:
                error = again

    def _is_mine(self, key_id: int) -> bool:
        """Whether no known member stands between the key and this node."""
        before = self.predecessor
        return before is None or in_half_open(before.id, key_id, self.id)

    def _arrive(self, key_id: int, origin: str, number: int, traced: bool, timeouts: int, path: str) -> None:
        """The lookup has reached the node that its sender takes for the owner."""
        if self._is_mine(key_id):
            self.send(origin, "answer", number, self.id, self.name, timeouts, path)
        else:
            self.spawn(self._pass_back((key_id, origin, number, traced), timeouts, path))

    async def _pass_back(self, request: Request, timeouts: int, path: str) -> None:
        """A node has come between the sender and this one: it owns the key, unless it is dead already."""
        key_id, origin, number, traced = request
        before = self.predecessor
        if before is not None:
            if traced:
                self._emit_hop(before.name, key_id, path, True)
            try:
                await self.call(
                    before.name, "find_predecessor", *request, timeouts, path, True, timeout=self._timeout
                )
                return
            except (Timeout, NotAMember) as error:
                self._no_answer(error, before, key_id, traced)
                timeouts += 1
        if self._is_mine(key_id):
            self.send(origin, "answer", number, self.id, self.name, timeouts, path)
        else:
            self.find_predecessor(*request, timeouts, path, False)

    def _emit_hop(self, to: str, key_id: int, path: str, final: bool) -> None:
        via = "successor" if final or to in self._near_names else "finger"
        self.emit("hop", to=to, key_id=key_id, n=path.count(" ") + 1, final=final, via=via)

    def _no_answer(self, error: BaseException, peer: Peer, key_id: int, traced: bool) -> None:
        """Take note that a hop failed for want of an answer; any other error is a fault of the program."""
        if not isinstance(error, (Timeout, NotAMember)):
            raise error
        if traced:
            self.emit("hop_timed_out", to=peer.name, key_id=key_id)
        self.silent(peer)

    def silent(self, peer: Peer) -> None:
        """A node did not answer. Lookups avoid it; a silent predecessor is forgotten (nil is always safe)."""
        self.avoid(peer)
        if peer == self.predecessor:
            self.set_predecessor(None)

    def set_predecessor(self, peer: Peer | None) -> None:
        """Change the predecessor and say so."""
        if peer != self.predecessor:
            self.predecessor = peer
            if self.settings.announce:
                self.emit("predecessor_changed", predecessor=peer.name if peer else None)

    @rpc
    def answer(self, number: int, owner_id: int | None, owner: str | None, timeouts: int, path: str) -> None:
        """The owner reports to the origin; late and double answers find nobody waiting."""
        search = self._waiting.pop(number, None)
        if search is None:
            return
        if owner is None or owner_id is None:
            self._not_found(search, f"{path.rpartition(' ')[2]} knew no live node to ask next")
        else:
            self._found(search, (owner_id, owner, timeouts, path))

    # iterative: the origin asks, node after node

    @rpc
    def best_hop(
        self, key_id: int, avoid: tuple[str, ...], final: bool
    ) -> tuple[int | None, str | None, bool]:
        """One question of an iterative lookup: (id, name, final) of the node to ask next, or (None, None,
        False).

        ``final``: the origin takes us for the owner; an owner names itself.
        """
        if not self.joined:
            raise NotAMember(f"{self.name} is not a member of the ring")
        if final:
            before = self.predecessor
            if before is None or before.name in avoid or self._is_mine(key_id):
                return self.id, self.name, True
            return before.id, before.name, True
        peer, last = self.next_hop(key_id, avoid)
        if peer.name == self.name and self.successors:
            return None, None, False
        return peer.id, peer.name, last

    async def _walk(self, search: Search) -> None:
        """Ask one node after the other, from the origin to the owner; step back when one is silent."""
        try:
            answer = await self._ask_along(search.key_id, search.traced)
        except (Timeout, LookupFailed) as error:
            self._not_found(search, str(error))
        else:
            self._found(search, answer)

    async def _ask_along(self, key_id: int, traced: bool) -> Answer:
        path: list[str] = [self.name]
        silent: tuple[str, ...] = ()
        here = self.name
        id, name, final = self.best_hop(key_id, silent, False)
        while True:
            if name is None or id is None or name in silent:
                if len(path) == 1:
                    raise LookupFailed(f"{here} knew no live node to ask next")
                path.pop()
                here = path[-1]
                id, name, final = await self.call(
                    here, "best_hop", key_id, silent, False, timeout=self._timeout
                )
                continue
            if final and name == here:
                return id, name, len(silent), " ".join(path)
            if traced:
                self._emit_hop(name, key_id, " ".join(path), final)
            try:
                reply = await self.call(name, "best_hop", key_id, silent, final, timeout=self._timeout)
            except (Timeout, NotAMember) as error:
                self._no_answer(error, Peer(id, name), key_id, traced)
                silent = (*silent, name)
                if not self.settings.detours:
                    raise LookupFailed(f"{name} did not answer") from None
                here = path[-1]
                reply = await self.call(here, "best_hop", key_id, silent, False, timeout=self._timeout)
            else:
                here = name
                if not final:
                    path.append(name)
            id, name, final = reply
