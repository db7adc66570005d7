"""A slow or busy computer changes no event of a simulated run, nor what is told to have led to it."""

from __future__ import annotations

from collections.abc import Callable

import numpy
import pytest

from labkit import Cluster, Kill, Loss, Restart
from labkit.runtime import sim
from labkit.systems.chord import Chord
from labkit.systems.paramserver import ParameterServer
from labkit.systems.spark import SparkContext

WEATHER = [(0.2, Loss(0.02)), (1.0, Kill("m3")), (6.0, Restart("m3"))]


def chord(cluster: Cluster, routing: str) -> None:
    """Keys that move and lookups, under faults."""
    ring = Chord(cluster, 12, successors=4, routing=routing)
    ring.update({f"k{number}": number for number in range(20)})
    ring.start_joining()
    cluster.run(15)


def spark(cluster: Cluster) -> None:
    """A shuffle whose outputs are lost, with speculation."""
    sc = SparkContext(cluster, speculation=True, seconds_per_task=0.2)
    numbers = sc.parallelize(range(100), 12).map(lambda x: (x % 7, x))
    numbers.reduceByKey(lambda a, b: a + b, 6).collect()
    cluster.run(5)


def paramserver(cluster: Cluster) -> None:
    """Workers that push and pull, under faults."""
    servers = ParameterServer(cluster, servers=3, workers=3)
    weights = servers.vector("w", 10)

    async def program(worker):  # type: ignore[no-untyped-def]
        for _ in range(30):
            await worker.pull(weights, slice(0, 10))
            await worker.push(weights, numpy.arange(10), numpy.ones(10))
            await worker.sleep(0.1)

    servers.run(program)
    cluster.run(5)


PROGRAMS = {
    "chord, recursive": lambda cluster: chord(cluster, "recursive"),
    "chord, iterative": lambda cluster: chord(cluster, "iterative"),
    "spark": spark,
    "paramserver": paramserver,
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_a_slow_computer_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, program: Callable[[Cluster], None]
) -> None:
    """How many callbacks are run between two looks at the real clock depends on the computer's speed."""

    def run(size: int) -> str:
        monkeypatch.setattr(sim, "FIRST_SLICE", size)
        monkeypatch.setattr(sim, "_next_size", lambda *_: size)
        with Cluster(machines=6, engine="sim", seed=2, trace="messages", schedule=WEATHER) as cluster:
            program(cluster)
            assert cluster.trace.count > 100
            return cluster.trace.digest()

    assert run(1) == run(7) == run(100_000)
