"""The worker programs: what each worker does in an iteration. Each function returns an ``async`` program for
``ps.run(program, iterations=..., data=shards)``.

A program pulls what it needs, computes, pushes what it found, and ends its iteration with ``worker.clock()``;
how fresh the pulled numbers are is the consistency's business, not the program's. ``cost`` is what the
computation of an iteration takes in the simulator: seconds, or a function of the worker that gives them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np

from labkit.runtime.copying import stream

from ..updates import Array
from .data import Digits
from .losses import curvature, logistic_gradient, softmax_gradient

__all__ = [
    "Program",
    "block_of",
    "block_proximal",
    "factor_start",
    "matrix_factorization",
    "softmax",
    "subgradient",
]

Program = Callable[[Any], Awaitable[Any]]
Cost = float | Callable[[Any], float]

#: Simulated seconds for one number of one example: about what NumPy needs on one core.
PER_NUMBER = 2e-9


def softmax(w: Any, batch: int | None = None, cost: Cost | None = None) -> Program:
    """Softmax regression; ``w`` has a step as its update function, such as ``SGD(rate)``.

    batch: examples of a worker in an iteration, all by default. The gradients of the workers add up to the
    mean over the examples of the iteration.
    """

    async def train(worker: Any) -> None:
        for iteration in worker.rounds():
            features, labels = batch_of(worker.shard, iteration, batch)
            weights = await worker.pull(w)
            loss, gradient = await worker.compute(
                softmax_gradient, weights, features, labels, cost=_seconds(cost, worker, features.size)
            )
            worker.report(loss=loss / len(labels))
            await worker.push(w, None, gradient / (len(labels) * worker.workers))
            await worker.clock()

    return train


def batch_of(shard: Digits, iteration: int, batch: int | None) -> Digits:
    """The iteration's examples: the next ones in order, beginning anew at the end."""
    if batch is None or batch >= len(shard.labels):
        return shard
    rows = np.arange(iteration * batch, (iteration + 1) * batch) % len(shard.labels)
    return Digits(shard.features[rows], shard.labels[rows])


def subgradient(w: Any, examples: int, cost: Cost | None = None) -> Program:
    """Distributed subgradient descent (Alg. 1) for sparse logistic regression.

    A worker pulls and pushes its working set only: the features that occur in its examples. ``w`` has
    ``Subgradient(rate, l1)`` as its update function: the servers add the penalty's part. examples: of all
    workers together.
    """

    async def train(worker: Any) -> None:
        keys, features, labels = worker.shard
        for _ in worker.rounds():
            weights = await worker.pull(w, keys)
            loss, gradient = await worker.compute(
                logistic_gradient, weights, features, labels, cost=_seconds(cost, worker, features.nnz)
            )
            worker.report(loss=loss / len(labels))
            await worker.push(w, keys, gradient / examples)
            await worker.clock()

    return train


def curvatures(u: Any, examples: int, blocks: int = 4) -> Program:
    """What ``block_proximal`` needs to know first: each worker adds its part of the curvature to ``u``.

    One iteration. ``u`` is a vector as long as the weights, with the update function ``Sum()``.
    """
    size = len(u)

    async def add(worker: Any) -> None:
        keys, features, _ = worker.shard
        for _ in worker.rounds():
            await worker.push(u, keys, block_curvature(keys, features, blocks, size) / examples)
            await worker.clock()

    return add


def block_proximal(
    w: Any,
    u: Any,
    examples: int,
    l1: float,
    blocks: int = 4,
    seed: int = 0,
    cost: Cost | None = None,
) -> Program:
    """Delayed block proximal gradient (Alg. 3) for sparse logistic regression with the penalty ``l1 · |w|₁``.

    Features are divided into ``blocks`` of neighbouring keys; in each iteration all workers work on one of
    them, which the seed chooses. They push their parts of step and threshold, and the servers take the step
    (``Proximal``). A worker refreshes the block that was changed last and the one it will work on. ``u``: the
    curvature, from ``curvatures`` with the same number of blocks.
    """
    size = len(w)

    async def train(worker: Any) -> None:
        keys, features, labels = worker.shard
        columns = features.tocsc()
        weights, total = await worker.pull(w, keys), await worker.pull(u, keys)
        own = block_curvature(keys, features, blocks, size) / examples
        last = np.empty(0, np.int64)
        for iteration in worker.rounds():
            mine = within(keys, block_of(iteration, blocks, seed), blocks, size)
            fresh = np.union1d(mine, last)
            weights[fresh] = await worker.pull(w, keys[fresh])
            loss, gradient = await worker.compute(
                logistic_gradient, weights, columns, labels, cost=_seconds(cost, worker, features.nnz)
            )
            worker.report(loss=loss / len(labels))
            entries = proximal_parts(gradient[mine] / examples, own[mine], total[mine], l1)
            await worker.push(w, keys[mine], entries)
            last = mine
            await worker.clock()

    return train


