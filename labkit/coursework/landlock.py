"""A wall around this process that it cannot take down: Linux's Landlock (landlock(7)), through ctypes.

From then on this process, its threads and its children read and write only below the given folders, open no
TCP connection, send no signal to a process outside, and debug none. No privilege is needed. The wall does
not hide other processes' names, and does not stop UDP.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

__all__ = ["LIST", "READ", "WRITE", "restrict", "version"]

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the system calls' numbers, equal on every architecture
_VERSION_FLAG = 1
_PATH_BENEATH = 1
_NO_NEW_PRIVS = 38

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
#: What a folder may be given for: its entries' names; reading and running what is in it; and all else.
LIST = _READ_DIR
READ = _EXECUTE | _READ_FILE | _READ_DIR
#: Everything about files, by the version of the interface that introduced it.
_ALL = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
WRITE = (1 << 16) - 1
_CONNECT_TCP = 1 << 1
_SCOPE_ABSTRACT_SOCKETS, _SCOPE_SIGNALS = 1 << 0, 1 << 1
#: What may be asked for on a file that is no folder.
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | 1 << 14 | 1 << 15


def version() -> int:
    """The version of the interface here, 0 if there is none."""
    if sys.platform != "linux":
        return 0
    found = ctypes.CDLL(None, use_errno=True).syscall(_CREATE, None, 0, _VERSION_FLAG)
    return max(0, int(found))


def restrict(allowed: Iterable[tuple[str | Path, int]]) -> int:
    """Allow only these folders and files (with READ, LIST or WRITE) from now on: the version used, 0 if
    there is no such thing here. Call it before the first thread starts, for threads that run already stay
    free.
    """
    level = version()
    if level == 0:
        return 0
    libc = ctypes.CDLL(None, use_errno=True)
    handled = _ALL[max(key for key in _ALL if key <= level)]
    attributes = struct.pack("=Q", handled)
    if level >= 4:
        attributes += struct.pack("=Q", _CONNECT_TCP)
    if level >= 6:
        attributes += struct.pack("=Q", _SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNALS)
    ruleset = _checked(libc.syscall(_CREATE, attributes, len(attributes), 0))
    try:
        for path, access in allowed:
            _allow(libc, ruleset, str(path), access & handled)
        _checked(libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0))
        _checked(libc.syscall(_RESTRICT, ruleset, 0))
    finally:
        os.close(ruleset)
    return level


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, access: int) -> None:
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # what is not there needs no permission
        return
    try:
        access &= -1 if os.path.isdir(path) else _ON_FILES
        _checked(libc.syscall(_ADD, ruleset, _PATH_BENEATH, struct.pack("=Qi", access, parent), 0))
    finally:
        os.close(parent)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"Landlock refused: {os.strerror(number)}")
    return result
