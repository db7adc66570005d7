"""A client as its user holds it: the calls of Python's ``os``, ``open``, and a file system for fsspec.

::

    one, other = nfs.clients
    one.write_text("/notes", "hello")
    with other.open("/notes") as file: ...
    one.user(uid=1001).mkdir("/mine", 0o700)
    pandas.read_csv(other.fs.open("/table.csv"))
"""

from __future__ import annotations

import errno
import io
import os
import weakref
from contextlib import suppress
from stat import S_ISDIR
from typing import IO, Any

from labkit.parts.options import whole
from labkit.parts.retry import insist
from labkit.runtime.errors import LabError, MachineDead, MachineDied, Timeout
from labkit.runtime.raised import short

from .protocol import NOW, Attributes, Credentials, FsStats, as_stat, changes

__all__ = ["SERVERS", "Client", "RemoteFile", "servers"]

#: All that were made in this process, as ``NFS`` objects.
SERVERS: weakref.WeakSet[Any] = weakref.WeakSet()

#: Seconds after which a program's call of its own machine is taken for lost.
ASK_AGAIN = 2.0
#: The user that a client's programs run as.
UID = 1000
USER = Credentials(UID, (UID,))
#: Calls that name no path.
OF_OPEN_FILES = ("close", "pread", "pwrite", "fsync", "ftruncate", "fstat", "lock", "unlock")
MODES = {
    "r": os.O_RDONLY,
    "w": os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
    "a": os.O_WRONLY | os.O_CREAT | os.O_APPEND,
    "x": os.O_WRONLY | os.O_CREAT | os.O_EXCL,
}


def servers() -> list[Any]:
    """The file servers of this process whose cluster is open, oldest first."""
    return sorted((nfs for nfs in list(SERVERS) if not nfs.over), key=lambda nfs: nfs.cluster.run_number)


