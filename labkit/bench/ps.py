"""What the parameter server costs beside what its parts could do alone.

Ours runs on two servers without copies and one worker, each a process: what is measured is the way of the
numbers from a worker's array into the servers' and back.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np

from labkit.bench import Row, bench, row
from labkit.bench._ps_softmax import softmax_rows
from labkit.runtime import Cluster, gather, ray_start
from labkit.systems.paramserver import Async, ParameterServer

#: Numbers in the dense vector, and how often they go there and back.
DENSE = 10_000_000
ROUNDS = 20
#: Keys of a sparse push, of a vector of so many; pushes in a row; those on their way at any moment, and
#: those that are made in one turn.
KEYS, SIZE, PUSHES, IN_FLIGHT, TURN = 10_000, 1_000_000, 1000, 480, 40
MEGA = 1e6


async def push_and_pull(worker: Any) -> list[float]:
    """Seconds for a push and a pull of the whole vector, several times."""
    values = np.random.default_rng(0).random(DENSE)
    values.flags.writeable = False  # a promise: so nobody needs a copy
    seconds = []
    for _ in range(ROUNDS + 1):
        begun = time.perf_counter()
        await worker.push("dense", slice(None), values)
        pulled = await worker.pull("dense", slice(None))
        seconds.append(time.perf_counter() - begun)
        assert len(pulled) == DENSE
    return seconds[1:]


async def push_sparse(worker: Any) -> list[float]:
    """Updates a second: pushes of different keys, several on their way at any moment."""
    keys, values = sparse_pushes()
    rates = []
    for _ in range(ROUNDS + 1):
        begun = time.perf_counter()
        under_way: deque[Any] = deque()
        for number in range(PUSHES):
            under_way.append(worker.push("sparse", keys[number % 10], values[number % 10]))
            if number % TURN == 0:
                await worker.sleep(0)  # what waits is sent while the next are made
            if len(under_way) == IN_FLIGHT:
                await under_way.popleft()
        await gather(*under_way)
        rates.append(KEYS * PUSHES / (time.perf_counter() - begun))
    return rates[1:]


def sparse_pushes() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Keys and values of some different pushes."""
    random = np.random.default_rng(0)
    keys = [np.sort(random.choice(SIZE, KEYS, replace=False)) for _ in range(10)]
    return keys, [random.random(KEYS) for _ in range(10)]


def numpy_alone() -> float:
    """The same updates in one process: ``np.add.at``."""
    keys, values = sparse_pushes()
    vector = np.zeros(SIZE)
    rates = []
    for _ in range(ROUNDS + 1):
        begun = time.perf_counter()
        for number in range(PUSHES):
            np.add.at(vector, keys[number % 10], values[number % 10])
        rates.append(KEYS * PUSHES / (time.perf_counter() - begun))
    return max(rates[1:])


class Hand:
    """A bare actor of Ray's that gives and takes an array."""

    def __init__(self) -> None:
        self.values = np.random.default_rng(0).random(DENSE)

    def give(self) -> np.ndarray:
        """The array, for another actor."""
        return self.values

    def take(self, values: np.ndarray) -> int:
        """It has arrived."""
        return len(values)


def ray_alone() -> float:
    """Seconds for Ray to hand the array from one actor to another."""
    ray = ray_start.attach(None)
    giver, taker = (
        ray.remote(Hand).options(num_cpus=0).remote(),
        ray.remote(Hand).options(num_cpus=0).remote(),
    )
    try:
        seconds = []
        for _ in range(ROUNDS + 1):
            begun = time.perf_counter()
            assert ray.get(taker.take.remote(giver.give.remote())) == DENSE
            seconds.append(time.perf_counter() - begun)
        return min(seconds[1:])
    finally:
        ray.kill(giver)
        ray.kill(taker)


def ours(program: Any, **vector: Any) -> list[float]:
    """What the program returns, run by one worker with two servers."""
    with Cluster(3, name="bench", trace="off") as cluster:
        ps = ParameterServer(
            cluster, servers=2, workers=1, replicas=0, consistency=Async(), virtual_servers=2, timeout=10.0
        )
        ps.vector(**vector)
        result: list[float] = ps.run(program, iterations=1)[0]
        return result


@bench("ps")
def ps_rows() -> Iterator[Row]:
    """Parameters there and back on real processes, beside Ray and NumPy alone."""
    mine = min(ours(push_and_pull, name="dense", size=DENSE))
    peer = ray_alone()
    size = DENSE * 8 / MEGA
    yield row(
        "push + pull of 10 M float64", "MB/s", 2 * size / mine, size / peer, "Ray, actor to actor", must=0.5
    )
    rates = max(ours(push_sparse, name="sparse", size=SIZE))
    yield row("sparse push, 10,000 keys", "updates/s", rates, numpy_alone(), "np.add.at", must=0.2)
    yield from softmax_rows()
