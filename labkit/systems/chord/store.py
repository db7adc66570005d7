"""The block store on top of lookups: k copies on the successor list, moved when the ring changes (SIGCOMM 2001, sections 2 and 4; CFS).

Chord itself only maps keys to nodes, and tells the layer above when "the set of keys that the node is responsible
for" changes. This is that layer. A key belongs to its successor, the *owner*, and to the next k - 1 members:

* a **write** is acknowledged by the owner with the number of copies that exist;
* a new predecessor gets the keys it will own **before** the node accepts it as predecessor, hence before anybody is sent there;
* a node whose neighbours changed brings the copies of its keys up to date (`repair`), comparing versions and sending what
  is missing;
* a copy nobody has asked for in a while is offered to the key's owner and then dropped (`hand_back`), which also brings home
  what a restarted node finds on its disk.

Every copy carries a version, (number, writer). Merging keeps the larger one, so a repeated message, a late repair or a returning
disk can never bring back an old value, and a deletion is a version like any other (a *tombstone*). Versions are made by the client
that writes (``model.py``), so that a repeated request is the same write.

Left out: tombstones are kept for ever; one value is one message.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from labkit.runtime.errors import Definite, LabError, Timeout
from labkit.runtime.node import every, rpc
from labkit.runtime.sync import gather

from .ids import Peer, in_half_open
from .routing import Found, NotAMember, Routing, Settings

__all__ = ["Copy", "NotResponsible", "Storage", "Version"]

#: (number, writer): compared as a pair, so that two writers never make the same version.
Version = tuple[int, str]

#: Copies sent in one message.
BATCH = 200

#: Rounds of maintenance between two comparisons with the replicas when nothing seemed to change.
SWEEP = 10

#: Rounds a copy may go unasked for before it is offered to its owner.
STALE = 3 * SWEEP


class NotResponsible(Definite):
    """The node does not own this key (any more): look it up again."""


class Copy(NamedTuple):
    """One node's copy of one key. A deleted key has a copy too, with the version of its deletion."""

    key: Any
    key_id: int
    value: Any
    version: Version
    deleted: bool = False


