"""The same algorithms in one thread: the tests' oracle, and what the system's cost is compared with.

Each takes the *shards* that the workers would have, adds up their parts in the workers' order and takes the
servers' step: bulk-synchronous execution must give the same bits. With one shard it is the plain algorithm:
the baseline of COST (McSherry, Isard and Murray, HotOS 2015).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from .algorithms.data import Digits, Ratings, SparseShard
from .algorithms.losses import logistic_gradient, softmax_gradient
from .algorithms.programs import (
    batch_of,
    block_curvature,
    block_of,
    factor_start,
    factor_steps,
    proximal_parts,
    within,
)
from .updates import Array, Proximal, Subgradient, Update, step

__all__ = ["Factors", "Fit", "block_proximal", "matrix_factorization", "softmax", "subgradient"]


@dataclass
class Fit:
    """Learned weights; and the mean loss at the beginning of each iteration."""

    w: Array
    losses: list[float] = field(default_factory=list)
    #: Whether ``until`` was reached, if it was given.
    reached: bool = False


def softmax(
    shards: Sequence[Digits],
    update: Update,
    iterations: int,
    batch: int | None = None,
    classes: int = 10,
    until: Callable[[Array], bool] | None = None,
) -> Fit:
    """Softmax regression by gradient descent; ends early when ``until(w)`` holds after an iteration."""
    fit = Fit(np.zeros(shards[0].features.shape[1] * classes))
    extras = {name: np.zeros_like(fit.w) for name in update.extras}
    for iteration in range(iterations):
        total, losses = np.zeros_like(fit.w), []
        for shard in shards:
            features, labels = batch_of(shard, iteration, batch)
            loss, gradient = softmax_gradient(fit.w, features, labels)
            total += gradient / (len(labels) * len(shards))
            losses.append(loss / len(labels))
        step(update, fit.w, total, extras)
        fit.losses.append(float(np.mean(losses)))
        if until is not None and until(fit.w):
            fit.reached = True
            break
    return fit


def subgradient(shards: Sequence[SparseShard], size: int, update: Subgradient, iterations: int) -> Fit:
    """Sparse logistic regression by subgradient descent (Alg. 1)."""
    fit, examples = Fit(np.zeros(size)), sum(len(shard.labels) for shard in shards)
    for _ in range(iterations):
        total, losses = np.zeros(size), 0.0
        for keys, features, labels in shards:
            loss, gradient = logistic_gradient(fit.w[keys], features, labels)
            total[keys] += gradient / examples
            losses += loss
        step(update, fit.w, total, {})
        fit.losses.append(losses / examples)
    return fit


def block_proximal(
    shards: Sequence[SparseShard],
    size: int,
    update: Proximal,
    l1: float,
    iterations: int,
    blocks: int = 4,
    seed: int = 0,
) -> Fit:
    """Sparse logistic regression by block proximal gradient (Alg. 3 without delay)."""
    fit, examples = Fit(np.zeros(size)), sum(len(shard.labels) for shard in shards)
    sparse = [shard.features.tocsc() for shard in shards]
    own = [block_curvature(shard.keys, shard.features, blocks, size) / examples for shard in shards]
    total = np.zeros(size)
    for shard, part in zip(shards, own, strict=True):
        total[shard.keys] += part
    for iteration in range(iterations):
        block = block_of(iteration, blocks, seed)
        pushed, losses = np.zeros((size, 2)), 0.0
        for (keys, _, labels), columns, part in zip(shards, sparse, own, strict=True):
            mine = within(keys, block, blocks, size)
            loss, gradient = logistic_gradient(fit.w[keys], columns, labels)
            pushed[keys[mine]] += proximal_parts(gradient[mine] / examples, part[mine], total[keys[mine]], l1)
            losses += loss
        step(update, fit.w, pushed, {})
        fit.losses.append(losses / examples)
    return fit


@dataclass
class Factors:
    """Two factors of a matrix, and the mean squared error at the beginning of each iteration."""

    left: Array  # (rows, rank)
    right: Array  # (columns, rank)
    losses: list[float] = field(default_factory=list)


def matrix_factorization(
    parts: Sequence[Ratings], shape: tuple[int, int], rank: int, rate: float, iterations: int, seed: int = 0
) -> Factors:
    """Matrix factorisation by gradient descent."""
    start = [
        np.stack([factor_start(side, k, rank, seed) for k in range(size)])
        for side, size in zip(("left", "right"), shape, strict=True)
    ]
    learned = [np.zeros_like(factor) for factor in start]
    known, losses = sum(len(part.values) for part in parts), []
    for _ in range(iterations):
        steps, error = [np.zeros_like(factor) for factor in start], 0.0
        for part in parts:
            rows, row_of = np.unique(part.rows, return_inverse=True)
            columns, column_of = np.unique(part.columns, return_inverse=True)
            left, right = (start[0] + learned[0])[rows], (start[1] + learned[1])[columns]
            loss, left_steps, right_steps = factor_steps(left, right, row_of, column_of, part.values, rate)
            steps[0][rows] += left_steps
            steps[1][columns] += right_steps
            error += loss
        learned = [old + new for old, new in zip(learned, steps, strict=True)]
        losses.append(error / known)
    return Factors(start[0] + learned[0], start[1] + learned[1], losses)
