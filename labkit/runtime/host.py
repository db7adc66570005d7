"""Processes of this host: which one it is, whether it is still there, signals to it, and an end for what
would stay behind.

A process's number is used again after its end. Whoever sends a signal some time later must not hit the next
owner, so a process is known by its number *and* the moment it was started.

Run as a program, with the numbers of some processes, this waits until its standard input ends, and then kills
them. Whoever holds the other end of that pipe can die in whatever way: the kernel closes it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

__all__ = ["HostProcess", "end_with_us", "host_identity"]

#: Fields of /proc/PID/stat behind the name in parentheses (proc(5) counts them from 3): the state, and the
#: start in clock ticks.
STATE, STARTED = 0, 19
#: States of a process that has ended, and waits for its parent to take note.
ENDED = ("Z", "X")


class HostProcess(NamedTuple):
    """A process that a signal from here reaches."""

    pid: int
    #: When it was started, in the kernel's clock ticks; None where there is no /proc.
    started: str | None

    @classmethod
    def of(cls, pid: int) -> HostProcess:
        """The process that has this number now."""
        fields = _stat(pid)
        return cls(pid, fields[STARTED] if fields else None)

    def exists(self, zombie: bool = False) -> bool:
        """Whether it runs, or is stopped. If ``zombie``, one that has ended counts until its parent has taken
        note."""
        if not os.path.isdir("/proc/self"):
            return _answers(self.pid)
        fields = _stat(self.pid)
        return bool(fields) and fields[STARTED] == self.started and (zombie or fields[STATE] not in ENDED)

    @property
    def stopped(self) -> bool:
        """Whether a SIGSTOP holds it."""
        fields = _stat(self.pid)
        return bool(fields) and fields[STATE] in ("T", "t")

    def signal(self, number: int) -> None:
        """Send it a signal; nothing happens if it is gone."""
        if self.exists():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; none if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@functools.cache
def host_identity() -> str:
    """Equal for two processes exactly if a signal from one can reach the other."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        boot = space = ""
    return f"{socket.gethostname()} {boot} {space}"


def end_with_us(processes: Iterable[int]) -> subprocess.Popen[bytes]:
    """A small process that kills these when this one ends, or closes the returned one's ``stdin``."""
    command = [sys.executable, "-I", "-S", __file__, *map(str, processes)]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


if __name__ == "__main__":
    doomed = [HostProcess.of(int(word)) for word in sys.argv[1:]]
    sys.stdin.buffer.read()
    for process in doomed:
        process.signal(signal.SIGKILL)