class Client:
    """One machine that has mounted the server, used by one user (uid, gids); ``user`` gives another's view.

    Every method raises ``OSError`` as ``os`` does, its message beginning with the error's name; and
    ``Timeout`` when a hard mount has not been answered for ``nfs.give_up_after`` seconds.
    """

    def __init__(self, nfs: Any, name: str, machine: str, cred: Credentials = USER) -> None:
        self.nfs, self.name, self.machine, self.cred = nfs, name, machine, cred

    def __repr__(self) -> str:
        return f"<client {self.name} on {self.machine}, uid {self.cred.uid}>"

    def user(self, uid: int, gids: tuple[int, ...] | None = None) -> Client:
        """The same machine, used by another user."""
        for number in (uid, *(gids or ())):
            whole(0, says="users and groups have numbers", write=1000)("uid", number)
        return Client(self.nfs, self.name, self.machine, Credentials(uid, tuple(gids or (uid,))))

    @property
    def life(self) -> int:
        """Of its machine: how often it was started."""
        incarnation: int = self.nfs.cluster.machine(self.machine).incarnation
        return incarnation

    def call(self, method: str, *args: Any) -> Any:
        """One system call of the client machine, and its result."""
        nfs, cluster = self.nfs, self.nfs.cluster
        args = tuple(os.fspath(each) if isinstance(each, os.PathLike) else each for each in args)
        if args and method not in OF_OPEN_FILES and not isinstance(args[0], (str, bytes)):
            raise TypeError(f"{method} of {short(args[0])}: a path is text; write '/folder/name'")
        home = cluster.machine(self.machine)
        if home.state == "dead":
            raise MachineDead(f"{self.name}'s machine is dead; cluster.restart({self.machine!r})")
        life = home.incarnation
        nfs.calls_made += 1
        cred = (*self.cred, (life, nfs.calls_made))

        async def program(node: Any) -> Any:
            return await insist(
                node, self.name, f"sys_{method}", cred, *args, every=ASK_AGAIN,
                times=max(1, round(nfs.give_up_after / ASK_AGAIN)), wanted=lambda: home.incarnation == life,
            )  # fmt: skip

        try:
            with cluster.span(method, client=self.name):
                return cluster.submit(program).result()
        except Timeout as error:
            if home.incarnation != life or home.state == "dead":
                raise MachineDied(f"{self.name}'s machine died while {method} was under way") from error
            raise Timeout(
                f"{method} at {self.name} has no answer after {nfs.give_up_after:g} s: a hard mount asks for "
                f"ever. Is the server's machine alive? cluster.restart({nfs.machine!r}); nfs.give_up_after "
                "sets the limit"
            ) from None

    # files ------------------------------------------------------------

    def open(
        self, path: str, mode: str = "r", buffering: int = -1, encoding: str | None = None,
        newline: str | None = None,
    ) -> IO[Any]:  # fmt: skip
        """A file object, as Python's ``open`` makes it; ``buffering=0`` (binary) has each write leave your
        program at once, for the client's cache."""
        text = "b" not in mode
        if text and buffering == 0:
            raise ValueError('only binary files can be unbuffered: write open(path, "rb", buffering=0)')
        raw = RemoteFile(self, path, mode)
        if buffering == 0:
            return raw  # type: ignore[return-value]
        size = self.nfs.options.block if buffering < 0 else max(2, buffering)
        kind: Any = io.BufferedRandom if raw.readable() and raw.writable() else (
            io.BufferedReader if raw.readable() else io.BufferedWriter
        )  # fmt: skip
        file = kind(raw, size)
        return io.TextIOWrapper(file, encoding or "utf-8", newline=newline) if text else file

    def read_bytes(self, path: str) -> bytes:
        """All of a file: open, read, close."""
        with self.open(path, "rb", buffering=0) as file:
            data: bytes = file.read()
        return data

    def read_text(self, path: str) -> str:
        """All of a file as text."""
        return self.read_bytes(path).decode()

    def write_bytes(self, path: str, data: bytes) -> None:
        """Open, truncate or make, write, close."""
        _check_bytes(data)
        with self.open(path, "wb", buffering=0) as file:
            file.write(data)

    def write_text(self, path: str, text: str) -> None:
        """The same with text."""
        if not isinstance(text, str):
            raise TypeError(f"text is a str, not {text!r:.40}; for bytes there is write_bytes")
        self.write_bytes(path, text.encode())

    # as in os ------------------------------------------------------------

    def stat(self, path: str, follow_symlinks: bool = True) -> os.stat_result:
        """As ``os.stat``."""
        return as_stat(self.attributes(path, follow_symlinks))

    def lstat(self, path: str) -> os.stat_result:
        """Of a symbolic link itself."""
        return self.stat(path, follow_symlinks=False)

    def attributes(self, path: str, follow_symlinks: bool = True) -> Attributes:
        """What the protocol says of a file."""
        found: Attributes = self.call("stat", path, follow_symlinks)
        return found

    def exists(self, path: str) -> bool:
        """Whether there is a file, as ``os.path.exists``."""
        try:
            self.stat(path)
        except OSError:
            return False
        return True

    def access(self, path: str, mode: int) -> bool:
        """Whether this user may: ``os.R_OK | os.W_OK | os.X_OK``."""
        return bool(self.call("access", path, mode))

    def listdir(self, path: str = "/") -> list[str]:
        """Names, in the order in which they were made."""
        names: list[str] = self.call("listdir", path)
        return names

    def mkdir(self, path: str, mode: int = 0o755) -> None:
        """A new directory."""
        self.call("mkdir", path, mode)

    def makedirs(self, path: str, mode: int = 0o755, exist_ok: bool = False) -> None:
        """A directory and those above it, as far as they are not there."""
        names = [name for name in os.fspath(path).split("/") if name]
        for depth in range(1, len(names)):
            with suppress(FileExistsError):
                self.mkdir("/" + "/".join(names[:depth]), mode)
        try:
            self.mkdir(path, mode)
        except FileExistsError:
            if not exist_ok or not S_ISDIR(self.stat(path).st_mode):
                raise

    def rmdir(self, path: str) -> None:
        """An empty directory less."""
        self.call("rmdir", path)

    def unlink(self, path: str) -> None:
        """A name less."""
        self.call("unlink", path)

    remove = unlink

    def rename(self, path: str, to: str) -> None:
        """Another name; what had it is gone."""
        self.call("rename", path, to)

    def link(self, path: str, to: str) -> None:
        """One more name."""
        self.call("link", path, to)

    def symlink(self, target: str, path: str) -> None:
        """A name that stands for a path."""
        self.call("symlink", path, target)

    def readlink(self, path: str) -> str:
        """What it stands for."""
        return str(self.call("readlink", path))

    def chmod(self, path: str, mode: int) -> None:
        """Other permissions."""
        self.call("setattr", path, changes(mode=mode), True)

    def chown(self, path: str, uid: int = -1, gid: int = -1) -> None:
        """Another owner or group; -1: the same."""
        wanted = changes(uid=None if uid < 0 else uid, gid=None if gid < 0 else gid)
        self.call("setattr", path, wanted, True)

    def truncate(self, path: str, size: int) -> None:
        """Another size."""
        self.call("setattr", path, changes(size=size), True)

    def utime(self, path: str, times: tuple[float, float] | None = None) -> None:
        """Other times of access and change; now, if none are given."""
        atime, mtime = times or (NOW, NOW)
        self.call("setattr", path, changes(atime=atime, mtime=mtime), True)

    def statvfs(self, path: str = "/") -> FsStats:
        """How large the file system is, and how full."""
        found: FsStats = self.call("statfs", path)
        return found

    # of NFS ------------------------------------------------------------

    def mount(self, export: str, at: str) -> None:
        """Mount one more exported folder, at a path of this client."""
        self.call("mount", export, at)

    def umount(self, at: str) -> None:
        """Unmount it."""
        self.call("umount", at)

    def call_plain(self, method: str, *args: Any) -> Any:
        """A call of the client's node that is no user's."""
        return self.nfs.cluster.call(self.name, method, *args, timeout=self.nfs.give_up_after)

    def null(self) -> float:
        """Seconds that a call takes which does nothing."""
        return float(self.call("null"))

    def drop_caches(self) -> None:
        """Forget all that is cached and not dirty."""
        self.call_plain("drop_caches")

    @property
    def calls(self) -> dict[str, int]:
        """Calls that this machine has sent so far, by procedure."""
        counts: dict[str, int] = self.call_plain("counts")
        return counts

    @property
    def fs(self) -> Any:
        """For libraries that know fsspec: ``client.fs.open(...)``."""
        import fsspec

        return fsspec.filesystem("labkit-nfs", client=self)


