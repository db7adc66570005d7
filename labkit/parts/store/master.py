"""The master: names, places, leases, repair (GFS §2.4 to §4).

What must survive its death is in ``namespace.py``, on its disk through ``log.py``; where copies are, it hears
from the chunkservers (``copies.py``). Whoever changes something names the request (``xid``): a repeated one,
because the answer was lost, changes nothing and gets the same answer, also from a master that has restarted
in between.

A file that is written whole: ``allocate`` gives block numbers and machines, the client has the blocks written
there, ``create`` puts them under a name, all at once. Blocks that never come into a file are collected as
garbage.
"""

from __future__ import annotations

from typing import Any

from labkit.parts.members import Silence
from labkit.runtime.node import Node, every, rpc
from labkit.runtime.sync import Event, gather

from .copies import ANY, Copies, Server
from .events import EVENTS
from .health import survey
from .leases import Leases
from .log import OperationLog
from .namespace import RESERVED, Namespace, NewBlock
from .repair import Repair
from .settings import NotHere, Settings, TooLate

__all__ = ["Master"]

#: Requests whose answers are kept for those who did not get them.
REMEMBERED = 10_000
#: Copies that a chunkserver is told to delete with one heartbeat: "a chunkserver is free to delete its
#: replicas".
DELETED_AT_ONCE = 1000


