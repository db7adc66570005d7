"""The process that a student's notebook runs in when it is graded: a Jupyter kernel behind walls.

``python -m labkit.coursework.cage CONNECTION_FILE OPTIONS`` is what the grader's kernelspec starts, inside
bubblewrap where there is one (``sandbox.py``). In this order it connects to the judge, takes its limits, goes
behind Landlock's wall, becomes the kernel, notes how labkit looks, and gives up the system calls that a
student's program has no use for (``seccomp.py``). What each wall is good for, and where there is none, is in
the text of ``labkit.coursework``."""

from __future__ import annotations

import builtins
import collections
import contextlib
import ctypes
import importlib
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from . import bridge, landlock, seccomp
from .answers import QUESTIONS
from .closed import Closed, is_open
from .sandbox import DEVICES, OURS, packages, readable
from .values import RECORDS

__all__ = ["changes_since", "enter", "main", "snapshot"]

#: prctl(2): keep capabilities when the user changes; and the version of capset(2)'s header.
PR_SET_KEEPCAPS, CAPABILITY_VERSION_3, CAP_DAC_READ_SEARCH = 8, 0x20080522, 2

#: Threads that a kernel may have beside the processes that are counted.
MORE_THREADS = 40

#: What a process may know of itself and the machine.
ABOUT = ("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/sys/devices/system/cpu")

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


def main(connection: str, given: str) -> None:
    """Become the kernel."""
    chosen = json.loads(given)
    scratch = Path(chosen["scratch"])
    line = socket.socket(socket.AF_UNIX)
    line.connect(chosen["socket"])
    close_labkit(chosen)
    import ipykernel.kernelapp  # before the wall: quicker

    own = str(scratch / "kernel.json")
    shutil.copyfile(connection, own)
    walls = enter(scratch, Path(chosen["socket"]).parent, chosen, [own])
    bridge.here = bridge.Served(line, changes_since(snapshot()))
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    os.chdir(scratch)
    sys.argv[1:] = []
    app = ipykernel.kernelapp.IPKernelApp.instance()
    # A parent of 1: it looks for none, which in a sandbox is always process 1, and ends with it.
    options = ["--HistoryManager.enabled=False", "--InteractiveShell.colors=nocolor"]
    app.initialize(["-f", own, "--IPKernelApp.parent_handle=1", *options])
    if seccomp.give_up():  # now that its sockets stand
        walls.append("calls")
    bridge.send(line, b"H", json.dumps({"walls": walls}))
    app.shell.events.register("post_run_cell", bridge.here.look)
    app.shell.ask_exit = _stay
    app.shell.system = lambda command: _shell(app.shell, command)
    sys.modules["ray"] = None  # type: ignore[assignment]  # real processes are not for here: say so at once
    _cut_output(chosen["limits"]["output"] + 1)
    app.start()


def close_labkit(chosen: dict[str, Any]) -> None:
    """From now on only what is open of labkit can be imported; what the exercise's answers need is. Raises
    ``ImportError`` if something closed is here already."""
    opens = chosen["opens"]
    sys.meta_path.insert(0, Closed(chosen["exercise"], opens))
    folders = {str(path) for path in packages()}
    root = str(Path(__file__).parents[2])
    sys.path[:] = [entry for entry in sys.path if entry in folders or _of_python(entry)] + [root]
    for name, module, fields in chosen["records"]:
        if is_open(module, opens):
            RECORDS[name.lower()] = getattr(importlib.import_module(module), name)
        else:  # the same record, without what else is in its module
            RECORDS[name.lower()] = collections.namedtuple(name, fields)  # type: ignore[misc]
    for question, module, name in chosen["questions"]:
        QUESTIONS[question] = getattr(importlib.import_module(module), name)
    ours = [name for name in sys.modules if name.split(".")[0] in OURS]
    closed = [
        name for name in ours if not is_open(name, opens) and not hasattr(sys.modules[name], "__path__")
    ]
    if closed:
        raise ImportError(f"{closed[0]} is closed, and imported")


def _of_python(entry: str) -> bool:
    library = Path(sys.base_prefix, "lib")
    return bool(entry) and (Path(entry).is_relative_to(library) or entry.endswith(".zip"))


def _cut_output(most: int) -> None:
    """Throw away what is printed beyond so many characters: it does not count, and costs nothing. Against
    whoever undoes this the runner counts, too.
    """
    said = 0

    def cut(write: Callable[[str], Any]) -> Callable[[str], Any]:
        def written(text: str) -> Any:
            nonlocal said
            left, said = most - said, said + len(text)
            if left > 0:
                write(text[:left])
            return len(text)

        return written

    for stream in (sys.stdout, sys.stderr):
        stream.write = cut(stream.write)  # type: ignore[method-assign]


def _shell(shell: Any, command: str) -> None:
    """What `!command` does: there is no terminal here, and none is needed."""
    options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stderr": subprocess.STDOUT, "text": True}
    expanded = shell.var_expand(command, depth=2)
    done = subprocess.run(expanded, shell=True, stdout=subprocess.PIPE, errors="replace", **options)
    print(done.stdout, end="")
    shell.user_ns["_exit_code"] = done.returncode


def _stay() -> None:
    """What `exit` and `quit` do: the cell ends, and the notebook goes on."""
    raise SystemExit("exit() ends this cell, and no more")


def enter(scratch: Path, sockets: Path, chosen: dict[str, Any], own: list[str]) -> list[str]:
    """Take the limits and go behind the walls: which there are."""
    limits, uid = chosen["limits"], chosen["uid"]
    walls = ["limits", *(["namespaces"] if chosen["namespaces"] else [])]
    for name, value, more in (
        ("RLIMIT_CPU", limits["cpu_seconds"], 5),  # told by a signal of its own before the end
        ("RLIMIT_DATA", limits["memory"], 0),
        ("RLIMIT_FSIZE", limits["file_size"], 0),
        ("RLIMIT_NOFILE", 256, 0),
        ("RLIMIT_CORE", 0, 0),
        ("RLIMIT_MSGQUEUE", 0, 0),
        ("RLIMIT_MEMLOCK", 0, 0),
    ):
        _limit(getattr(resource, name), value, more)
    if uid is not None:
        for path in (scratch, *own):
            os.chown(path, uid, uid)
        # Threads count too, and the runner's watch is to see the crowd: this only keeps it small till then.
        most = limits["processes"] + MORE_THREADS
        _limit(resource.RLIMIT_NPROC, most)
    allowed = [
        (scratch, landlock.WRITE),
        (sockets, landlock.WRITE),
        *((path, landlock.READ) for path in readable(chosen["opens"])),
        *((path, landlock.READ) for path in _installed()),
        *((path, landlock.LIST) for path in packages()),
        *((path, landlock.READ) for path in ABOUT),
        *((path, landlock.WRITE) for path in DEVICES),
    ]
    if landlock.restrict(allowed):
        walls.append("files")
    if uid is not None:
        # Behind the wall the student may read what Python needs, though it belong to root; without it, no.
        _become(uid, may_read="files" in walls)
        walls.append("user")
    return walls


def _installed() -> Iterator[Path]:
    """The packages that are installed, one by one, without what is ours."""
    for folder in packages():
        with contextlib.suppress(OSError):
            yield from (path for path in folder.iterdir() if path.name not in OURS)


def _limit(which: int, value: int, more: int = 0) -> None:
    """Set a limit, and the hard one that much higher; a stricter one of the grader itself stays."""
    hard = resource.getrlimit(which)[1]
    most = value + more if hard == resource.RLIM_INFINITY else min(value + more, hard)
    resource.setrlimit(which, (min(value, most), most))


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
