"""What travels between client and server: handles, attributes, statuses.

A reply is a status and a value; the status is "OK" or the name of an error, as ``ENOENT``.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from typing import NamedTuple

__all__ = [
    "DIRECTORY", "FILE", "LARGEST_FILE", "LONGEST_NAME", "LONGEST_PATH", "NOBODY", "NOW", "OK", "PROCEDURES",
    "SYMLINK",
    "Attributes", "Credentials", "Export", "FsStats", "NfsError", "as_stat", "changes", "check_name",
    "encoded", "error", "handle", "opened",
]  # fmt: skip

OK = "OK"
FILE, DIRECTORY, SYMLINK = "file", "directory", "symlink"
#: Bytes of a name and of a path.
LONGEST_NAME, LONGEST_PATH = 255, 1024
#: Bytes of a file: places in it have 32 bits with a sign.
LARGEST_FILE = 2**31 - 1
#: For ``setattr``: the server's own time, which who may write may set.
NOW = "now"
#: Whom a squashed root becomes.
NOBODY = 65534

#: The 17 procedures of the paper (mount, the 17th, is of a protocol of its own).
PROCEDURES = (
    "null", "lookup", "create", "remove", "getattr", "setattr", "read", "write", "rename", "link", "symlink",
    "readlink", "mkdir", "rmdir", "readdir", "statfs", "mnt",
)  # fmt: skip


class NfsError(Exception):
    """A procedure cannot be carried out; ``status``: the error's name."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class Credentials(NamedTuple):
    """Who asks, as the client says (AUTH_UNIX): nobody checks."""

    uid: int = 0
    gids: tuple[int, ...] = (0,)


class Attributes(NamedTuple):
    """What ``getattr`` returns. Times in seconds of the run, sizes in bytes.

    change counts the file's changes. Version 2 of the protocol has only mtime, with which a client that
    writes itself cannot tell whether others did too; version 4 added it.
    """

    kind: str
    mode: int
    nlink: int
    uid: int
    gid: int
    size: int
    fsid: int
    fileid: int
    atime: float
    mtime: float
    ctime: float
    change: int
    generation: int  #: the lab's: for the trace only; a client has the handle


class FsStats(NamedTuple):
    """What ``statfs`` returns: bytes at most in a call and in a block; blocks in all, and free."""

    transfer: int
    block: int
    blocks: int
    free: int


class Export(NamedTuple):
    """A line of /etc/exports: a folder, and who may do what with it."""

    path: str = "/"
    read_only: bool = False
    root_squash: bool = True
    machines: tuple[str, ...] | None = None  #: names; None: all


# handles ------------------------------------------------------------

_HANDLE = struct.Struct(">IQI16x")  # 32 bytes, as in version 2


def handle(fsid: int, inode: int, generation: int) -> bytes:
    """32 bytes that name a file for ever; a client keeps them and cannot read them."""
    return _HANDLE.pack(fsid, inode, generation)


def opened(fh: bytes) -> tuple[int, int, int]:
    """(fsid, inode, generation), for the server; raises ``NfsError``."""
    try:
        fsid, inode, generation = _HANDLE.unpack(fh)
    except (struct.error, TypeError):
        raise NfsError("ESTALE") from None
    return fsid, inode, generation


# errors and stat ------------------------------------------------------------


def error(status: str, *paths: str) -> OSError:
    """The exception of a status, such as ``FileNotFoundError`` of ENOENT, with the paths it is about."""
    number = getattr(errno, status)
    text = f"{status}: {os.strerror(number)}"
    return OSError(number, text, *paths[:1], *((None, paths[1]) if len(paths) > 1 else ()))


KINDS = {FILE: stat.S_IFREG, DIRECTORY: stat.S_IFDIR, SYMLINK: stat.S_IFLNK}


def as_stat(found: Attributes) -> os.stat_result:
    """As ``os.stat`` returns it."""
    return os.stat_result(
        (KINDS[found.kind] | found.mode, found.fileid, found.fsid, found.nlink, found.uid, found.gid,
         found.size, found.atime, found.mtime, found.ctime)
    )  # fmt: skip


def changes(**wanted: int | float | str | None) -> dict[str, int | float | str]:
    """For ``setattr`` and ``create``: of mode, uid, gid, size, atime, mtime those that are to change."""
    return {name: value for name, value in wanted.items() if value is not None}


def encoded(name: str) -> bytes:
    """A name's bytes; text that is none raises EINVAL."""
    try:
        return os.fsencode(name)
    except UnicodeEncodeError:
        raise NfsError("EINVAL") from None


def check_name(name: str) -> None:
    """Whether a file may be called so; EINVAL, ENAMETOOLONG."""
    if not isinstance(name, str) or not name or "/" in name or "\0" in name:
        raise NfsError("EINVAL")
    if len(encoded(name)) > LONGEST_NAME:
        raise NfsError("ENAMETOOLONG")
