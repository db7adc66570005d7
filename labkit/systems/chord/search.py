"""A lookup at its origin: begun, waited for, begun anew, answered.

An attempt may fail: it ends at dead nodes, or a message of it is lost. The origin then starts anew. Whoever
was silent is handed on, from hop to hop and from attempt to attempt, so that nobody waits for it twice. How
long a lookup takes has no useful bound (with half of the nodes dead it may wait for twenty of them in turn),
so the origin gives an attempt up only when it has had no word of it for a while; each silent node met on the
way is such a word.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from labkit.runtime.errors import Timeout
from labkit.runtime.loop import Future, running_loop
from labkit.runtime.node import rpc

from .events import EVENTS
from .ids import Peer
from .options import Settings
from .pointers import LookupFailed, NotAMember, RoutingTable

__all__ = ["Answer", "Found", "Search", "Searching"]

#: A lookup's answer as it travels: the owner's id and name, timeouts, and then the names of the path. Plain
#: values in one row travel without being copied.
Answer = tuple[Any, ...]


class Found(NamedTuple):
    """The owner, who was asked on the way to its predecessor, and how many did not answer."""

    owner: Peer
    path: tuple[str, ...]
    timeouts: int

    @classmethod
    def of(cls, answer: Answer) -> Found:
        """Read a `find_successor` or `lookup` answer."""
        id, owner, timeouts, *path = answer
        return cls(Peer(id, owner), tuple(path), timeouts)


class Search(Future):
    """A lookup that its origin waits for; resolved with its ``Answer``."""

    __slots__ = ("attempt", "heard", "key_id", "number", "silent", "traced")

    key_id: int
    #: The origin's number of it in the present attempt, counted from 1.
    number: int
    attempt: int
    #: Whether it tells its story in the trace.
    traced: bool
    #: The nodes that did not answer, in any attempt so far.
    silent: tuple[str, ...]
    #: Whether there was word of it since the origin last looked.
    heard: bool


class Searching(RoutingTable):
    """The lookups that begin at a node."""

    events = EVENTS

    __slots__ = ("_lookups", "_waiting")

    def __init__(self, id: int, settings: Settings) -> None:
        super().__init__(id, settings)
        #: Lookups this node waits for, by number.
        self._waiting: dict[int, Search] = {}
        self._lookups = 0

    @rpc
    def lookup(self, key: Any, key_id: int) -> Future:
        """A user's lookup, with its story in the trace: an ``Answer``. Raises ``LookupFailed``."""
        self.emit("lookup_started", key=key, key_id=key_id, origin=self.name)
        return self._seek(key_id, True)

    @rpc
    def find_successor(self, key_id: int) -> Future:
        """``n.find_successor(id)`` of Fig. 4: an ``Answer``. Raises ``LookupFailed``."""
        return self._seek(key_id, False)

    def _seek(self, key_id: int, traced: bool) -> Future:
        if not self.joined:
            raise NotAMember(f"{self.name} is not a member of the ring; ask a node that is")
        search = Search(running_loop())
        search.key_id, search.traced, search.attempt = key_id, traced, 1
        search.silent, search.heard = (), False
        self._enlist(search)
        self.begin(search)
        return search

    @rpc
    def seeking(self, key_id: int) -> bool:
        """Whether a lookup of this identifier is under way here: worth waiting for."""
        return any(search.key_id == key_id for search in self._waiting.values())

    def _enlist(self, search: Search) -> None:
        self._lookups = search.number = number = self._lookups + 1
        self._waiting[number] = search

    def begin(self, search: Search) -> None:
        """An attempt sets out; each style has its own way."""
        raise NotImplementedError

    def _found(self, search: Search, answer: Answer) -> None:
        """The end of a lookup, back at its origin."""
        if search.traced:
            _, owner, timeouts, *names = answer
            path, hops = tuple(names), len(names) - 1
            self.emit(
                "lookup_finished", key_id=search.key_id, owner=owner, hops=hops, timeouts=timeouts, path=path
            )
        search.set_result(answer)

    def _not_found(self, search: Search, reason: str) -> None:
        """A dead end: start anew, since the ring repairs itself meanwhile, or give up."""
        if search.attempt < self.settings.attempts:
            search.attempt += 1
            self._enlist(search)
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
            self.begin(search)

    # --- what both styles say of a hop ---------------------------------------------------------------------

    def _emit_hop(self, to: str, key_id: int, n: int, final: bool) -> None:
        via = "successor" if final or to in self._near_names else "finger"
        self.emit("hop", to=to, key_id=key_id, n=n, final=final, via=via)

    def _no_answer(self, error: BaseException, peer: Peer, key_id: int, traced: bool) -> None:
        """Take note that a hop failed for want of an answer; any other error is a fault of the program."""
        if not isinstance(error, (Timeout, NotAMember)):
            raise error
        if traced:
            self.emit("hop_timed_out", to=peer.name, key_id=key_id)
        self.silent(peer)
