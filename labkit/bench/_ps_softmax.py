"""Softmax regression on the digits to 95 % test accuracy: four workers, beside the same steps in one process.

The digits are a small problem: a step of one process takes a fraction of a millisecond, an iteration of four
workers and two servers dozens of messages. This row says what that costs; it promises nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from labkit.bench import Row, row
from labkit.runtime import Cluster
from labkit.systems.paramserver import BSP, SGD, ParameterServer, single
from labkit.systems.paramserver.algorithms import accuracy, digits_split, shards, softmax

WORKERS = 4
TARGET = 0.95
UPDATE = SGD(2.0)
ROUNDS = 3


def softmax_rows() -> Iterator[Row]:
    """Seconds to the target: rounds of bulk-synchronous training, and the same gradient descent in NumPy."""
    training, testing = digits_split()
    fit = single.softmax(
        shards(training, WORKERS), UPDATE, 1000, until=lambda w: accuracy(w, *testing) >= TARGET
    )
    iterations = len(fit.losses)
    ours = peer = float("inf")
    with Cluster(machines=2 + WORKERS) as cluster:
        ps = ParameterServer(cluster, servers=2, workers=WORKERS, consistency=BSP(), virtual_servers=1)
        for number in range(ROUNDS):
            w = ps.vector(f"w{number}", size=len(fit.w), update=UPDATE)
            begun = time.perf_counter()
            ps.run(softmax(w), iterations, data=shards(training, WORKERS))
            ours = min(ours, time.perf_counter() - begun)
            assert accuracy(w[:], *testing) >= TARGET, "the same bits as in one process"
            begun = time.perf_counter()
            single.softmax(shards(training, 1), UPDATE, iterations)
            peer = min(peer, time.perf_counter() - begun)
    name = "NumPy, one process"
    yield row(f"softmax to {TARGET:.0%}, {WORKERS} workers", "s", ours, peer, name, less_is_better=True)
    each, alone = 1000 * ours / iterations, 1000 * peer / iterations
    yield row("an iteration of it", "ms", each, alone, name, less_is_better=True)
