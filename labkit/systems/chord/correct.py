"""Ring maintenance that is correct: Zave's protocol ("How to make Chord correct"; Coq development
verdi-chord).

What differs from SIGCOMM 2001 Fig. 7, and why:

* **No pointer is adopted before its node has answered.** In the published protocol `stabilize` takes its
  successor's predecessor unseen; if that node is dead by then, the list has lost a live entry, and with a
  second failure the ring.
* **Join copies a whole successor list**, from the member that will be the successor, found through the best
  predecessor. One pointer alone would leave the new node one failure away from being lost.
* **Stabilize is two atomic steps**: (1) ask the first successor for its predecessor and list, or drop it if
  it is dead; (2) if that predecessor is closer, ask *it*, and adopt it if it answers. It always ends with
  *notify*.
* **Rectify**, on being notified, pings the old predecessor before keeping it.
* **The busy rule** makes steps atomic: a node that waits for an answer that may change its pointers does not
  answer for them; it says that it is busy, which also says that it lives.
* The ring starts with at least L + 1 members.
"""

from __future__ import annotations

from labkit.runtime.errors import Timeout
from labkit.runtime.loop import Future

from .ids import Peer, between
from .nodes import ChordNode, Reply
from .pointers import LookupFailed, NotAMember
from .protocol import Protocol, protocol_round
from .store import BlockStore

__all__ = ["Correct", "CorrectChordNode"]


class Busy(LookupFailed):
    """The other node is in the middle of a step; ask again later."""


class Correct(Protocol):
    """Zave's rules."""

    name = "correct"
    #: How often a busy node is asked before the round is given up.
    tries = 5

    def __init__(self, node: ChordNode) -> None:
        super().__init__(node)
        #: The last notifier that rectify has to look at, and whether it is at work.
        self.rectify_with: Peer | None = None
        self.rectifying = False

    async def ask(self, name: str) -> Reply:
        """Another node's pointers. Raises ``Busy``, ``Timeout``, ``NotAMember``."""
        node = self.node
        for _ in range(self.tries):
            # Busy rule: who waits for an answer that may change its pointers does not answer for them. Not
            # between tries: two who wait for each other would wait for ever.
            self.busy = True
            try:
                reply = await self.request(name)
            finally:
                self.busy = False
            if reply is not None:
                return Reply(*reply)
            await node.sleep(node.settings.timeout * 0.1 * (1 + node.random.random()))
        raise Busy(f"{name} is in the middle of a step")

    def request(self, name: str) -> Future:
        """The question itself; answered with a ``Reply``, or None for busy."""
        return self.node.call(name, "pointers", timeout=self.node.settings.timeout)

    @protocol_round
    async def join(self, contact: str) -> None:
        """Zave's join: find the best predecessor, then copy the list of its first successor."""
        node = self.node
        found = await node.ask_owner(contact, node.id)
        best = await self.ask(found.path[-1])
        # The best predecessor: iterate until a fix point is reached.
        for _ in range(node.settings.bits):
            successor = best.successors[0] if best.successors else best.peer
            if between(best.peer.id, node.id, successor.id):
                break
            best = await self.ask(successor.name)
        # Its first successor is asked too, so that nothing is adopted which does not live.
        reply = await self.ask(successor.name)
        if reply.peer.id == node.id or not between(best.peer.id, node.id, reply.peer.id):
            raise LookupFailed(f"the place of {node.name} is still taken, or the ring changed meanwhile")
        # list = s, then s's own list, cut to L; the predecessor begins as None.
        node.set_successors((reply.peer, *reply.successors))
        node.become_member()
        await self.stabilize()

    @protocol_round
    async def stabilize(self) -> None:
        """Zave's stabilize: two atomic steps, then the message notify."""
        node = self.node
        if not node.joined or self.busy:
            return
        try:
            if not node.successors:  # a ring of one: whoever has joined before us comes after us, too
                if node.predecessor is not None:
                    await self.consider_successor(node.predecessor)
                return
            reply = await self._first_step()
            if reply is None:
                return
            # Second step, if the successor's predecessor lies between.
            closer = reply.predecessor
            if closer is not None and between(node.id, closer.id, reply.peer.id):
                await self.consider_successor(Peer(*closer))
        except Busy:
            return  # not dead, so nothing is lost by waiting for the next round
        # It always ends with notify, to the first successor as it is now.
        if node.joined and node.successors:
            node.send(node.successors[0].name, "notify", node.id, node.name)

    async def _first_step(self) -> Reply | None:
        """Stabilize's first step: ask the first successor and copy its list."""
        node = self.node
        while node.joined:
            first = node.successors[0]
            try:
                reply = await self.ask(first.name)
            except (Timeout, NotAMember):
                # It is dead: drop it, and ask the next.
                node.silent(first)
                if len(node.successors) == 1:
                    await node.forget_last_successor(first)
                    return None
                if node.successors[0] == first:
                    node.set_successors(node.successors[1:])
                continue
            node.avoided.pop(first.name, None)
            if node.successors[0] == first:
                node.set_successors((first, *reply.successors))
                return reply
        return None

    @protocol_round
    async def consider_successor(self, peer: Peer) -> None:
        """Stabilize's second step: adopt no pointer without first checking that its node is alive."""
        node = self.node
        try:
            reply = await self.ask(peer.name)
        except (Timeout, NotAMember):
            node.avoid(peer)
            return
        first = node.successors[0] if node.successors else node.peer
        if node.joined and between(node.id, peer.id, first.id):
            node.set_successors((peer, *reply.successors))

    def notify(self, notifier: Peer) -> None:
        """Rectify is to look at the notifier; of several the last counts."""
        if self.node.joined and not self.ending and notifier != self.node.predecessor:
            self.rectify_with = notifier
            if not self.rectifying:
                self.rectifying = True
                self.node.spawn(self.rectify())

    @protocol_round
    async def rectify(self) -> None:
        """Zave's rectify: take the notifier if there is no predecessor, or a dead or a more distant one."""
        node = self.node
        try:
            while self.rectify_with is not None:
                notifier, self.rectify_with = self.rectify_with, None
                before = node.predecessor
                closer = before is not None and between(before.id, notifier.id, node.id)
                if before is not None and not closer and await node.lives(before):
                    continue
                # The notifier has its keys before anybody is sent there.
                if (
                    await node.lives(notifier)
                    and await node.move_keys(notifier, "join")
                    and self._still_better(notifier)
                ):
                    node.set_predecessor(notifier)
                    if closer and before is not None:
                        # A newcomer knows nobody on its other side: introduce them.
                        node.send(notifier.name, "notify", before.id, before.name)
        finally:
            self.rectifying = False

    def _still_better(self, notifier: Peer) -> bool:
        """Keys were moved meanwhile; the decision is taken on what holds now."""
        before = self.node.predecessor
        return before is None or between(before.id, notifier.id, self.node.id)


class CorrectChordNode(BlockStore):
    """A member that starts with Zave's rules."""

    maintained_by = Correct
