"""What staleness costs and what it saves: the evaluations of the parameter server and of SSP, in shape.

Each function trains on the simulator, where the seed decides how long every iteration takes, and returns a
table (``parts/experiments.py``).
How long workers waited, how many bytes travelled and how many keys were pulled is read from the trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from labkit.parts.experiments import beside, sweep
from labkit.runtime.cluster import Cluster

from .algorithms import (
    Digits,
    SparseShard,
    ZipfExamples,
    block_proximal,
    curvatures,
    digits_split,
    logistic_loss,
    softmax_loss,
    subgradient,
    zipf_examples,
)
from .algorithms.losses import softmax_gradient
from .consistency import SSP, Async, Bounded, Consistency
from .filters import KKT, Filter, KeyCaching, SignificantlyModified, ZeroCompression
from .model import ParameterServer
from .updates import Array, Proximal, Subgradient

__all__ = ["delay", "filter_traffic", "staleness", "waiting", "working_set"]

#: Mean seconds of an iteration's computation, and the spread of its logarithm.
STEP, SIGMA = 0.1, 0.5
#: Seconds between two looks at the parameters.
LOOK = 0.1


def step_time(worker: Any, slow: float = 1.0) -> float:
    """Seconds of one iteration, log-normal; shard 0 is ``slow`` times as slow as the others."""
    drawn = STEP * worker.random.lognormvariate(-(SIGMA**2) / 2, SIGMA)
    return float(drawn * (slow if worker.rank == 0 else 1.0))


# -- waiting ------------------------------------------------------------


def waiting(
    bounds: Sequence[int] = (0, 1, 2, 4, 8, 16), workers: int = 32, iterations: int = 60, seed: int = 0
) -> pd.DataFrame:
    """The part of the workers' time that is spent waiting, by the bound s, with equally fast workers."""

    async def program(worker: Any) -> None:
        for _ in worker.rounds():
            await worker.compute(int, cost=step_time(worker))
            await worker.clock()

    def run(bound: int) -> dict[str, float]:
        with _lab(seed) as cluster:
            ps = _servers(cluster, workers, SSP(bound))
            began = cluster.now
            ps.start(program, iterations, [None] * workers).result()
            return {"waiting": waited(cluster, workers, began)}

    table = sweep("s", bounds, run)
    beside(table, "independent", {0: 0.61, 1: 0.36, 2: 0.24, 4: 0.14, 8: 0.08, 16: 0.04})
    return table


def waited(cluster: Cluster, workers: int, since: float) -> float:
    """Which part of the workers' time since a moment was spent waiting for the slowest."""
    events = [e for e in cluster.trace.filter(kind="wait_finished") if e.time > since]
    end = max([since, *(e.time for e in cluster.trace.filter(kind="clock"))])
    seconds = sum(e.data["seconds"] for e in events)
    return float(seconds / (workers * (end - since))) if end > since else 0.0


# -- stale synchronous parallel ------------------------------------------------------------


def staleness(
    bounds: Sequence[int] = (0, 1, 2, 4, 8, 16, 32),
    workers: int = 8,
    slow: float = 1.5,
    target: float = 0.4,
    rate: float = 1.0,
    seed: int = 1,
) -> pd.DataFrame:
    """What a bound of s saves in waiting and costs in iterations; and the time to a loss of ``target``.

    Softmax regression on the digits, through an SSP table whose cache may be s iterations old. Each worker
    has its own kinds of digits (the examples are dealt out in the order of their labels), so that what a
    cache misses matters; the first worker is ``slow`` times as slow.
    """
    training, _ = digits_split()
    parts = by_label(training, workers)
    program = _softmax_by_table(len(training.labels), rate, slow)

    def loss(w: Array) -> float:
        return softmax_loss(w, *training)

    def run(bound: int) -> dict[str, float]:
        with _lab(seed) as cluster:
            ps = _servers(cluster, workers, SSP(bound))
            weights = ps.table("w", rows=1, width=650)
            return _train(ps, weights, program, parts, loss, target, 2 * LOOK)

    return sweep("s", bounds, run)


def by_label(examples: Digits, count: int) -> list[Digits]:
    """The examples dealt out by label: each part has its own kinds."""
    parts = np.array_split(np.argsort(examples.labels, kind="stable"), count)
    return [Digits(examples.features[part], examples.labels[part]) for part in parts]


def _softmax_by_table(examples: int, rate: float, slow: float) -> Callable[..., Any]:
    async def train(worker: Any) -> None:
        table = worker.table("w", 650)
        for _ in worker.rounds():
            weights = await table.get(0)
            loss, gradient = await worker.compute(
                softmax_gradient, weights, *worker.shard, cost=step_time(worker, slow)
            )
            worker.report(loss=loss / len(worker.shard.labels))
            table.inc(0, -rate * gradient / examples)
            await worker.clock()

    return train


# -- bounded delay ------------------------------------------------------------


def delay(
    taus: Sequence[int] = (0, 1, 2, 4, 8, 16),
    workers: int = 8,
    slow: float = 1.5,
    rate: float = 2.0,
    target: float = 0.625,
    seed: int = 2,
) -> pd.DataFrame:
    """Delayed block proximal gradient by τ (Fig. 13): waiting falls, iterations rise, the best is between.

    Sparse logistic regression on generated examples; ``target`` is the objective, penalty included. The paper
    (636 TB, 1,000 machines): half of the time idle at τ = 0, 1.7 % at τ = 16; the best total at τ = 8.
    """
    examples, l1 = zipf_examples(1200, 2000, 15, seed=2), 0.001

    def cost(worker: Any) -> float:
        return step_time(worker, slow)

    def run(tau: int) -> dict[str, float]:
        with _lab(seed) as cluster:
            ps = _servers(cluster, workers, Bounded(tau))
            weights = ps.vector("w", examples.dimensions, update=Proximal(rate))
            program = _with_curvatures(ps, weights, examples, l1, cost)
            loss = _objective(examples, l1)
            return _train(ps, weights, program, examples.shards(workers), loss, target)

    return sweep("τ", taus, run)


