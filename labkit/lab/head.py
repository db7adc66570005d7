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
import logging
import os
import secrets
import shlex
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from labkit.lab.processes import Group, Stopped, die_with_parent, signals_ignored, stop_signals

__all__ = [
    "NOT_STARTED",
    "announced",
    "environment",
    "main",
    "read_environment",
    "start_ray",
    "waiting_for_servers",
    "write_environment",
    "write_secret",
]

#: How the line begins that says why, on the error output.
NOT_STARTED = "Ray did not start"

#: Bytes that the objects of all notebooks may take together. A pod of Binder has 2 GB for everything.
OBJECT_STORE_BYTES = 200 * 1024 * 1024
#: Ray starts one idle worker of 60 MB for each CPU it believes in. Machines are processes of their own and
#: take shares of a CPU, so a small number costs no parallelism.
MAX_CPUS = 4
#: Now and then another process takes a port that was to be a server's.
START_ATTEMPTS = 3
#: A server or worker that takes longer to report is given up by Ray, and only one on a busy machine does.
REPORT_WITHIN = {"RAY_agent_register_timeout_ms": "3600000", "RAY_worker_register_timeout_seconds": "3600"}
#: Ports that Ray lets its agents choose unless they are given; the names are Ray's.
AGENT_PORTS = (
    "metrics_agent_port",
    "metrics_export_port",
    "runtime_env_agent_port",
    "dashboard_agent_listen_port",
)
#: Seconds between two looks at a server that has not started yet, and between two words that we wait.
LOOK_EVERY, SAY_EVERY = 0.2, 30.0
#: How such a word begins.
STILL_STARTING = "Ray is still starting"


def write_secret(path: Path, text: str) -> None:
    """Write a file that at no moment anybody else can read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def environment(directory: Path, address: str | None = None) -> dict[str, str]:
    """The variables by which a process finds this Ray and is let in."""
    variables = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(directory / "token"),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    return variables if address is None else {"RAY_ADDRESS": address, **variables}


def read_environment(directory: Path) -> dict[str, str] | None:
    """What `environment` holds, or None while Ray is not ready."""
    try:
        text = (directory / "environment").read_text()
    except FileNotFoundError:
        return None
    exports = (word for line in text.splitlines() for word in shlex.split(line) if "=" in word)
    return dict(word.split("=", 1) for word in exports)


def start_ray(directory: Path, interrupted: Callable[[], bool] = lambda: False) -> str:
    """Start a Ray of our own, whatever else runs on this machine: its address.

    On a busy machine that may take minutes; it fails if a server ends. Raises ``KeyboardInterrupt`` once
    ``interrupted()``. A start that ends in either way leaves no server behind.
    """
    os.environ.update({**REPORT_WITHIN, **environment(directory)})
    os.environ.pop("RAY_ADDRESS", None)
    import ray

    for attempt in range(START_ATTEMPTS):
        before = set(psutil.Process().children(recursive=True))
        try:
            with waiting_for_servers(before, interrupted):
                ray.init(
                    address="local",  # without it, Ray would join any other that runs here
                    num_cpus=max(2, min(os.cpu_count() or 2, MAX_CPUS)),
                    object_store_memory=OBJECT_STORE_BYTES,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    _temp_dir=str(directory / "ray"),
                )
            break
        except BaseException as error:
            ray.shutdown()
            for each in set(psutil.Process().children(recursive=True)) - before:
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()  # servers that started, of a Ray that did not: they would stay
            if attempt == START_ATTEMPTS - 1 or not isinstance(error, Exception):
                raise
    return str(ray.get_runtime_context().gcs_address)


@contextlib.contextmanager
def waiting_for_servers(
    before: set[psutil.Process], interrupted: Callable[[], bool] = lambda: False
) -> Iterator[None]:
    """Inside, Ray waits for its servers as long as they live.

    By itself it gives the first one 30 s to write its port, and the second 30 s to register with the first,
    and no setting changes the latter. The second, too, ends if its two agents have not written their ports
    after 30 s; so these ports are chosen and written before. before: children of this process that are none
    of these servers.
    """
    from ray._private import node, parameter, services
    from ray._raylet import persist_port

    patient = [
        (node, "wait_for_persisted_port", {"gcs_server"}),
        (services, "get_node", {"gcs_server", "raylet"}),
    ]
    asked = [getattr(module, name) for module, name, _ in patient]
    for (module, name, servers), ask in zip(patient, asked, strict=True):
        setattr(module, name, _patient(ask, servers, before, interrupted))
    ports = dict(zip(AGENT_PORTS, _free_ports(), strict=True))
    take_options, start = parameter.RayParams.__init__, node.Node.start_ray_processes

    def take_ports(self: Any, *args: Any, **options: Any) -> None:
        take_options(self, *args, **{**options, **ports})

    def start_with_ports(self: Any) -> None:
        for name, port in ports.items():
            persist_port(self._session_dir, self._node_id, name, port)
        start(self)

    parameter.RayParams.__init__, node.Node.start_ray_processes = take_ports, start_with_ports
    try:
        yield
    finally:
        parameter.RayParams.__init__, node.Node.start_ray_processes = take_options, start
        for (module, name, _), ask in zip(patient, asked, strict=True):
            setattr(module, name, ask)


def _free_ports() -> list[int]:
    """As many as there are in ``AGENT_PORTS``. Should one be taken meanwhile, the start is tried again."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in AGENT_PORTS]
        for each in sockets:
            each.bind(("", 0))
        return [each.getsockname()[1] for each in sockets]


def _patient(
    ask: Callable[..., Any],
    servers: set[str],
    before: set[psutil.Process],
    interrupted: Callable[[], bool],
) -> Callable[..., Any]:
    """A function that does what ``ask`` does, again and again while all these servers live."""

    def wait(*args: Any, **options: Any) -> Any:
        begun = said = time.monotonic()
        while True:
            try:
                return ask(*args, **options)
            except Exception:
                if not servers <= _living_names(set(psutil.Process().children()) - before):
                    raise
            if interrupted():
                raise KeyboardInterrupt
            now = time.monotonic()
            if now - said > SAY_EVERY:
                said = now
                print(f"{STILL_STARTING} after {now - begun:.0f} s; this machine is busy", file=sys.stderr)
            time.sleep(LOOK_EVERY)

    return wait


def _living_names(processes: set[psutil.Process]) -> set[str]:
    names = set()
    for each in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if each.status() != psutil.STATUS_ZOMBIE:
                names.add(each.name())
    return names


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
