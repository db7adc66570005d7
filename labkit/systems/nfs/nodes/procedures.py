"""The 17 procedures, as the paper's table has them. Each gets all that it needs with its call.

The first argument of each is a ``Caller``: which client, and who the user is, as the client says. The server
believes it, as it did in 1985; only root of another machine becomes nobody ("root squash").
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from labkit.runtime.node import Node, rpc

from ..options import Options
from ..protocol import (
    DIRECTORY,
    FILE,
    LARGEST_FILE,
    LONGEST_PATH,
    NOBODY,
    NOW,
    SYMLINK,
    Attributes,
    Credentials,
    Export,
    FsStats,
    NfsError,
    encoded,
    handle,
    opened,
)
from ..volume import Inode, Volume

__all__ = ["Caller", "MountProgram", "NfsProgram"]

#: Of permission bits.
READ, WRITE, EXECUTE = 4, 2, 1
SETUID, SETGID, STICKY = 0o4000, 0o2000, 0o1000


class Caller(NamedTuple):
    """Who asks."""

    client: str
    machine: str
    cred: Credentials


class Place(NamedTuple):
    """What a handle stands for."""

    inode: Inode
    export: Export
    fsid: int
    cred: Credentials  #: root squashed, if the export says so


def procedure(method: Callable[..., Any]) -> Any:
    """A remote procedure that changes nothing: at once."""

    def handler(self: Any, xid: int, client: str, machine: str, cred: Any, *args: Any) -> None:
        self.serve(method, xid, Caller(client, machine, Credentials(*cred)), args)

    return rpc(_named(handler, method))


def change(method: Callable[..., Any]) -> Any:
    """A remote procedure that changes the file system: answered when that is on the disk."""

    async def handler(self: Any, xid: int, client: str, machine: str, cred: Any, *args: Any) -> None:
        await self.serve_change(method, xid, Caller(client, machine, Credentials(*cred)), args)

    return rpc(_named(handler, method))


def _named(handler: Any, method: Callable[..., Any]) -> Any:
    handler.__name__, handler.__qualname__ = method.__name__, method.__qualname__
    handler.__doc__, handler.__module__ = method.__doc__, method.__module__
    return handler


class Program(Node):
    """What both programs stand on."""

    options: Options
    volume: Volume

    def place(self, caller: Caller, fh: bytes) -> Place:
        """The file of a handle; ESTALE, and EACCES for a machine that may not have it."""
        fsid, number, generation = opened(fh)
        if fsid >= len(self.options.exports):
            raise NfsError("ESTALE")
        export = self.options.exports[fsid]
        if export.machines is not None and caller.machine not in export.machines:
            raise NfsError("EACCES")
        cred = caller.cred
        if export.root_squash and cred.uid == 0:
            cred = Credentials(NOBODY, (NOBODY,))
        return Place(self.volume.get(number, generation), export, fsid, cred)

    def folder(self, caller: Caller, fh: bytes, may: int = EXECUTE) -> Place:
        """The same of a directory in which the caller may do this; ENOTDIR, EACCES, EROFS."""
        place = self.place(caller, fh)
        if place.inode.kind != DIRECTORY:
            raise NfsError("ENOTDIR")
        if may & WRITE and place.export.read_only:
            raise NfsError("EROFS")
        if not permits(place.inode, place.cred, may):
            raise NfsError("EACCES")
        return place

    def changed(self, kind: str, inode: Inode, /, **data: Any) -> None:
        """Tell the trace."""
        self.emit(kind, fileid=inode.number, generation=inode.generation, change=inode.change,
                  state=self.volume.state, **data)  # fmt: skip


class MountProgram(Program):
    """The mount daemon: the only place where a path reaches the server."""

    @procedure
    def mnt(self, caller: Caller, path: str) -> bytes:
        """The handle of an exported folder, or of one below; EACCES if it is not exported."""
        names = [name for name in path.split("/") if name]
        if ".." in names:
            raise NfsError("EACCES")  # it might lead out of what is exported
        whole = "/" + "/".join(names)
        above = [
            (len(export.path), fsid, export)
            for fsid, export in enumerate(self.options.exports)
            if (whole + "/").startswith(export.path.rstrip("/") + "/")
        ]
        if not above:
            raise NfsError("EACCES")
        _, fsid, export = max(above)
        if export.machines is not None and caller.machine not in export.machines:
            raise NfsError("EACCES")
        inode = self.volume.find(whole)
        if inode.kind != DIRECTORY:
            raise NfsError("ENOTDIR")
        self.emit("mounted", client=caller.client, path=whole)
        return handle(fsid, inode.number, inode.generation)


class NfsProgram(Program):
    """The file server's own procedures."""

    @procedure
    def null(self, caller: Caller) -> None:
        """Nothing: to measure a round trip."""

    @procedure
    def lookup(self, caller: Caller, dirfh: bytes, name: str) -> Any:
        """Handle and attributes of a file in a directory: one component of a path."""
        place = self.folder(caller, dirfh)
        if name == ".." and place.inode.number == self.volume.find(place.export.path).number:
            name = "."  # nothing above an exported folder is for its clients
        return self._found(place, self.volume.lookup(place.inode, name))

    @procedure
    def getattr(self, caller: Caller, fh: bytes) -> tuple[Any, ...]:
        """All that ``stat`` says."""
        place = self.place(caller, fh)
        return attributes(place.fsid, place.inode)

    @change
    def setattr(self, caller: Caller, fh: bytes, wanted: dict[str, Any]) -> tuple[Any, ...]:
        """Of mode, uid, gid, size, atime and mtime those that are given; size 0 truncates."""
        place = self.place(caller, fh)
        inode, cred = place.inode, place.cred
        if place.export.read_only:
            raise NfsError("EROFS")
        owner = cred.uid in (0, inode.uid)
        if not all(_makes_sense(name, value) for name, value in wanted.items()):
            raise NfsError("EINVAL")
        times = [value for name, value in wanted.items() if name in ("atime", "mtime")]
        now = times == [NOW, NOW]
        wanted = {name: self.now if value == NOW else value for name, value in wanted.items()}
        if "mode" in wanted and not owner:
            raise NfsError("EPERM")
        if cred.uid != 0 and wanted.get("uid", inode.uid) != inode.uid:
            raise NfsError("EPERM")
        if "gid" in wanted and cred.uid != 0 and not (owner and wanted["gid"] in cred.gids):
            raise NfsError("EPERM")
        if times and not owner and not (now and permits(inode, cred, WRITE)):
            raise NfsError("EACCES" if now else "EPERM")
        if "size" in wanted:
            self._check_size(inode, cred, wanted["size"])
        if wanted.keys() & {"mode", "uid", "gid", "size"}:
            wanted = {**wanted, "mode": self._mode(inode, cred, wanted)}
        inode = self.volume.set(inode, **wanted)
        self.changed("attributes_set", inode, what=sorted(wanted), size=inode.size,
                     client=caller.client)  # fmt: skip
        return attributes(place.fsid, inode)

    def _mode(self, inode: Inode, cred: Credentials, wanted: dict[str, Any]) -> int:
        """The mode after a change. Set-ID bits are gone when the owner, the group or the bytes are others,
        and that of the group if it is not the user's; root may all."""
        mode: int = wanted.get("mode", inode.mode) & 0o7777
        if cred.uid == 0:
            return mode
        if wanted.keys() & {"uid", "gid", "size"} and inode.kind == FILE:
            mode &= ~(SETUID | SETGID)
        return mode if "mode" not in wanted or inode.gid in cred.gids else mode & ~SETGID

    def _check_size(self, inode: Inode, cred: Credentials, size: Any) -> None:
        if inode.kind == DIRECTORY:
            raise NfsError("EISDIR")
        if inode.kind != FILE:
            raise NfsError("EINVAL")
        if size > LARGEST_FILE:
            raise NfsError("EFBIG")
        if cred.uid != inode.uid and not permits(inode, cred, WRITE):
            raise NfsError("EACCES")

    @procedure
    def read(self, caller: Caller, fh: bytes, offset: int, count: int) -> Any:
        """Bytes from a place in a file, and its attributes. Who owns the file may always: a program that has
        opened it may go on when its mode changes, and the server does not know who has opened what."""
        place = self._file(caller, fh, READ)
        if offset < 0 or count < 0:
            raise NfsError("EINVAL")
        data = self.volume.read(place.inode, offset, min(count, self.options.block))
        return attributes(place.fsid, self.volume.touch(place.inode)), data

    @change
    def write(self, caller: Caller, fh: bytes, offset: int, count: int, data: bytes) -> tuple[Any, ...]:
        """Bytes to a place in a file; answered when they are on the disk."""
        place = self._file(caller, fh, WRITE)
        if not isinstance(data, bytes) or offset < 0 or not 0 <= count == len(data) <= self.options.block:
            raise NfsError("EINVAL")
        if offset + count > LARGEST_FILE:
            raise NfsError("EFBIG")
        mode = self._mode(place.inode, place.cred, {"size": count})
        inode = self.volume.write(place.inode._replace(mode=mode), offset, data)
        self.changed("wrote", inode, offset=offset, count=count, size=inode.size, client=caller.client)
        return attributes(place.fsid, inode)

    def _file(self, caller: Caller, fh: bytes, may: int) -> Place:
        place = self.place(caller, fh)
        if place.inode.kind != FILE:
            raise NfsError("EISDIR" if place.inode.kind == DIRECTORY else "EINVAL")
        if may & WRITE and place.export.read_only:
            raise NfsError("EROFS")
        if place.cred.uid != place.inode.uid and not permits(place.inode, place.cred, may):
            raise NfsError("EACCES")
        return place

    @change
    def create(self, caller: Caller, dirfh: bytes, name: str, wanted: dict[str, Any]) -> Any:
        """A new file; EEXIST."""
        return self._make(caller, dirfh, name, FILE, wanted.get("mode", 0o644))

    @change
    def mkdir(self, caller: Caller, dirfh: bytes, name: str, wanted: dict[str, Any]) -> Any:
        """A new directory; EEXIST."""
        return self._make(caller, dirfh, name, DIRECTORY, wanted.get("mode", 0o755))

    @change
    def symlink(self, caller: Caller, dirfh: bytes, name: str, target: str) -> Any:
        """A name that stands for a path. What that means is the client's affair."""
        if not target or "\0" in target:
            raise NfsError("EINVAL")
        if len(encoded(target)) > LONGEST_PATH:
            raise NfsError("ENAMETOOLONG")
        return self._make(caller, dirfh, name, SYMLINK, 0o777, target)

    @procedure
    def readlink(self, caller: Caller, fh: bytes) -> str:
        """The path that a symbolic link stands for."""
        place = self.place(caller, fh)
        if place.inode.kind != SYMLINK:
            raise NfsError("EINVAL")
        return place.inode.target

    def _make(
        self, caller: Caller, dirfh: bytes, name: str, kind: str, mode: int, target: str = ""
    ) -> tuple[bytes, tuple[Any, ...]]:
        place = self._where_new(caller, dirfh, name)
        gid = place.cred.gids[0] if place.cred.gids else NOBODY
        inode = self.volume.make(place.inode, name, kind, mode & 0o7777, place.cred.uid, gid, target)
        self._entered(place.inode, name, inode, new=True)
        return self._found(place, inode)

    def _where_new(self, caller: Caller, dirfh: bytes, name: str) -> Place:
        """A directory for a new name. That the name is taken is said first, as UNIX does."""
        place = self.folder(caller, dirfh)
        if name in (".", "..") or name in self.volume.entries[place.inode.number]:
            raise NfsError("EEXIST")
        return self.folder(caller, dirfh, WRITE | EXECUTE)

    @change
    def remove(self, caller: Caller, dirfh: bytes, name: str) -> None:
        """A name less, of what is no directory."""
        place, inode = self._leaving(caller, dirfh, name)
        if inode.kind == DIRECTORY:
            raise NfsError("EISDIR")
        self.volume.unlink(place.inode, name)
        self._left(place.inode, name, inode)

    @change
    def rmdir(self, caller: Caller, dirfh: bytes, name: str) -> None:
        """An empty directory less."""
        if name == ".":
            raise NfsError("EINVAL")
        if name == "..":
            raise NfsError("ENOTEMPTY")
        place, inode = self._leaving(caller, dirfh, name)
        if inode.kind != DIRECTORY:
            raise NfsError("ENOTDIR")
        if self.volume.entries[inode.number]:
            raise NfsError("ENOTEMPTY")
        self.volume.unlink(place.inode, name)
        self._left(place.inode, name, inode)

    def _leaving(self, caller: Caller, dirfh: bytes, name: str) -> tuple[Place, Inode]:
        """A directory, and what is to leave it. In a sticky one only the owners may take things away."""
        place = self.folder(caller, dirfh)
        if name in (".", ".."):
            raise NfsError("EINVAL")
        inode = self.volume.lookup(place.inode, name)
        place = self.folder(caller, dirfh, WRITE | EXECUTE)
        if place.inode.mode & STICKY and place.cred.uid not in (0, inode.uid, place.inode.uid):
            raise NfsError("EPERM")
        return place, inode

    @change
    def rename(self, caller: Caller, dirfh: bytes, name: str, tofh: bytes, toname: str) -> None:
        """Another name, in one step; a file, or an empty directory, that had it is gone."""
        if opened(dirfh)[0] != opened(tofh)[0]:
            raise NfsError("EXDEV")
        place, inode = self._leaving(caller, dirfh, name)
        to = self.folder(caller, tofh, WRITE | EXECUTE)
        if toname in (".", ".."):
            raise NfsError("EINVAL")
        if toname in self.volume.entries[to.inode.number]:
            self._leaving(caller, tofh, toname)
        moves = inode.kind == DIRECTORY and place.inode.number != to.inode.number
        if moves and place.cred.uid != inode.uid and not permits(inode, place.cred, WRITE):
            raise NfsError("EACCES")  # its ".." changes
        if self.volume.entries[to.inode.number].get(toname, (0,))[0] == inode.number:
            return  # two names of one file: POSIX does nothing
        target = self.volume.rename(place.inode, name, to.inode, toname)
        if target is not None:
            self._left(to.inode, toname, target)
        self._left(place.inode, name, inode)
        self._entered(to.inode, toname, self.volume.inodes[inode.number], new=False)

    @change
    def link(self, caller: Caller, dirfh: bytes, name: str, tofh: bytes, toname: str) -> None:
        """One more name of a file."""
        if opened(dirfh)[0] != opened(tofh)[0]:
            raise NfsError("EXDEV")
        source = self.folder(caller, dirfh)
        inode = self.volume.lookup(source.inode, name)
        to = self._where_new(caller, tofh, toname)
        inode = self.volume.link(inode, to.inode, toname)
        self._entered(to.inode, toname, inode, new=False)

    @procedure
    def readdir(self, caller: Caller, dirfh: bytes, cookie: int, count: int) -> Any:
        """Entries after a cookie, as many as ``count`` bytes hold, and whether these are the last. A cookie
        stays good whatever is made or removed meanwhile."""
        place = self.folder(caller, dirfh, READ)
        entries: list[tuple[str, int, int]] = []
        room = count
        for name, fileid, each in self.volume.readdir(place.inode, cookie):
            room -= 16 + len(encoded(name))
            if room < 0 and entries:
                return entries, False
            entries.append((name, fileid, each))
        return entries, True

    @procedure
    def statfs(self, caller: Caller, fh: bytes) -> FsStats:
        """How large the file system is, and how full."""
        self.place(caller, fh)
        volume, block = self.volume, self.options.block
        total = int(self.options.capacity) // block
        return FsStats(block, block, total, max(0, total - -(-volume.used // block)))

    # what all of them do ------------------------------------------------------------

    def _found(self, place: Place, inode: Inode) -> tuple[bytes, tuple[Any, ...]]:
        return handle(place.fsid, inode.number, inode.generation), attributes(place.fsid, inode)

    def _entered(self, folder: Inode, name: str, inode: Inode, new: bool) -> None:
        self.changed("entry_made", inode, parent=folder.number, name=name, new=new, what=inode.kind,
                     size=inode.size)  # fmt: skip

    def _left(self, folder: Inode, name: str, inode: Inode) -> None:
        now = self.volume.inodes[inode.number]
        self.emit("entry_left", parent=folder.number, name=name, fileid=inode.number,
                  generation=inode.generation, state=self.volume.state)  # fmt: skip
        if now.generation != inode.generation:
            self.emit("freed", fileid=inode.number, generation=inode.generation)


def _makes_sense(name: str, value: Any) -> bool:
    """What an attribute may be: a whole number that fits its field; a time: ``NOW``, or any finite number."""
    if name in ("atime", "mtime"):
        return value == NOW or (isinstance(value, (int, float)) and math.isfinite(value))
    bits = {"mode": 16, "uid": 32, "gid": 32, "size": 64}
    return name in bits and isinstance(value, int) and 0 <= value < 1 << bits[name]


def permits(inode: Inode | Attributes, cred: Credentials, may: int) -> bool:
    """Whether the mode bits allow it: the owner's, else the group's, else the others'. Root may all."""
    if cred.uid == 0:
        return True
    shift = 6 if cred.uid == inode.uid else 3 if inode.gid in cred.gids else 0
    return inode.mode >> shift & may == may


def attributes(fsid: int, inode: Inode) -> tuple[Any, ...]:
    """As a client sees an inode: the fields of ``Attributes``, as plain values that travel cheaply."""
    return (
        inode.kind, inode.mode, inode.nlink, inode.uid, inode.gid, inode.size, fsid, inode.number,
        inode.atime, inode.mtime, inode.ctime, inode.change, inode.generation,
    )  # fmt: skip