def _with_curvatures(
    ps: ParameterServer, weights: Any, examples: ZipfExamples, l1: float, cost: Callable[..., float]
) -> Callable[..., Any]:
    """Alg. 3, once the workers have added up their curvatures."""
    count, parts = len(examples.labels), examples.shards(ps.shards)
    u = ps.vector("u", examples.dimensions)
    ps.run(curvatures(u, count), data=parts)
    return block_proximal(weights, u, count, l1, cost=cost)


def _objective(examples: ZipfExamples, l1: float) -> Callable[[Array], float]:
    def objective(w: Array) -> float:
        loss = logistic_loss(w, examples.features, examples.labels) / len(examples.labels)
        return float(loss + l1 * np.abs(w).sum())

    return objective


# -- filters ------------------------------------------------------------


def filter_traffic(
    workers: int = 4, iterations: int = 40, threshold: float = 0.05, l1: float = 0.002, seed: int = 1
) -> pd.DataFrame:
    """Bytes between workers and servers with more and more filters, and what they do to the objective.

    Sparse logistic regression by Alg. 3 in rounds. The paper (Fig. 11): key caching halves the traffic, and
    its KKT filter leaves out 93 % of the keys.
    """
    examples = zipf_examples(800, 4000, 15, seed=2)
    sets: dict[str, list[Filter]] = {"none": []}
    sets["key caching"] = [KeyCaching()]
    sets["+ zero compression"] = [KeyCaching(), ZeroCompression()]
    sets["+ KKT"] = [KeyCaching(), ZeroCompression(), KKT()]
    sets["+ significantly modified"] = [*sets["+ KKT"], SignificantlyModified(threshold)]

    def run(name: str) -> dict[str, float]:
        with _lab(seed) as cluster:
            ps = _servers(cluster, workers, Bounded(0))
            weights = ps.vector("w", examples.dimensions, update=Proximal(), filters=sets[name])
            program = _with_curvatures(ps, weights, examples, l1, step_time)
            ps.run(program, iterations, examples.shards(workers))
            objective = _objective(examples, l1)(weights[:])
            return {**traffic(cluster, "w"), "objective": objective}

    table = sweep("filters", sets, run)
    table["times less"] = table["bytes"].iloc[0] / table["bytes"]
    return table


def traffic(cluster: Cluster, vector: str) -> dict[str, float]:
    """Bytes and keys that the workers pushed and pulled, from the trace."""
    found: dict[str, float] = {}
    for kind in ("pushed", "pulled"):
        events = [e.data for e in cluster.trace.filter(kind=kind) if e.data["vector"] == vector]
        events = [data for data in events if data["shard"] is not None]
        found[f"{kind} bytes"] = sum(data["bytes"] for data in events)
        found[f"{kind} keys"] = sum(data["keys"] for data in events)
    found["bytes"] = found["pushed bytes"] + found["pulled bytes"]
    return found


# -- working sets ------------------------------------------------------------


def working_set(workers: Iterable[int] = (1, 2, 4, 8, 16, 32), seed: int = 1) -> pd.DataFrame:
    """The part of all parameters that one worker pulls, by the number of workers (Fig. 3).

    The paper: 7.8 % with 100 workers, 0.15 % with 10,000. How quickly it falls is a matter of the data.
    """
    examples = zipf_examples(2000, 20_000, 20, seed=2)

    def run(count: int) -> dict[str, float]:
        with _lab(seed) as cluster:
            ps = _servers(cluster, count, Async())
            w = ps.vector("w", examples.dimensions, update=Subgradient(1.0, 0.001))
            ps.run(subgradient(w, len(examples.labels)), 1, examples.shards(count))
            pulled = traffic(cluster, "w")["pulled keys"] / count
        return {"keys": pulled, "part": pulled / examples.dimensions}

    return sweep("workers", workers, run)


# -- how all of them run ------------------------------------------------------------


def _lab(seed: int) -> Cluster:
    return Cluster(4, "sim", seed=seed, name="parameter server experiment")


def _servers(cluster: Cluster, workers: int, consistency: Consistency) -> ParameterServer:
    """Two servers without copies, and long timeouts: nothing fails here."""
    return ParameterServer(
        cluster,
        servers=2,
        workers=workers,
        replicas=0,
        consistency=consistency,
        virtual_servers=1,
        timeout=4.0,
    )


def _train(
    ps: ParameterServer,
    weights: Any,
    program: Callable[..., Any],
    parts: Sequence[Digits] | Sequence[SparseShard],
    loss: Callable[[Array], float],
    target: float,
    look: float = LOOK,
    iterations: int = 400,
) -> dict[str, float]:
    """Train until the loss of the servers' parameters is at the target; what it took."""
    cluster, workers, began = ps.cluster, len(parts), ps.cluster.now
    operation = ps.start(program, iterations, parts)
    reached = False
    while not operation.done and not reached:
        cluster.run(look)
        reached = loss(weights[:]) <= target
    seconds = cluster.now - began
    clocks = dict.fromkeys(range(workers), 0)
    for event in cluster.trace.filter(kind="clock"):
        if event.time >= began:
            clocks[event.data["shard"]] = event.data["clock"]
    result = {"waiting": waited(cluster, workers, began), "iterations": np.mean(list(clocks.values()))}
    operation.cancel()
    return {**result, "seconds": seconds if reached else np.inf}
