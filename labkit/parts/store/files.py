"""The client inside a node: what a system's node reads and writes files with (GFS §2.3, §3.1).

::

    self.store = Files(self, settings)                     # fs.settings
    data = await self.store.read("corpus/a.py")
    await self.store.write("out/part-0", b"...")           # there at once or not at all

"Clients interact with the master for metadata operations, but all data-bearing communication goes directly to
the chunkservers." While the master is down they wait and ask again; a chunkserver that does not answer is
passed over for another copy, and the one on the node's own machine comes first.

Raises what Python raises for files, ``BlockLost``, and ``Timeout`` when the master has not answered for
``give_up_after`` seconds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple

from labkit.parts.retry import insist
from labkit.runtime.errors import LabError, Timeout
from labkit.runtime.node import Node
from labkit.runtime.sync import gather

from .blocks import Data, Modelled, checksum, cut, join, size_of
from .namespace import NewBlock
from .paths import normal
from .settings import BlockLost, NotHere, Settings, TooLate

__all__ = ["Files", "Location", "in_parallel"]

#: Blocks that one client reads or writes at the same time.
AT_ONCE = 8
#: More than a file has.
ALL = 2**62


class Location(NamedTuple):
    """A part of a file in one block, and the machines that have it."""

    path: str
    offset: int  #: in the file
    length: int
    machines: tuple[str, ...]
    block: int
    version: int
    skip: int  #: bytes of the block before the part


class Files:
    """A node's access to a file system. ``settings``: the file system's."""

    def __init__(self, node: Node, settings: Settings) -> None:
        self.node = node
        self.settings = settings
        self._name = ""  #: names this client's requests, together with a number
        self._requests = 0

    # reading ------------------------------------------------------------

    async def read(self, path: str, offset: int = 0, length: int | None = None) -> Data:
        """Bytes of a file, those there are; ``Modelled`` if it has none. What is read together is one state
        of the file: if it is replaced meanwhile, it is read again."""
        _check_range(offset, length)
        while True:
            parts = await self.locations(path, offset, length)
            try:
                return await self.read_parts(parts, 0, ALL)
            except _Replaced:
                continue

    async def read_parts(self, parts: tuple[Location, ...], offset: int, length: int) -> Data:
        """As ``read``, of the file as ``locations`` has found it, with ``offset`` from its first part on."""
        first = (parts[0].offset if parts else 0) + offset
        return join(await in_parallel(self.read_block, _overlap(parts, first, first + length), AT_ONCE))

    async def locations(self, path: str, offset: int = 0, length: int | None = None) -> tuple[Location, ...]:
        """The parts of a file by block, and who has them: what a scheduler brings its tasks to."""
        _check_range(offset, length)
        name = normal(path)
        _, found = await self.ask("locate", name, offset, ALL if length is None else length)
        return tuple(
            Location(name, at, count, tuple(machines), block, version, skip)
            for at, count, block, skip, version, machines in found
        )

    async def read_block(self, location: Location) -> Data:
        """The part of a file that ``locations`` has named, without asking the master unless all of its
        machines fail."""
        _, _, length, machines, block, version, skip = location
        deadline = self.node.now + self.settings.give_up_after
        lost_since: float | None = None
        while True:
            for machine in self._nearest(machines):
                server = self.settings.server(machine)
                order = (block, version, skip, length, self.node.machine)
                try:
                    wait = self.settings.patience(length)
                    data: Data = await self.node.call(server, "read_block", *order, timeout=wait)
                    return data
                except LabError:
                    continue
            known = await self.ask("where", block)
            if known is None:
                raise _Replaced(
                    f"{location.path!r} was deleted or written anew while it was read; open it again"
                )
            path, version, machines, lost = known
            lost_since = (self.node.now if lost_since is None else lost_since) if lost else None
            # Who was only silent for a while is back by then.
            if lost_since is not None and self.node.now - lost_since >= self.settings.timeout:
                raise BlockLost(
                    f"{path!r} has lost the block with its bytes {location.offset} to "
                    f"{location.offset + length}: no living machine has a copy; "
                    "restart one that had, or write the file again"
                )
            if self.node.now > deadline:
                raise Timeout(f"none of {', '.join(machines) or 'no machines'} has sent a block of {path!r}")
            await self.node.sleep(self.settings.retry_after)

    def _nearest(self, machines: tuple[str, ...]) -> tuple[str, ...]:
        """The own machine first, the others in any order, so that all have work."""
        others = [machine for machine in machines if machine != self.node.machine]
        if len(others) > 1:
            self.node.random.shuffle(others)
        own = [self.node.machine] if len(others) < len(machines) else []
        return (*own, *others)

    async def exists(self, path: str) -> bool:
        """Whether there is a file or folder of this name."""
        return await self.info(path) is not None

    async def info(self, path: str) -> tuple[str, int, int] | None:
        """("file", bytes, blocks), ("folder", bytes, files), or None: there is neither."""
        found: tuple[str, int, int] | None = await self.ask("info", normal(path, folder=True))
        return found

    async def list(self, folder: str = "") -> tuple[tuple[str, int], ...]:
        """The names and sizes of all files in a folder and those within it, by name; empty: there are
        none."""
        found: tuple[tuple[str, int], ...] = await self.ask("files_in", normal(folder, folder=True))
        return found

    # writing ------------------------------------------------------------

    async def create(self, path: str, data: Data | str = b"") -> None:
        """Make a file; raises ``FileExistsError`` if there is one."""
        await self.write(path, data, exclusive=True)

    async def write(self, path: str, data: Data | str, exclusive: bool = False) -> None:
        """Make a file of these bytes, or put them in its place: there at once or not at all, when every copy
        is on its disk."""
        name, content, xid = normal(path), _as_data(data), self._xid()
        while True:
            blocks, machines = await self._store(name, not exclusive, content)
            try:
                await self.ask("create", xid, name, blocks, machines, not exclusive)
                return
            except TooLate:
                continue

    async def append(self, path: str, data: bytes | str) -> int:
        """Add a record to the end of a file, which is made if there is none; returns where it begins.

        The record is in the file once, and whole; those that several clients append at the same time are all
        there, in some order (GFS §3.3)."""
        name, record, xid = normal(path), _as_data(data), self._xid()
        deadline, failed = self.node.now + self.settings.give_up_after, 0
        while True:
            try:
                how, *where = await self.ask("append_to", xid, name, size_of(record), failed)
                if how == "done":
                    return int(where[0])
                if how == "new" or isinstance(record, Modelled):
                    return int(await self.ask("extend", xid, name, *await self._store(name, True, record)))
                block, failed, chain = where
                order = (xid, block, failed, chain, record)
                wait = 3 * self.settings.timeout  # for the other copies, and for the master
                primary = self.settings.server(chain[0])
                return int(await self.node.call(primary, "append_record", *order, timeout=wait))
            except (Timeout, NotHere, TooLate):
                if self.node.now > deadline:
                    raise
                await self.node.sleep(self.settings.retry_after)

    async def rename(self, source: str, target: str, exclusive: bool = False) -> None:
        """Give a file, or a folder, another name, in one step; a file of that name is replaced, unless
        ``exclusive``: then ``FileExistsError``."""
        source, target = normal(source, folder=True), normal(target, folder=True)
        if not source or not target:
            raise ValueError(f"the root has no other name: rename({source!r}, {target!r})")
        await self.change("rename", source, target, not exclusive)

    async def delete(self, path: str, recursive: bool = False) -> int:
        """Delete a file, or if ``recursive`` a folder with all files; returns how many files that were."""
        return int(await self.change("delete", normal(path, folder=True), recursive))

    async def _store(
        self, path: str, replace: bool, data: Data
    ) -> tuple[tuple[NewBlock, ...], tuple[tuple[str, ...], ...]]:
        """Have blocks written; returns them, and who has each."""
        pieces = cut(data, self.settings.block_size)
        places = await self.ask("allocate", path, replace, len(pieces), self.node.machine)

        async def write(piece: tuple[Data, tuple[int, tuple[str, ...]]]) -> tuple[NewBlock, tuple[str, ...]]:
            return await self._write_block(path, *piece)

        written = await in_parallel(write, zip(pieces, places, strict=True), AT_ONCE)
        return tuple(block for block, _ in written), tuple(holders for _, holders in written)

    async def _write_block(
        self, path: str, data: Data, place: tuple[int, tuple[str, ...]]
    ) -> tuple[NewBlock, tuple[str, ...]]:
        """Through the chain of its machines; if none of them answers, another block on others."""
        deadline = self.node.now + self.settings.give_up_after
        block, chain = place
        while True:
            for index, machine in enumerate(chain):
                rest = chain[index + 1 :]
                wait = self.settings.patience(size_of(data)) * (1 + len(rest))
                try:
                    server = self.settings.server(machine)
                    done = await self.node.call(server, "write_block", block, data, rest, timeout=wait)
                except LabError:
                    continue
                return NewBlock(block, size_of(data), checksum(data)), tuple(done)
            if self.node.now > deadline:
                raise Timeout(
                    f"no chunkserver has taken a block of {path!r}: {', '.join(chain) or 'none lives'}"
                )
            await self.node.sleep(self.settings.retry_after)
            [(block, chain)] = await self.ask("allocate", path, True, 1, self.node.machine, chain)

    # the master ------------------------------------------------------------

    def _xid(self) -> str:
        """A name for one request, that no other client and no other life of this node gives."""
        if not self._name:
            self._name = f"{self.node.name}-{self.node.random.getrandbits(64):x}"
        self._requests += 1
        return f"{self._name}-{self._requests}"

    async def change(self, method: str, *args: Any) -> Any:
        """Ask the master for a change, which happens once however often it is asked for."""
        return await self.ask(method, self._xid(), *args)

    async def ask(self, method: str, *args: Any) -> Any:
        """Ask the master, again and again while it does not answer."""
        deadline = self.node.now + self.settings.give_up_after
        try:
            return await insist(
                self.node, self.settings.master, method, *args, every=self.settings.timeout,
                wanted=lambda: self.node.now <= deadline, pause=self.settings.retry_after,
            )  # fmt: skip
        except Timeout as error:
            raise Timeout(
                f"the master {self.settings.master!r} has not answered {method} for "
                f"{self.settings.give_up_after:g} s; restart its machine"
            ) from error


class _Replaced(OSError):
    """A block of a file that was deleted or written anew."""


def _overlap(parts: tuple[Location, ...], begin: int, end: int) -> list[Location]:
    """What of the parts lies between two places of the file."""
    found = []
    for part in parts:
        skip = max(0, begin - part.offset)
        length = min(part.length, end - part.offset) - skip
        if length > 0:
            found.append(part._replace(offset=part.offset + skip, length=length, skip=part.skip + skip))
    return found


def _as_data(data: Any) -> Data:
    if isinstance(data, str):
        return data.encode()
    if isinstance(data, (bytearray, memoryview)):
        return bytes(data)
    if not isinstance(data, (bytes, Modelled)):
        raise TypeError(f"a file has bytes or text, not {data!r} of type {type(data).__name__}")
    return data


def _check_range(offset: int, length: int | None) -> None:
    if offset < 0 or (length is not None and length < 0):
        raise ValueError(f"offset and length are bytes >= 0, not {offset!r} and {length!r}")


async def in_parallel(work: Callable[[Any], Awaitable[Any]], items: Iterable[Any], at_once: int) -> list[Any]:
    """``await work(item)`` for each, so many at the same time; the results in order. After a failure no other
    begins."""
    todo = list(items)
    results: list[Any] = [None] * len(todo)
    left = iter(range(len(todo)))

    async def some() -> None:
        for index in left:
            try:
                results[index] = await work(todo[index])
            except BaseException:
                for _ in left:
                    pass
                raise

    if len(todo) == 1:
        return [await work(todo[0])]
    await gather(*(some() for _ in range(min(at_once, len(todo)))))
    return results
