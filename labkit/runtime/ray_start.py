"""Which Ray to use: the one asked for, the one this process is in, the one of ``labkit lab``, or a small one
of our own.

Without an address, ``ray.init`` joins whatever Ray runs on the machine; so we always give one. A Ray of our
own listens on every network interface whatever it is told, so it gets a token, which only this user can read.
It starts in about ten seconds and takes 390 MB; therefore it is kept until the process ends, and the next
cluster of the process finds it running.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import importlib.util
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import psutil

from labkit.runtime.engine import deferred_interrupt
from labkit.runtime.errors import EngineUnavailable
from labkit.runtime.host import end_with_us
from labkit.runtime.ray_servers import environment, start_ray, write_secret

__all__ = ["STILL_STARTING", "attach", "saying_so", "temporary"]

#: Where the token and the files of this process's own Ray are, once there is one, and what ends it with us.
_directory: Path | None = None
_watcher: subprocess.Popen[bytes] | None = None
_attaching = threading.Lock()
#: The thread that holds it.
_attacher: int | None = None

#: Seconds in which a running Ray takes a connection.
KNOCK_SECONDS = 5.0
#: Seconds between two words that the machines are still starting.
SAY_EVERY = 20.0
#: How such a word begins.
STILL_STARTING = "The machines are still starting"

USE_SIM = 'Cluster(engine="sim") runs the same program without Ray.'


async def saying_so(starting: Coroutine[Any, Any, None], why: str) -> None:
    """Start the machines, and now and then say that they are not there yet, and why that may be."""
    begun, task = time.monotonic(), asyncio.ensure_future(starting)
    try:
        while not (await asyncio.wait({task}, timeout=SAY_EVERY))[0]:
            waited = time.monotonic() - begun
            print(f"{STILL_STARTING} after {waited:.0f} s; {why}", file=sys.stderr)
        task.result()
    finally:
        task.cancel()


def attach(address: str | None) -> Any:
    """The connected ``ray`` module. Raises ``EngineUnavailable``, which says what to do."""
    _check_not_hidden()
    with _one_thread():
        imported = sys.modules.get("ray")
        connected = imported is not None and imported.is_initialized()
        address = address or (None if connected else os.environ.get("RAY_ADDRESS")) or None
        if connected:
            return _joined(imported, address)
        own = address in (None, "local")
        if own:
            _prepare_own()
        else:
            _knock(str(address))
        ray = _import_ray()
        try:
            if own:
                _start_own(ray)
            else:
                ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except Exception as error:
            with contextlib.suppress(Exception):
                ray.shutdown()
            raise EngineUnavailable(_advice(address, error)) from error
        return ray


def temporary(cluster: str) -> Path:
    """A new folder for a cluster's files; with a Ray of our own, one that goes when the process does, in
    whatever way.
    """
    safe = "".join(letter if letter.isalnum() else "_" for letter in cluster)[:40]
    return Path(tempfile.mkdtemp(prefix=f"labkit-{safe}-", dir=_directory))


def _check_not_hidden() -> None:
    """A user's file of this name comes before Ray."""
    spec = importlib.util.find_spec("ray")
    if spec is not None and spec.submodule_search_locations is None:
        raise EngineUnavailable(
            f"{spec.origin} is imported in place of Ray: give the file another name. {USE_SIM}"
        )


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """One thread at a time; the others wait. This very one comes back if Ray's import runs the program again:
    one that is called ``cmd.py``, say, which is also a module of Python's.
    """
    global _attacher
    if _attacher == threading.get_ident():
        program = getattr(sys.modules["__main__"], "__file__", None)
        raise EngineUnavailable(
            f"importing Ray runs {program or 'a file beside this program'} in place of a module of that "
            f"name: give the file another name. {USE_SIM}"
        )
    with _attaching:
        _attacher = threading.get_ident()
        try:
            yield
        finally:
            _attacher = None


def _knock(address: str) -> None:
    """Nobody there? Ray itself would look for a minute."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdigit()):  # "auto", which Ray knows how to find
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_SECONDS).close()
    except OSError as error:
        raise EngineUnavailable(_advice(address, error)) from error


def _import_ray() -> Any:
    """Ctrl-C waits until it is whole: half of it could be imported no more."""
    try:
        with deferred_interrupt():
            import ray
    except EngineUnavailable:
        raise
    except Exception as error:  # not installed, or not for this platform
        raise EngineUnavailable(
            f"Ray cannot be imported ({error}). pip install ray, or: {USE_SIM}"
        ) from error
    return ray


def _joined(ray: Any, address: str | None) -> Any:
    """The Ray that this process is connected to, if that is the one asked for."""
    here = ray.get_runtime_context().gcs_address
    if address not in (None, "auto", "local", here):
        raise EngineUnavailable(
            f"this process is connected to the Ray at {here} already and cannot join {address!r} too; "
            "restart the kernel, or leave address out"
        )
    return ray


def _prepare_own() -> None:
    """A token for the Ray to come. Ray reads these variables once, when it is imported."""
    global _directory, _watcher
    if _directory is not None:
        return
    if sys.modules.get("ray") is not None and os.environ.get("RAY_AUTH_MODE") != "token":
        raise EngineUnavailable(
            "Ray was imported in this process before labkit could give it a token, and a Ray without one "
            "obeys anybody on the network. Make the cluster before `import ray`, or start Ray yourself "
            f"with ray.init(): the cluster joins it. {USE_SIM}"
        )
    _directory = Path(tempfile.mkdtemp(prefix="labkit-ray-"))
    write_secret(_directory / "token", secrets.token_hex(32))
    os.environ.update(environment(_directory))
    # Ray ends its servers with us, but not what they are just starting, and never a killed Ray's agents.
    _watcher = end_with_us(_directory)
    atexit.register(_watcher.communicate)


def _start_own(ray: Any) -> None:
    """A small Ray that ends with this process. Ctrl-C ends the start where it is whole, or waits for its
    servers: in the middle of Ray's own code it could be lost, or leave half of them.
    """
    assert _directory is not None
    own = psutil.Process()
    before = {child.pid for child in own.children(recursive=True)}
    address = os.environ.get("RAY_ADDRESS")
    try:
        with deferred_interrupt() as interrupted:
            start_ray(_directory, interrupted)
    finally:
        if address is not None:
            os.environ["RAY_ADDRESS"] = address
    assert _watcher is not None
    assert _watcher.stdin is not None
    for child in own.children(recursive=True):
        if child.pid not in before:
            _watcher.stdin.write(f"{child.pid}\n".encode())
    _watcher.stdin.flush()
    atexit.register(ray.shutdown)


def _advice(address: str | None, error: Exception) -> str:
    lines = str(error).strip().splitlines() or ["no reason given"]
    text = f"{type(error).__name__}: {lines[0]}"
    if address in (None, "local"):
        return f"Ray does not start on this machine: {text}. `labkit doctor` looks for the cause. {USE_SIM}"
    return (
        f"no Ray answers at {address}: {text}. {_token_advice(error)}"
        f"To start one here, leave address and RAY_ADDRESS out. {USE_SIM}"
    )


def _token_advice(error: BaseException | None) -> str:
    """What to set, if the Ray that was asked wants to see a token, or another one."""
    while error is not None and "AuthenticationError" not in str(error):
        error = error.__cause__ or error.__context__
    if error is None:
        return ""
    has = os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")
    wanted = "another token" if has else "a token"
    return (
        f"It wants {wanted}: set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH to "
        "the file that holds it, before Python starts (`labkit lab` does so for its notebooks). "
    )
