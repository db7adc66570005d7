"""The watch over a student's kernel, which ends it and all that it has started when it takes too much."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

__all__ = ["Watch", "descendants", "kill_all"]

#: Seconds between two looks at the kernel's processes, and at its files.
LOOK_EVERY = 0.05
#: Seconds that a kernel which has left the judge has to end by itself, so that it is known how.
ENDS_WITHIN = 2.0
#: Seconds after which it is given up to end processes.
KILLS_WITHIN = 20.0


class Watch(threading.Thread):
    """Ends the kernel when it takes more than it may. judging: the judge, who knows the kernel."""

    def __init__(self, judging: Any, job: dict[str, Any], status: Callable[[], int | None]) -> None:
        super().__init__(daemon=True, name="labkit-watch")
        self.judging = judging
        self.limits = job["limits"]
        self.scratch = job["scratch"]
        self.uid = job["uid"]
        self.of_sandbox = 2 if job["namespaces"] else 0
        #: The exit status of the kernel, None while it runs.
        self.status = status
        self.stop = threading.Event()

    def run(self) -> None:
        end = time.monotonic() + self.limits["total_seconds"]
        while not self.stop.wait(LOOK_EVERY):
            found = descendants()
            if self.judging.ended and found:
                self.let_it_end()
                kill_all(self.uid)
                continue
            count, size = self.files(found)
            memory, most = sum(map(memory_of, found)), self.limits["processes"]
            if time.monotonic() > end:
                self.end(f"it took more than {self.limits['total_seconds']:g} s in all")
            elif len(found) > most + self.of_sandbox:
                self.end(f"it started more than {most} processes")
            elif memory > self.limits["memory"]:
                self.end(f"it used more than {self.limits['memory'] >> 20} MiB of memory")
            elif size > self.limits["files_size"]:
                self.end(f"its files have more than {self.limits['files_size'] >> 20} MiB in all")
            elif count > self.limits["files"]:
                self.end(f"it wrote more than {self.limits['files']} files")

    def end(self, why: str) -> None:
        """End the kernel and all that it started."""
        self.judging.end(why)
        kill_all(self.uid)

    def let_it_end(self) -> None:
        """Wait a little for a kernel that ends by itself: how it ended tells whose doing it was."""
        end = time.monotonic() + ENDS_WITHIN
        while self.judging.by_itself and self.status() is None and time.monotonic() < end:
            time.sleep(LOOK_EVERY)

    def files(self, processes: list[int]) -> tuple[int, int]:
        """How many files the kernel has written, and their bytes; those that are open and deleted, too."""
        inodes: dict[tuple[int, int], int] = {}
        pid = self.judging.pid
        if pid:
            for folder in (f"/proc/{pid}/root{self.scratch}", str(self.judging.sockets)):
                for path in _below(folder, self.limits["files"] + 1):
                    _add(path, inodes, follow=False)
        for process in processes:
            with contextlib.suppress(OSError):
                for path in os.listdir(f"/proc/{process}/fd"):
                    _add(f"/proc/{process}/fd/{path}", inodes, follow=True)
        return len(inodes), sum(inodes.values())


def _below(folder: str, most: int) -> Iterator[str]:
    """Paths below a folder, as many as that."""
    waiting = [folder]
    while waiting and most > 0:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                most -= 1
                yield entry.path
                if most <= 0:
                    return
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)


def _add(path: str, inodes: dict[tuple[int, int], int], follow: bool) -> None:
    """Count a file; of what is open, only what is in no folder any more (and so is not a library)."""
    with contextlib.suppress(OSError):
        found = os.stat(path, follow_symlinks=follow)
        if not follow or (stat.S_ISREG(found.st_mode) and found.st_nlink == 0):
            inodes[found.st_dev, found.st_ino] = found.st_blocks * 512


def descendants() -> list[int]:
    """Every process below this one (those whose parents have died are ours: see ``adopt_orphans``)."""
    parents: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                words = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
                if words[0] != "Z":
                    parents.setdefault(int(words[1]), []).append(int(entry.name))
    found: list[int] = []
    below = [os.getpid()]
    while below:
        below = [child for parent in below for child in parents.get(parent, ())]
        found += below
    return found


def memory_of(pid: int) -> int:
    """Bytes of memory that a process has to itself or shares with others of its kind, but no file's."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(("RssAnon:", "RssShmem:")))
    return 0


def kill_all(uid: int | None = None) -> None:
    """End every process below this one, and every process of a user that the kernel runs as.

    A process that forks and ends all the time is in no list when the list is read. So the kernel of the
    operating system ends all of a user's at once, where they have a user of their own; where not, all are
    stopped first, so that none can start another meanwhile.
    """
    end = time.monotonic() + KILLS_WITHIN
    while time.monotonic() < end:
        if uid is not None:
            _kill_user(uid)
        found = descendants()
        if not found:
            break
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in found:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
    reap()


def _kill_user(uid: int) -> None:
    """kill(-1) as that user, which ends all of its processes at one moment: by a child, for our own user
    must stay."""
    if sys.platform == "linux" and (child := os.fork()) == 0:
        try:
            os.setgroups([])
            os.setresuid(uid, uid, uid)
            os.kill(-1, signal.SIGKILL)
        finally:
            os._exit(0)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(child, 0)


def reap() -> None:
    """Collect adopted orphans that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
