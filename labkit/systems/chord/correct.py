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
from labkit.runtime.node import every, rpc

from .ids import Peer, between
from .nodes import Reply, protocol_round
from .pointers import LookupFailed, NotAMember
from .store import BlockStore

__all__ = ["CorrectChordNode"]

#: How often a busy node is asked again before this round is given up.
BUSY_RETRIES = 5


class Busy(LookupFailed):
    """The other node is in the middle of a step; ask again later."""


class CorrectChordNode(BlockStore):
    """A member that maintains the ring by Zave's protocol."""

    #: In the middle of a step: pointers are not to be read.
    busy = False
    #: The last notifier that rectify has to look at, and whether it is at work.
    rectify_with: Peer | None = None
    _rectifying = False

    # --- asking another node for its pointers -----------------------------------------------------------

    @rpc
    def pointers(self) -> Reply | None:
        """The node's pointers; None means busy."""
        self._require_membership()
        return None if self.busy else Reply(self.peer, self.predecessor, self.successors)

    async def _ask(self, name: str) -> Reply:
        """Another node's pointers. We are busy while we wait, not between tries: two who wait for each other
        would wait for ever.
        """
        for _ in range(BUSY_RETRIES):
            self.busy = True
            try:
                reply = await self.call(name, "pointers", timeout=self.settings.timeout)
            finally:
                self.busy = False
            if reply is not None:
                return Reply(*reply)
            await self.sleep(self.settings.timeout * 0.1 * (1 + self.random.random()))
        raise Busy(f"{name} is in the middle of a step")

    # --- join -------------------------------------------------------------------------------------------

    @protocol_round
    async def join(self, contact: str) -> None:
        """Find the best predecessor, then copy the list of its first successor."""
        found = await self.ask_owner(contact, self.id)
        best = await self._ask(found.path[-1])
        for _ in range(self.settings.bits):  # "iterate until fix point"
            successor = best.successors[0] if best.successors else best.peer
            if between(best.peer.id, self.id, successor.id):
                break
            best = await self._ask(successor.name)
        reply = await self._ask(successor.name)
        if reply.peer.id == self.id or not between(best.peer.id, self.id, reply.peer.id):
            raise LookupFailed(f"the place of {self.name} is still taken, or the ring changed meanwhile")
        self.set_successors((reply.peer, *reply.successors))
        self.become_member()
        await self.stabilize()

    # --- stabilize --------------------------------------------------------------------------------------

    @every("maintain_every")
    @protocol_round
    async def stabilize(self) -> None:
        """Two atomic steps, then notify."""
        if not self.joined or self.busy:
            return
        try:
            if not self.successors:  # a ring of one: whoever has joined before us comes after us, too
                if self.predecessor is not None:
                    await self.consider_successor(self.predecessor)
                return
            reply = await self._first_step()
            if reply is None:
                return
            closer = reply.predecessor
            if closer is not None and between(self.id, closer.id, reply.peer.id):
                await self.consider_successor(Peer(*closer))
        except Busy:
            return  # not dead, so nothing is lost by waiting for the next round
        if self.joined and self.successors:
            self.send(self.successors[0].name, "notify", self.id, self.name)

    async def _first_step(self) -> Reply | None:
        """Ask the first successor; drop the dead until one answers."""
        while self.joined:
            first = self.successors[0]
            try:
                reply = await self._ask(first.name)
            except (Timeout, NotAMember):
                self.silent(first)
                if len(self.successors) == 1:
                    await self.forget_last_successor(first)
                    return None
                if self.successors[0] == first:
                    self.set_successors(self.successors[1:])
                continue
            self.avoided.pop(first.name, None)
            if self.successors[0] == first:
                self.set_successors((first, *reply.successors))
                return reply
        return None

    @protocol_round
    async def consider_successor(self, peer: Peer) -> None:
        """Stabilize's second step: adopt no pointer without first checking that its node is alive."""
        try:
            reply = await self._ask(peer.name)
        except (Timeout, NotAMember):
            self.avoid(peer)
            return
        first = self.successors[0] if self.successors else self.peer
        if self.joined and between(self.id, peer.id, first.id):
            self.set_successors((peer, *reply.successors))

    # --- rectify ----------------------------------------------------------------------------------------

    @rpc
    def notify(self, id: int, name: str) -> None:
        """Somebody thinks it is our predecessor."""
        if self.joined and not self.switching and Peer(id, name) != self.predecessor:
            self.rectify_with = Peer(id, name)
            if not self._rectifying:
                self._rectifying = True
                self.spawn(self._rectify())

    @protocol_round
    async def _rectify(self) -> None:
        """Take the notifier if there is no predecessor, it is dead, or the notifier is closer."""
        try:
            while self.rectify_with is not None:
                notifier, self.rectify_with = self.rectify_with, None
                before = self.predecessor
                closer = before is not None and between(before.id, notifier.id, self.id)
                if before is not None and not closer and await self._lives(before):
                    continue
                if (
                    await self._lives(notifier)
                    and await self.move_keys(notifier, "join")
                    and self._still_better(notifier)
                ):
                    self.set_predecessor(notifier)
                    if (
                        closer and before is not None
                    ):  # a newcomer knows nobody on its other side: introduce them
                        self.send(notifier.name, "notify", before.id, before.name)
        finally:
            self._rectifying = False

    def _still_better(self, notifier: Peer) -> bool:
        """Keys were moved meanwhile; the decision is taken on what holds now."""
        before = self.predecessor
        return before is None or between(before.id, notifier.id, self.id)
