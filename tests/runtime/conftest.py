"""The simulated clusters of a test: closed after it, and nothing of them may be left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from labkit import Cluster
from labkit.runtime.loop import Loop


@pytest.fixture
def sim() -> Iterator[Callable[..., Cluster]]:
    """Makes a simulated cluster."""
    made: list[Cluster] = []

    def make(machines: Any = 3, **options: Any) -> Cluster:
        made.append(Cluster(machines, engine="sim", **options))
        return made[-1]

    yield make
    for cluster in made:
        cluster.close()
        engine: Any = cluster._engine
        assert not engine.loop._heap
        assert not engine.loop._ready
        assert all(not machine.nodes for machine in engine.machines.values())
    deadline = time.monotonic() + 5
    while left := [thread.name for thread in threading.enumerate() if thread.name.startswith("labkit")]:
        assert time.monotonic() < deadline, f"threads are left: {left}"
        time.sleep(0.01)


@pytest.fixture
def loop() -> Loop:
    """A loop of its own, in virtual time."""
    return Loop()
