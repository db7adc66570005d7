"""Processes of this host: which one it is, whether it is still there, signals to it, and an end for what
would stay behind.

A process's number is used again after its end. Whoever sends a signal some time later must not hit the next
owner, so a process is known by its number *and* the moment it was started.

Run as a program, this ends what belongs to a directory once its standard input ends. Whoever holds the other
end of that pipe can die in whatever way: the kernel closes it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

__all__ = ["HostProcess", "end_with_us", "host_identity"]

#: Fields of /proc/PID/stat behind the name in parentheses (proc(5) counts them from 3): the state, and the
#: start in clock ticks.
STATE, STARTED = 0, 19
#: States of a process that has ended, and waits for its parent to take note.
ENDED = ("Z", "X")
#: Seconds between two looks for what is still to be ended.
LOOK_EVERY = 0.2


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


def end_with_us(directory: Path) -> subprocess.Popen[bytes]:
    """A small process that ends what belongs to a directory when this one ends, or closes its ``stdin``.

    It kills the processes whose numbers were written to it, a line each, and those whose command line names
    the directory (of servers that are still being started nobody knows the numbers), and removes the
    directory.
    """
    command = [sys.executable, "-I", "-S", __file__, str(directory)]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _naming(directory: str) -> list[HostProcess]:
    """The processes, but this one, whose command line names a directory; none where there is no /proc."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            if directory.encode() in path.read_bytes() and int(path.parent.name) != os.getpid():
                found.append(HostProcess.of(int(path.parent.name)))
    return [each for each in found if each.exists()]


def _end_all(directory: str) -> None:
    told = [HostProcess.of(int(line)) for line in sys.stdin.buffer]
    doomed = [*told, *_naming(directory)]
    while doomed:
        for process in doomed:
            process.signal(signal.SIGKILL)
        time.sleep(LOOK_EVERY)  # a server that was killed may have just started another
        doomed = _naming(directory)
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    _end_all(sys.argv[1])
