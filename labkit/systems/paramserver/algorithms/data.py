"""Examples to learn from, and how they are dealt out to workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..updates import Array
from .losses import Sparse

__all__ = [
    "Digits",
    "Ratings",
    "SparseShard",
    "ZipfExamples",
    "digits_split",
    "ratings",
    "shards",
    "zipf_examples",
]

#: Every fifth image is kept for testing.
TEST_EVERY = 5


class Digits(NamedTuple):
    """Hand-written digits, with a constant feature for the bias."""

    features: Array  # (n, 65) float64, 0 to 1
    labels: Array  # (n,) 0 to 9


def digits_split() -> tuple[Digits, Digits]:
    """scikit-learn's 1,797 digits for training (four of five) and for testing (every fifth)."""
    from labkit.data import digits

    images, labels = digits()
    features = np.hstack([np.asarray(images, float), np.ones((len(images), 1))])
    test = np.arange(len(labels)) % TEST_EVERY == TEST_EVERY - 1
    return Digits(features[~test], labels[~test]), Digits(features[test], labels[test])


def shards(examples: Digits, count: int) -> list[Digits]:
    """The examples dealt out in turn, like cards: each shard has every class."""
    if not 1 <= count <= len(examples.labels):
        raise ValueError(f"{count} shards of {len(examples.labels)} examples: give between 1 and that many")
    return [Digits(examples.features[k::count], examples.labels[k::count]) for k in range(count)]


# -- sparse: few of many features in each example, some in very many ---------------------------------


class SparseShard(NamedTuple):
    """One worker's examples, with columns only for the features that occur in them: its *working set*."""

    keys: Array  # (k,) sorted int64: the features
    features: Sparse  # (n, k) CSR
    labels: Array  # (n,) -1.0 or 1.0


@dataclass(frozen=True)
class ZipfExamples:
    """Generated examples for sparse logistic regression."""

    features: Sparse  # (n, dimensions) CSR of ones
    labels: Array  # (n,) -1.0 or 1.0
    truth: Array  # (dimensions,) the weights behind the labels, most of them zero

    @property
    def dimensions(self) -> int:
        """Features, and so parameters."""
        return int(self.features.shape[1])

    def shards(self, count: int) -> list[SparseShard]:
        """Examples dealt out in turn, each shard with its own working set."""
        return [self._shard(np.arange(k, len(self.labels), count)) for k in range(count)]

    def _shard(self, rows: Array) -> SparseShard:
        part = self.features[rows]
        keys = np.unique(part.indices).astype(np.int64)
        return SparseShard(keys, part[:, keys], self.labels[rows])


def zipf_examples(
    examples: int = 2000,
    dimensions: int = 10_000,
    per_example: int = 20,
    exponent: float = 1.1,
    useful: float = 0.05,
    seed: int = 0,
) -> ZipfExamples:
    """Examples whose features are drawn with Zipf's law, as words and advertisements are.

    The k-th most frequent feature is drawn with a probability that is proportional to ``k ** -exponent``. A
    fraction ``useful`` of the features has a weight; the labels follow the logistic model of those weights.
    """
    import scipy.sparse as sparse

    random = np.random.default_rng(seed)
    popularity = np.arange(1, dimensions + 1) ** -exponent
    drawn = random.choice(dimensions, size=(examples, per_example), p=popularity / popularity.sum())
    rows = np.repeat(np.arange(examples), per_example)
    features = sparse.csr_matrix((np.ones(drawn.size), (rows, drawn.ravel())), shape=(examples, dimensions))
    features.sum_duplicates()  # not every SciPy has done so
    features.data[:] = 1.0  # a feature that was drawn twice is there once
    truth = np.where(random.random(dimensions) < useful, random.normal(0, 3, dimensions), 0.0)
    chance = 1 / (1 + np.exp(-(features @ truth)))
    labels = np.where(random.random(examples) < chance, 1.0, -1.0)
    return ZipfExamples(features, labels, truth)


# -- a matrix of which some entries are known ------------------------------------------


class Ratings(NamedTuple):
    """Known entries of a matrix, one worker's part: ``values[k]`` stands at (``rows[k]``, ``columns[k]``)."""

    rows: Array
    columns: Array
    values: Array


def ratings(
    rows: int = 60, columns: int = 40, rank: int = 3, known: float = 0.3, noise: float = 0.05, seed: int = 0
) -> Ratings:
    """A random matrix of that rank with some noise, of which the fraction ``known`` is known."""
    random = np.random.default_rng(seed)
    whole = random.normal(size=(rows, rank)) @ random.normal(size=(rank, columns)) / np.sqrt(rank)
    whole += noise * random.normal(size=whole.shape)
    where = np.nonzero(random.random(whole.shape) < known)
    return Ratings(*(index.astype(np.int64) for index in where), whole[where])


def deal_ratings(all_ratings: Ratings, count: int) -> list[Ratings]:
    """The rows of the matrix dealt out in turn: each worker has its rows to itself and shares the columns."""
    parts: list[Any] = [all_ratings.rows % count == k for k in range(count)]
    return [Ratings(*(array[part] for array in all_ratings)) for part in parts]
