"""The system architecture of Chord: one role, every node is equal (SIGCOMM 2001; checklist 1-12 of the lab's
specification).

``ChordNode`` starts, answers for its pointers, repairs fingers, notices a dead predecessor, leaves, and
samples the ring. How it keeps its successors and its predecessor right is the matter of its ``protocol``:
``correct.py`` is Zave's, ``sigcomm2001.py`` the paper's Fig. 7. Beneath is ``routing.py`` (lookups), above
``store.py`` (keys and copies), which is told by upcalls what becomes of its keys (Fig. 1).

A node starts in one of two ways: *settled*, with the pointers of the ideal ring, as all first members do
(Zave: the initial ring must have L + 1 members), or by *joining* through a contact. A node that restarts
after a crash has lost its pointers; it joins again as a new member, and offers the copies it finds on its
disk. If no member is left, the first that restarts founds the ring again (``directory.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, NamedTuple

from labkit.runtime.errors import LabError, Timeout
from labkit.runtime.node import every, rpc

from .ids import Peer, between, distance, finger_start, in_half_open, shared_peer
from .options import Settings
from .patience import LIMIT, PATIENCE, ask_patiently
from .pointers import NotAMember
from .routing import Found, Routing

__all__ = ["ChordNode", "Reply", "Settled"]


class Settled(NamedTuple):
    """The pointers of a first member, as the ideal ring has them."""

    predecessor: Peer | None
    successors: tuple[Peer, ...]
    fingers: tuple[Peer | None, ...]


class Reply(NamedTuple):
    """A member's answer to "what are your pointers?"; its own peer comes first."""

    peer: Peer
    predecessor: Peer | None
    successors: tuple[Peer, ...]


#: Rounds between two samples of the ring.
SAMPLE_EVERY = 5