def proximal_parts(gradient: Array, own: Array, total: Array, l1: float) -> Array:
    """A worker's part of the step and of the threshold, for ``Proximal``: two columns."""
    return np.column_stack([gradient / total, l1 * own / total**2])


def block_curvature(keys: Array, features: Any, blocks: int, size: int) -> Array:
    """The curvature of each key, in steps of its block."""
    columns, parts = features.tocsc(), (within(keys, block, blocks, size) for block in range(blocks))
    return np.concatenate([curvature(columns[:, part]) for part in parts])


def block_of(iteration: int, blocks: int, seed: int) -> int:
    """The block of an iteration, the same for all workers. Every pass over the blocks has its own order."""
    order = list(range(blocks))
    stream(seed, "blocks", iteration // blocks).shuffle(order)
    return order[iteration % blocks]


def within(keys: Array, block: int, blocks: int, size: int) -> Array:
    """Which of the sorted keys belong to a block: their places."""
    low, high = np.searchsorted(keys, [block * size // blocks, (block + 1) * size // blocks])
    return np.arange(low, high)


def matrix_factorization(
    rank: int, rate: float, left: str = "L", right: str = "R", seed: int = 0, cost: Cost | None = None
) -> Program:
    """Matrix factorisation by gradient descent on two SSP tables (Ho et al., NIPS 2013).

    Row i of the left table and row j of the right one multiply to the entry (i, j). The tables hold what was
    learned; where learning starts (``factor_start``) everybody knows, since zero would be a dead end.
    """

    async def train(worker: Any) -> None:
        lefts, rights = worker.table(left, rank), worker.table(right, rank)
        rows, row_of = np.unique(worker.shard.rows, return_inverse=True)
        columns, column_of = np.unique(worker.shard.columns, return_inverse=True)
        for _ in worker.rounds():
            ours = await factors(lefts, rows, "left", rank, seed)
            theirs = await factors(rights, columns, "right", rank, seed)
            loss, steps_left, steps_right = await worker.compute(
                factor_steps, ours, theirs, row_of, column_of, worker.shard.values, rate,
                cost=_seconds(cost, worker, 4 * rank * len(row_of)),
            )  # fmt: skip
            for row, step in zip(rows, steps_left, strict=True):
                lefts.inc(int(row), step)
            for column, step in zip(columns, steps_right, strict=True):
                rights.inc(int(column), step)
            worker.report(loss=loss / len(row_of))
            await worker.clock()

    return train


async def factors(table: Any, indexes: Array, side: str, rank: int, seed: int) -> Array:
    """Where learning started and what the table says was learned since: (indexes, rank)."""
    learned = await table.get_many(indexes)
    return np.stack([factor_start(side, int(k), rank, seed) for k in indexes]) + learned


def factor_start(side: str, index: int, rank: int, seed: int) -> Array:
    """A row of small random numbers, the same wherever it is asked for."""
    random = stream(seed, side, index)
    return np.array([random.gauss(0.0, 0.5) for _ in range(rank)])


def factor_steps(
    left: Array, right: Array, row_of: Array, column_of: Array, values: Array, rate: float
) -> tuple[float, Array, Array]:
    """Summed squared error, and the steps down its gradient for each row of both factors."""
    error = (left[row_of] * right[column_of]).sum(axis=1) - values
    steps_left, steps_right = np.zeros_like(left), np.zeros_like(right)
    np.add.at(steps_left, row_of, -rate * error[:, None] * right[column_of])
    np.add.at(steps_right, column_of, -rate * error[:, None] * left[row_of])
    return float((error**2).sum()), steps_left, steps_right


def _seconds(cost: Cost | None, worker: Any, numbers: int) -> float:
    """What an iteration costs in the simulator."""
    if cost is None:
        return PER_NUMBER * numbers
    return cost(worker) if callable(cost) else cost
