"""The fixtures that run a test on both engines. A test asks for `make_cluster` and runs twice:

    def test_greets(make_cluster):
        cluster = make_cluster(machines=2, seed=7)
        ...

All clusters are closed after the test, and nothing of them may be left: no process, no thread, no file. The
Ray is one that `labkit lab` would start; it starts with the first test that needs it and serves all.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from labkit import Cluster
from labkit.lab.head import read_environment

#: Seconds that a Ray may take to start on a busy machine, and to end.
HEAD_STARTS_WITHIN = 600.0
HEAD_ENDS_WITHIN = 300.0
#: Seconds that the last thread and process of a closed cluster may take to end.
GONE_WITHIN = 120.0

MakeCluster = Callable[..., Cluster]


def wait_until(
    condition: Callable[[], Any], timeout: float = 300.0, what: str = "", every: float = 0.02
) -> Any:
    """What `condition()` returns once it is true; fails after `timeout` real seconds."""
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"after {timeout:.0f} s still not: {what or condition}")
        time.sleep(every)
    return found


@contextlib.contextmanager
def variables(changes: Mapping[str, str]) -> Iterator[None]:
    """Inside, these environment variables are set."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def import_ray() -> Any:
    """The module `ray`, which reads once, at its import, whether it is to show a token."""
    with variables({"RAY_AUTH_MODE": "token"}):
        return pytest.importorskip("ray")


class Head:
    """A Ray of our own, in a process of its own, as `labkit lab` has it beside JupyterLab."""

    def __init__(self) -> None:
        # Not pytest's tmp_path: the path of a Unix socket below it must stay under 108 characters.
        self.directory = Path(tempfile.mkdtemp(prefix="labkit-tests-"))
        command = [sys.executable, "-m", "labkit.lab.head", str(self.directory)]
        with variables({"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}):
            self.process = subprocess.Popen(command, start_new_session=True)
        #: What a process needs in its environment to find this Ray and be let in.
        try:
            self.environment = self._wait_ready()
        except BaseException:
            self.process.terminate()
            self.process.wait(HEAD_ENDS_WITHIN)
            shutil.rmtree(self.directory, ignore_errors=True)
            raise
        self.address = self.environment["RAY_ADDRESS"]

    def _wait_ready(self) -> dict[str, str]:
        def ready() -> dict[str, str] | None:
            if self.process.poll() is not None:
                pytest.fail(f"the Ray of the tests did not start: exit status {self.process.returncode}")
            return read_environment(self.directory)

        found: dict[str, str] = wait_until(ready, HEAD_STARTS_WITHIN, "Ray has started", every=0.1)
        return found

    def machine_processes(self) -> set[psutil.Process]:
        """The machines of all clusters on this Ray."""
        return {
            each for each in psutil.Process(self.process.pid).children(recursive=True) if _is_machine(each)
        }

    def stop(self) -> None:
        """End it; nothing that it started may be left."""
        started = psutil.Process(self.process.pid).children(recursive=True)
        self.process.terminate()
        self.process.wait(HEAD_ENDS_WITHIN)
        _, left = psutil.wait_procs(started, timeout=GONE_WITHIN)
        shutil.rmtree(self.directory, ignore_errors=True)
        assert not left, f"the Ray of the tests ended and left {left}"


def _is_machine(process: psutil.Process) -> bool:
    try:
        return any("MachineProcess" in word for word in process.cmdline()[:1])
    except psutil.Error:
        return False


@pytest.fixture(scope="session")
def ray_head() -> Iterator[Head]:
    """The Ray of this session. This process is connected to it from then on, so each `Cluster()` finds it."""
    from labkit.runtime import ray_start

    import_ray()
    head = Head()
    try:
        # Only while Ray is imported and connects: a test that starts programs gives them what they need
        # itself.
        with variables(head.environment):
            ray = ray_start.attach(head.address)
        yield head
        ray.shutdown()
    finally:
        head.stop()


@pytest.fixture(params=["sim", pytest.param("ray", marks=[pytest.mark.ray, pytest.mark.slow])])
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine in turn."""
    if request.param == "ray":
        request.getfixturevalue("ray_head")
    return str(request.param)


@pytest.fixture
def make_cluster(engine: str, request: pytest.FixtureRequest) -> Iterator[MakeCluster]:
    """`make_cluster(machines=3, seed=…, trace=…, network=…)`: a Cluster on the engine of this test."""
    head = request.getfixturevalue("ray_head") if engine == "ray" else None
    with cluster_maker(engine, head) as make:
        yield make


@contextlib.contextmanager
def cluster_maker(engine: str, head: Head | None = None) -> Iterator[MakeCluster]:
    """What `make_cluster` is made of, for fixtures of another scope."""
    before = leftovers(head)
    made: list[Cluster] = []

    def make(machines: Any = 3, **options: Any) -> Cluster:
        # A name each: on Ray, a cluster replaces an older one of its name.
        options.setdefault("name", f"test-{os.getpid()}-{id(made):x}-{len(made)}")
        cluster = Cluster(machines=machines, engine=engine, **options)
        made.append(cluster)
        return cluster

    try:
        yield make
    finally:
        for cluster in made:
            cluster.close()
        made.clear()
        deadline = time.monotonic() + GONE_WITHIN
        while (left := leftovers(head) - before) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not left, f"closed clusters left behind: {left}"


def leftovers(head: Head | None = None) -> set[Any]:
    """What clusters may leave behind: threads here, processes of machines, their disks."""
    threads = {thread for thread in threading.enumerate() if thread.name.startswith("labkit-")}
    # Started once, and ended by itself when nothing is left to watch.
    watched = {thread for thread in threads if thread.name == "labkit-watchdog"}
    disks = set(Path(tempfile.gettempdir()).glob(f"labkit-test_{os.getpid()}_*"))
    processes = head.machine_processes() if head is not None else set()
    return (threads - watched) | disks | processes
