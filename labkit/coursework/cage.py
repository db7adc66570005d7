"""The process that a student's notebook runs in when it is graded: a Jupyter kernel behind walls.

``python -m labkit.coursework.cage CONNECTION_FILE OPTIONS`` is what the grader's kernelspec starts. In this
order it connects to the judge, notes how labkit looks, takes its limits, goes behind the wall, and becomes
the kernel. What each wall is good for, and where there is none, is in the text of ``labkit.coursework``.
"""

from __future__ import annotations

import builtins
import contextlib
import ctypes
import json
import os
import resource
import shutil
import socket
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from . import bridge, landlock

__all__ = ["changes_since", "enter", "main", "snapshot"]

#: prctl(2): keep capabilities when the user changes; and the version of capset(2)'s header.
PR_SET_KEEPCAPS, CAPABILITY_VERSION_3, CAP_DAC_READ_SEARCH = 8, 0x20080522, 2

#: Threads that a kernel may have beside the processes that are counted.
MORE_THREADS = 40

#: Builtins that a checker could be fooled by.
WATCHED_BUILTINS = (
    "print",
    "len",
    "sorted",
    "isinstance",
    "getattr",
    "open",
    "__import__",
    "exec",
    "abs",
    "sum",
)


def main(connection: str, options: str) -> None:
    """Become the kernel."""
    chosen = json.loads(options)
    scratch = Path(chosen["scratch"])
    line = socket.socket(socket.AF_UNIX)
    line.connect(chosen["socket"])
    import ipykernel.kernelapp  # before the wall: quicker

    import labkit.coursework.exercise

    labkit.coursework.exercises.find_tasks(chosen["exercise"], Path(chosen["checks"]))
    own = str(scratch / "kernel.json")
    shutil.copyfile(connection, own)
    walls = enter(scratch, chosen["limits"], chosen["uid"], [own])
    bridge.here = bridge.Served(line, changes_since(snapshot()))
    bridge.send(line, b"H", json.dumps({"walls": walls}))
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    os.chdir(scratch)
    sys.argv[1:] = []
    sys.path[:] = [entry for entry in sys.path if entry]
    app = ipykernel.kernelapp.IPKernelApp.instance()
    app.initialize(["-f", own, "--HistoryManager.enabled=False", "--InteractiveShell.colors=nocolor"])
    app.shell.events.register("post_run_cell", bridge.here.look)
    _count_output(bridge.here, chosen["limits"]["output"])
    app.start()


def _count_output(served: bridge.Served, most: int) -> None:
    """End this process when it has printed too much. The runner counts too: this is only quicker."""
    said = 0

    def counted(write: Callable[[str], Any]) -> Callable[[str], Any]:
        def count(text: str) -> Any:
            nonlocal said
            said += len(text)
            if said > most:
                served.tell(b"X", f"it printed more than {most >> 10} KiB")
                os._exit(1)
            return write(text)

        return count

    for stream in (sys.stdout, sys.stderr):
        stream.write = counted(stream.write)  # type: ignore[method-assign]


def enter(scratch: Path, limits: dict[str, Any], uid: int | None, own: list[str]) -> list[str]:
    """Take the limits and go behind the walls: which there are."""
    walls = ["limits"]
    for name, value in (
        ("RLIMIT_CPU", limits["cpu_seconds"]),
        ("RLIMIT_DATA", limits["memory"]),
        ("RLIMIT_FSIZE", limits["file_size"]),
        ("RLIMIT_NOFILE", 256),
        ("RLIMIT_CORE", 0),
    ):
        resource.setrlimit(getattr(resource, name), (value, value))
    if uid is not None:
        for path in (scratch, *own):
            os.chown(path, uid, uid)
        # Threads count too, and the runner's watch is to see the crowd: this only keeps it small till then.
        most = limits["processes"] + MORE_THREADS
        resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
    allowed = [
        (scratch, landlock.WRITE),
        *((path, landlock.READ) for path in _readable()),
        *((path, landlock.LIST) for path in sys.path if path),
        *((path, landlock.WRITE) for path in ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")),
    ]
    if landlock.restrict(allowed):
        walls.append("files")
    if uid is not None:
        # Behind the wall the student may read what Python needs, though it belong to root; without it, no.
        _become(uid, may_read="files" in walls)
        walls.append("user")
    return walls


def _readable() -> Iterator[str]:
    """What a Python program needs to read: Python, the libraries, and labkit without its notebooks."""
    package = Path(__file__).parents[1]
    yield from ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/localtime", "/proc/self")
    yield from ("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/sys/devices/system/cpu")
    yield from {sys.prefix, sys.base_prefix, *sysconfig.get_paths().values()}
    yield str(package)
    yield str(package.parent / "widgets")


def _become(uid: int, may_read: bool) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_KEEPCAPS, int(may_read), 0, 0, 0)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    if may_read:
        header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
        bit = 1 << CAP_DAC_READ_SEARCH
        data = (ctypes.c_uint32 * 6)(bit, bit, 0, 0, 0, 0)  # effective, permitted, inheritable, twice
        if libc.capset(header, data) != 0:
            raise OSError(ctypes.get_errno(), "capset failed")


# --- has the student's code changed labkit? -------------------------------------------------------------


def snapshot() -> dict[str, tuple[Any, ...]]:
    """How labkit's functions and a few builtins look: name to what a change would change."""
    seen: dict[str, tuple[Any, ...]] = {}
    for name, module in list(sys.modules.items()):
        if name == "labkit" or name.startswith("labkit."):
            for key, value in list(vars(module).items()):
                _look(f"{name}.{key}", value, name, seen)
    for key in WATCHED_BUILTINS:
        seen[f"builtins.{key}"] = (getattr(builtins, key),)
    return seen


def _look(name: str, value: Any, module: str, seen: dict[str, tuple[Any, ...]]) -> None:
    value = getattr(value, "__func__", value)
    if hasattr(value, "__code__"):
        seen[name] = (value, value.__code__, value.__defaults__)
    elif isinstance(value, type) and value.__module__ == module and name.count(".") < 12:
        seen[name] = (value,)
        for key, member in list(vars(value).items()):
            if not isinstance(member, type):
                _look(f"{name}.{key}", member, module, seen)
            if isinstance(member, property):
                seen[f"{name}.{key}"] = (member, member.fget)


def changes_since(before: dict[str, tuple[Any, ...]]) -> Callable[[], list[str]]:
    """A function that names what looks different now."""

    def changes() -> list[str]:
        now = snapshot()
        names = [
            name
            for name, looks in before.items()
            if name not in now or any(a is not b for a, b in zip(now[name], looks, strict=False))
        ]
        names.sort()  # not `sorted`, which may be one of them
        return names

    return changes


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        # Imported anew under its own name: what runs as __main__ would be another module than bridge's.
        from labkit.coursework.cage import main as enter_kernel

        enter_kernel(*sys.argv[1:3])
