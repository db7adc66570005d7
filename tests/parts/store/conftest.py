"""What the tests of the file system share: one on each engine, whose disks are judged
at the end of every test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from labkit import Cluster
from labkit.parts.store import FileSystem

MakeFs = Callable[..., FileSystem]

#: Random schedules in the property test; more with `pytest --schedules 2000`.
SCHEDULES = int(os.environ.get("LABKIT_SCHEDULES", "200")) // 16


def build(
    cluster: Cluster, chunkservers: Any = None, nobody_dies: bool = False, **options: Any
) -> FileSystem:
    """A file system with small blocks, that is quick to notice a death. Where nobody dies, real processes may
    get no time for a while, and nobody takes one for dead."""
    silence = 0.5 if cluster.engine == "sim" else 20.0 if nobody_dies else 2.0
    quick = {"heartbeat_every": 0.1, "timeout": silence}
    return FileSystem(
        cluster, machines=chunkservers, **{"block_size": 1000, "garbage_after": 1.0, **quick, **options}
    )


def judge(fs: FileSystem) -> None:
    """Nothing is left to be mended, and what is on the disks is what was written. Only where time is virtual:
    elsewhere a test waits for what it is about."""
    if fs.cluster.engine == "sim":
        story = f"seed={fs.cluster.seed}\n{fs.cluster.schedule}"
        fs.settle()
        report = fs.check()
        assert report.ok, f"{report}\n{story}"


@pytest.fixture
def make_fs(make_cluster: Callable[..., Cluster]) -> Iterator[MakeFs]:
    """`make_fs(machines=4, seed=0, **options)` on each engine in turn; judged after the test."""
    made: list[FileSystem] = []

    def make(machines: Any = 4, seed: int = 0, network: Any = None, **options: Any) -> FileSystem:
        made.append(build(make_cluster(machines=machines, seed=seed, network=network), **options))
        return made[-1]

    yield make
    for fs in made:
        judge(fs)


@pytest.fixture
def sim_fs() -> Iterator[MakeFs]:
    """`sim_fs(machines=4, seed=0, **options)` on the simulator only; judged after the test."""
    made: list[FileSystem] = []

    def make(machines: Any = 4, seed: int = 0, network: Any = None, **options: Any) -> FileSystem:
        cluster = Cluster(machines=machines, engine="sim", seed=seed, network=network)
        made.append(build(cluster, **options))
        return made[-1]

    yield make
    try:
        for fs in made:
            judge(fs)
    finally:
        for fs in made:
            fs.cluster.close()
