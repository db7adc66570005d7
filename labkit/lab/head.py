"""The Ray that every notebook shares: one process that holds `ray.init`, until it is told to end.

    python -m labkit.lab.head DIRECTORY

`labkit lab` and the start script of Binder run this beside JupyterLab. A Ray takes ten seconds and 400 MB to
start, so two notebooks should not pay twice; and it is this process, not `ray start`, so that ending it ends
all of Ray's servers, and only those (`ray stop` ends every Ray on the machine).

Ray 2.60 listens on every network interface, whatever address it is given, and runs code for whoever connects.
So each head makes a fresh token, without which it answers nobody. Three files appear in DIRECTORY, readable
by their owner only:

    token         the secret
    environment   `export NAME=value` lines for whoever wants to attach; written last, when Ray is ready
    ray/          what Ray keeps: sockets and logs

With --announce, a file in Jupyter's runtime folder names DIRECTORY, so that other kernels find it too.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import shlex
import shutil
import sys
import time
from pathlib import Path

import psutil

from labkit.lab.processes import Group, Stopped, die_with_parent, signals_ignored, stop_signals
from labkit.runtime.ray_servers import environment, start_ray, write_secret

__all__ = [
    "NOT_STARTED",
    "announced",
    "main",
    "read_environment",
    "write_environment",
]

#: How the line begins that says why, on the error output.
NOT_STARTED = "Ray did not start"


def read_environment(directory: Path) -> dict[str, str] | None:
    """What `environment` holds, or None while Ray is not ready."""
    try:
        text = (directory / "environment").read_text()
    except FileNotFoundError:
        return None
    exports = (word for line in text.splitlines() for word in shlex.split(line) if "=" in word)
    return dict(word.split("=", 1) for word in exports)


def write_environment(directory: Path, address: str) -> None:
    """Announce a Ray that is ready; the file appears with all its lines."""
    exports = [
        f"export {name}={shlex.quote(value)}" for name, value in environment(directory, address).items()
    ]
    part = directory / "environment.part"
    write_secret(part, "\n".join(exports) + "\n")
    part.rename(directory / "environment")


def announcements() -> Path:
    """Where heads of this user leave word of themselves, one file each; only the user may look into it."""
    from jupyter_core.paths import jupyter_runtime_dir

    return Path(jupyter_runtime_dir()) / "labkit-heads"


def announced() -> dict[str, str] | None:
    """What a process needs to find the newest announced Ray that still lives; None if there is none."""
    notes = announcements()
    found = sorted(notes.iterdir(), key=_age, reverse=True) if notes.is_dir() else []
    for note in found:
        with contextlib.suppress(FileNotFoundError):  # its head has ended meanwhile
            if note.name.isdecimal() and psutil.pid_exists(int(note.name)):
                variables = read_environment(Path(note.read_text()))
                if variables is not None:
                    return variables
    return None


def _age(note: Path) -> float:
    try:
        return note.stat().st_mtime
    except FileNotFoundError:  # its head has ended meanwhile
        return 0.0


def announce(directory: Path) -> Path:
    """Leave word that this process holds a Ray whose files are in `directory`; the file to remove at the
    end."""
    notes = announcements()
    notes.mkdir(mode=0o700, parents=True, exist_ok=True)
    note = notes / str(os.getpid())
    note.unlink(missing_ok=True)  # of a head that was killed and had our number
    write_secret(note, str(directory))
    return note


def hold(directory: Path, public: bool) -> None:
    """Start Ray, announce it in `directory`, and wait until a signal ends us."""
    write_secret(directory / "token", secrets.token_hex(32))
    write_environment(directory, start_ray(directory))
    if public:
        announce(directory)
    with stop_signals():  # again: ray.init has put a handler of its own in their place
        while True:
            time.sleep(3600)


def main(arguments: list[str] | None = None) -> int:
    """Run the head until SIGTERM or Ctrl-C: the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m labkit.lab.head", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("directory", type=Path, help="an empty or new folder for the token and Ray's files")
    parser.add_argument(
        "--parent", type=int, help="the process with which to end; default: whoever started us"
    )
    parser.add_argument(
        "--announce", action="store_true", help="let kernels find this Ray that were not started with it"
    )
    options = parser.parse_args(arguments)
    die_with_parent(options.parent or os.getppid())
    directory: Path = options.directory.resolve()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    ray_processes = Group()
    try:
        with stop_signals():
            hold(directory, options.announce)
    except Stopped:
        return 0
    except Exception as error:
        print(f"{NOT_STARTED}: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    finally:
        with signals_ignored():
            _shut_down(directory, ray_processes)
    return 0


def _shut_down(directory: Path, ray_processes: Group) -> None:
    # Ray ends its servers; the group, whatever a server left behind or a start-up cut short.
    if "ray" in sys.modules:
        with contextlib.suppress(Exception):
            sys.modules["ray"].shutdown()
    ray_processes.stop()
    (announcements() / str(os.getpid())).unlink(missing_ok=True)
    for name in ("environment", "environment.part", "token"):
        (directory / name).unlink(missing_ok=True)
    shutil.rmtree(directory / "ray", ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