class Storage(Routing):
    """The keys of a node, its own and its copies of others'."""

    def __init__(self, id: int, settings: Settings) -> None:
        super().__init__(id, settings)
        #: Copies by key. Everything here is also on the disk, under ("copy", key).
        self.copies: dict[Any, Copy] = {}
        #: Round in which the owner last asked for this copy.
        self._refreshed: dict[Any, int] = {}
        self._round = 0
        #: Neighbours or keys changed: compare with the replicas in the next round.
        self._repair_due = False
        #: Where the node's own arc began when last said; its copies' roles in the trace are right for that.
        self._arc_start: int | None = None

    # --- what the node is responsible for ----------------------------------------------------------------------------

    def owns(self, key_id: int) -> bool:
        """Whether the node answers for a key now.

        A new member does so for none until it has had a predecessor: another newcomer may stand between, with keys of its own.
        """
        newcomer = self._arc_start is None and bool(self.successors)
        return self.joined and not newcomer and self._is_mine(key_id)

    def own_copies(self) -> list[Copy]:
        """The copies of the keys the node owns."""
        return [copy for copy in self.copies.values() if self.owns(copy.key_id)]

    def _require(self, key: Any, key_id: int) -> None:
        if not self.owns(key_id):
            raise NotResponsible(f"{self.name} does not own {key!r} now; look it up again")

    # --- reading and writing -----------------------------------------------------------------------------------------

    @rpc
    def fetch(self, key: Any, key_id: int) -> Copy | None:
        """The owner's copy, perhaps a tombstone, or None. Raises ``NotResponsible``."""
        self._require(key, key_id)
        copy = self.copies.get(key)
        if copy is None and self.predecessor is None and self.successors:
            raise NotResponsible(f"{self.name} does not know where its arc begins now, so {key!r} may be elsewhere; ask again")
        return copy

    @rpc
    async def store(self, copies: list[Copy]) -> list[int]:
        """Write, at the owner; the number of copies of each. Raises ``NotResponsible`` and then has written nothing."""
        for copy in copies:
            self._require(copy.key, copy.key_id)
        self._merge(copies, replica=False)
        held = 1 + await self._replicate(copies)
        if held < self.settings.replicas:
            self._repair_due = True
        return [held] * len(copies)

    async def _replicate(self, copies: list[Copy]) -> int:
        """Copy to the next live members, as many as there should be; how many took it."""
        wanted, held = self.settings.replicas - 1, 0
        candidates = [peer for peer in self.successors if peer.name not in self.avoided]
        while held < wanted and candidates:
            asked, candidates = candidates[: wanted - held], candidates[wanted - held :]
            calls = [self.call(peer.name, "take", copies, True, timeout=self.settings.timeout) for peer in asked]
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
        if not self.joined and replica:
            raise NotAMember(f"{self.name} is not a member of the ring")
        return self._merge(copies, replica)

    def _merge(self, copies: Iterable[Copy], replica: bool) -> int:
        news = 0
        for copy in copies:
            copy = Copy(*copy)
            self._refreshed[copy.key] = self._round
            mine = self.copies.get(copy.key)
            if mine is not None and mine.version >= copy.version:
                continue
            news += 1
            self.copies[copy.key] = copy
            self.disk["copy", copy.key] = tuple(copy)
            if not copy.deleted:
                self.emit("stored", key=copy.key, key_id=copy.key_id, replica=replica)
            elif mine is not None and not mine.deleted:
                self.emit("removed", key=copy.key, why="deleted")
        if news:
            self.disk.sync()
        return news

    def _drop(self, keys: Iterable[Any]) -> None:
        for key in keys:
            copy = self.copies.pop(key)
            self._refreshed.pop(key, None)
            del self.disk["copy", key]
            if not copy.deleted:
                self.emit("removed", key=key, why="handed back")
        self.disk.sync()

    def load(self) -> None:
        """After a restart: the copies on the disk. They may be old; `hand_back` offers them to their owners."""
        for kind, _key in [entry for entry in self.disk if entry[0] == "copy"]:
            copy = Copy(*self.disk[kind, _key])
            self.copies[copy.key] = copy
            self._refreshed[copy.key] = self._round - STALE
            if not copy.deleted:
                self.emit("stored", key=copy.key, key_id=copy.key_id, replica=True)

    # --- when the ring changes -----------------------------------------------------------------------------------------

    async def move_keys(self, to: Peer, why: str) -> bool:
        """Give another node the keys it is about to own; whether it has them all. Writes meanwhile go along.

        ``why`` is "join" (a new predecessor) or "leave" (to the successor).
        """
        sent: dict[Any, Version] = {}
        while True:
            moving = [copy for copy in self._moving(to, why) if sent.get(copy.key) != copy.version]
            if not moving:
                break
            for start in range(0, len(moving), BATCH):
                batch = moving[start : start + BATCH]
                try:
                    await self.call(to.name, "take", batch, False, timeout=self.settings.timeout * 2)
                except (Timeout, NotAMember):
                    self.avoid(to)
                    return False
                sent.update((copy.key, copy.version) for copy in batch)
        if sent:
            self.emit("moved", count=len(sent), to=to.name, why=why)
        return True

    def _moving(self, to: Peer, why: str) -> list[Copy]:
        if why == "leave":
            return list(self.copies.values())
        return [
            copy for copy in self.copies.values()
            if self._is_mine(copy.key_id) and not in_half_open(to.id, copy.key_id, self.id)
        ]  # fmt: skip

    def neighbours_changed(self) -> None:
        """The upcall of section 2: the set of keys, or where their copies belong, has changed."""
        self._repair_due = True
        before, after = self._arc_start, self.predecessor.id if self.predecessor else None
        if after is None or after == before:
            return
        self._arc_start = after
        for copy in self.copies.values() if before is not None else ():
            mine = in_half_open(after, copy.key_id, self.id)
            if mine != in_half_open(before, copy.key_id, self.id) and not copy.deleted:
                self.emit("stored", key=copy.key, key_id=copy.key_id, replica=not mine)

    @every("maintain_every")
    async def maintain_copies(self) -> None:
        """Each round: bring replicas up to date if something changed; now and then compare anyway, and hand back strays."""
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
        """Compare versions with the members that should hold copies of the node's keys, and exchange what differs."""
        for peer in self.successors[: self.settings.replicas - 1]:
            mine = {copy.key: copy.version for copy in self.own_copies()}
            if not mine:
                return
            try:
                missing, newer = await self.call(peer.name, "compare", mine, timeout=self.settings.timeout * 2)
                self._merge(newer, replica=False)
                copies = [self.copies[key] for key in missing if key in self.copies]
                for start in range(0, len(copies), BATCH):
                    batch = copies[start : start + BATCH]
                    await self.call(peer.name, "take", batch, True, timeout=self.settings.timeout * 2)
            except (Timeout, NotAMember):
                self.avoid(peer)
                self._repair_due = True
                continue
            if copies:
                self.emit("replicated", count=len(copies), to=peer.name)

    @rpc
    def compare(self, versions: dict[Any, Version]) -> tuple[list[Any], list[Copy]]:
        """The owner's versions against ours: the keys whose copy here is older or missing, and our newer copies."""
        if not self.joined:
            raise NotAMember(f"{self.name} is not a member of the ring")
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
        """Offer copies that no owner has asked for lately to their owners, and drop those that are not wanted here."""
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
                keep = await self.call(found.owner.name, "offer", batch, self.name, timeout=self.settings.timeout * 2)
            except LabError:  # no way there now: they stay until the next time
                return
            offered = [copy.key for copy in batch]
            for key in keep:
                self._refreshed[key] = self._round
            unwanted = {key: None for key in offered if key not in set(keep)}
            self._drop([c.key for c in batch if c.key in unwanted and self.copies.get(c.key) == c and not self.owns(c.key_id)])
            done = set(offered)
            strays = [copy for copy in strays if copy.key not in done]

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
