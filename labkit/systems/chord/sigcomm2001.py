"""Ring maintenance as published: SIGCOMM 2001 Fig. 7, with the successor lists of section 5.2.

It is kept as printed, because it is not correct: Zave showed that no published version of Chord is, and that
none of the seven invariants claimed for it is one. Three lines are at fault, each marked below.
`model_check.py` finds the shortest history that breaks it, and a schedule search over running nodes finds one
as well.
"""

from __future__ import annotations

from labkit.runtime.errors import LabError, Timeout
from labkit.runtime.node import every, rpc

from .ids import Peer, between
from .nodes import Reply, protocol_round
from .pointers import NotAMember
from .store import BlockStore

__all__ = ["Sigcomm2001ChordNode"]


class Sigcomm2001ChordNode(BlockStore):
    """A member that maintains the ring as the paper's Fig. 7 says."""

    @protocol_round
    async def join(self, contact: str) -> None:
        """``predecessor = nil; successor = n'.find_successor(n)``."""
        self.predecessor = None
        found = await self.ask_owner(contact, self.id)
        self.set_successors((found.owner,))  # fault 1: one successor, and nobody asked whether it lives
        self.become_member()

    @rpc
    def pointers(self) -> Reply:
        """The node's pointers, also in the middle of a change: Fig. 7 knows no busy rule."""
        self._require_membership()
        return Reply(self.peer, self.predecessor, self.successors)

    @every("maintain_every")
    @protocol_round
    async def stabilize(self) -> None:
        """``x = successor.predecessor; if x in (n, successor): successor = x; successor.notify(n)``."""
        if not self.joined:
            return
        successor = self.successors[0] if self.successors else self.peer
        try:
            answer = await self.call(successor.name, "pointers", timeout=self.settings.timeout)
        except (Timeout, NotAMember):
            self.silent(successor)
            await self._replace(successor)
            return
        self.avoided.pop(successor.name, None)
        if answer is None:  # busy, by the rules of the other protocol: the ring is being switched
            return
        reply = Reply(*answer)
        # The successor list of section 5.2: the successor, then its own list without the last entry.
        self.set_successors((reply.peer, *reply.successors))
        x = reply.predecessor
        if x is not None and between(self.id, x[0], successor.id):
            self.set_successors(
                (Peer(*x), *self.successors)
            )  # fault 2: x may be dead by now, and pushes a live entry out
        if self.successors:
            self.send(self.successors[0].name, "notify", self.id, self.name)

    async def _replace(self, successor: Peer) -> None:
        """The successor has failed: the next entry of the list takes its place (section 5.2)."""
        if self.successors[:1] != (successor,):
            return
        if len(self.successors) > 1:
            self.set_successors(self.successors[1:])
        else:
            await self.forget_last_successor(successor)

    @rpc
    @protocol_round
    async def notify(self, id: int, name: str) -> None:
        """``if predecessor is nil or n' in (predecessor, n): predecessor = n'``."""
        notifier = Peer(id, name)
        if not self.joined or notifier == self.predecessor or notifier == self.peer:
            return
        if self._closer(notifier) and await self.move_keys(notifier, "join") and self._closer(notifier):
            self.set_predecessor(
                notifier
            )  # fault 3: a closer predecessor that has died in the meantime is kept

    def _closer(self, notifier: Peer) -> bool:
        return self.predecessor is None or between(self.predecessor.id, notifier.id, self.id)

    @protocol_round
    async def consider_successor(self, peer: Peer) -> None:
        """Sampling is not part of the paper's protocol; if switched on, it checks that the node lives."""
        try:
            await self.call(peer.name, "ping", timeout=self.settings.timeout)
        except LabError:
            return
        self.set_successors((peer, *self.successors))