class ChordNode(Routing):
    """A member of the ring; see the module's text."""

    #: What makes the rules of ring maintenance that a node starts with: a ``Protocol``.
    maintained_by: ClassVar[Callable[[ChordNode], Any]]

    __slots__ = (
        "_sample_in",
        "_settled",
        "contacts",
        "directory",
        "left",
        "maintain_every",
        "protocol",
    )

    def __init__(
        self,
        id: int,
        settings: Settings,
        settled: Settled | None = None,
        contacts: tuple[str, ...] = (),
        directory: str | None = None,
    ) -> None:
        super().__init__(id, settings)
        #: The rules of ring maintenance that it follows now.
        self.protocol = self.maintained_by(self)
        self._settled = settled
        #: Members through which to join, tried in turn.
        self.contacts = contacts
        #: Whom to ask when nobody known answers (see ``directory.py``).
        self.directory = directory
        #: Seconds between rounds; None switches the periodic methods off.
        self.maintain_every = settings.stabilize_every
        self._sample_in = SAMPLE_EVERY
        #: It has left in order, and waits to be removed.
        self.left = False

    # --- starting, joining, leaving ---------------------------------------------------------------------

    async def start(self) -> None:
        """Take the given pointers, or join; after a restart always join."""
        if self.maintain_every is not None:
            restarted = "started" in self.disk
            self.disk["started"] = True
            self.disk.sync()
            if restarted:
                self._settled = None
                if "protocol" in self.disk:
                    self._follow(*self.disk["protocol"])
                self.load()
        # Zave: the initial ring is settled, and has L + 1 members or more.
        if self._settled is not None:
            self._settle(self._settled)
        elif self.contacts or self.directory:
            await self._join_somehow()
        else:
            self.become_member()  # the first node of a ring

    def _settle(self, settled: Settled) -> None:
        self.predecessor = settled.predecessor
        self.successors = tuple([shared_peer(*peer) for peer in settled.successors])
        self.fingers = [peer and shared_peer(*peer) for peer in settled.fingers]
        self._settled = None
        self.become_member()

    def become_member(self) -> None:
        """The node is part of the ring from now on."""
        self.joined = True
        self.emit("joined", id=self.id, successor=self.successor().name)
        if self.settings.announce:
            self._announce_successors()
            self.emit("predecessor_changed", predecessor=self.predecessor.name if self.predecessor else None)
            known = {k: finger.name for k, finger in enumerate(self.fingers, 1) if finger is not None}
            if known:
                self.emit("fingers_changed", fingers=known)
        for peer in self.successors:
            self._meet(peer)

    async def _join_somehow(self) -> None:
        """Try one contact after the other until the ring has taken us in; found it if nobody is left."""
        while True:
            for contact in self.contacts:
                try:
                    await self.call(contact, "ping", timeout=self.settings.timeout)
                    await self.protocol.join(contact)
                except LabError:  # dead, busy, or the ring is changing where we want to join: ask the next
                    continue
                if self.joined:
                    return
            # The papers leave open how a ring begins: here the lab's directory says (``directory.py``).
            advice = await self._ask_directory("whom_to_join")
            if advice == []:
                self.become_member()
                return
            self.contacts = tuple(advice or self.contacts)
            await self.sleep(self.settings.timeout * (1 + self.random.random()))

    async def _ask_directory(self, question: str) -> Any:
        """Its answer; None if there is no directory, or it is out of reach."""
        if self.directory is None:
            return None
        try:
            return await self.call(self.directory, question, self.name, timeout=LIMIT * self.settings.timeout)
        except LabError:
            return None

    async def forget_last_successor(self, peer: Peer) -> None:
        """The last successor known is silent. It may be out of reach, so only a lone node forgets it; with
        sampling, the next of the other members that can be reached takes its place."""
        others = await self._ask_directory("others")
        if others is None or (others and not self.settings.sampling):
            return
        bits = self.settings.bits
        after = sorted([Peer(*each) for each in others], key=lambda each: distance(self.id, each.id, bits))
        reached = [other for other in after[: self.settings.successors] if await self.lives(other)]
        if self.joined and self.successors == (peer,) and (reached or not others):
            self.set_successors(tuple(reached))

    async def ask_owner(self, contact: str, id: int) -> Found:
        """The owner of an identifier, looked up by another member for as long as that is at it."""
        patience, limit = PATIENCE * self.settings.timeout, LIMIT * self.settings.timeout
        return Found.of(
            await ask_patiently(
                self, contact, "find_successor", id,
                still=("seeking", id), patience=patience, limit=limit,
            )
        )  # fmt: skip

    @rpc
    async def leave(self) -> int:
        """Leave in order: the layer above hands its copies on, the neighbours are told; how many copies."""
        count = await self.leaving()
        # The neighbours need not wait for a timeout to notice (ToN, section IV-E.4).
        self.joined, self.left = False, True
        for neighbour in {peer.name: None for peer in (self.predecessor, *self.successors[:1]) if peer}:
            self.send(neighbour, "neighbour_left", self.name)
        self.emit("left")
        return count

    @rpc
    async def neighbour_left(self, name: str) -> None:
        """A neighbour says goodbye: to the ring that is a failure noticed at once."""
        for peer in (*self.successors, *([self.predecessor] if self.predecessor else [])):
            if peer.name == name:
                self.silent(peer)
        await self.stabilize()

    # --- upcalls, as those of ``pointers.py`` --------------------------------------------------------------

    def load(self) -> None:
        """The node has restarted: what the disk has kept is there."""

    @every("maintain_every")
    async def each_round(self) -> None:
        """Time to look after what is kept."""

    async def move_keys(self, to: Peer, why: str) -> bool:
        """Another node is about to own keys of this one; whether it has got them all."""
        return True

    async def leaving(self) -> int:
        """The node leaves: how many copies the layer above has handed on."""
        return 0

    # --- pointers ---------------------------------------------------------------------------------------

    @rpc
    def ping(self) -> int:
        """Alive and a member."""
        self.require_membership()
        return self.id

    @rpc
    def report(self, keys: bool = False) -> dict[str, Any]:
        """For the observer, never for a node: the pointers as they are, and ``keys`` of the layer above."""
        return {
            "id": self.id,
            "joined": self.joined,
            "left": self.left,
            "predecessor": self.predecessor.id if self.predecessor else None,
            "successors": tuple(peer.id for peer in self.successors),
            "fingers": tuple(peer.id if peer else None for peer in self.fingers),
        }

    @every("maintain_every")
    async def check_predecessor(self) -> None:
        """Forget a predecessor that has failed, so that a live one can take its place (ToN, Fig. 6)."""
        if self.joined and self.predecessor is not None:
            await self.lives(self.predecessor)

    async def lives(self, peer: Peer) -> bool:
        """Whether a member answers a ping; one that does not is noted as silent."""
        try:
            await self.call(peer.name, "ping", timeout=self.settings.timeout)
            self.avoided.pop(peer.name, None)
            return True
        except (Timeout, NotAMember):
            self.silent(peer)
            return False

    # --- fingers ----------------------------------------------------------------------------------------

    @every("maintain_every")
    async def fix_fingers(self) -> None:
        """``i = random index > 1; finger[i].node = find_successor(finger[i].start)`` (Fig. 7).

        Indices whose start lies before the successor need no lookup, and are not drawn.
        """
        if not self.joined:
            return
        # finger[k].start = (n + 2**(k-1)) mod 2**m (Table 1); the near ones are the successor.
        far = range(self._near() + 1, self.settings.bits + 1)
        count = self.settings.fingers_per_round
        for k in list(far) if count == 0 else [self.random.choice(far) for _ in range(min(count, len(far)))]:
            start = finger_start(self.id, k, self.settings.bits)
            before = self.fingers[k - 2] if count == 0 and k > 1 else None
            if before is not None and in_half_open(self.id, start, before.id):
                # The previous finger, fresh from this round, is beyond this start too.
                self.set_fingers({k: before})
                continue
            try:
                found = Found.of(await self.find_successor(start))
            except LabError:  # no way there now; the old finger is still a good guess
                continue
            if found.owner.name != self.name:
                self.set_fingers({k: found.owner})
            elif self.fingers[k - 1] is not None:  # nobody is there any more
                self.fingers[k - 1] = self._distances = None

    # --- sampling: the way back from two rings ----------------------------------------------------------

    @every("maintain_every")
    async def sample(self) -> None:
        """Ask an old acquaintance for one's own successor; a closer one means that there are two rings.

        Stabilize alone cannot join rings that a partition has split: nobody in one knows anybody in the
        other. A look at the ring's topology from time to time repairs that: a live member closer than the
        successor is adopted just as stabilize's second step does.
        """
        self._sample_in -= 1
        if self._sample_in > 0 or not (self.settings.sampling and self.joined and self._met):
            return
        self._sample_in = SAMPLE_EVERY
        acquaintance = self.random.choice(list(self._met))
        after = finger_start(self.id, 1, self.settings.bits)
        try:
            owner = (await self.ask_owner(acquaintance, after)).owner
            if self.joined and owner.name != self.name and between(self.id, owner.id, self.successor().id):
                await self.protocol.consider_successor(owner)
        except LabError:  # gone, or no member: others will be asked
            return

    # --- ring maintenance, as the protocol has it -----------------------------------------------------------

    @rpc
    def pointers(self) -> Reply | None:
        """The message of stabilize: the node's pointers; None means busy (Zave)."""
        self.require_membership()
        return None if self.protocol.busy else Reply(self.peer, self.predecessor, self.successors)

    @every("maintain_every")
    def stabilize(self) -> Coroutine[Any, Any, None]:
        """``n.stabilize()`` of Fig. 7, one round of it."""
        return self.protocol.stabilize()

    @rpc
    def notify(self, id: int, name: str) -> Coroutine[Any, Any, None] | None:
        """``n.notify(n')`` of Fig. 7: that member thinks it is our predecessor."""
        return self.protocol.notify(Peer(id, name))

    @property
    def maintenance(self) -> str:
        """The protocol by which it maintains the ring now."""
        return self.protocol.name

    @rpc
    async def switch(self, protocol: type[ChordNode], sampling: bool) -> None:
        """Maintain the ring as nodes of that class do, also after a restart; between two rounds."""
        while self.protocol.rounds:
            self.protocol.ending = True
            await self.sleep(self.settings.timeout / 10)
        self._follow(protocol, sampling)
        self.disk["protocol"] = (protocol, sampling)
        self.disk.sync()
        self.emit("protocol_changed", protocol=protocol.__name__)

    def _follow(self, protocol: type[ChordNode], sampling: bool) -> None:
        self.protocol = protocol.maintained_by(self)
        self.settings = self.settings._replace(sampling=sampling)
