"""A client machine's kernel: system calls, open files, and when caches are brought up to date.

Which files are open is known here only; the server has no ``open``. So what UNIX does with a file that is
removed while it is open has to be played: the client renames it, and removes it at the last close ("silly
rename", the paper's "3/4 solution": it does not help when another client removes it).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from typing import Any

from labkit.runtime.node import every, rpc

from ..caches import Vnode
from ..events import EVENTS
from ..options import LIVE, Options
from ..protocol import DIRECTORY, FILE, LARGEST_FILE, Attributes, Credentials, NfsError, error
from .lockd import END
from .locking import Locking
from .procedures import permits
from .vfs import Vfs, check_path

__all__ = ["ClientNode"]

#: System calls whose results are remembered.
REMEMBERED = 100
#: Handles on one path that may be stale, one after the other, before the user is told.
MOST_STALE = 40


@dataclass(eq=False)
class OpenFile:
    """A file descriptor."""

    vnode: Vnode
    flags: int
    cred: Credentials
    path: str

    @property
    def reads(self) -> bool:
        """Whether it was opened for reading."""
        return self.flags & os.O_ACCMODE != os.O_WRONLY

    @property
    def writes(self) -> bool:
        """Whether it was opened for writing."""
        return self.flags & os.O_ACCMODE != os.O_RDONLY


def system_call(paths: int = 1) -> Callable[[Any], Any]:
    """Who asks, then the arguments, of which the first ``paths`` are paths; a status becomes an ``OSError``
    that names them. A program's call comes through the lab's network, although it is on this machine: its
    third credential is a number, by which it is made once however often it comes."""

    def mark(method: Any) -> Any:
        @wraps(method)
        async def call(self: ClientNode, cred: Any, *args: Any) -> Any:
            if len(cred) < 3:
                return await attempt(self, cred, args)
            key = cred[2]
            if key not in self.asked:
                for old in list(self.asked)[:-REMEMBERED]:
                    del self.asked[old]
                self.asked[key] = self.spawn(attempt(self, cred[:2], args))
            return await self.asked[key]

        async def attempt(self: ClientNode, cred: Any, args: Any) -> Any:
            for tried in range(MOST_STALE + 1):
                try:
                    return await method(self, Credentials(*cred), *args)
                except NfsError as failed:
                    # A cached handle on the way was of a file that is gone, and is forgotten now: once more.
                    by_path = paths and isinstance(args[0], str)
                    if failed.status != "ESTALE" or not by_path or tried == MOST_STALE:
                        raise told(self, failed, args) from None
            return None

        def told(self: ClientNode, failed: NfsError, args: Any) -> OSError:
            given = [each for each in args[:paths] if not isinstance(each, int)]  # numbers are descriptors
            known = [each if isinstance(each, str) else repr(each) for each in given]
            if not known and args and args[0] in self.files_open:
                known = [self.files_open[args[0]].path]
            return error(failed.status, *known)

        return rpc(call)

    return mark


class ClientNode(Locking, Vfs):
    """See the module's text. The methods are named after UNIX's system calls."""

    events = EVENTS

    def __init__(self, server: str, locks: str, options: Options) -> None:
        self.server, self.locks, self.options = server, locks, options

    def start(self) -> None:
        """A client that restarts has nothing to tell the server; what it had not written is lost."""
        for name in LIVE:
            if name != "duplicates":
                setattr(self, name, self.disk.get(name, getattr(self.options, name)))
        self.flush_every = self.options.flush_every
        self.files_open: dict[int, OpenFile] = {}
        self.asked: dict[Any, Any] = {}
        self._start_rpc()
        self._start_vnodes()
        self._start_vfs()
        self._start_locking()
        self.emit("client_started", consistency=self.consistency, write_behind=self.write_behind)

    @rpc
    def set(self, name: str, value: Any) -> None:
        """Choose anew: see ``options.LIVE``."""
        setattr(self, name, value)
        self.disk[name] = value
        self.disk.sync()
        if name == "consistency" and value == "no cache":
            for vnode in self.vnodes.values():
                self._drop(vnode, "no cache")
        self.emit("chosen", name=name, value=value)

    @every("flush_every")
    async def update(self) -> None:
        """What has waited long enough is written, whether or not anybody closes the file."""
        for vnode in [each for each in self.vnodes.values() if any(b.dirty for b in each.blocks.values())]:
            await self.flush(vnode)

    # open files ------------------------------------------------------------

    @system_call()
    async def sys_open(self, cred: Credentials, path: str, flags: int, mode: int) -> tuple[int, Attributes]:
        """A new file descriptor. Close-to-open: the last name of the path is looked up at the server, which
        tells of the file's attributes too; so this open sees what was closed before."""
        began = self.now
        exclusive = bool(flags & os.O_CREAT and flags & os.O_EXCL)
        ask = self.consistency == "close-to-open"
        folder, name, vnode = await self.walk(
            path,
            cred,
            follow=not (exclusive or flags & os.O_NOFOLLOW),
            ask=ask,
            missing=bool(flags & os.O_CREAT),
        )
        made = False
        if vnode is not None and exclusive:
            raise NfsError("EEXIST")
        if vnode is None:
            if path.endswith("/"):
                raise NfsError("EISDIR")
            try:
                vnode = await self.make("create", folder, name, cred, {"mode": mode})
                made = True
            except NfsError as failed:
                if failed.status != "EEXIST" or exclusive:
                    raise
                vnode = await self.lookup(folder, name, cred, ask=True)  # another client was first
        opened = OpenFile(vnode, flags, cred, path)
        if not made:
            self._may_open(opened)
            if flags & os.O_TRUNC:
                await self.setattr(vnode, cred, {"size": 0})
        return self._descriptor(opened, began), vnode.attributes

    def _may_open(self, opened: OpenFile) -> None:
        found = opened.vnode.attributes
        if found.kind == DIRECTORY and opened.writes:
            raise NfsError("EISDIR")
        if found.kind not in (FILE, DIRECTORY):
            raise NfsError("ELOOP")
        may = 4 * opened.reads | 2 * (opened.writes or bool(opened.flags & os.O_TRUNC))
        if not permits(found, opened.cred, may):
            raise NfsError("EACCES")

    def _descriptor(self, opened: OpenFile, began: float) -> int:
        number = next(n for n in range(3, len(self.files_open) + 4) if n not in self.files_open)
        self.files_open[number] = opened
        opened.vnode.opens += 1
        self.tell("file_opened", opened.vnode, path=opened.path, began=began, mode=self.consistency,
                  change=opened.vnode.attributes.change, writes=opened.writes)  # fmt: skip
        return number

    def _open(self, number: int) -> OpenFile:
        opened = self.files_open.get(number)
        if opened is None:
            raise NfsError("EBADF")
        return opened

    @system_call()
    async def sys_close(self, cred: Credentials, number: int) -> None:
        """Write what waits, and say what went wrong with it; with consistency "none" it waits on. The last
        close of a file that was removed meanwhile removes it."""
        opened = self._open(number)
        vnode = opened.vnode
        try:
            if self.consistency != "none":
                await self.flush(vnode)
            self.raise_error(vnode)
        finally:
            await self.unlock_all(number)
            if self.files_open.pop(number, None) is opened:
                vnode.opens -= 1
                self.tell("file_closed", vnode, writes=opened.writes)
            await self.inactive(vnode)

    async def inactive(self, vnode: Vnode) -> None:
        """Nobody has it open any more."""
        if vnode.opens == 0 and vnode.silly is not None:
            folder, name, cred = vnode.silly
            vnode.silly = None
            self.forget(vnode)
            if folder in self.vnodes:
                with suppress(NfsError):  # somebody else has tidied up; the file was closed all the same
                    await self.remove("remove", self.vnodes[folder], name, cred)

    @system_call()
    async def sys_pread(self, cred: Credentials, number: int, count: int, offset: int) -> bytes:
        """Bytes from a place in an open file."""
        opened = self._open(number)
        if not opened.reads:
            raise NfsError("EBADF")
        if opened.vnode.attributes.kind == DIRECTORY:
            raise NfsError("EISDIR")
        if offset < 0 or count < 0:
            raise NfsError("EINVAL")
        return await self.read(opened.vnode, offset, count, opened.cred)

    @system_call()
    async def sys_pwrite(self, cred: Credentials, number: int, data: bytes, offset: int) -> tuple[int, int]:
        """Bytes to a place in an open file; how many, and where they end. With O_APPEND the place is the end
        as the server has it: between asking and writing another client may append, too."""
        opened = self._open(number)
        if not opened.writes:
            raise NfsError("EBADF")
        if offset < 0:
            raise NfsError("EINVAL")
        if offset + len(data) > LARGEST_FILE:
            raise NfsError("EFBIG")
        if opened.flags & os.O_APPEND:
            await self.flush(opened.vnode)
            offset = (await self.getattr(opened.vnode, opened.cred, ask=True)).size
        await self.write(opened.vnode, offset, bytes(data), opened.cred)
        return len(data), offset + len(data)

    @system_call()
    async def sys_fsync(self, cred: Credentials, number: int) -> None:
        """Have all that was written on the server's disk."""
        opened = self._open(number)
        await self.fsync(opened.vnode)

    @system_call()
    async def sys_ftruncate(self, cred: Credentials, number: int, size: int) -> None:
        """Another size for an open file."""
        opened = self._open(number)
        if not opened.writes:
            raise NfsError("EINVAL")
        await self.setattr(opened.vnode, opened.cred, {"size": size})

    @system_call()
    async def sys_lock(
        self, cred: Credentials, number: int, start: int, length: int, exclusive: bool, wait: bool
    ) -> bool:
        """Lock bytes, 0: to the end; whether it is granted. Then the caches are brought up to date."""
        opened = self._open(number)
        end = start + length if length else END
        if not await self.acquire(number, opened.vnode.fh, start, end, exclusive, wait):
            return False
        await self.flush(opened.vnode)
        if self.caching:
            await self.getattr(opened.vnode, cred, ask=True)
        return True

    @system_call()
    async def sys_unlock(self, cred: Credentials, number: int, start: int, length: int) -> None:
        """Write what was changed, then give the lock back."""
        opened = self._open(number)
        await self.flush(opened.vnode)
        await self.release(number, opened.vnode.fh, start, start + length if length else END)

    @system_call()
    async def sys_fstat(self, cred: Credentials, number: int) -> Attributes:
        """Of an open file."""
        opened = self._open(number)
        return await self._stat(opened.vnode, opened.cred)

    async def _stat(self, vnode: Vnode, cred: Credentials) -> Attributes:
        if vnode.dirty:
            await self.flush(vnode)  # size and times are the server's
        return await self.getattr(vnode, cred)

    # paths ------------------------------------------------------------

    @system_call()
    async def sys_stat(self, cred: Credentials, path: str, follow: bool) -> Attributes:
        """Of a path."""
        return await self._stat(await self.find(path, cred, follow), cred)

    @system_call()
    async def sys_access(self, cred: Credentials, path: str, may: int) -> bool:
        """Whether the mode bits allow it, as this client knows them."""
        found = await self._stat(await self.find(path, cred), cred)
        return permits(found, cred, may)

    @system_call()
    async def sys_setattr(self, cred: Credentials, path: str, wanted: dict[str, Any], follow: bool) -> None:
        """chmod, chown, truncate, utime. Who owns a file may not truncate it by its name without permission
        to write; the server would allow it, as it does for who has it open."""
        vnode = await self.find(path, cred, follow)
        if "size" in wanted and not permits(await self.getattr(vnode, cred), cred, 2):
            raise NfsError("EISDIR" if vnode.attributes.kind == DIRECTORY else "EACCES")
        await self.setattr(vnode, cred, wanted)

    @system_call()
    async def sys_mkdir(self, cred: Credentials, path: str, mode: int) -> None:
        """A new directory."""
        folder, name, _vnode = await self.where_new(path, cred)
        await self.make("mkdir", folder, name, cred, {"mode": mode})

    async def where_new(self, path: str, cred: Credentials) -> tuple[Vnode, str, Vnode | None]:
        """For something new. That it is there already is the server's to say: the cache may be old."""
        folder, name, vnode = await self.walk(path, cred, follow=False, ask=True, missing=True)
        if vnode is not None:
            raise NfsError("EEXIST")
        return folder, name, vnode

    @system_call()
    async def sys_rmdir(self, cred: Credentials, path: str) -> None:
        """An empty directory less."""
        folder, name, vnode = await self.where(path, cred)
        if vnode is None:
            raise NfsError("ENOENT")
        if vnode.fh in self.mounts.values():
            raise NfsError("EBUSY")
        await self.remove("rmdir", folder, name, cred)

    @system_call()
    async def sys_unlink(self, cred: Credentials, path: str) -> None:
        """A name less. If the file is open here, it gets another name until it is closed."""
        folder, name, vnode = await self.where(path, cred)
        if vnode is None:
            raise NfsError("ENOENT")
        if path.endswith("/"):
            raise NfsError("EISDIR" if vnode.attributes.kind == DIRECTORY else "ENOTDIR")
        if vnode.opens and vnode.silly is None and vnode.attributes.nlink == 1:
            await self._silly_rename(folder, name, vnode, cred)
            return
        await self.remove("remove", folder, name, cred)

    async def _silly_rename(self, folder: Vnode, name: str, vnode: Vnode, cred: Credentials) -> None:
        found = vnode.attributes
        hidden = f".nfs{found.fileid:08x}{found.generation:04x}-{self.machine}"
        try:
            await self.rename(folder, name, folder, hidden, cred)
        except NfsError as failed:  # done all the same, if only the reply was lost
            if failed.status != "ENOENT" or await self.lookup(folder, hidden, cred, ask=True) is not vnode:
                raise
        folder.names[hidden] = vnode.fh
        vnode.silly = (folder.fh, hidden, cred)
        self.tell("silly_renamed", vnode, name=name, hidden=hidden)

    async def _appear(self, folder: Vnode, name: str, vnode: Vnode, cred: Credentials) -> None:
        """What was hidden for nothing has its name again, unless that is taken: a rename whose reply was lost
        is done, although it fails when it comes again."""
        assert vnode.silly is not None
        hidden = vnode.silly[1]
        with suppress(NfsError):
            await self.link(folder, hidden, folder, name, cred)
            vnode.silly = None
            await self.remove("remove", folder, hidden, cred)

    @system_call(paths=2)
    async def sys_rename(self, cred: Credentials, path: str, to_path: str) -> None:
        """Another name, in one step. A file that is open here and would be replaced is hidden first."""
        source = folder, name, vnode = await self.walk(path, cred, follow=False, missing=True)
        goal = to, to_name, target = await self.walk(to_path, cred, follow=False, missing=True)
        self.check_last(source, "EINVAL")
        self.check_last(goal, "EINVAL")
        if vnode is None:
            raise NfsError("ENOENT")
        if vnode.fh in self.mounts.values() or (target is not None and target.fh in self.mounts.values()):
            raise NfsError("EBUSY")
        if to_path.endswith("/") and vnode.attributes.kind != DIRECTORY:
            raise NfsError("ENOTDIR")
        if target is None or target is vnode or not target.opens or target.silly is not None:
            await self.rename(folder, name, to, to_name, cred)
            return
        if vnode.attributes.kind == DIRECTORY:
            raise NfsError("ENOTDIR")  # the server would not see any more what is in the way
        await self._silly_rename(to, to_name, target, cred)
        try:
            await self.rename(folder, name, to, to_name, cred)
        except NfsError:
            await self._appear(to, to_name, target, cred)
            raise

    @system_call(paths=2)
    async def sys_link(self, cred: Credentials, path: str, to_path: str) -> None:
        """One more name of a file."""
        folder, name, vnode = await self.where(path, cred)
        if vnode is None:
            raise NfsError("ENOENT")
        to, to_name, _ = await self.where_new(to_path, cred)
        await self.link(folder, name, to, to_name, cred)
        vnode.asked = float("-inf")  # its link count has changed

    @system_call()
    async def sys_symlink(self, cred: Credentials, path: str, target: str) -> None:
        """A name that stands for a path."""
        folder, name, _ = await self.where_new(path, cred)
        await self.make("symlink", folder, name, cred, target)

    @system_call()
    async def sys_readlink(self, cred: Credentials, path: str) -> str:
        """The path that a symbolic link stands for."""
        vnode = await self.find(path, cred, follow=False)
        return str(await self._ask(vnode, "readlink", cred, vnode.fh))

    @system_call()
    async def sys_listdir(self, cred: Credentials, path: str) -> list[str]:
        """The names in a directory; those of files that are only hidden are among them, as in NFS."""
        vnode = await self.find(path, cred)
        return [name for name, _ in await self.readdir(vnode, cred)]

    @system_call()
    async def sys_statfs(self, cred: Credentials, path: str) -> Any:
        """How large the file system is, and how full."""
        vnode = await self.find(path, cred)
        return await self._ask(vnode, "statfs", cred, vnode.fh)

    @system_call(paths=2)
    async def sys_mount(self, cred: Credentials, path: str, at: str) -> None:
        """Mount an export at a path of this client."""
        check_path(path)
        check_path(at)
        await self.mount(path, at, cred)
        self._save_table({**self.table, "/" + at.strip("/"): path})

    @system_call()
    async def sys_umount(self, cred: Credentials, at: str) -> None:
        """Unmount it; EBUSY for the root, EINVAL if nothing is mounted there."""
        check_path(at)
        key = "/" + at.strip("/")
        if key == "/":
            raise NfsError("EBUSY")
        if key not in self.table:
            raise NfsError("EINVAL")
        self._save_table({path: what for path, what in self.table.items() if path != key})
        self.mounts.pop(tuple(name for name in key.split("/") if name), None)

    def _save_table(self, table: dict[str, str]) -> None:
        self.table = self.disk["mounts"] = table
        self.disk.sync()

    @system_call(paths=0)
    async def sys_null(self, cred: Credentials) -> float:
        """Seconds of a call that does nothing."""
        began = self.now
        await self.ask("null", cred)
        return self.now - began

    @rpc
    def counts(self) -> dict[str, int]:
        """Calls that were sent so far, by procedure."""
        return dict(self.calls)

    @rpc
    def drop_caches(self) -> None:
        """Forget what is not dirty, as after a fresh mount."""
        for vnode in list(self.vnodes.values()):
            self._drop(vnode, "asked to")
            vnode.names.clear()
            vnode.asked = float("-inf")
