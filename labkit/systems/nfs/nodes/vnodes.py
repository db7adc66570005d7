"""The client's vnode layer: what can be done with one file, from the caches where they may be trusted.

The operations have the paper's names. When a cache may be trusted is the client's ``consistency``:

==============  ===========================================================================
no cache        every call goes to the server, and writes wait for it
none            what is here is used for ever
timeouts        attributes are good for a while; when they have changed, blocks and names go
close-to-open   besides, an open asks the server and a close writes back (see ``files.py``)
==============  ===========================================================================
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from labkit.runtime.loop import Task
from labkit.runtime.sync import gather

from ..caches import Block, BlockCache, Vnode
from ..protocol import DIRECTORY, Attributes, Credentials, NfsError
from .procedures import permits
from .rpc import RpcClient

__all__ = ["Vnodes"]

#: Vnodes that a client remembers besides those in use.
REMEMBERED = 10_000


class Vnodes(RpcClient):
    """Vnode operations."""

    consistency: str
    write_behind: bool
    name_cache: bool
    read_ahead: int

    def _start_vnodes(self) -> None:
        self.vnodes: dict[bytes, Vnode] = {}
        self.cache = BlockCache(self.options.cache_bytes)
        self.working = 0  #: block I/O daemons at work

    @property
    def caching(self) -> bool:
        """Whether there are caches."""
        return self.consistency != "no cache"

    def vnode(self, fh: bytes, told: tuple[Any, ...]) -> Vnode:
        """The vnode of a handle; what the server has just said of it is noted."""
        attributes = Attributes._make(told)
        vnode = self.vnodes.get(fh)
        if vnode is not None:
            self._note(vnode, attributes)
            return vnode
        if len(self.vnodes) > REMEMBERED:
            self._forget_some()
        vnode = self.vnodes[fh] = Vnode(fh, attributes, self.now)
        return vnode

    def _forget_some(self) -> None:
        for _fh, vnode in list(self.vnodes.items()):
            if len(self.vnodes) <= REMEMBERED // 2:
                return
            if not vnode.opens and not vnode.dirty and vnode.silly is None:
                self.forget(vnode)

    def forget(self, vnode: Vnode) -> None:
        """Nothing is known of it any more."""
        self._drop(vnode, "gone", all_of_them=True)
        self.vnodes.pop(vnode.fh, None)

    # attributes ------------------------------------------------------------

    def fresh(self, vnode: Vnode) -> bool:
        """Whether the attributes may be used without asking. They are good for a tenth of the time for which
        the file did not change, within limits: what has just changed will soon change again."""
        if self.consistency in ("no cache", "none"):
            return self.caching
        folder = vnode.attributes.kind == DIRECTORY
        low, high = self.options.folder_seconds if folder else self.options.file_seconds
        good = min(high, max(low, (vnode.asked - vnode.attributes.mtime) / 10))
        return self.now - vnode.asked < good

    async def getattr(self, vnode: Vnode, cred: Credentials, ask: bool = False) -> Attributes:
        """The attributes, from the cache if they are fresh. ask: from the server anyway."""
        if ask or not self.fresh(vnode):
            self._note(vnode, Attributes._make(await self._ask(vnode, "getattr", cred, vnode.fh)))
        return vnode.attributes

    async def _ask(self, vnode: Vnode, procedure: str, cred: Credentials, *args: Any) -> Any:
        """A procedure on a file; a handle that is stale is forgotten."""
        try:
            return await self.ask(procedure, cred, *args)
        except NfsError as error:
            if error.status == "ESTALE":
                self.emit("stale_handle", fileid=vnode.attributes.fileid, procedure=procedure,
                          generation=vnode.attributes.generation)  # fmt: skip
                self.vnodes.pop(vnode.fh, None)
            raise

    def _note(self, vnode: Vnode, found: Attributes) -> None:
        """What the server has just said. If others have changed the file, what was kept of it goes."""
        if found.change < vnode.attributes.change:
            return  # a reply that was overtaken
        others = any(n not in vnode.mine for n in range(vnode.attributes.change + 1, found.change + 1))
        vnode.attributes, vnode.asked = found, self.now
        vnode.mine = {n for n in vnode.mine if n > found.change}
        if others:
            self._drop(vnode, "changed")
            for block in vnode.blocks.values():
                block.valid = False  # it waits to be written: what is around that is old
            vnode.names.clear()

    def _changed_by_me(self, vnode: Vnode, found: Attributes) -> None:
        """The reply to this client's own change; changes of others in between are seen by the next look."""
        vnode.mine.add(found.change)
        if all(n in vnode.mine for n in range(vnode.attributes.change + 1, found.change + 1)):
            self._note(vnode, found)
        elif found.change > vnode.attributes.change:
            vnode.attributes = found._replace(change=vnode.attributes.change)

    def _drop(self, vnode: Vnode, why: str, all_of_them: bool = False, since: int = 0) -> None:
        """Blocks are not trusted any more; those that wait to be written stay."""
        gone = [i for i, b in vnode.blocks.items() if i >= since and (all_of_them or not b.busy)]
        for i in gone:
            self.cache.drop(vnode, i)
        if gone:
            self.tell("blocks_dropped", vnode, blocks=gone, why=why)

    def tell(self, kind: str, vnode: Vnode, **data: Any) -> None:
        """An event about a file."""
        if self.traced:
            found = vnode.attributes
            self.emit(kind, fileid=found.fileid, generation=found.generation, **data)

    async def setattr(self, vnode: Vnode, cred: Credentials, wanted: dict[str, Any]) -> Attributes:
        """Change attributes; size truncates."""
        if vnode.dirty:
            await self.fsync(vnode)
        found = Attributes._make(await self._ask(vnode, "setattr", cred, vnode.fh, wanted))
        if "size" in wanted:
            vnode.writes += 1
            self._drop(vnode, "truncated", since=wanted["size"] // self.options.block)
        self._changed_by_me(vnode, found)
        return vnode.attributes

    # names ------------------------------------------------------------

    async def lookup(self, folder: Vnode, name: str, cred: Credentials, ask: bool = False) -> Vnode:
        """The file of this name, from the name cache if the directory is as it was. ask: from the server."""
        if self.caching and self.name_cache and not ask:
            if folder.names:
                await self.getattr(folder, cred)
            known = self.vnodes.get(folder.names.get(name, b""))
            if known is not None:
                if not permits(folder.attributes, cred, 1):
                    raise NfsError("EACCES")
                return known
        fh, found = await self._ask(folder, "lookup", cred, folder.fh, name)
        vnode = self.vnode(fh, found)
        folder.names[name] = fh
        return vnode

    def _renamed(self, folder: Vnode, name: str, fh: bytes | None = None) -> None:
        """This client has changed a directory, whose attributes are now unknown."""
        folder.asked = float("-inf")
        folder.names.pop(name, None)
        if fh is not None:
            folder.names[name] = fh

    async def make(self, procedure: str, folder: Vnode, name: str, cred: Credentials, what: Any) -> Vnode:
        """create, mkdir or symlink."""
        fh, found = await self._ask(folder, procedure, cred, folder.fh, name, what)
        self._renamed(folder, name, fh)
        return self.vnode(fh, found)

    async def remove(self, procedure: str, folder: Vnode, name: str, cred: Credentials) -> None:
        """remove or rmdir."""
        try:
            await self._ask(folder, procedure, cred, folder.fh, name)
        finally:
            self._renamed(folder, name)

    async def rename(self, folder: Vnode, name: str, to: Vnode, to_name: str, cred: Credentials) -> None:
        """Another name for a file."""
        try:
            await self._ask(folder, "rename", cred, folder.fh, name, to.fh, to_name)
        finally:
            self._renamed(folder, name)
            self._renamed(to, to_name)

    async def link(self, folder: Vnode, name: str, to: Vnode, to_name: str, cred: Credentials) -> None:
        """One more name of a file."""
        try:
            await self._ask(folder, "link", cred, folder.fh, name, to.fh, to_name)
        finally:
            self._renamed(to, to_name)

    async def readdir(self, folder: Vnode, cred: Credentials) -> list[tuple[str, int]]:
        """All entries: name and fileid."""
        entries: list[tuple[str, int]] = []
        cookie, last = 0, False
        while not last:
            some, last = await self._ask(folder, "readdir", cred, folder.fh, cookie, self.options.block)
            entries += [(name, fileid) for name, fileid, _ in some]
            cookie = some[-1][2] if some else cookie
        return entries

    # reading ------------------------------------------------------------

    async def read(self, vnode: Vnode, offset: int, count: int, cred: Credentials) -> bytes:
        """Bytes of a file, fewer at its end."""
        began, size = self.now, self.options.block
        if not self.caching:
            await self._no_more_caches(vnode)
            return await self._read_through(vnode, offset, count, cred, began)
        await self.getattr(vnode, cred)
        end = min(offset + count, vnode.size(size))
        if offset >= end:
            return b""
        parts, seen = [], []
        for i in range(offset // size, (end - 1) // size + 1):
            block = self.cache.get(vnode, i)
            known = block is not None and block.valid
            if block is None or not block.valid:
                block = await self.bread(vnode, i, cred)
            low, high = max(0, offset - i * size), min(size, end - i * size)
            part = block.data[low:high]
            parts.append(part if len(part) == high - low else part.ljust(high - low, b"\0"))
            seen.append((i, block.change, known, block.dirty))
            self._read_on(vnode, i, cred)
        self._tell_read(vnode, began, offset, seen)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _no_more_caches(self, vnode: Vnode) -> None:
        """What waits from before the caches were switched off is written first, and nothing is kept."""
        if vnode.blocks:
            await self.flush(vnode)
            self._drop(vnode, "no cache")

    async def _read_through(
        self, vnode: Vnode, offset: int, count: int, cred: Credentials, began: float
    ) -> bytes:
        """Without a cache: a call for each block."""
        parts, seen, size = [], [], self.options.block
        while count > 0:
            some = min(count, size - offset % size)
            told, data = await self._ask(vnode, "read", cred, vnode.fh, offset, some)
            found = Attributes._make(told)
            self._note(vnode, found)
            parts.append(data)
            seen.append((offset // size, found.change, False, False))
            if len(data) < some:
                break
            offset, count = offset + some, count - some
        self._tell_read(vnode, began, offset, seen)
        return b"".join(parts)

    def _tell_read(self, vnode: Vnode, began: float, offset: int, seen: list[Any]) -> None:
        self.tell("file_read", vnode, began=began, blocks=seen, mode=self.consistency, offset=offset)

    async def bread(self, vnode: Vnode, i: int, cred: Credentials) -> Block:
        """A block from the server, into the cache; once, however many want it."""
        while True:
            block = vnode.blocks.get(i)
            if block is not None and block.valid:
                return block
            if block is not None:  # part of it was written here, the rest is not known
                await self._flush(vnode, i)
            if i not in vnode.fetching:
                vnode.fetching[i] = self.spawn(self._fetch(vnode, i, cred))
            await vnode.fetching[i]
            if vnode.blocks.get(i) is None:
                vnode.next_block = -1  # it was changed meanwhile, or there is no room: once more
                await self.sleep(0)

    async def _fetch(self, vnode: Vnode, i: int, cred: Credentials) -> None:
        writes, size = vnode.writes, self.options.block
        try:
            told, data = await self._ask(vnode, "read", cred, vnode.fh, i * size, size)
        finally:
            vnode.fetching.pop(i, None)
        found = Attributes._make(told)
        self._note(vnode, found)
        if vnode.writes == writes and (i not in vnode.blocks or not vnode.blocks[i].busy):
            self.cache.put(vnode, i, Block(data, found.change))
            self.tell("block_cached", vnode, block=i, change=found.change)

    def _read_on(self, vnode: Vnode, i: int, cred: Credentials) -> None:
        """Read ahead, if the file is read in order."""
        in_order, vnode.next_block = vnode.next_block == i, i + 1
        size = vnode.attributes.size
        for ahead in range(i + 1, i + 1 + self.read_ahead if in_order else 0):
            free = self.working < self.options.biods
            if not free or ahead * self.options.block >= size:
                return
            if ahead not in vnode.blocks and ahead not in vnode.fetching:
                task = vnode.fetching[ahead] = self.spawn(self._quietly(self._fetch(vnode, ahead, cred)))
                self._count(task)

    async def _quietly(self, work: Awaitable[Any]) -> None:
        """What nobody has asked for may fail."""
        try:
            await work
        except NfsError:
            return

    def _count(self, task: Task) -> None:
        self.working += 1

        def over(_: Any) -> None:
            self.working -= 1

        task.add_done(over)

    # writing ------------------------------------------------------------

    async def write(self, vnode: Vnode, offset: int, data: bytes, cred: Credentials) -> None:
        """Bytes into a file: into the cache, and on to the server now or later."""
        size, at = self.options.block, 0
        if not self.caching:
            await self._no_more_caches(vnode)
        while at < len(data):
            i, low = divmod(offset + at, size)
            part = data[at : at + size - low]
            at += len(part)
            if not self.caching:
                told = await self._ask(vnode, "write", cred, vnode.fh, i * size + low, len(part), part)
                found = Attributes._make(told)
                self._changed_by_me(vnode, found)
                self.tell("write_acknowledged", vnode, change=found.change)
                continue
            await self._into_block(vnode, i, low, part, cred)
            if not self.write_behind:
                await self._flush(vnode, i)
            elif len(part) + low == size:  # it is full: write it behind the user's back
                if self.working < self.options.biods:
                    self._count(self.spawn(self._flush(vnode, i)))
                else:
                    await self._flush(vnode, i)
        if not self.write_behind:
            self.raise_error(vnode)

    async def _into_block(self, vnode: Vnode, i: int, low: int, part: bytes, cred: Credentials) -> None:
        high = low + len(part)
        block = self.cache.get(vnode, i)
        while block is not None and block.low is not None:
            if low <= block.high and block.low <= high and block.user == cred:
                break
            await self._flush(vnode, i)  # a gap between the pieces, or another user's: the first one goes out
            block = self.cache.get(vnode, i)
        vnode.writes += 1
        if block is None:
            whole = high - low == self.options.block or i * self.options.block >= vnode.attributes.size
            block = Block(b"", vnode.attributes.change, valid=whole)
            self.cache.put(vnode, i, block)
        before = len(block.data)
        block.data = block.data[:low].ljust(low, b"\0") + part + block.data[high:]
        self.cache.grown(len(block.data) - before)
        block.user = cred
        block.low = low if block.low is None else min(low, block.low)
        block.high = max(high, block.high)
        self.tell("block_dirty", vnode, block=i)

    async def _flush(self, vnode: Vnode, i: int) -> None:
        """Write one block, as the user whose bytes they are; what goes wrong is told to who syncs or closes
        the file. One write of a block at a time: the server must not see the older one last."""
        block = vnode.blocks.get(i)
        if block is None:
            return
        async with block.lock:
            if block.low is None:
                return
            low, high, block.low = block.low, block.high, None
            data = block.data[low:high]
            offset = i * self.options.block + low
            try:
                told = await self._ask(vnode, "write", block.user, vnode.fh, offset, len(data), data)
                found = Attributes._make(told)
            except NfsError as error:
                vnode.error = vnode.error or error.status
                self.tell("write_failed", vnode, block=i, status=error.status)
                if block.low is None:
                    self.cache.drop(vnode, i)
                return
            if block.low is None:
                block.high = 0
            self._changed_by_me(vnode, found)
        self.tell("block_flushed", vnode, block=i, change=found.change)
        self.tell("write_acknowledged", vnode, change=found.change)
        if not block.valid and not block.busy and vnode.blocks.get(i) is block:
            self.cache.drop(vnode, i)  # the rest of it was never known
            self.tell("blocks_dropped", vnode, blocks=[i], why="partly known")

    async def flush(self, vnode: Vnode) -> None:
        """Write all that waits, some blocks at a time."""
        while vnode.dirty:
            some = vnode.dirty[: self.options.biods]
            await gather(*(self._flush(vnode, i) for i in some))

    async def fsync(self, vnode: Vnode) -> None:
        """Write all that waits, and say what went wrong."""
        await self.flush(vnode)
        self.raise_error(vnode)

    def raise_error(self, vnode: Vnode) -> None:
        """Say once what went wrong behind the user's back."""
        error, vnode.error = vnode.error, ""
        if error:
            raise NfsError(error)