class Master(Node):
    """See the module's text. ``machines``: how many have a chunkserver."""

    events = EVENTS

    def __init__(self, settings: Settings, machines: int) -> None:
        self.machines = machines
        self.settings = settings
        self.check_every = settings.timeout / 5
        self.namespace = Namespace()
        self.copies = Copies()
        self.leases = Leases(self, settings, self.namespace, self.copies, self.change, self._stale)
        self.repair = Repair(
            self, settings, self.namespace, self.copies, self.leases.revoke, self.heard_of
        )  # fmt: skip
        #: Blocks being written and in no file yet, and when they become garbage; oldest first.
        self.pending: dict[int, float] = {}
        #: Blocks in no file, and when their copies are deleted; oldest first.
        self.garbage: dict[int, float] = {}
        self.answers: dict[str, Any] = {}  #: to the last requests that changed something
        self.log = OperationLog(self.disk)
        self.everybody = Event()  #: all machines have reported
        # Here and not in ``start``: a message may come before that, and must not find an empty master.
        self.recovered = self._recover()

    def start(self) -> None:
        """Wait for the chunkservers' reports before anything counts as lost."""
        self._began = self.now
        self.silence = Silence(self.settings.timeout, self.now)
        if self.recovered is not None:
            self.emit("master_recovered", files=self.recovered[0], records=self.recovered[1])

    # what survives ------------------------------------------------------------

    def _recover(self) -> tuple[int, int] | None:
        """Files in the checkpoint and records of the log; None if this is the first start."""
        state, records = self.log.recover()
        if state is not None:
            self.namespace.load(state[0])
            self.answers.update(state[1])
        files = len(self.namespace.files)
        for xid, operation, args in records:
            self._apply(xid, operation, args)
        self.namespace.freed.clear()  # who has these will report them
        self.next_block = self.namespace.reserved
        return (files, len(records)) if records or state else None

    def _apply(self, xid: str | None, operation: str, args: tuple[Any, ...]) -> Any:
        answer = self.namespace.apply(operation, *args)
        if xid is not None:
            self.answers[xid] = answer
            while len(self.answers) > REMEMBERED:
                del self.answers[next(iter(self.answers))]
        return answer

    def change(self, xid: str | None, operation: str, *args: Any) -> Any:
        """Do and log an operation, once. In one step: nobody sees the one without the other."""
        if xid is not None and xid in self.answers:
            return self.answers[xid]
        answer = self._apply(xid, operation, args)
        self.log.append((xid, operation, args))
        due = self.now + self.settings.garbage_after
        for block in self.namespace.freed:
            self.garbage[block] = due
            self.leases.revoke(block)
            self.repair.forget(block)
        self.namespace.freed.clear()
        if self.log.full(len(self.namespace.files) + len(self.namespace.blocks)):
            self.log.checkpoint((self.namespace.dump(), self.answers))
            self.emit("checkpoint_written", files=len(self.namespace.files))
        return answer

    # chunkservers ------------------------------------------------------------

    @rpc
    def heartbeat(
        self, machine: str, life: int, seq: int, count: int, new: tuple[Any, ...], gone: tuple[Any, ...]
    ) -> tuple[Any, ...] | None:
        """HeartBeat (GFS §2.4): the copies that a chunkserver has got and lost since the last one that was
        answered. Answered with those it is to delete, or None: a full report is needed."""
        server = self.copies.servers.get(machine)
        if server is None or server.life != life:
            return None
        server.heard, server.promised = self.now, 0
        if seq <= server.seq:
            return ()
        server.seq = seq
        for block, rotten in gone:
            server.doomed.pop(block, None)
            if rotten and block in self.namespace.blocks:
                self.repair.rotten[block] = machine
            if self.copies.drop(machine, block) or block in self.repair.short:
                self.repair.review(block)
        for block, version, length in new:
            self.heard_of(machine, block, version, length)
        if count != len(server.blocks) + len(server.doomed):
            return None
        return tuple(server.doomed.items())[:DELETED_AT_ONCE]

    @rpc
    def report(self, machine: str, life: int, seq: int, held: tuple[tuple[int, int, int], ...]) -> None:
        """All that a chunkserver has: it has started, was taken for dead, or the master has restarted."""
        before = self.copies.servers.get(machine)
        if before is not None and before.life == life and seq <= before.seq:
            return
        missing = dict.fromkeys(self.copies.leave(machine) if before is not None else ())
        self.copies.join(machine, Server(life, seq, self.now))
        for block, version, length in held:
            missing.pop(block, None)
            self.heard_of(machine, block, version, length)
        for block in missing:
            self.repair.review(block)
        if before is None:
            self.emit("server_joined", server=machine, blocks=len(held))
        self.repair.retry_short()
        if len(self.copies.servers) == self.machines:
            self.everybody.set()
            self.repair.begin()

    def heard_of(self, machine: str, block: int, version: int, length: int) -> None:
        """A machine has a copy; is it one that counts?"""
        server = self.copies.servers.get(machine)
        if server is None or server.doomed.get(block, (-1, -1)) >= (version, length):
            return
        known = self.namespace.blocks.get(block)
        if known is None:
            if self.copies.add(machine, block) and block not in self.pending:
                self.garbage.setdefault(block, self.now + self.settings.garbage_after)
            return
        if block in self.leases.granting:
            return  # versions change at the moment; a copy that is left out is told so afterwards
        if version > known.version:
            # "If the master sees a version number greater than the one in its records, the master assumes
            # that it failed when granting the lease and so takes the higher version to be up-to-date." (§4.5)
            self.change(None, "grant", block, version)
            for other in self.copies.holders(block):
                if other != machine:
                    self._stale(other, block, (version - 1, ANY[1]))
        elif (version, length) < known[:2]:
            self._stale(machine, block, (version, length))
            return
        if self.copies.add(machine, block):
            self.repair.review(block)

    def _stale(self, machine: str, block: int, limit: tuple[int, int]) -> None:
        self.copies.doom(machine, block, limit)
        self.emit("stale_found", server=machine, path=self.namespace.homes[block].path, block=block)
        self.repair.review(block)

    @every("check_every")
    def check(self) -> None:
        """Who has been silent for too long, and what is garbage by now?"""
        for machine, silent in self.silence.look(self.copies.servers, self.now):
            self._lose(machine, f"silent for {silent:.1f} s")
        if self.silence.stood_still:
            self._began = self.now
        # A chunkserver whose heartbeat died with the former master first waits for the answer in vain.
        if self.now - self._began > 2 * self.settings.timeout:
            self.repair.begin()
        self._collect()

    def _lose(self, machine: str, why: str) -> None:
        blocks = self.copies.leave(machine)
        self.emit("server_lost", server=machine, why=why, blocks=len(blocks))
        for block in blocks:
            self.repair.review(block)

    def _collect(self) -> None:
        """Garbage collection (GFS §4.4). Both tables are in the order of their times."""
        for block in _due(self.pending, self.now):
            self.garbage[block] = self.now + self.settings.garbage_after
        found = [(block, self.copies.holders(block)) for block in _due(self.garbage, self.now)]
        for block, holders in found:
            for machine in holders:
                self.copies.doom(machine, block)
        if blocks := sum(1 for _, holders in found if holders):
            self.emit("garbage_collected", blocks=blocks)

    # clients: writing ------------------------------------------------------------

    @rpc
    async def ready(self) -> None:
        """Answered when every chunkserver has reported."""
        await self.everybody.wait()

    @rpc
    def allocate(
        self, path: str, replace: bool, count: int, near: str, avoid: tuple[str, ...] = ()
    ) -> tuple[tuple[int, tuple[str, ...]], ...]:
        """Numbers for ``count`` new blocks, and for each the machines that are to hold it; none of them while
        no chunkserver lives. Raises if the file could not be made anyway."""
        self.namespace.check_new(path, replace)
        return tuple(
            (block, self.copies.place(self.settings.replicas, self.random, near, avoid))
            for block in self._numbers(count)
        )

    def _numbers(self, count: int) -> range:
        first, self.next_block = self.next_block, self.next_block + count
        if self.next_block > self.namespace.reserved:
            self.change(None, "reserve", self.next_block + RESERVED)
        due = self.now + self.settings.give_up_after
        self.pending.update(dict.fromkeys(range(first, self.next_block), due))
        return range(first, self.next_block)

    @rpc
    def create(self, xid: str, path: str, blocks: Any, machines: Any, replace: bool) -> None:
        """These blocks are a file now, in place of one of that name if ``replace``."""
        if xid not in self.answers:
            self._adopt(xid, "create", path, blocks, machines, replace)
            size = sum(length for _, length, _ in blocks)
            self.emit("file_created", path=path, bytes=size, blocks=len(blocks))

    @rpc
    def extend(self, xid: str, path: str, blocks: Any, machines: Any) -> int:
        """These blocks are the end of a file now; returns where in it they begin."""
        if xid in self.answers:
            return int(self.answers[xid])
        return int(self._adopt(xid, "extend", path, blocks, machines))

    def _adopt(self, xid: str, operation: str, path: str, blocks: Any, machines: Any, *more: Any) -> Any:
        """Put written blocks into a file. Only those of this life's ``allocate``: of others, a chunkserver
        may have been told that they are garbage."""
        if not all(block in self.pending for block, _, _ in blocks):
            raise TooLate(f"the blocks of {path!r} were not written in time; write them again")
        answer = self.change(xid, operation, path, tuple(NewBlock(*block) for block in blocks), *more)
        for (block, _, _), holders in zip(blocks, machines, strict=True):
            del self.pending[block]
            for machine in holders:
                self.copies.add(machine, block)
            self.repair.review(block)
        return answer

    @rpc
    async def create_modelled(self, xid: str, path: str, size: int, block_size: int, replace: bool) -> None:
        """A file of so many bytes that nobody has, on the disks of all machines as if it had always been
        there."""
        if xid in self.answers:
            return
        self.namespace.check_new(path, replace)
        lengths = [min(block_size, size - at) for at in range(0, size, block_size)]
        numbers = self._numbers(len(lengths))
        orders: dict[str, list[tuple[int, int]]] = {}
        machines = []
        for block, length in zip(numbers, lengths, strict=True):
            machines.append(self.copies.place(self.settings.replicas, self.random))
            for machine in machines[-1]:
                orders.setdefault(machine, []).append((block, length))
        calls = [self.call(self.settings.server(m), "hold_modelled", o) for m, o in orders.items()]
        await gather(*calls)
        blocks = [NewBlock(*each, None) for each in zip(numbers, lengths, strict=True)]
        self.create(xid, path, blocks, machines, replace)

    @rpc
    def delete(self, xid: str, path: str, recursive: bool) -> int:
        """The file is gone at once, its blocks later (GFS §4.4); returns how many files there were."""
        if xid not in self.answers:
            count = self.change(xid, "delete", path, recursive)
            self.emit("file_deleted", path=path, files=count)
        return int(self.answers[xid])

    @rpc
    def rename(self, xid: str, source: str, target: str, replace: bool) -> None:
        """One change of the table: whoever looks sees the file under one name or the other."""
        if xid not in self.answers:
            self.change(xid, "rename", source, target, replace)
            self.emit("file_renamed", path=source, to=target)

    # clients: appending ------------------------------------------------------------

    @rpc
    async def append_to(self, xid: str, path: str, size: int, failed: int) -> tuple[Any, ...]:
        """Where a client's record goes: ``("done", place)``, ``("new",)``: into a block of its own, or
        ``("block", block, version, machines)``: ask the first of these, which orders the appends to that
        block (GFS §3.1). ``failed``: the version with which it failed before."""
        if xid in self.answers:
            return "done", self.answers[xid]
        if path not in self.namespace.files:
            self.namespace.check_new(path, replace=False)
            return ("new",)
        file = self.namespace.files[path]
        last = self.namespace.blocks[file.blocks[-1]] if file.blocks else None
        if last is None or last.crc is None or last.length + size > self.settings.block_size:
            return ("new",)
        block = file.blocks[-1]
        return "block", block, *await self.leases.grant(block, failed)

    @rpc
    def appended(
        self, xid: str, block: int, version: int, offset: int, length: int, crc: int
    ) -> tuple[int, bool]:
        """The primary of a block: every copy has one more record. It counts from now on, unless the lease is
        another's by now, or the file has gone on with another block; returns its place in the file, and False
        if the record had come before and was counted then."""
        if xid in self.answers:
            return int(self.answers[xid]), False
        in_force = self.leases.counts(block, version) and self.namespace.is_last(block)
        if not in_force or self.namespace.blocks[block].length != offset:
            raise NotHere(f"version {version} of block {block} has no lease any more")
        return int(self.change(xid, "grow", block, length, crc)), True

    # clients: looking ------------------------------------------------------------

    @rpc
    def locate(self, path: str, offset: int, size: int) -> tuple[int, tuple[tuple[Any, ...], ...]]:
        """A file's size, and where a part of it is: place, bytes, block, bytes to skip in it, version,
        machines."""
        file = self.namespace.file(path)
        found = [
            (at, count, block, skip, self.namespace.blocks[block].version, self.copies.holders(block))
            for block, at, skip, count in self.namespace.pieces(file, offset, size)
        ]
        return self.namespace.size(file), tuple(found)

    @rpc
    def where(self, block: int) -> tuple[str, int, tuple[str, ...], bool] | None:
        """A block's file, version, machines, and whether it is lost; None if no file has it."""
        known = self.namespace.blocks.get(block)
        if known is None:
            return None
        lost = block in self.repair.lost
        return self.namespace.homes[block].path, known.version, self.copies.holders(block), lost

    @rpc
    def info(self, path: str) -> tuple[str, int, int] | None:
        """("file", bytes, blocks), ("folder", bytes, files), or None."""
        if path in self.namespace.files:
            file = self.namespace.files[path]
            return "file", self.namespace.size(file), len(file.blocks)
        if path in self.namespace.folders or not path:
            files = self.namespace.below(path)
            return "folder", sum(map(self.namespace.size, files)), len(files)
        return None

    @rpc
    def files_in(self, folder: str) -> tuple[tuple[str, int], ...]:
        """The files in a folder and in those within it, by name, with their sizes; or the one file of that
        name."""
        only = self.namespace.files.get(folder)
        files = [only] if only is not None else self.namespace.below(folder)
        return tuple((file.path, self.namespace.size(file)) for file in files)

    @rpc
    def survey(self) -> dict[str, Any]:
        """What ``FileSystem.health`` and ``check`` judge."""
        found = survey(self.namespace, self.copies, self.repair)
        return {**found, "garbage": len(self.garbage) + len(self.pending)}


def _due(table: dict[int, float], now: float) -> list[int]:
    """Take out, and return, what is due; the table is in the order of its times."""
    due = []
    for block, when in table.items():
        if when > now:
            break
        due.append(block)
    for block in due:
        del table[block]
    return due
