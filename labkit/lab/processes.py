"""Processes that start together and end together.

`labkit lab` runs two programs that have many children of their own: JupyterLab its kernels, Ray about eight
servers and every machine of a cluster. Neither outlives the other, nor the command. Four ways lead to the
end, and none may leave an orphan behind:

1. Ctrl-C, a closed terminal or SIGTERM: `Group.stop` ends the programs in order, each with time to end
   its children.
2. One program ends by itself: `Group.wait` returns its name, and the caller stops the others.
3. A program is killed and cannot end its children: they become *ours* (we are their "subreaper", see
   prctl(2)), so `Group.stop` finds and kills them. Ray needs this: the agents of a killed head go on for
   ever.
4. We are killed: the kernel sends each program SIGTERM (its "parent death signal"), and it ends as in 1.

Left out: a user who kills us *and* a program in the same instant. Points 3 and 4 need Linux; elsewhere only 1
and 2 hold.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType
from typing import IO, Any

import psutil

__all__ = ["Group", "Stopped", "adopt_orphans", "die_with_parent", "signals_ignored", "stop_signals"]

#: prctl(2): the signal that this process gets when its parent ends.
PR_SET_PDEATHSIG = 1
#: prctl(2): orphans among our descendants become our children rather than those of process 1.
PR_SET_CHILD_SUBREAPER = 36

#: Seconds that a program gets to end by itself after SIGTERM. Ray needs 3, JupyterLab with four kernels 6.
GRACE = 20.0
#: Seconds between two looks at the programs.
LOOK_EVERY = 0.2


class Stopped(BaseException):
    """A signal asked this process to end. Like KeyboardInterrupt, no `except Exception` may swallow it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.signal = signal.Signals(number)


_STOP = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def stop_signals() -> Iterator[None]:
    """Inside, Ctrl-C, SIGTERM and a closed terminal raise `Stopped`; after the first, further ones are
    ignored, for a second Ctrl-C must not leave half of the processes running."""

    def stop(number: int, _frame: FrameType | None) -> None:
        for each in _STOP:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(number)

    with _handling(stop):
        yield


def signals_ignored() -> contextlib.AbstractContextManager[None]:
    """Inside, nothing interrupts the clean-up."""
    return _handling(signal.SIG_IGN)


@contextlib.contextmanager
def _handling(handler: Any) -> Iterator[None]:
    before = {each: signal.signal(each, handler) for each in _STOP}
    try:
        yield
    finally:
        for each, previous in before.items():
            # None: a handler that Python did not install, which it cannot put back.
            signal.signal(each, signal.SIG_DFL if previous is None else previous)


def _prctl(option: int, value: int) -> None:
    if _libc is not None:
        _libc.prctl(option, value, 0, 0, 0)


# Loaded before any fork: a child between fork and exec must not load libraries.
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with_parent(parent: int | None = None) -> None:
    """Have the kernel end this process with SIGTERM when its parent ends (Linux).

    `parent` is who started us; if it ended before we could ask, we end here."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def adopt_orphans(adopt: bool = True) -> None:
    """Become the parent of every orphan among our descendants (Linux), or no longer."""
    _prctl(PR_SET_CHILD_SUBREAPER, int(adopt))


class Group:
    """Programs that this process started, by name, in the order of their start."""

    def __init__(self) -> None:
        #: name -> process; what is started last is stopped first.
        self.programs: dict[str, subprocess.Popen[bytes]] = {}
        #: Processes that were our descendants before the group began: not ours to end.
        self._before = _descendants(psutil.Process())
        adopt_orphans()

    def start(
        self,
        name: str,
        command: Sequence[str],
        env: Mapping[str, str],
        output: IO[bytes] | None = None,
        cwd: str | os.PathLike[str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """The started program, in a session of its own: Ctrl-C reaches only us, and we tell it to end."""
        process = subprocess.Popen(
            command,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=None if output is None else subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_child_of(os.getpid()),
        )
        self.programs[name] = process
        return process

    def ended(self) -> str | None:
        """The name of a program that has ended, if any has."""
        return next((name for name, process in self.programs.items() if process.poll() is not None), None)

    def wait(self) -> str:
        """Wait until one of the programs ends: its name."""
        while (name := self.ended()) is None:
            time.sleep(LOOK_EVERY)
        return name

    def stop(self, grace: float = GRACE) -> None:
        """End every program, the last started first, then whatever they left behind."""
        for process in reversed(list(self.programs.values())):
            if process.poll() is None:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(grace)
            if process.poll() is None:
                process.kill()
                process.wait()
        self._kill_leftovers()
        self.programs.clear()

    def close(self) -> None:
        """Stop, and leave later orphans to process 1 again."""
        self.stop()
        adopt_orphans(False)

    def _kill_leftovers(self) -> None:
        # Twice around and more: a killed process may leave children of its own, which then become ours.
        for _ in range(10):
            left = _descendants(psutil.Process()) - self._not_ours()
            if not left:
                return
            for each in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()
            psutil.wait_procs(left, timeout=2)

    def _not_ours(self) -> set[psutil.Process]:
        return self._before.union(*map(_descendants, self._before))


def _descendants(process: psutil.Process) -> set[psutil.Process]:
    try:
        return set(process.children(recursive=True))
    except psutil.NoSuchProcess:
        return set()


def _child_of(parent: int) -> Callable[[], None]:
    return lambda: die_with_parent(parent)
