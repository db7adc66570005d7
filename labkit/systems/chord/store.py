"""The block store on top of lookups: k copies on the successor list, moved when the ring changes (SIGCOMM
2001, Fig. 1).

Chord itself only maps keys to nodes, and tells the layer above by an upcall when the set of keys that a node
is responsible for has changed. This is that layer. A key belongs to its successor, the *owner*, and to the
next k - 1 members:

* a **write** is acknowledged by the owner with the number of copies that exist;
* a new predecessor gets the keys it will own **before** the node accepts it as predecessor, hence before
  anybody is sent there;
* a node whose neighbours changed brings the copies of its keys up to date (`repair`), comparing versions and
  sending what is missing;
* a copy nobody has asked for in a while is offered to the key's owner and then dropped (`hand_back`), which
  also brings home what a restarted node finds on its disk.

Every copy carries a version, (number, writer). Merging keeps the larger one, so a repeated message, a late
repair or a returning disk can never bring back an old value, and a deletion is a version like any other (a
*tombstone*). Versions are made by the client that writes (``model.py``), so that a repeated request is the
same write.

Left out: tombstones are kept for ever; one value is one message.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from labkit.runtime.errors import Definite, LabError, Timeout
from labkit.runtime.loop import Future
from labkit.runtime.node import every, rpc
from labkit.runtime.sync import gather

from .ids import Peer, between, in_half_open
from .nodes import ChordNode
from .pointers import NotAMember
from .routing import Found

__all__ = ["BlockStore", "Copy", "NoHeir", "NotResponsible", "Version"]

#: (number, writer): compared as a pair, so that two writers never make the same version.
Version = tuple[int, str]

#: Copies sent in one message.
BATCH = 200

#: Rounds of maintenance between two comparisons with the replicas when nothing seemed to change.
SWEEP = 10

#: How often a member is asked for what it holds before it is taken for dead.
RECOVERY_ATTEMPTS = 3

#: Rounds a copy may go unasked for before it is offered to its owner.
STALE = 3 * SWEEP


class NotResponsible(Definite):
    """The node does not own this key (any more): look it up again."""


class NoHeir(Definite):
    """A node was to leave, and nobody that follows has taken its copies: it stays a member."""


class Copy(NamedTuple):
    """One node's copy of one key. A deleted key has a copy too, with the version of its deletion."""

    key: Any
    key_id: int
    value: Any
    version: Version
    deleted: bool = False


