"""System calls that this process and its children give up for good: Linux's seccomp(2), through ctypes, with
a small filter for x86-64 and AArch64.

A student's program has no use for new sockets of any kind, for memory that outlives its owner or that
nobody's account counts, or for the kernel's back doors to files and other processes. Pairs of connected
sockets remain: ``asyncio`` wakes its loop with one. No privilege is needed."""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
import sys

__all__ = ["available", "give_up"]

#: Refused, with their numbers on x86-64 and AArch64.
REFUSED = {
    "socket": (41, 198),
    "connect": (42, 203),
    "shmget": (29, 194),
    "shmctl": (31, 195),
    "shmat": (30, 196),
    "msgget": (68, 186),
    "msgctl": (71, 187),
    "msgrcv": (70, 188),
    "msgsnd": (69, 189),
    "semget": (64, 190),
    "semctl": (66, 191),
    "semop": (65, 193),
    "semtimedop": (220, 192),
    "mq_open": (240, 180),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "open_by_handle_at": (304, 265),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "userfaultfd": (323, 282),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
}
SOCKETPAIR, CLONE, CLONE3 = (53, 199), (56, 220), (435, 435)
#: How the kernel names the two architectures (AUDIT_ARCH_*).
ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
#: Numbers from here on are another interface on x86-64 (x32).
X32 = 0x40000000
#: Flags of clone(2) that make a namespace.
NEW_NAMESPACES = 0x7E020000

_LOAD, _EQUAL, _AT_LEAST, _ANY_OF, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000
_SET_FILTER, _ON_ALL_THREADS = 1, 1
_NO_NEW_PRIVS = 38


def available() -> bool:
    """Whether there is such a filter here."""
    return sys.platform == "linux" and platform.machine() in ARCHITECTURES and sys.maxsize > 1 << 32


def give_up() -> bool:
    """Refuse these calls from now on, in all threads: whether it was possible."""
    if not available():
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    code = filter_for(platform.machine())
    program = struct.pack(
        "HxxxxxxP", len(code) // 8, ctypes.addressof(kept := ctypes.create_string_buffer(code))
    )
    libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
    number = 277 if platform.machine() == "aarch64" else 317  # seccomp
    done: int = libc.syscall(number, _SET_FILTER, _ON_ALL_THREADS, program)
    del kept
    return done == 0


def filter_for(machine: str) -> bytes:
    """The filter as the kernel reads it: eight bytes a step (see seccomp(2); struct sock_filter)."""
    column, architecture = ARCHITECTURES[machine]
    refuse = _FAIL | errno.EPERM
    steps = [
        (_LOAD, 0, 0, 4),  # the architecture of the call
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, refuse),
        (_LOAD, 0, 0, 0),  # its number
    ]
    if machine == "x86_64":
        steps += [(_AT_LEAST, 0, 1, X32), (_RETURN, 0, 0, refuse)]
    for numbers in REFUSED.values():
        steps += [(_EQUAL, 0, 1, numbers[column]), (_RETURN, 0, 0, refuse)]
    # The C library takes clone(2) where there is no clone3, whose flags a filter cannot see.
    steps += [(_EQUAL, 0, 1, CLONE3[column]), (_RETURN, 0, 0, _FAIL | errno.ENOSYS)]
    steps += [
        (_EQUAL, 0, 4, CLONE[column]),
        (_LOAD, 0, 0, _argument(0)),
        (_ANY_OF, 0, 1, NEW_NAMESPACES),
        (_RETURN, 0, 0, refuse),
        (_RETURN, 0, 0, _ALLOW),
    ]
    steps += [
        (_EQUAL, 0, 7, SOCKETPAIR[column]),
        (_LOAD, 0, 0, _argument(0)),
        (_EQUAL, 0, 4, 1),  # AF_UNIX
        (_LOAD, 0, 0, _argument(1)),
        (_AND, 0, 0, 0xF),
        (_EQUAL, 0, 1, 1),  # SOCK_STREAM: the others can be sent to an address
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, refuse),
    ]
    steps += [(_RETURN, 0, 0, _ALLOW)]
    return b"".join(struct.pack("HBBI", *step) for step in steps)


def _argument(number: int) -> int:
    """Where the lower half of an argument lies in what a filter sees."""
    return 16 + 8 * number + (4 if sys.byteorder == "big" else 0)
