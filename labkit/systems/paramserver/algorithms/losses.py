"""What is learned: losses with their gradients, on one worker's examples. Pure functions of arrays.

The single-thread versions and the workers call the same functions, so that a difference between the two comes
from the system and not from the arithmetic.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..updates import Array

__all__ = [
    "accuracy",
    "curvature",
    "logistic_gradient",
    "logistic_loss",
    "softmax_gradient",
    "softmax_loss",
]

#: A scipy.sparse CSR matrix; scipy is imported by whoever makes one.
Sparse = Any


# -- softmax regression: dense images, one column of weights a class ----------------------------------


def softmax_gradient(w: Array, features: Array, labels: Array) -> tuple[float, Array]:
    """Summed cross-entropy of some examples, and its gradient.

    w: (features · classes,), features: (n, features) with a constant last column, labels: (n,) integers.
    The sums over shards add up to the sum over all examples.
    """
    probabilities = _softmax(w, features)
    rows = np.arange(len(labels))
    loss = -np.log(probabilities[rows, labels]).sum()
    probabilities[rows, labels] -= 1.0
    return float(loss), (features.T @ probabilities).ravel()


def softmax_loss(w: Array, features: Array, labels: Array) -> float:
    """Mean cross-entropy."""
    return float(-np.log(_softmax(w, features)[np.arange(len(labels)), labels]).mean())


def accuracy(w: Array, features: Array, labels: Array) -> float:
    """Part of the examples whose most probable class is their label."""
    scores = features @ w.reshape(features.shape[1], -1)
    return float((scores.argmax(axis=1) == labels).mean())


def _softmax(w: Array, features: Array) -> Array:
    scores = features @ w.reshape(features.shape[1], -1)
    scores -= scores.max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=1, keepdims=True)
    return scores


# -- logistic regression: sparse examples, labels -1 and +1 ------------------------------------------


def logistic_loss(w: Array, features: Sparse, labels: Array) -> float:
    """Summed logistic loss ``log(1 + exp(-y x·w))``."""
    return float(np.logaddexp(0.0, -labels * (features @ w)).sum())


def logistic_gradient(w: Array, features: Sparse, labels: Array) -> tuple[float, Array]:
    """Summed logistic loss of some examples, and its gradient."""
    margins = labels * (features @ w)
    pull = -labels / (1.0 + np.exp(margins))
    return float(np.logaddexp(0.0, -margins).sum()), features.T @ pull


def curvature(features: Sparse) -> Array:
    """For each coordinate a bound of the logistic loss's second derivative; holds for steps of all at once.

    ``1/4 · Σ |x_j| Σ_k |x_k|``: the second derivative of the logistic loss is at most 1/4, and the matrix
    ``x xᵀ`` is dominated by the diagonal of its absolute row sums. Only the columns given count: a block's
    bound is smaller than that of all features.
    """
    sizes = abs(features)
    return 0.25 * (sizes.T @ np.asarray(sizes.sum(axis=1)).ravel())
