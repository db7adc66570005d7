"""A cluster that the tests of one module share: on Ray, a new one takes seconds. Each test finds it whole."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labkit import Cluster, Constant
from labkit.runtime import ray_servers, ray_start
from tests.engines import Head, MakeCluster, cluster_maker

#: Seconds that a program of a test may take on a busy machine.
PROGRAM_WITHIN = 600.0
#: What a program says on a busy machine, and only there.
BUSY = (ray_servers.STILL_STARTING, ray_start.STILL_STARTING)


@pytest.fixture(scope="module")
def shared(ray_head: Head) -> Iterator[Cluster]:
    """Three machines."""
    with cluster_maker("ray", ray_head) as make:
        yield make(machines=3, seed=7, trace="messages")


@pytest.fixture
def cluster(shared: Cluster) -> Iterator[Cluster]:
    """The shared cluster; after the test its machines live, its network is sound and it has no nodes."""
    yield shared
    shared.heal()
    shared.loss(0)
    shared.duplicate(0)
    shared.latency(Constant(0))
    for machine in shared.machines:
        if machine.state == "paused":
            shared.resume(machine)
        if machine.state == "slow":
            shared.slow(machine, 1)
    for node in list(shared.nodes):
        shared.remove(node)
    for machine in shared.machines:
        if machine.state == "dead":
            shared.restart(machine)
    shared.run(0)  # raises what a node did and nobody awaited


@pytest.fixture
def make(ray_head: Head) -> Iterator[MakeCluster]:
    """Makes clusters of its own for a test."""
    with cluster_maker("ray", ray_head) as make:
        yield make


Program = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """`program(source, environment)`: a Python program, as a user would start it, with `labkit` to import.

    It is not warned of a handler that blocks its machine: on a busy one each may seem to.
    """
    started: list[subprocess.Popen[str]] = []

    def start(source: str, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
        path = tmp_path / f"program_{len(started)}.py"
        path.write_text(textwrap.dedent(source))
        known = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        known |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONUNBUFFERED": "1"}
        known |= {"PYTHONWARNINGS": "ignore:a handler has kept its machine busy"}
        process = subprocess.Popen(
            [sys.executable, str(path)],
            env=known | (environment or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def output(process: subprocess.Popen[str]) -> str:
    """What a program printed; fails if it failed."""
    out, err = process.communicate(timeout=PROGRAM_WITHIN)
    assert process.returncode == 0, f"exit status {process.returncode}\n{out}\n{err}"
    assert not complaints(err), f"it said on stderr:\n{err}"
    return out


def complaints(err: str) -> list[str]:
    """The lines that a program has said on stderr, but for those that only a busy machine is to blame for."""
    return [line for line in err.splitlines() if line and not line.startswith(BUSY)]
