"""A Ray of our own: its servers started with patience, and all of them gone if that fails.

Who attaches needs its token: Ray 2.60 listens on every network interface, whatever address it is given, and
runs code for whoever connects.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import socket
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil

__all__ = [
    "REPORT_WITHIN",
    "START_ATTEMPTS",
    "STILL_STARTING",
    "environment",
    "start_ray",
    "waiting_for_servers",
    "write_secret",
]

#: Bytes that the objects of all notebooks may take together. A pod of Binder has 2 GB for everything.
OBJECT_STORE_BYTES = 200 * 1024 * 1024
#: Ray starts one idle worker of 60 MB for each CPU it believes in. Machines are processes of their own and
#: take shares of a CPU, so a small number costs no parallelism.
MAX_CPUS = 4
#: Now and then another process takes a port that was to be a server's.
START_ATTEMPTS = 3
#: A server or worker that takes longer to report is given up by Ray, and only one on a busy machine does.
REPORT_WITHIN = {"RAY_agent_register_timeout_ms": "3600000", "RAY_worker_register_timeout_seconds": "3600"}
#: Modules of Ray's own that are changed while it starts.
PATCHED = ("node", "parameter", "services")
#: Ports that Ray lets its agents choose unless they are given; the names are Ray's.
AGENT_PORTS = (
    "metrics_agent_port",
    "metrics_export_port",
    "runtime_env_agent_port",
    "dashboard_agent_listen_port",
)
#: Ports that are looked at for them, of some thousand.
TRIED_PORTS = 200
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
    node, parameter, services = (import_module(f"ray._private.{name}") for name in PATCHED)
    persist_port = import_module("ray._raylet").persist_port
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
    """As many as there are in ``AGENT_PORTS``, free now, from where no system chooses ports by itself: one
    that is taken before the agent binds it ends that Ray a second after its start.
    """
    free: list[int] = []
    with contextlib.ExitStack() as held:
        for port in random.SystemRandom().sample(_quiet_ports(), TRIED_PORTS):
            with contextlib.suppress(OSError):
                held.enter_context(socket.socket()).bind(("", port))
                free.append(port)
                if len(free) == len(AGENT_PORTS):
                    return free
    raise OSError(f"none of {TRIED_PORTS} ports in {_quiet_ports()} is free")


def _quiet_ports() -> range:
    """Above those of Ray's workers, below those that outgoing connections and ``bind(0)`` get."""
    first = 32768
    with contextlib.suppress(OSError, ValueError):
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    return range(20_000, first) if first >= 22_000 else range(20_000, 32_768)


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
