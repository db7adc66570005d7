"""The server's own file system: inodes, directories and blocks on its machine's disk.

Each change is one transaction: it is on the disk, whole, when the method returns. A transaction of several
records is first written as one, the *journal*; after a crash in its middle it is done again. Memory holds all
but the blocks, as a server's buffer cache does.

===================  ==============================================================
record               value
===================  ==============================================================
("inode", n)         an ``Inode``; a free one keeps its generation
("entry", n, name)   of directory n: (inode, cookie)
("block", n, i)      bytes of a file; a block that was never written is not there
"journal", "done"    the last transaction of several records; its number, when over
===================  ==============================================================
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from .protocol import DIRECTORY, FILE, SYMLINK, NfsError, check_name, encoded

__all__ = ["ROOT", "Inode", "Volume"]

ROOT = 2  #: the root's inode, as in UNIX
FREE = "free"
#: Bytes of the disk that an inode takes.
INODE_BYTES = 128
#: Modification times differ by at least this: the paper's clients know a change by them.
TICK = 1e-6


class Inode(NamedTuple):
    """All that is known of a file but its names and its bytes."""

    number: int
    generation: int
    kind: str
    mode: int
    uid: int
    gid: int
    nlink: int
    size: int
    atime: float
    mtime: float
    ctime: float
    change: int
    parent: int = 0  #: of a directory
    cookies: int = 0  #: of a directory: given so far; each entry has one for ever
    target: str = ""  #: of a symbolic link


class Volume:
    """A file system on a ``Disk``; without checking who asks.

    block: bytes. capacity: bytes in all. clock: the time now.
    """

    def __init__(self, disk: Any, block: int, capacity: float, clock: Callable[[], float]) -> None:
        self.disk, self.block, self.capacity, self.clock = disk, block, capacity, clock
        self.inodes: dict[int, Inode] = {}
        self.entries: dict[int, dict[str, tuple[int, int]]] = {}
        self.blocks: dict[int, dict[int, int]] = {}  #: of a file: bytes of each block that is there
        self.free: list[int] = []
        self.used = 0
        self.state = 0  #: of all records together: equal for equal file systems
        self.last = 0.0  #: the latest time given
        #: Generation of an inode that was never used. A file system on a new disk must not give the handles
        #: of the old one: it begins with the second in which it is made, times thousand.
        self.first = 1000 * int(clock()) + 1
        self.number = 0  #: of the last transaction with a journal
        self._load()

    def _load(self) -> None:
        number, records = self.disk.get("journal", (0, ()))
        found = [(key, self.disk[key]) for key in self.disk if isinstance(key, tuple)]
        for key, value in sorted(found, key=_order):
            self._apply(key, value)
        self.number = number
        if number != self.disk.get("done", 0):  # a crash in the middle of it
            for key, value in records:
                self._set(key, value)
            self.disk["done"] = number
            self.disk.sync()
        self._cut_off()
        self.free = [n for n, inode in self.inodes.items() if inode.kind == FREE]
        heapq.heapify(self.free)
        if ROOT not in self.inodes:
            now = self.tick()
            root = Inode(ROOT, self.first, DIRECTORY, 0o777, 0, 0, 2, 0, now, now, now, 1, ROOT)
            self._commit({("inode", ROOT): root})

    def _cut_off(self) -> None:
        """Bytes beyond the end of their file are those of a write that a crash cut short: in a file that
        grows later they would be read where zeros belong."""
        beyond: dict[tuple[Any, ...], Any] = {}
        for number, blocks in self.blocks.items():
            for i, length in blocks.items():
                kept = max(0, self.inodes[number].size - i * self.block)
                if kept < length:
                    beyond["block", number, i] = self._block(number, i)[:kept] or None
        if beyond:
            self._commit(beyond, journal=False)

    # records ------------------------------------------------------------

    def _apply(self, key: tuple[Any, ...], value: Any) -> None:
        """Into memory; None: it is gone."""
        if key[0] == "inode":
            inode = self.inodes[key[1]] = Inode(*value)
            self.last = max(self.last, inode.ctime)  # not mtime: that is what a user says
            if inode.kind == DIRECTORY:
                self.entries.setdefault(inode.number, {})
        elif key[0] == "entry":
            entries = self.entries.setdefault(key[1], {})
            entries.pop(key[2], None)  # a replaced one is last again: the order is that of the cookies
            if value is not None:
                entries[key[2]] = value
        else:
            blocks = self.blocks.setdefault(key[1], {})
            self.used -= blocks.pop(key[2], 0)
            if value is not None:
                blocks[key[2]] = len(value)
                self.used += len(value)
        if value is not None:
            self.state ^= _sum(key, value)

    def _set(self, key: tuple[Any, ...], value: Any) -> None:
        old = self.disk.get(key)
        if old is not None:
            self.state ^= _sum(key, old)
        self._apply(key, value)
        if value is not None:
            self.disk[key] = tuple(value) if isinstance(value, tuple) else value
        elif old is not None:
            del self.disk[key]

    def _commit(self, records: dict[tuple[Any, ...], Any], journal: bool = True) -> None:
        """Onto the disk. Without a journal a crash may leave the first of the records only."""
        if journal and len(records) > 1:
            self.number += 1
            self.disk["journal"] = self.number, tuple((key, _plain(value)) for key, value in records.items())
        for key, value in records.items():
            self._set(key, value)
        if journal and len(records) > 1:
            self.disk["done"] = self.number
        self._sync()

    def _sync(self) -> None:
        self.disk.sync()

    def tick(self) -> float:
        """A time that was not given before."""
        self.last = max(self.clock(), self.last + TICK)
        return self.last

    # looking ------------------------------------------------------------

    def get(self, number: int, generation: int) -> Inode:
        """The file that had this handle; ESTALE if it is gone."""
        inode = self.inodes.get(number)
        if inode is None or inode.kind == FREE or inode.generation != generation:
            raise NfsError("ESTALE")
        return inode

    def lookup(self, folder: Inode, name: str) -> Inode:
        """The file of this name in a directory; ENOENT."""
        if name == ".":
            return folder
        if name == "..":
            return self.inodes[folder.parent]
        found = self.entries[folder.number].get(name)
        if found is None:
            check_name(name)
            raise NfsError("ENOENT")
        return self.inodes[found[0]]

    def find(self, path: str) -> Inode:
        """The file at the end of a path; ENOENT."""
        inode = self.inodes[ROOT]
        for name in [name for name in path.split("/") if name]:
            if inode.kind != DIRECTORY:
                raise NfsError("ENOTDIR")
            inode = self.lookup(inode, name)
        return inode

    def readdir(self, folder: Inode, cookie: int) -> Iterator[tuple[str, int, int]]:
        """(name, fileid, cookie) of the entries after a cookie; 0: from the start."""
        for name, (number, each) in self.entries[folder.number].items():
            if each > cookie:
                yield name, number, each

    def read(self, inode: Inode, offset: int, count: int) -> bytes:
        """Bytes of a file, fewer at its end; what was never written is zero."""
        end = min(offset + count, inode.size)
        if offset >= end:
            return b""
        first, last = offset // self.block, (end - 1) // self.block
        parts = [self._block(inode.number, i) for i in range(first, last + 1)]
        if len(parts) == 1:
            low = offset - first * self.block
            return parts[0][low : end - first * self.block].ljust(end - offset, b"\0")
        data = b"".join(part.ljust(self.block, b"\0") for part in parts)
        return data[offset - first * self.block : end - first * self.block]

    def _block(self, number: int, i: int) -> bytes:
        found: bytes = self.disk.get(("block", number, i), b"")
        return found

    def touch(self, inode: Inode) -> Inode:
        """It was read: its atime is now. On the disk when something else changes: a crash may lose it."""
        self.inodes[inode.number] = inode = inode._replace(atime=max(self.clock(), inode.atime))
        return inode

    # changing files ------------------------------------------------------------

    def write(self, inode: Inode, offset: int, data: bytes) -> Inode:
        """Bytes into a file. Blocks first, the inode last: what a crash leaves is the old file, or parts of
        the new bytes in it, as of any write that was not answered."""
        blocks = self.blocks.get(inode.number, {})
        records: dict[tuple[Any, ...], Any] = {}
        grown = at = 0
        while at < len(data):
            i, low = divmod(offset + at, self.block)
            part = data[at : at + self.block - low]
            at += len(part)
            if low or len(part) < blocks.get(i, 0):
                old = self._block(inode.number, i).ljust(low, b"\0")
                part = old[:low] + part + old[low + len(part) :]
            grown += len(part) - blocks.get(i, 0)
            records["block", inode.number, i] = part
        self._room(grown)
        now = self.tick()
        inode = self._changed(inode, now)._replace(mtime=now, size=max(inode.size, offset + len(data)))
        records["inode", inode.number] = inode
        self._commit(records, journal=False)
        return inode

    def set(self, inode: Inode, **wanted: Any) -> Inode:
        """Of mode, uid, gid, size, atime, mtime those that are given."""
        now = self.tick()
        records: dict[tuple[Any, ...], Any] = {}
        size = wanted.get("size")
        if size is not None:
            wanted.setdefault("mtime", now)
            for i, length in self.blocks.get(inode.number, {}).items():
                kept = min(length, max(0, size - i * self.block))
                if kept < length:
                    data = self._block(inode.number, i)[:kept]
                    records["block", inode.number, i] = data or None
        inode = self._changed(inode, now)._replace(**wanted)
        self._commit({**records, ("inode", inode.number): inode})
        return inode

    def _changed(self, inode: Inode, now: float) -> Inode:
        return inode._replace(ctime=now, change=inode.change + 1)

    def _room(self, more: int) -> None:
        if more > 0 and self.used + INODE_BYTES * len(self.inodes) + more > self.capacity:
            raise NfsError("ENOSPC")

    # changing directories ------------------------------------------------------------

    def make(
        self, folder: Inode, name: str, kind: str, mode: int, uid: int, gid: int, target: str = ""
    ) -> Inode:
        """A new file, directory or symbolic link; EEXIST."""
        self._new_name(folder, name)
        self._room(INODE_BYTES)
        number = heapq.heappop(self.free) if self.free else max(self.inodes) + 1
        generation = self.inodes[number].generation if number in self.inodes else self.first
        now = self.tick()
        links = 2 if kind == DIRECTORY else 1
        size = len(encoded(target)) if kind == SYMLINK else 0
        inode = Inode(
            number, generation, kind, mode, uid, gid, links, size, now, now, now, 1, folder.number, 0, target
        )  # fmt: skip
        records = {("inode", number): inode}
        self._enter(records, folder, name, number, now, links=int(kind == DIRECTORY))
        self._commit(records)
        return inode

    def make_folders(self, path: str) -> None:
        """The directories of a path, as far as they are not there, for everybody to write in."""
        folder = self.inodes[ROOT]
        for name in [name for name in path.split("/") if name]:
            if name not in self.entries[folder.number]:
                self.make(folder, name, DIRECTORY, 0o777, 0, 0)
            folder = self.lookup(folder, name)

    def link(self, inode: Inode, folder: Inode, name: str) -> Inode:
        """One more name of a file; EEXIST, and EPERM for a directory."""
        if inode.kind == DIRECTORY:
            raise NfsError("EPERM")
        self._new_name(folder, name)
        now = self.tick()
        inode = self._changed(inode, now)._replace(nlink=inode.nlink + 1)
        records = {("inode", inode.number): inode}
        self._enter(records, folder, name, inode.number, now)
        self._commit(records)
        return inode

    def unlink(self, folder: Inode, name: str) -> Inode:
        """A name less; the file or empty directory whose last it was is free. Returns it as it was."""
        inode = self.lookup(folder, name)
        now = self.tick()
        records: dict[tuple[Any, ...], Any] = {}
        self._leave(records, folder, name, inode, now)
        self._commit(records)
        return inode

    def rename(self, folder: Inode, name: str, to: Inode, to_name: str) -> Inode | None:
        """Another name, in one step; what had it is gone: it is returned, as it was."""
        inode, target = self.lookup(folder, name), None
        records: dict[tuple[Any, ...], Any] = {}
        if to_name in self.entries[to.number]:
            target = self.lookup(to, to_name)
            if target.number == inode.number:
                return None  # two names of one file: POSIX does nothing
            self._may_replace(inode, target)
        else:
            check_name(to_name)
        if inode.kind == DIRECTORY and self.below(to, inode):
            raise NfsError("EINVAL")
        now = self.tick()
        if target is not None:
            self._leave(records, to, to_name, target, now)
        moved = int(inode.kind == DIRECTORY)
        self._enter(records, to, to_name, inode.number, now, links=moved)
        records["entry", folder.number, name] = None
        latest = records.get(("inode", folder.number), folder)
        records["inode", folder.number] = self._changed(latest, now)._replace(
            mtime=now, nlink=latest.nlink - moved
        )
        parent = to.number if moved else inode.parent
        latest = records.get(("inode", inode.number), inode)
        records["inode", inode.number] = self._changed(latest, now)._replace(parent=parent)
        self._commit(records)
        return target

    def _may_replace(self, inode: Inode, target: Inode) -> None:
        if inode.kind == DIRECTORY and target.kind != DIRECTORY:
            raise NfsError("ENOTDIR")
        if inode.kind != DIRECTORY and target.kind == DIRECTORY:
            raise NfsError("EISDIR")
        if target.kind == DIRECTORY and self.entries[target.number]:
            raise NfsError("ENOTEMPTY")

    def below(self, folder: Inode, above: Inode) -> bool:
        """Whether a directory is another one, or somewhere in it."""
        while folder.number not in (above.number, ROOT):
            folder = self.inodes[folder.parent]
        return folder.number == above.number

    def _new_name(self, folder: Inode, name: str) -> None:
        if name in (".", "..") or name in self.entries[folder.number]:
            raise NfsError("EEXIST")
        check_name(name)

    def _enter(
        self, records: dict[tuple[Any, ...], Any], folder: Inode, name: str, number: int, now: float,
        links: int = 0,
    ) -> None:  # fmt: skip
        """A new entry, with the next cookie."""
        latest = records.get(("inode", folder.number), folder)
        records["entry", folder.number, name] = (number, latest.cookies + 1)
        records["inode", folder.number] = self._changed(latest, now)._replace(
            mtime=now, cookies=latest.cookies + 1, nlink=latest.nlink + links
        )

    def _leave(
        self, records: dict[tuple[Any, ...], Any], folder: Inode, name: str, inode: Inode, now: float
    ) -> None:
        records["entry", folder.number, name] = None
        gone = inode.kind == DIRECTORY
        latest = records.get(("inode", folder.number), folder)
        records["inode", folder.number] = self._changed(latest, now)._replace(
            mtime=now, nlink=latest.nlink - int(gone)
        )
        if inode.nlink > 1 and not gone:
            records["inode", inode.number] = self._changed(inode, now)._replace(nlink=inode.nlink - 1)
            return
        for i in self.blocks.get(inode.number, {}):
            records["block", inode.number, i] = None
        # The handles that clients have of it must never be those of the next file with this inode.
        blank = Inode(inode.number, inode.generation + 1, FREE, 0, 0, 0, 0, 0, 0.0, 0.0, 0.0, 0)
        records["inode", inode.number] = blank
        heapq.heappush(self.free, inode.number)

    # fsck ------------------------------------------------------------

    def audit(self) -> list[str]:
        """What is wrong with it (I6): link counts, entries of nothing, circles, bytes that nobody has."""
        wrong = []
        links: dict[int, int] = {ROOT: 2}
        for number, entries in self.entries.items():
            if self.inodes[number].kind != DIRECTORY:
                if entries:
                    wrong.append(f"inode {number} is no directory, and has {len(entries)} entries")
                continue
            for name, (each, _) in entries.items():
                inode = self.inodes.get(each)
                if inode is None or inode.kind == FREE:
                    wrong.append(f"{name!r} in directory {number} is an entry of nothing: inode {each}")
                    continue
                links[each] = links.get(each, 0) + 1
                if inode.kind == DIRECTORY:
                    links[each] += 1  # its own "."
                    links[number] = links.get(number, 0) + 1  # its ".."
                    if inode.parent != number:
                        wrong.append(f"directory {each} is in {number}, and says {inode.parent}")
        for number, inode in self.inodes.items():
            if inode.kind == FREE:
                continue
            if inode.nlink != links.get(number, 0):
                wrong.append(f"inode {number} has {links.get(number, 0)} links, and says {inode.nlink}")
            if inode.kind == DIRECTORY and not self._reaches_root(inode):
                wrong.append(f"directory {number} is below itself")
        wrong += [
            f"inode {number} has bytes beyond its end, in block {i}"
            for number, blocks in self.blocks.items()
            for i, length in blocks.items()
            if number in self.inodes and i * self.block + length > self.inodes[number].size
        ]
        wrong += [
            f"inode {number} has blocks, and is no file"
            for number, blocks in self.blocks.items()
            if blocks and (number not in self.inodes or self.inodes[number].kind != FILE)
        ]
        return wrong

    def _reaches_root(self, inode: Inode) -> bool:
        seen = set()
        while inode.number != ROOT and inode.number not in seen:
            seen.add(inode.number)
            inode = self.inodes[inode.parent]
        return inode.number == ROOT


def _order(record: tuple[tuple[Any, ...], Any]) -> tuple[int, int]:
    """Inodes first; entries in the order of their cookies."""
    key, value = record
    return ("inode", "entry", "block").index(key[0]), value[1] if key[0] == "entry" else key[1]


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, tuple) else value


def _sum(key: tuple[Any, ...], value: Any) -> int:
    """64 bits of a record; the time of the last read does not count."""
    if key[0] == "block":
        text, data = repr(key), value
    else:
        text, data = repr((key, *value[:8], *value[9:])), b""
    total = hashlib.blake2b(text.encode("utf8", "surrogateescape"), digest_size=8)
    total.update(data)
    return int.from_bytes(total.digest(), "big")
