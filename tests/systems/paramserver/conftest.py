"""What the tests of the parameter server share: one on each engine, whose trace is judged at the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from labkit import Cluster
from labkit.systems.paramserver import BSP, ParameterServer

MakePs = Callable[..., ParameterServer]

#: Random schedules in the property test; more with `pytest --schedules 500`.
SCHEDULES = int(os.environ.get("LABKIT_SCHEDULES", "200")) // 10


def judge(ps: ParameterServer) -> None:
    """The invariants at every step of a run."""
    report = ps.check()
    assert report.ok, f"seed={ps.cluster.seed}\n{report}\n{ps.cluster.schedule}"


def build(cluster: Cluster, **options: Any) -> ParameterServer:
    """A parameter server with few ranges, that is quick to notice a death in the simulator. A real process
    may stand still for seconds, and is not dead."""
    options.setdefault("servers", 2)
    options.setdefault("workers", 3)
    options.setdefault("virtual_servers", 2)
    options.setdefault("timeout", 0.5 if cluster.engine == "sim" else 6.0)
    options.setdefault("consistency", BSP())
    return ParameterServer(cluster, **options)


@pytest.fixture
def make_ps(make_cluster: Callable[..., Cluster]) -> Iterator[MakePs]:
    """`make_ps(machines=5, seed=0, **options)` on each engine in turn; judged after the test."""
    made: list[ParameterServer] = []

    def make(machines: Any = 5, seed: int = 0, **options: Any) -> ParameterServer:
        made.append(build(make_cluster(machines=machines, seed=seed), **options))
        return made[-1]

    yield make
    for ps in made:
        judge(ps)


@pytest.fixture
def sim_ps() -> Iterator[MakePs]:
    """`sim_ps(machines=5, seed=0, **options)` on the simulator only; judged after the test."""
    made: list[ParameterServer] = []

    def make(machines: Any = 5, seed: int = 0, network: Any = None, **options: Any) -> ParameterServer:
        cluster = Cluster(machines=machines, engine="sim", seed=seed, network=network)
        made.append(build(cluster, **options))
        return made[-1]

    yield make
    try:
        for ps in made:
            judge(ps)
    finally:
        for ps in made:
            ps.cluster.close()


#: Seconds of virtual time that one gradient takes.
STEP = 0.01
#: Examples and features of the regression that the tests train.
EXAMPLES, FEATURES = 60, 8


def regression(shards: int, seed: int = 0) -> tuple[list[Any], np.ndarray]:
    """Linear data without noise, by shard, and the true weights."""
    random = np.random.default_rng(seed)
    examples, truth = random.normal(size=(EXAMPLES, FEATURES)), random.normal(size=FEATURES)
    labels = examples @ truth
    return [(examples[i::shards], labels[i::shards]) for i in range(shards)], truth


def gradient(weights: np.ndarray, examples: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Of the mean squared error."""
    return examples.T @ (examples @ weights - labels) / len(labels)


async def descend(worker: Any) -> None:
    """Gradient descent on "w"."""
    for _ in worker.rounds():
        weights = await worker.pull("w")
        step = await worker.compute(gradient, weights, *worker.shard, cost=STEP)
        await worker.push("w", None, -0.05 * step)
        await worker.clock()


def descend_alone(data: list[Any], iterations: int) -> np.ndarray:
    """The same on one thread: the oracle of bulk-synchronous execution, bit for bit."""
    weights = np.zeros(FEATURES)
    for _ in range(iterations):
        total = np.zeros(FEATURES)
        for examples, labels in data:
            total += -0.05 * gradient(weights, examples, labels)
        weights = weights + total
    return weights


#: Keys of a sparse vector reach to 2**62: about half of them, so that every server has some.
EVERYWHERE = 4 * 10**18
#: By shard: a key that all its pushes add to.
SHARED = (0, 10**18, 2 * 10**18)


async def keep_books(worker: Any) -> list[int]:
    """Each push adds 1 to a key of its own, and to one that it shares with other shards.

    A shard's data are the seconds that an iteration takes. Returns the keys whose push was acknowledged: in
    the end each holds exactly 1. When a shard is taken over, the iteration that was lost is a new push, with
    another key.
    """
    written = []
    for _ in worker.rounds():
        await worker.pull("books", np.arange(100) * (EVERYWHERE // 100))
        await worker.compute(int, cost=worker.shard or STEP)
        key = 1 + 10 * worker.random.getrandbits(58)
        await worker.push("books", [SHARED[worker.rank], key], [1.0, 1.0])
        written.append(key)
        await worker.clock()
    return written
