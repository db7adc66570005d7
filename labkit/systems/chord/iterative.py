"""Iterative lookups: the origin asks one node after the other for its best next hop, and does the waiting
itself (SIGCOMM 2001, Fig. 4).
"""

from __future__ import annotations

from labkit.runtime.errors import Timeout
from labkit.runtime.node import rpc

from .ids import Peer
from .pointers import LookupFailed, NotAMember
from .search import Answer, Search, Searching

__all__ = ["Iterative"]


class Iterative(Searching):
    """The origin's walk, and what it asks."""

    __slots__ = ()

    @rpc
    def best_hop(
        self, key_id: int, avoid: tuple[str, ...], final: bool
    ) -> tuple[int | None, str | None, bool]:
        """A question of an iterative lookup: (id, name, final) of whom to ask next, Nones if there is nobody.

        ``final``: the origin takes us for the owner; an owner names itself.
        """
        self.require_membership()
        if final:
            # A node has come between: it owns the key, unless the origin knows that it is silent.
            before = self.predecessor
            if before is None or before.name in avoid or self._is_mine(key_id):
                return self.id, self.name, True
            return before.id, before.name, True
        # closest_preceding_finger, or the successor as the final step (Fig. 4).
        peer, last = self.next_hop(key_id, avoid)
        if peer.name == self.name and self.successors:
            return None, None, False
        return peer.id, peer.name, last

    async def walk(self, search: Search) -> None:
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
        dead_ends: tuple[str, ...] = ()  # who answered in this attempt, and knew no way on
        path = [self.name]
        here = self.name
        id, name, final = self.best_hop(key_id, search.silent, False)
        # find_predecessor (Fig. 4): until the key lies between a node and its successor, who answers too.
        while True:
            if name is None or id is None or name in search.silent or name in dead_ends:
                if len(path) == 1:
                    search.silent = ()  # all that this node knows: the next attempt may try them again
                    raise LookupFailed(f"{here} knew no live node to ask next")
                # A dead end: one step back along the path, for another way.
                dead_ends = (*dead_ends, path.pop())
                here = path[-1]
                id, name, final = await self._ask_again(here, search, dead_ends)
                continue
            if final and name == here:
                return id, name, timeouts, *path
            if search.traced:
                self._emit_hop(name, key_id, len(path), final)
            try:
                avoid = (*search.silent, *dead_ends)
                reply = await self.call(name, "best_hop", key_id, avoid, final, timeout=self._timeout)
            except (Timeout, NotAMember) as error:
                self._no_answer(error, Peer(id, name), key_id, search.traced)
                # An earlier finger or a further successor serves in its place (section 5.2).
                search.silent = (*search.silent, name)
                timeouts += 1
                if not self.settings.detours:
                    raise LookupFailed(f"{name} did not answer") from None
                here = path[-1]
                reply = await self._ask_again(here, search, dead_ends)
            else:
                here = name
                if not final:
                    path.append(name)
            id, name, final = reply

    async def _ask_again(
        self, name: str, search: Search, dead_ends: tuple[str, ...]
    ) -> tuple[int | None, str | None, bool]:
        """Another next hop, of a node that has answered before. If it is silent as well, the attempt ends."""
        try:
            avoid = (*search.silent, *dead_ends)
            reply = await self.call(name, "best_hop", search.key_id, avoid, False, timeout=self._timeout)
        except (Timeout, NotAMember):
            search.silent = (*search.silent, name)
            raise
        return tuple(reply)
