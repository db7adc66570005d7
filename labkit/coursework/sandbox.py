"""What a student's process may read, and namespaces round it where bubblewrap (bwrap(1)) can make them.

In bubblewrap the process sees no other process, no network, no shared memory of others, and no file but those
of ``readable``; its folder is in memory, of a fixed size; and with the sandbox every process in it ends,
however it was started. Where there is no bubblewrap, or it may not make namespaces (in many containers), the
walls of ``cage.py`` stand alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from .closed import files

__all__ = ["command", "namespaces", "own_user", "packages", "readable"]

#: Of the system: what programs, libraries and time zones need.
SYSTEM = ("/usr/bin", "/usr/lib", "/usr/lib32", "/usr/lib64", "/bin", "/lib", "/lib32", "/lib64")
DETAILS = ("/etc/ld.so.cache", "/etc/localtime", "/etc/alternatives", "/usr/share/zoneinfo")
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")
#: Packages of labkit's in a folder of packages: of these only the open files are to be read.
OURS = ("labkit", "labkit_widgets")

#: For root: namespaces of this machine, in which a process can still become another user; for others: a user
#: namespace, too.
AS_ROOT = ("--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
AS_USER = ("--unshare-all",)

#: Users that nothing else has (systemd's table of users calls the range unused).
FIRST_USER = 2_000_000_000


def packages() -> list[Path]:
    """The folders of installed packages on Python's path."""
    return [Path(entry) for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")]


def readable(opens: Iterable[str]) -> Iterator[Path]:
    """Files and folders that a student's program needs to read, without the packages: see ``packages``."""
    yield from map(Path, (*SYSTEM, *DETAILS))
    base, library = Path(sys.base_prefix), Path(sysconfig.get_path("stdlib"))
    yield library
    yield from (base / "lib").glob("libpython*.so*")
    yield Path(sys.prefix, "pyvenv.cfg")
    yield from {Path(sys.executable), Path(sys.executable).resolve(), Path(sys._base_executable)}  # type: ignore[attr-defined]
    yield from files(opens)


@cache
def namespaces() -> tuple[str, ...]:
    """bubblewrap's options for the namespaces that it can make here; empty if none."""
    program = shutil.which("bwrap")
    if program is None or sys.platform != "linux":
        return ()
    for options in (AS_ROOT, AS_USER) if os.geteuid() == 0 else (AS_USER,):
        words = [
            program,
            *options,
            "--die-with-parent",
            "--ro-bind",
            "/",
            "/",
            "--proc",
            "/proc",
            "--size",
            "4096",
        ]
        try:
            tried = subprocess.run(
                [*words, "--perms", "0755", "--tmpfs", "/tmp", "true"], capture_output=True, timeout=10
            )
        except (OSError, subprocess.SubprocessError):
            continue
        if tried.returncode == 0:
            return options
    return ()


def command(job: dict[str, Any], inner: Sequence[str], given: Sequence[str]) -> list[str]:
    """The command that runs ``inner`` in the sandbox of a job. given: further files to be read."""
    words = [shutil.which("bwrap") or "bwrap", *job["namespaces"], "--die-with-parent", "--proc", "/proc"]
    bound = [*map(Path, DEVICES), *readable(job["opens"]), *packages(), Path(job["scratch"])]
    for folder in _above(bound):
        words += [
            "--perms",
            "0755",
            "--dir",
            str(folder),
        ]  # else for root alone, and no program of its own starts
    for device in DEVICES:
        words += ["--dev-bind", device, device]
    for path in readable(job["opens"]):
        if path.is_symlink() and str(path) in SYSTEM:  # /bin, /lib: part of /usr
            words += ["--symlink", os.readlink(path), str(path)]
        elif path.exists():
            words += ["--ro-bind", str(path), str(path)]
    hidden: list[str] = []
    for folder in packages():
        if folder.is_dir():
            words += ["--ro-bind", str(folder), str(folder)]
            hidden += [str(folder / ours) for ours in OURS if (folder / ours).is_dir()]
    for path in hidden:
        words += ["--tmpfs", path]
    for path in map(str, files(job["opens"])):  # those that have just been hidden
        if any(path.startswith(f"{folder}/") for folder in hidden):
            words += ["--ro-bind", path, path]
    for path in hidden:
        words += ["--remount-ro", path]
    words += ["--size", str(job["limits"]["files_size"]), "--tmpfs", job["scratch"]]
    words += ["--bind", job["sockets"], job["sockets"]]
    for file in given:
        words += ["--ro-bind", file, file]
    return [*words, "--chdir", job["scratch"], *inner]


def _above(paths: Iterable[Path]) -> list[Path]:
    """The folders that these lie in, from the root on, without those that are there as a whole."""
    found = {above for path in paths for above in path.parents if above != Path("/")}
    whole = {Path(each) for each in SYSTEM}
    return sorted(each for each in found if not whole & {each, *each.parents})


def own_user(number: int) -> int:
    """A user of its own for the run of this number (a process id), of those that this machine may use."""
    with open("/proc/self/uid_map") as file:
        ranges = [tuple(map(int, line.split())) for line in file]
    wanted = FIRST_USER + number
    if any(first <= wanted < first + count for first, _, count in ranges):
        return wanted
    first, _, count = max(ranges, key=lambda each: each[2])
    return first + count - 3 - number % min(1000, count - 3)  # below "nobody"
