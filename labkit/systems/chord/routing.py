"""Finding a key's successor: fingers, hops, and what to do when a hop does not answer (SIGCOMM 2001, sections
4.3-4.4 and 5.2).

A lookup is a walk along the circle to the key's *predecessor*, each hop to the known node that comes closest
before the key, and then one final step to that node's successor, which is asked too, so that the answer is
never a node known only from hearsay. In both styles only a node that answers is on the path.

* **recursive**: each node passes the request on, and waits only for the next node's acknowledgement. The
  owner answers the origin directly. A node whose next hop stays silent takes another route: an earlier finger
  or a further entry of its successor list.
* **iterative**: the origin asks one node after the other for its best next hop, and does the waiting itself.

An attempt may fail: it ends at dead nodes, or a message of it is lost. The origin then starts anew. Whoever
was silent is handed on, from hop to hop and from attempt to attempt, so that nobody waits for it twice. How
long a lookup takes has no useful bound (with half of the nodes dead it may wait for twenty of them in turn),
so the origin gives an attempt up only when it has had no word of it for a while; each silent node met on the
way is such a word.

The path length counts the hops of `find_predecessor` and not the final step (``Lookup.hops``).

Left out: proximity neighbour selection; a node that misbehaves instead of failing.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import partial
from typing import Any, NamedTuple

from labkit.runtime.errors import Timeout
from labkit.runtime.loop import Future, Loop, running_loop
from labkit.runtime.node import rpc

from .events import EVENTS
from .ids import Peer
from .patience import PATIENCE
from .pointers import LookupFailed, NotAMember, RoutingTable, Settings

__all__ = ["Found", "Routing"]


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
        return cls(Peer(id, owner), tuple(path.split(AND)), timeouts)


#: Between the names of a list that travels as one string: no name contains it (see ``check_name``).
AND = "\n"


def _and(names: str, name: str) -> str:
    return f"{names}{AND}{name}" if names else name


#: A lookup's answer as it travels: the owner's id and name, timeouts, and the path as in `find_predecessor`.
#: Plain values travel without being copied.
Answer = tuple[int, str, int, str]


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


#: What a recursive lookup carries along: key_id, origin, the origin's number for it, whether it
#: is traced; and the names of those that were silent so far, with ``AND`` between.
Request = tuple[int, str, int, bool, str]


class Routing(RoutingTable):
    """The lookups that use a node's pointers."""

    events = EVENTS

    __slots__ = ("_lookups", "_waiting")

    def __init__(self, id: int, settings: Settings) -> None:
        super().__init__(id, settings)
        #: Lookups this node waits for, by number.
        self._waiting: dict[int, Search] = {}
        self._lookups = 0

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
        search.silent, search.heard = (), False
        self._enlist(search)
        self._begin(search)
        return search

    @rpc
    def seeking(self, key_id: int) -> bool:
        """Whether a lookup of this identifier is under way here: worth waiting for."""
        return any(search.key_id == key_id for search in self._waiting.values())

    def _enlist(self, search: Search) -> None:
        self._lookups = search.number = number = self._lookups + 1
        self._waiting[number] = search

    def _begin(self, search: Search) -> None:
        if self.settings.routing == "iterative":
            self.spawn(self._walk(search))
            return
        self._watch(search)
        self.find_predecessor(
            search.key_id, self.name, search.number, search.traced, AND.join(search.silent), 0, "", False
        )

    def _watch(self, search: Search) -> None:
        search.loop.expire(PATIENCE * self._timeout, search, partial(self._look_after, search.number))

    def _look_after(self, number: int, search: Search) -> None:
        if search.number == number:
            self.spawn(self._no_word(search))

    async def _no_word(self, search: Search) -> None:
        if search.heard:
            search.heard = False
            self._watch(search)
        elif self._waiting.pop(search.number, None) is not None:
            self._not_found(search, f"there was no word of it for {PATIENCE * self._timeout:g} s")

    @rpc
    def heard_of(self, number: int, silent: str) -> None:
        """Word of a recursive lookup, for its origin: it is going round a node that does not answer."""
        search = self._waiting.get(number)
        if search is not None and silent not in search.silent:
            search.heard = True
            search.silent = (*search.silent, silent)

    def _found(self, search: Search, answer: Answer) -> None:
        """The end of a lookup, back at its origin."""
        if search.traced:
            _, owner, timeouts, path = answer
            names = tuple(path.split(AND))
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
            self._begin(search)

    # recursive: the request travels, and only its acknowledgement comes back from each hop

    @rpc
    def find_predecessor(
        self,
        key_id: int,
        origin: str,
        number: int,
        traced: bool,
        silent: str,
        timeouts: int,
        path: str,
        final: bool,
    ) -> None:
        """One hop of a recursive lookup; returning is the acknowledgement. ``final``: the sender takes us for
        the owner.

        ``path`` holds the names so far, with ``AND`` between: a string travels without being copied.
        """
        if not self.joined:
            raise NotAMember(f"{self.name} is not a member of the ring")
        if final:
            self._arrive((key_id, origin, number, traced, silent), timeouts, path)
            return
        path = f"{path}{AND}{self.name}" if path else self.name  # as _and, for every hop
        distances = self._distances
        if distances is None or self.avoided or silent:
            peer, final = self._way_round(silent, key_id)
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
            silent,
            timeouts,
            path,
            final,
            timeout=self._timeout,
        )
        # A task that awaits the acknowledgement would cost as much as the hop itself: one is started only if
        # there is none.
        request = (key_id, origin, number, traced, silent)
        call.add_done(partial(self._acknowledged, loop, loop.span, peer, request, timeouts, path))

    def _acknowledged(
        self,
        loop: Loop,
        span: int | None,
        peer: Peer,
        request: Request,
        timeouts: int,
        path: str,
        call: Future,
    ) -> None:
        if call.error is not None:
            loop.span, loop.cause = span, call.cause
            self.spawn(self._detour(call.error, peer, request, timeouts, path))

    async def _detour(
        self, error: BaseException, peer: Peer, request: Request, timeouts: int, path: str
    ) -> None:
        """The best next node is silent: try the others, an earlier finger or a further successor."""
        key_id, origin, number, traced, silent = request
        tried: tuple[str, ...] = ()
        while True:
            self._no_answer(error, peer, key_id, traced)
            timeouts += 1
            tried = (*tried, peer.name)
            self.send(origin, "heard_of", number, peer.name)
            silent = _and(silent, peer.name)
            request = (key_id, origin, number, traced, silent)
            peer, final = self._way_round(silent, key_id, tried)
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

    def _way_round(self, silent: str, key_id: int, tried: tuple[str, ...] = ()) -> tuple[Peer, bool]:
        """The next hop, round those that were silent, unless there is no other way."""
        if silent:
            peer, final = self.next_hop(key_id, (*tried, *silent.split(AND)))
            if peer.name != self.name:
                return peer, final
        return self.next_hop(key_id, tried)

    def _arrive(self, request: Request, timeouts: int, path: str) -> None:
        """The lookup has reached the node that its sender takes for the owner."""
        key_id, origin, number, _, _ = request
        if self._is_mine(key_id):
            self.send(origin, "answer", number, self.id, self.name, timeouts, path)
        else:
            self.spawn(self._pass_back(request, timeouts, path))

    async def _pass_back(self, request: Request, timeouts: int, path: str) -> None:
        """A node has come between the sender and this one: it owns the key, unless it is dead already."""
        key_id, origin, number, traced, silent = request
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
                self.send(origin, "heard_of", number, before.name)
                request = (key_id, origin, number, traced, _and(silent, before.name))
                timeouts += 1
        if self._is_mine(key_id):
            self.send(origin, "answer", number, self.id, self.name, timeouts, path)
        else:
            self.find_predecessor(*request, timeouts, path, False)

    def _emit_hop(self, to: str, key_id: int, path: str, final: bool) -> None:
        via = "successor" if final or to in self._near_names else "finger"
        self.emit("hop", to=to, key_id=key_id, n=path.count(AND) + 1, final=final, via=via)

    def _no_answer(self, error: BaseException, peer: Peer, key_id: int, traced: bool) -> None:
        """Take note that a hop failed for want of an answer; any other error is a fault of the program."""
        if not isinstance(error, (Timeout, NotAMember)):
            raise error
        if traced:
            self.emit("hop_timed_out", to=peer.name, key_id=key_id)
        self.silent(peer)

    @rpc
    def answer(self, number: int, owner_id: int | None, owner: str | None, timeouts: int, path: str) -> None:
        """The owner reports to the origin; late and double answers find nobody waiting."""
        search = self._waiting.pop(number, None)
        if search is None:
            return
        if owner is None or owner_id is None:
            self._not_found(search, f"{path.rpartition(AND)[2]} knew no live node to ask next")
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
            answer = await self._ask_along(search)
        except (Timeout, LookupFailed, NotAMember) as error:
            self._waiting.pop(search.number, None)
            self._not_found(search, str(error))
        else:
            self._waiting.pop(search.number, None)
            self._found(search, answer)

    async def _ask_along(self, search: Search) -> Answer:
        key_id, timeouts = search.key_id, 0
        path: list[str] = [self.name]
        here = self.name
        id, name, final = self.best_hop(key_id, search.silent, False)
        while True:
            if name is None or id is None or name in search.silent:
                if len(path) == 1:
                    search.silent = ()  # all that this node knows: the next attempt may try them again
                    raise LookupFailed(f"{here} knew no live node to ask next")
                path.pop()
                here = path[-1]
                id, name, final = await self._ask_again(here, search)
                continue
            if final and name == here:
                return id, name, timeouts, AND.join(path)
            if search.traced:
                self._emit_hop(name, key_id, AND.join(path), final)
            try:
                reply = await self.call(name, "best_hop", key_id, search.silent, final, timeout=self._timeout)
            except (Timeout, NotAMember) as error:
                self._no_answer(error, Peer(id, name), key_id, search.traced)
                search.silent = (*search.silent, name)
                timeouts += 1
                if not self.settings.detours:
                    raise LookupFailed(f"{name} did not answer") from None
                here = path[-1]
                reply = await self._ask_again(here, search)
            else:
                here = name
                if not final:
                    path.append(name)
            id, name, final = reply

    async def _ask_again(self, name: str, search: Search) -> tuple[int | None, str | None, bool]:
        """Another next hop, of a node that has answered before. If it is silent as well, the attempt ends."""
        try:
            reply = await self.call(
                name, "best_hop", search.key_id, search.silent, False, timeout=self._timeout
            )
        except (Timeout, NotAMember):
            search.silent = (*search.silent, name)
            raise
        return tuple(reply)