class BlockStore(ChordNode):
    """A member that keeps keys, its own and its copies of others'."""

    __slots__ = ("_arc_start", "_recovering", "_refreshed", "_repair_due", "_round", "_sure", "copies")

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        #: Copies by key. Everything here is also on the disk, under ("copy", key).
        self.copies: dict[Any, Copy] = {}
        #: Round in which the owner last asked for this copy.
        self._refreshed: dict[Any, int] = {}
        self._round = 0
        #: Neighbours or keys changed: compare with the replicas in the next round.
        self._repair_due = False
        #: The node has every key of the arc from here to itself; its own id means the whole circle, None
        #: means nothing yet.
        self._sure: int | None = None
        self._recovering = False
        #: Where the node's own arc began when last said; its copies' roles in the trace are right for that.
        self._arc_start: int | None = None

    def become_member(self) -> None:
        """As below; a first member has the keys of its whole arc, one that is alone has all."""
        if self.predecessor is not None:
            self._arc_start = self._sure = self.predecessor.id
        elif not self.successors:
            self._sure = self.id
        super().become_member()

    @rpc
    def report(self, keys: bool = False) -> dict[str, Any]:
        """As below, and which copies it holds."""
        copies = [(copy.key, copy.key_id, copy.version, copy.deleted) for copy in self.copies.values()]
        return {**super().report(), "copies": copies if keys else []}

    # --- what the node is responsible for ---------------------------------------------------------------

    def owns(self, key_id: int) -> bool:
        """Whether the node answers for a key now."""
        sure = self._sure
        return (
            self.joined and sure is not None and in_half_open(sure, key_id, self.id) and self._is_mine(key_id)
        )

    def own_copies(self) -> list[Copy]:
        """The copies of the keys the node owns."""
        return [copy for copy in self.copies.values() if self.owns(copy.key_id)]

    def _require(self, key: Any, key_id: int) -> None:
        if not self.owns(key_id):
            raise NotResponsible(f"{self.name} does not own {key!r} now; look it up again")

    # --- reading and writing ----------------------------------------------------------------------------

    @rpc
    def fetch(self, key: Any, key_id: int) -> Copy | None:
        """The owner's copy, perhaps a tombstone, or None. Raises ``NotResponsible``."""
        self._require(key, key_id)
        copy = self.copies.get(key)
        if copy is None and self.predecessor is None and self.successors:
            raise NotResponsible(
                f"{self.name} does not know where its arc begins now, so {key!r} may be elsewhere; ask again"
            )
        return copy

    @rpc
    async def store(self, copies: list[Copy]) -> list[int]:
        """Write, at the owner; the number of copies of each. Raises ``NotResponsible``, nothing written."""
        # Only the key's successor writes, so that versions are compared in one place.
        for copy in copies:
            self._require(copy.key, copy.key_id)
        self._merge(copies, replica=False)
        held = 1 + await self._replicate(copies)
        if held < self.settings.replicas:
            self._repair_due = True
        for copy in copies:
            if not copy.deleted:
                self.emit("written", key=copy.key, version=copy.version, copies=held)
        return [held] * len(copies)

    async def _replicate(self, copies: list[Copy]) -> int:
        """Copy to the next live members, as many as there should be; how many took it."""
        # Copies live on the members that follow the owner.
        wanted, held = self.settings.replicas - 1, 0
        candidates = [peer for peer in self.successors if peer.name not in self.avoided]
        while held < wanted and candidates:
            asked, candidates = candidates[: wanted - held], candidates[wanted - held :]
            calls = [
                self.call(peer.name, "take", copies, True, timeout=self.settings.timeout) for peer in asked
            ]
            answers = await gather(*calls, return_exceptions=True)
            for peer, answer in zip(asked, answers, strict=True):
                if not isinstance(answer, LabError):
                    held += 1
                elif isinstance(answer, (Timeout, NotAMember)):
                    self.avoid(peer)
        return held

    @rpc
    def take(self, copies: list[Copy], replica: bool) -> int:
        """Keep these copies unless newer ones are here; how many were news."""
        if replica:
            self.require_membership()
        return self._merge(copies, replica)

    def _merge(self, copies: Iterable[Copy], replica: bool) -> int:
        news = 0
        for copy in copies:
            copy = Copy(*copy)
            self._refreshed[copy.key] = self._round
            # The larger version wins: a repeated or late message changes nothing.
            mine = self.copies.get(copy.key)
            if mine is not None and mine.version >= copy.version:
                continue
            news += 1
            self.copies[copy.key] = copy
            self.disk["copy", copy.key] = tuple(copy)
            if not copy.deleted:
                self._say_stored(copy, replica)
            elif mine is not None and not mine.deleted:
                self.emit("removed", key=copy.key, why="deleted", version=copy.version)
        if news:
            self.disk.sync()
        return news

    def _say_stored(self, copy: Copy, replica: bool) -> None:
        self.emit("stored", key=copy.key, key_id=copy.key_id, replica=replica, version=copy.version)

    def _drop(self, keys: Iterable[Any]) -> None:
        for key in keys:
            copy = self.copies.pop(key)
            self._refreshed.pop(key, None)
            del self.disk["copy", key]
            if not copy.deleted:
                self.emit("removed", key=key, why="handed back")
        self.disk.sync()

    def load(self) -> None:
        """After a restart: the copies on the disk, perhaps old ones; `hand_back` offers them."""
        for kind, _key in [entry for entry in self.disk if entry[0] == "copy"]:
            copy = Copy(*self.disk[kind, _key])
            self.copies[copy.key] = copy
            self._refreshed[copy.key] = self._round - STALE
            if not copy.deleted:
                self._say_stored(copy, replica=True)

    # --- when the ring changes --------------------------------------------------------------------------

    async def leaving(self) -> int:
        """Hand the copies to as many next members as there are replicas: no key has fewer than before. Raises
        ``NoHeir``."""
        count, heirs = len(self.copies), 0
        for heir in self.successors:
            heirs += await self.move_keys(heir, "leave")
            if heirs == self.settings.replicas:
                break
        if count and not heirs:
            raise NoHeir(
                f"{self.name} stays: no member that follows it has answered and taken its {count} copies; "
                "try again when one does, or stop it without handing over: ring.fail(...)"
            )
        return count

    async def move_keys(self, to: Peer, why: str) -> bool:
        """Give another node the keys it is about to own; whether it has them all. Writes meanwhile go along.

        ``why`` is "join" (a new predecessor) or "leave" (to those that follow). The event counts what was
        news.
        """
        sent: dict[Any, Version] = {}
        news = 0
        # Again until nothing is left: what is written meanwhile goes along.
        while True:
            moving = [copy for copy in self._moving(to, why) if sent.get(copy.key) != copy.version]
            if not moving:
                break
            for start in range(0, len(moving), BATCH):
                batch = moving[start : start + BATCH]
                try:
                    news += await self._ask(to, "take", batch, False)
                except (Timeout, NotAMember):
                    self.avoid(to)
                    return False
                sent.update((copy.key, copy.version) for copy in batch)
        if news:
            self.emit("moved", count=news, to=to.name, why=why)
        return True

    def _ask(self, peer: Peer, method: str, *args: Any) -> Future:
        """A call that carries many copies may take twice as long as others."""
        return self.call(peer.name, method, *args, timeout=self.settings.timeout * 2)

    def _moving(self, to: Peer, why: str) -> list[Copy]:
        if why == "leave":
            return list(self.copies.values())
        return [
            copy for copy in self.copies.values()
            if self._is_mine(copy.key_id) and not in_half_open(to.id, copy.key_id, self.id)
        ]  # fmt: skip

    def followers_changed(self, before: tuple[Peer, ...]) -> None:
        """Copies belong to the next members: what changes beyond those is of no matter."""
        replicas = self.settings.replicas - 1
        if self.successors[:replicas] != before[:replicas]:
            self.keys_changed()

    def keys_changed(self) -> None:
        """The upcall of Fig. 1: the set of keys, or where their copies belong, has changed."""
        self._repair_due = True
        if self.predecessor is not None:
            self._say_roles(self.predecessor.id)
        elif self._arc_start is None and self.successors:
            return  # a newcomer answers for nothing until it knows a predecessor: another may stand between
        if not self._narrow() and not self._recovering:
            self._recovering = True
            self.spawn(self._recover())

    def _say_roles(self, start: int) -> None:
        """Tell the trace which copies have become the owner's, or replicas, with an arc that begins here."""
        before, self._arc_start = self._arc_start, start
        if before is None or before == start:
            return
        for copy in self.copies.values():
            mine = in_half_open(start, copy.key_id, self.id)
            if mine != in_half_open(before, copy.key_id, self.id) and not copy.deleted:
                self._say_stored(copy, replica=not mine)

    # An arc grows when a predecessor fails or leaves. The node that inherits it usually holds replicas of its
    # keys, but a member that joined just before does not: the failed one did not know it yet. So whoever
    # inherits first asks the members behind it, where the replicas are, and answers for the new part only
    # then. Otherwise it would call keys absent that are not, and a write would begin anew with version 1.

    def _narrow(self) -> bool:
        """Take over the arc as it is now if it is no larger than what is sure; whether it was so."""
        before = self.predecessor
        start = self.id if before is None else before.id  # without a predecessor: the whole circle
        if not self.successors:
            self._sure = self.id
            return True
        if self._sure is None or not (
            self._sure == self.id or self._sure == start or between(self._sure, start, self.id)
        ):
            return False
        self._sure = start
        return True

    async def _recover(self) -> None:
        """Get the newest copies of what may be inherited, from the members that should have replicas."""
        try:
            # Replicas of what a failed predecessor owned are at the members behind us.
            for peer in self.successors[: max(1, self.settings.replicas)]:
                await self._recover_from(peer)
            self._sure = self.id  # of all that could be asked …
            self._narrow()  # … and the arc is what it is by now
        finally:
            self._recovering = False

    async def _recover_from(self, peer: Peer) -> None:
        end = self.id if self._sure is None else self._sure
        mine = {c.key: c.version for c in self.copies.values() if in_half_open(peer.id, c.key_id, end)}
        for _ in range(RECOVERY_ATTEMPTS):
            try:
                self._merge(await self._ask(peer, "behind", end, mine), replica=False)
                return
            except NotAMember:
                return
            except Timeout:
                continue
        self.avoid(peer)

    @rpc
    def behind(self, end: int, versions: dict[Any, Version]) -> list[Copy]:
        """Our copies of keys from here round to ``end``, where newer than the versions given."""
        self.require_membership()
        return [
            copy
            for copy in self.copies.values()
            if in_half_open(self.id, copy.key_id, end)
            and (copy.key not in versions or versions[copy.key] < copy.version)
        ]

    @every("maintain_every")
    async def each_round(self) -> None:
        """Bring replicas up to date if something changed; now and then compare anyway, hand back strays."""
        self._round += 1
        if not self.joined or not self.copies:
            self._repair_due = False
            return
        if self._repair_due or self._round % SWEEP == 0:
            self._repair_due = False
            await self.repair()
        if self._round % SWEEP == SWEEP // 2:
            await self.hand_back()

    async def repair(self) -> None:
        """Compare versions with the members that should hold copies, and exchange what differs."""
        for peer in self.successors[: self.settings.replicas - 1]:
            mine = {copy.key: copy.version for copy in self.own_copies()}
            if not mine:
                return
            try:
                missing, newer = await self._ask(peer, "compare", mine)
                self._merge(newer, replica=False)
                copies = [self.copies[key] for key in missing if key in self.copies]
                for start in range(0, len(copies), BATCH):
                    batch = copies[start : start + BATCH]
                    await self._ask(peer, "take", batch, True)
            except (Timeout, NotAMember):
                self.avoid(peer)
                self._repair_due = True
                continue
            if copies:
                self.emit("replicated", count=len(copies), to=peer.name)

    @rpc
    def compare(self, versions: dict[Any, Version]) -> tuple[list[Any], list[Copy]]:
        """The owner's versions against ours: keys older or missing here, and our newer copies."""
        self.require_membership()
        missing, newer = [], []
        for key, version in versions.items():
            self._refreshed[key] = self._round
            mine = self.copies.get(key)
            if mine is None or mine.version < version:
                missing.append(key)
            elif mine.version > version:
                newer.append(mine)
        return missing, newer

    async def hand_back(self) -> None:
        """Offer copies that no owner has asked for lately to their owners; drop the unwanted."""
        strays = [
            copy
            for copy in self.copies.values()
            if not self.owns(copy.key_id) and self._round - self._refreshed.get(copy.key, 0) >= STALE
        ]
        while strays:
            found = None
            try:
                found = Found.of(await self.find_successor(strays[0].key_id))
                if found.owner.name == self.name:
                    self._refreshed[strays[0].key] = self._round
                    strays = strays[1:]
                    continue
                batch = await self._belonging_to(found.owner, strays)
                keep = await self._ask(found.owner, "offer", batch, self.name)
            except LabError:  # no way there now: they stay until the next time
                return
            offered = {copy.key for copy in batch}
            for key in keep:
                self._refreshed[key] = self._round
            here = [c for c in batch if self.copies.get(c.key) == c and not self.owns(c.key_id)]
            self._drop([copy.key for copy in here if copy.key not in keep])
            strays = [copy for copy in strays if copy.key not in offered]

    async def _belonging_to(self, owner: Peer, strays: list[Copy]) -> list[Copy]:
        """The strays that this node owns by its own account, the first of them in any case."""
        before = await self.call(owner.name, "range_start", timeout=self.settings.timeout)
        start = strays[0].key_id - 1 if before is None else before
        return [copy for copy in strays if in_half_open(start, copy.key_id, owner.id)][:BATCH] or strays[:1]

    @rpc
    def range_start(self) -> int | None:
        """Where the node's own arc begins: its predecessor's id."""
        return self.predecessor.id if self.predecessor else None

    @rpc
    def offer(self, copies: list[Copy], holder: str) -> list[Any]:
        """Somebody offers copies of our keys: take what is newer; the keys that the holder should keep."""
        for copy in copies:
            self._require(copy[0], copy[1])
        if self._merge(copies, replica=False):
            self._repair_due = True
        replicas = [peer.name for peer in self.successors[: self.settings.replicas - 1]]
        return [copy[0] for copy in copies] if holder in replicas else []
