"""Which Ray to use: the one asked for, the one this process is in, the one of ``labkit lab``, or a small one of our own.

Without an address, ``ray.init`` joins whatever Ray runs on the machine; so we always give one. A Ray of our own listens on every network
interface whatever it is told, so it gets a token, which only this user can read. It starts in about ten seconds and takes 390 MB; therefore it is kept until the
process ends, and the next cluster of the process finds it running.
"""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from labkit.runtime.errors import EngineUnavailable

__all__ = ["attach"]

#: Where the token and the files of this process's own Ray are, once there is one.
_directory: Path | None = None

USE_SIM = 'Cluster(engine="sim") runs the same program without Ray.'


def attach(address: str | None) -> Any:
    """The connected ``ray`` module. Raises ``EngineUnavailable``, which says what to do."""
    connected = "ray" in sys.modules and sys.modules["ray"].is_initialized()
    address = address or (None if connected else os.environ.get("RAY_ADDRESS")) or None
    own = not connected and address in (None, "local")
    if own:
        _prepare_own()
    try:
        import ray
    except Exception as error:  # not installed, or not for this platform
        raise EngineUnavailable(
            f"Ray cannot be imported ({error}). pip install ray, or: {USE_SIM}"
        ) from error
    if connected:
        here = ray.get_runtime_context().gcs_address
        if address not in (None, "auto", "local", here):
            raise EngineUnavailable(
                f"this process is connected to the Ray at {here} already and cannot join {address!r} too; "
                "restart the kernel, or leave address out"
            )
        return ray
    try:
        if own:
            _start_own(ray)
        else:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except Exception as error:
        _forget_half_started(ray)
        raise EngineUnavailable(_advice(address, error)) from error
    return ray


def _forget_half_started(ray: Any) -> None:
    try:
        ray.shutdown()
    except Exception:
        return


def _prepare_own() -> None:
    """A token for the Ray to come. Ray reads these variables once, when it is imported."""
    global _directory
    if _directory is not None:
        return
    if "ray" in sys.modules and os.environ.get("RAY_AUTH_MODE") != "token":
        raise EngineUnavailable(
            "Ray was imported in this process before labkit could give it a token, and a Ray without one obeys anybody on "
            "the network. Make the cluster before `import ray`, or start Ray yourself with ray.init(): the cluster joins it. "
            + USE_SIM
        )
    from labkit.lab.head import environment, write_secret

    directory = Path(tempfile.mkdtemp(prefix="labkit-ray-"))
    write_secret(directory / "token", secrets.token_hex(32))
    os.environ.update(environment(directory))
    _directory = directory


def _start_own(ray: Any) -> None:
    """A small Ray that ends with this process."""
    from labkit.lab.head import start_ray

    assert _directory is not None
    before = os.environ.get("RAY_ADDRESS")
    try:
        start_ray(_directory)
    finally:
        if before is not None:
            os.environ["RAY_ADDRESS"] = before
    atexit.register(_end_own, ray)


def _end_own(ray: Any) -> None:
    ray.shutdown()
    if _directory is not None:
        shutil.rmtree(_directory, ignore_errors=True)


def _advice(address: str | None, error: Exception) -> str:
    text = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no reason given'}"
    if address in (None, "local"):
        return f"Ray does not start on this machine: {text}. `labkit doctor` looks for the cause. {USE_SIM}"
    hint = ""
    if not (os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")):
        hint = (
            " If that Ray asks for a token (the one of `labkit lab` does), set RAY_AUTH_MODE=token and "
            "RAY_AUTH_TOKEN_PATH to the file that holds it, before Python starts."
        )
    return f"no Ray answers at {address}: {text}.{hint} Leave address and RAY_ADDRESS out to start one here, or: {USE_SIM}"
