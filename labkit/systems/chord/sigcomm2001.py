"""Ring maintenance as published: SIGCOMM 2001 Fig. 7, with the successor lists of section 5.2.

It is kept as printed, because it is not correct: Zave showed that no published version of Chord is, and that
none of the seven invariants claimed for it is one. Three lines are at fault, each marked below.
`model_check.py` finds the shortest history that breaks it, and a schedule search over running nodes finds one
as well.
"""

from __future__ import annotations

from labkit.runtime.errors import LabError, Timeout

from .ids import Peer, between
from .nodes import Reply
from .pointers import NotAMember
from .protocol import Protocol, protocol_round
from .store import BlockStore

__all__ = ["Sigcomm2001", "Sigcomm2001ChordNode"]


class Sigcomm2001(Protocol):
    """The rules of Fig. 7; it knows no busy rule."""

    name = "sigcomm2001"

    @protocol_round
    async def join(self, contact: str) -> None:
        """``predecessor = nil; successor = n'.find_successor(n)`` (Fig. 7)."""
        node = self.node
        # predecessor = nil: stabilize and notify will find it
        node.predecessor = None
        found = await node.ask_owner(contact, node.id)
        node.set_successors((found.owner,))  # fault 1: one successor, and nobody asked whether it lives
        node.become_member()

    @protocol_round
    async def stabilize(self) -> None:
        """``x = successor.predecessor; if x in (n, successor): successor = x; successor.notify(n)``."""
        node = self.node
        if not node.joined:
            return
        successor = node.successors[0] if node.successors else node.peer
        try:
            answer = await node.call(successor.name, "pointers", timeout=node.settings.timeout)
        except (Timeout, NotAMember):
            # The paper's stabilize does not say what if the successor is silent; section 5.2 does.
            node.silent(successor)
            await self._replace(successor)
            return
        node.avoided.pop(successor.name, None)
        if answer is None:  # busy, by the rules of the other protocol: the ring is being switched
            return
        reply = Reply(*answer)
        # The successor list of section 5.2: the successor, then its own list without the last entry.
        node.set_successors((reply.peer, *reply.successors))
        # if x in (n, successor): successor = x
        x = reply.predecessor
        if x is not None and between(node.id, x[0], successor.id):
            # fault 2: x may be dead by now, and pushes a live entry out
            node.set_successors((Peer(*x), *node.successors))
        if node.successors:
            node.send(node.successors[0].name, "notify", node.id, node.name)

    async def _replace(self, successor: Peer) -> None:
        """The successor has failed: the next entry of the list takes its place (section 5.2)."""
        node = self.node
        if node.successors[:1] != (successor,):
            return
        if len(node.successors) > 1:
            node.set_successors(node.successors[1:])
        else:
            await node.forget_last_successor(successor)

    @protocol_round
    async def notify(self, notifier: Peer) -> None:
        """``if predecessor is nil or n' in (predecessor, n): predecessor = n'`` (Fig. 7)."""
        node = self.node
        if not node.joined or notifier in (node.predecessor, node.peer):
            return
        if self._closer(notifier) and await node.move_keys(notifier, "join") and self._closer(notifier):
            # fault 3: a closer predecessor that has died in the meantime is kept
            node.set_predecessor(notifier)

    def _closer(self, notifier: Peer) -> bool:
        before = self.node.predecessor
        return before is None or between(before.id, notifier.id, self.node.id)

    @protocol_round
    async def consider_successor(self, peer: Peer) -> None:
        """Sampling is not part of the paper's protocol; if switched on, it checks that the node lives."""
        node = self.node
        try:
            await node.call(peer.name, "ping", timeout=node.settings.timeout)
        except LabError:
            return
        node.set_successors((peer, *node.successors))


class Sigcomm2001ChordNode(BlockStore):
    """A member that starts with the rules of Fig. 7."""

    maintained_by = Sigcomm2001