class RemoteFile(io.RawIOBase):
    """An open file, unbuffered: each read and write is a system call of the client machine."""

    def __init__(self, client: Client, path: str, mode: str) -> None:
        letters = mode.replace("b", "").replace("t", "")
        what, plus = letters[:1], letters[1:] == "+"
        if what not in MODES or letters[1:] not in ("", "+") or ("b" in mode and "t" in mode):
            raise ValueError(
                f"mode {mode!r}: write 'r', 'w', 'a' or 'x', with 'b' for bytes, '+' for both ways"
            )
        flags = MODES[what] & ~os.O_ACCMODE | os.O_RDWR if plus else MODES[what]
        self.client, self.name, self.mode = client, path, mode
        self._life = client.life
        self._reads, self._writes = what == "r" or plus, what != "r" or plus
        self._number, found = client.call("open", path, flags, 0o644)
        if found.kind == "directory":
            client.call("close", self._number)
            raise IsADirectoryError(21, "EISDIR: Is a directory", path)
        self._at = found.size if what == "a" else 0

    def readable(self) -> bool:
        """Whether it was opened for reading."""
        return self._reads

    def writable(self) -> bool:
        """Whether it was opened for writing."""
        return self._writes

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """As of any file."""
        if whence not in (0, 1, 2):
            raise ValueError(f"whence={whence!r}: write 0, from the start, 1, from here, or 2, from the end")
        place = offset + (self.stat().st_size if whence == 2 else self._at * whence)
        if place < 0:
            raise ValueError(f"a place in a file is 0 or more, not {place}")
        self._at = place
        return place

    def tell(self) -> int:
        """Where the next byte is read or written."""
        return self._at

    def readinto(self, buffer: Any) -> int:
        """As of any file."""
        self._check("read", self._reads)
        data = self._call("pread", len(buffer), self._at)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def readall(self) -> bytes:
        """To the end."""
        self._check("read", self._reads)
        parts = []
        while part := self._call("pread", 1 << 20, self._at):
            parts.append(part)
            self._at += len(part)
        return b"".join(parts)

    def write(self, data: Any) -> int:
        """As of any file; where it appends, at the end."""
        self._check("write", self._writes)
        _check_bytes(data)
        count, self._at = self._call("pwrite", memoryview(data).tobytes(), self._at)
        return int(count)

    def truncate(self, size: int | None = None) -> int:
        """Another size; here, unless given."""
        self._check("write", self._writes)
        size = self._at if size is None else size
        self._call("ftruncate", size)
        return size

    def stat(self) -> os.stat_result:
        """Of this file, whatever it is called now."""
        return as_stat(self._call("fstat"))

    def fsync(self) -> None:
        """Have all that was written on the server's disk."""
        self._call("fsync")

    def lock(self, start: int = 0, length: int = 0, exclusive: bool = True, wait: bool = False) -> None:
        """Lock bytes, 0: to the end, against other open files that do so too; raises ``BlockingIOError`` if
        another holds them, unless ``wait``."""
        if not self._call("lock", start, length, exclusive, wait):
            raise BlockingIOError(
                11, "EAGAIN: another holds the lock, or the grace period is not over", self.name
            )

    def unlock(self, start: int = 0, length: int = 0) -> None:
        """Give a lock back."""
        self._call("unlock", start, length)

    def close(self) -> None:
        """Close-to-open: what waits is written first, and what went wrong with it is raised here."""
        if self.closed:
            return
        super().close()
        if self._life != self.client.life:
            return  # the machine that had it open is no more
        try:
            self._call("close")
        except LabError:
            if not self.client.nfs.over:  # there is nothing to be closed any more
                raise

    def _call(self, method: str, *args: Any) -> Any:
        """A system call on this file. A restarted machine has other files under the same numbers."""
        if self._life != self.client.life:
            raise OSError(
                errno.EBADF, f"EBADF: {self.client.machine} was restarted: open it again", self.name
            )
        return self.client.call(method, self._number, *args)

    def _check(self, what: str, may: bool) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")
        if not may:
            raise io.UnsupportedOperation(f"the file was opened with mode {self.mode!r}: it cannot {what}")


def _check_bytes(data: Any) -> None:
    """``bytes(3)`` would be three zeros."""
    if isinstance(data, (str, int)):
        raise TypeError(f"a file of bytes takes bytes, not {data!r:.40}; for text there is write_text")
