"""A chunkserver: the blocks on one machine's disk (GFS §2.4, §3, §5.2).

New data comes down a *chain* of chunkservers, each of which passes it on to the next ("data is pushed
linearly along a carefully picked chain of chunkservers", GFS §3.2), so that whoever writes sends it once, not
once for each copy; the answer says who has it on the disk. A record for a file's last block goes to that
block's *primary*, which gives all appends an order and has every copy apply them in it. What this server has
got and lost the master hears with the next heartbeat.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from labkit.runtime.errors import Definite, LabError, Timeout
from labkit.runtime.node import Node, every, rpc
from labkit.runtime.sync import Lock, gather

from .blocks import Blocks, Data, Held, Modelled, Rotten, checksum, join, size_of
from .events import EVENTS
from .settings import NotHere, Settings

__all__ = ["Chunkserver"]


class Chunkserver(Node):
    """See the module's text."""

    events = EVENTS

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.heartbeat_every = settings.heartbeat_every
        self.blocks = Blocks(self.files)
        self.held: dict[int, Held] = {}  #: every copy that is good as far as is known
        self.new: dict[int, None] = {}  #: copies that the master has not acknowledged yet
        self.gone: dict[int, bool] = {}  #: lost ones, and whether they were rotten, not acknowledged yet
        self.locks: dict[int, Lock] = {}
        self.applied: dict[int, tuple[int, int]] = {}  #: version and number of a block's last append here
        #: Blocks with an append that some copies may have and others not: none follows under that version.
        self.unsure: dict[int, int] = {}
        self.seq = 0
        self.card_free_at = 0.0  #: when the network card has sent all modelled data so far
        # Here and not in ``start``: a message may come before that, and must not find an empty server.
        self._rotten_at_start = self._read_disk()

    def _read_disk(self) -> list[int]:
        rotten = []
        for block in self.blocks.numbers():
            try:
                self.held[block] = self.blocks.held(block)
            except Rotten:
                rotten.append(block)
        return rotten

    async def start(self) -> None:
        """Report to the master, as often as it takes."""
        self.life = self.random.getrandbits(48)
        for block in self._rotten_at_start:
            self._drop_rotten(block)
        while not await self._beat():
            await self.sleep(self.settings.retry_after)

    # the master ------------------------------------------------------------

    @every("heartbeat_every")
    async def heartbeat(self) -> None:
        """HeartBeat (GFS §2.4)."""
        await self._beat()

    async def _beat(self) -> bool:
        """Tell the master what has changed, or all; True if it has heard."""
        self.seq += 1
        new, gone = tuple(self.new), tuple(self.gone.items())
        try:
            doomed = await self._ask("heartbeat", self.seq, len(self.held), self._described(new), gone)
            if doomed is None:
                self.seq += 1
                new, gone = tuple(self.new), tuple(self.gone.items())
                await self._ask("report", self.seq, self._described(self.held))
        except (Timeout, Definite):
            return False
        # Should one of these have changed again meanwhile, the next heartbeat's number of blocks is wrong,
        # and the master asks for a full report.
        for block in new:
            self.new.pop(block, None)
        for block, _ in gone:
            self.gone.pop(block, None)
        for block, limit in doomed or ():
            self._delete(block, limit)
        return True

    def _described(self, blocks: Iterable[int]) -> tuple[tuple[int, int, int], ...]:
        """Number, version and length of those that it has."""
        held = self.held
        return tuple((block, held[block].version, held[block].length) for block in blocks if block in held)

    def _ask(self, method: str, *args: Any) -> Any:
        timeout = self.settings.timeout / 2  # a lost message must not be taken for a death
        return self.call(self.settings.master, method, self.machine, self.life, *args, timeout=timeout)

    def _delete(self, block: int, limit: tuple[int, int]) -> None:
        """The master wants no such copy, unless it is newer than the one that it means."""
        held = self.held.get(block)
        if held is not None and held[:2] > limit:
            self.new[block] = None
            return
        self._lose(block)
        self.blocks.remove(block)

    def _lose(self, block: int, rotten: bool = False) -> None:
        tables: tuple[dict[int, Any], ...] = (self.held, self.new, self.applied, self.unsure, self.locks)
        for table in tables:
            table.pop(block, None)
        self.gone[block] = rotten

    def _drop_rotten(self, block: int) -> None:
        """As the paper has it: "The requestor will read from other replicas, while the master will clone the
        chunk from another replica" (GFS §5.2); it is told at once."""
        self._lose(block, rotten=True)
        self.blocks.remove(block)
        self.emit("rot_found", block=block)
        self.spawn(self._beat())

    # reading ------------------------------------------------------------

    @rpc
    async def read_block(self, block: int, version: int, start: int, size: int, reader: str) -> Data:
        """Verified bytes of a copy of this version or a later one. ``reader``: the machine that they go
        to."""
        held = self.held.get(block)
        if held is None:
            self.gone[block] = False  # if the master says so, let it hear that it is not
            raise NotHere(f"{self.machine} has no block {block}")
        if held.version < version:
            raise NotHere(f"{self.machine} has version {held.version} of block {block}, not {version}")
        data = await self._read(block, start, size)
        if isinstance(data, Modelled) and reader != self.machine:
            await self._send_modelled(data.size)
        return data

    async def _read(self, block: int, start: int, size: int) -> Data:
        try:
            data: Data = await self.compute(self.blocks.read, block, start, size)
        except (Rotten, KeyError) as error:
            if block in self.held:
                self._drop_rotten(block)
            raise NotHere(f"{self.machine} had a rotten copy: {error}") from None
        return data

    async def _send_modelled(self, size: int) -> None:
        """So long the card is busy with these bytes, after those that stand in line."""
        if self.settings.bandwidth is not None:
            begin = max(self.now, self.card_free_at)
            self.card_free_at = begin + size / self.settings.bandwidth
            await self.sleep(self.card_free_at - self.now)

    # writing ------------------------------------------------------------

    async def _write(self, block: int, version: int, data: Data) -> Held:
        held: Held = await self.compute(self.blocks.write, block, version, data)
        self.held[block] = held
        self.gone.pop(block, None)
        return held

    def _lock(self, block: int) -> Lock:
        return self.locks.setdefault(block, Lock())

    @rpc
    async def write_block(self, block: int, data: Data, chain: tuple[str, ...]) -> tuple[str, ...]:
        """A new block for this machine and those after it in the chain; answers which have it on the disk.
        Those that cannot be reached are left out."""
        passed_on = self.spawn(self._pass_on(block, data, chain))  # while it is written here
        async with self._lock(block):
            if block not in self.held:  # else the message came twice
                await self._write(block, 1, data)
                self.new[block] = None
        return (self.machine, *await passed_on)

    async def _pass_on(self, block: int, data: Data, chain: tuple[str, ...]) -> tuple[str, ...]:
        if isinstance(data, Modelled) and chain:
            await self._send_modelled(data.size)
        for index, machine in enumerate(chain):
            rest = chain[index + 1 :]
            wait = self.settings.patience(size_of(data)) * (1 + len(rest))
            try:
                order = (block, data, rest)
                done = await self.call(self.settings.server(machine), "write_block", *order, timeout=wait)
            except LabError:
                continue
            return tuple(done)
        return ()

    @rpc
    async def hold_modelled(self, blocks: list[tuple[int, int]]) -> None:
        """Have copies of these blocks (number, bytes), as if they had been here always."""
        for block, size in blocks:
            await self._write(block, 1, Modelled(size))
            self.new[block] = None

    @rpc
    async def fetch_block(self, block: int, version: int, source: str) -> tuple[int, int]:
        """Copy a block from another chunkserver; answers the copy's version and length."""
        held = self.held.get(block)
        if held is None or held.version < version:
            wait = self.settings.patience(self.settings.block_size)
            order = (block, version, 0, ANY_SIZE, self.machine)
            data = await self.call(source, "read_block", *order, timeout=wait)
            async with self._lock(block):
                held = self.held.get(block)
                if held is None or held.version < version:
                    held = await self._write(block, version, data)
                    self.new[block] = None
        return held.version, held.length

    # appending ------------------------------------------------------------

    @rpc
    async def set_version(self, block: int, version: int, length: int) -> None:
        """The master grants a lease: the copy is of this version now, and has the bytes that count, and no
        more."""
        async with self._lock(block):
            held = self._at_least(block, length)
            if held.version < version:
                data = await self._read(block, 0, length)
                await self._write(block, version, data)
                self.unsure.pop(block, None)
                self.applied.pop(block, None)
            elif held.version > version:
                raise NotHere(f"{self.machine} has version {held.version} of block {block} already")

    @rpc
    async def append_record(
        self, xid: str, block: int, version: int, chain: tuple[str, ...], record: bytes
    ) -> int:
        """As the block's primary: apply a record here and on the others of ``chain``, then have the master
        count it. Answers its place in the file; if anything goes wrong the client asks the master again."""
        async with self._lock(block):
            held = self._at_least(block, 0)
            if held.version != version or block in self.unsure:
                raise NotHere(f"version {version} of block {block} is not the one to append to")
            self.unsure[block] = version
            before = await self._read(block, 0, held.length)
            whole = join([before, record])
            number = self.applied.get(block, (version, 0))[1] + 1
            self.applied[block] = (version, number)
            held = await self._write(block, version, whole)
            offset = held.length - len(record)
            order = (block, version, number, offset, record)
            calls = [
                self.call(self.settings.server(m), "append_copy", *order, timeout=self.settings.timeout)
                for m in chain
                if m != self.machine
            ]
            await gather(*calls)
            crc = checksum(whole)
            place, counted = await self.call(
                self.settings.master, "appended", xid, block, version, offset, held.length, crc,
                timeout=self.settings.timeout,
            )  # fmt: skip
            if counted:
                self.unsure.pop(block, None)
            return int(place)

    @rpc
    async def append_copy(self, block: int, version: int, number: int, offset: int, record: bytes) -> None:
        """As another copy: apply a record where the primary has applied it."""
        async with self._lock(block):
            held = self._at_least(block, offset)
            if held.version != version:
                raise NotHere(f"{self.machine} has version {held.version} of block {block}, not {version}")
            if number > self.applied.get(block, (version, 0))[1]:  # else the message came twice
                self.applied[block] = (version, number)
                before = await self._read(block, 0, offset)
                await self._write(block, version, join([before, record]))

    def _at_least(self, block: int, length: int) -> Held:
        held = self.held.get(block)
        if held is None or held.length < length:
            raise NotHere(f"{self.machine} has no block {block} of {length} bytes")
        return held

    # a dying disk ------------------------------------------------------------

    @rpc
    def spoil(self, block: int) -> None:
        """A fault for tests: the bytes on the disk change, and nobody is told."""
        if block not in self.held or self.held[block].modelled or not self.held[block].length:
            raise ValueError(f"{self.machine} has no bytes of block {block} that could rot")
        self.blocks.spoil(block)

    @rpc
    async def scrub(self) -> int:
        """Verify every copy ("during idle periods, chunkservers can scan and verify", GFS §5.2); answers how
        many were rotten."""
        found = 0
        for block, held in list(self.held.items()):
            try:
                await self._read(block, 0, held.length)
            except NotHere:
                found += 1
        return found

    @rpc
    async def audit(self, lengths: dict[int, int]) -> dict[int, tuple[int, int, int | None]]:
        """For ``FileSystem.check``: version, length and checksum of each copy's first so many bytes; all that
        it has are named."""
        found = {}
        for block, held in list(self.held.items()):
            crc: int | None = None
            try:
                data = self.blocks.read(block, 0, lengths.get(block, 0))
                crc = None if isinstance(data, Modelled) else checksum(data)
            except Rotten:
                crc = -1
            found[block] = (held.version, held.length, crc)
        return found


#: More than a block has.
ANY_SIZE = 2**62
