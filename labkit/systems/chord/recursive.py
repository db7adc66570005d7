"""Recursive lookups: each node passes the request on, and waits only for the next node's acknowledgement.

The owner answers the origin directly. A node whose next hop stays silent takes another route: an earlier
finger or a further entry of its successor list.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from labkit.runtime.errors import Timeout
from labkit.runtime.loop import Future
from labkit.runtime.node import rpc

from .ids import Peer
from .patience import PATIENCE
from .pointers import NotAMember
from .search import Search, Searching

__all__ = ["Recursive"]

#: What a request carries along: key_id, origin, the origin's number for it, whether it is traced, the names
#: of those that were silent so far (None: nobody), how many were silent in this attempt, and then the names
#: of the path. Plain values in one row travel without being copied.
Request = tuple[Any, ...]


class Recursive(Searching):
    """The request at each hop, and what comes back to its origin."""

    __slots__ = ()

    def set_out(self, search: Search) -> None:
        """The request starts here."""
        self._watch(search)
        silent = search.silent or None
        self.find_predecessor(False, search.key_id, self.name, search.number, search.traced, silent, 0)

    # --- at each hop ----------------------------------------------------------------------------------------

    @rpc
    def find_predecessor(
        self,
        final: bool,
        key_id: int,
        origin: str,
        number: int,
        traced: bool,
        silent: tuple[str, ...] | None,
        timeouts: int,
        *path: str,
    ) -> None:
        """``n.find_predecessor(id)`` of Fig. 4, one hop of it; returning is the acknowledgement.

        ``final``: the sender takes us for the owner. The rest is a ``Request``.
        """
        if not self.joined:
            raise NotAMember(f"{self.name} is not a member of the ring")
        # The owner is asked too: no answer is known from hearsay only.
        if final:
            self._arrive((key_id, origin, number, traced, silent, timeouts, *path))
            return
        request = (key_id, origin, number, traced, silent, timeouts, *path, self.name)
        # n' = n'.closest_preceding_finger(id), until id lies in (n', n'.successor] (Fig. 4)
        peer, final = self._way_round(silent, key_id) if silent else self.next_hop(key_id)
        if traced:
            self._emit_hop(peer.name, key_id, len(path) + 1, final)
        call = self.call(peer.name, "find_predecessor", final, *request, timeout=self._timeout)
        # A task that awaits the acknowledgement would cost as much as the hop itself: one is started only if
        # there is none.
        call.add_done(partial(self._acknowledged, call.loop.span, peer, request))

    def _acknowledged(self, span: int | None, peer: Peer, request: Request, call: Future) -> None:
        if call.error is not None:
            call.loop.span, call.loop.cause = span, call.cause
            self.spawn(self._detour(call.error, peer, request))

    async def _detour(self, error: BaseException, peer: Peer, request: Request) -> None:
        """The best next node is silent: try the others, an earlier finger or a further successor."""
        key_id, origin, number, traced, silent, timeouts, *path = request
        tried: tuple[str, ...] = ()
        while True:
            self._no_answer(error, peer, key_id, traced)
            timeouts += 1
            # Whoever was silent travels along, so that nobody on the way waits for it again.
            tried, silent = (*tried, peer.name), (*(silent or ()), peer.name)
            self.send(origin, "heard_of", number, peer.name)
            # An earlier finger or a further entry of the successor list (section 5.2).
            peer, final = self._way_round(silent, key_id, tried)
            dead_end = peer.name in tried or (peer.name == self.name and self.successors)
            if dead_end or not self.settings.detours:
                self.send(origin, "answer", number, None, None, timeouts, *path)
                return
            if traced:
                self._emit_hop(peer.name, key_id, len(path), final)
            request = (key_id, origin, number, traced, silent, timeouts, *path)
            unheard = await self._hand_to(peer, final, request)
            if unheard is None:
                return
            error = unheard

    async def _hand_to(self, peer: Peer, final: bool, request: Request) -> BaseException | None:
        """Send the request on and wait for the acknowledgement; what has happened if there is none."""
        try:
            await self.call(peer.name, "find_predecessor", final, *request, timeout=self._timeout)
        except (Timeout, NotAMember) as error:
            return error
        return None

    def _way_round(
        self, silent: tuple[str, ...], key_id: int, tried: tuple[str, ...] = ()
    ) -> tuple[Peer, bool]:
        """The next hop, round those that were silent, unless there is no other way."""
        peer, final = self.next_hop(key_id, (*tried, *silent))
        return (peer, final) if peer.name != self.name else self.next_hop(key_id, tried)

    # --- at the owner ---------------------------------------------------------------------------------------

    def _arrive(self, request: Request) -> None:
        """The lookup has reached the node that its sender takes for the owner."""
        key_id, origin, number, _, _, timeouts, *path = request
        # A key belongs to its successor (section 4.2): the first member at or after it.
        if self._is_mine(key_id):
            self.send(origin, "answer", number, self.id, self.name, timeouts, *path)
        else:
            self.spawn(self._pass_back(request))

    async def _pass_back(self, request: Request) -> None:
        """A node has come between the sender and this one: it owns the key, unless it is dead already."""
        key_id, origin, number, traced, silent, timeouts, *path = request
        before = self.predecessor
        if before is not None:
            if traced:
                self._emit_hop(before.name, key_id, len(path), True)
            error = await self._hand_to(before, True, request)
            if error is None:
                return
            self._no_answer(error, before, key_id, traced)
            self.send(origin, "heard_of", number, before.name)
            silent, timeouts = (*(silent or ()), before.name), timeouts + 1
        request = (key_id, origin, number, traced, silent, timeouts, *path)
        if self._is_mine(key_id):
            self._arrive(request)
        else:
            self.find_predecessor(False, *request)

    # --- back at the origin ---------------------------------------------------------------------------------

    @rpc
    def answer(self, number: int, owner_id: int | None, owner: str | None, timeouts: int, *path: str) -> None:
        """The owner reports to the origin; late and double answers find nobody waiting."""
        search = self._waiting.pop(number, None)
        if search is None:
            return
        if owner is None:
            self._not_found(search, f"{path[-1]} knew no live node to ask next")
        else:
            self._found(search, (owner_id, owner, timeouts, *path))

    @rpc
    def heard_of(self, number: int, silent: str) -> None:
        """Word of a recursive lookup, for its origin: it is going round a node that does not answer."""
        search = self._waiting.get(number)
        if search is not None and silent not in search.silent:
            search.heard = True
            search.silent = (*search.silent, silent)

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
