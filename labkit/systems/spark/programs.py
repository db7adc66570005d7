"""The paper's own programs (NSDI 2012, 3.2 and 6), on any context."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import add
from typing import Any

from labkit.parts.graphs.pagerank import SPARK, PageRankVariant

from .rdd import RDD

__all__ = ["k_means_step", "logistic_step", "page_rank"]

Vector = tuple[float, ...]


def logistic_step(points: RDD, weights: Vector, rate: float = 1.0) -> Vector:
    """Weights after one step of gradient descent. points: (label −1 or 1, features)."""

    def gradient(point: tuple[float, Vector]) -> Vector:
        y, x = point
        margin = y * sum(w * each for w, each in zip(weights, x, strict=True))
        scale = (1.0 / (1.0 + math.exp(-margin)) - 1.0) * y
        return tuple(scale * each for each in x)

    total = points.map(gradient).reduce(_vector_sum)
    return tuple(w - rate * g for w, g in zip(weights, total, strict=True))


def _vector_sum(a: Vector, b: Vector) -> Vector:
    return tuple(map(add, a, b))


def k_means_step(points: RDD, centres: Sequence[Vector]) -> list[Vector]:
    """The means of the points nearest to each centre; a centre that has none stays. points: vectors."""
    old = list(centres)

    def nearest(point: Vector) -> tuple[int, tuple[Vector, int]]:
        distances = [sum((a - b) ** 2 for a, b in zip(point, centre, strict=True)) for centre in old]
        return distances.index(min(distances)), (point, 1)

    def both(a: tuple[Vector, int], b: tuple[Vector, int]) -> tuple[Vector, int]:
        return _vector_sum(a[0], b[0]), a[1] + b[1]

    # There are few centres, so their sums come to the driver without a shuffle.
    sums = points.map(nearest).reduceByKeyLocally(both)
    means = {index: tuple(x / count for x in total) for index, (total, count) in sums.items()}
    return [means.get(index, centre) for index, centre in enumerate(old)]


def page_rank(
    links: RDD, iterations: int, variant: PageRankVariant = SPARK, vertices: int | None = None
) -> RDD:
    """Pairs of a vertex and its rank. links: pairs of *every* vertex and its targets.

    If links is partitioned, so are the ranks, and the joins move nothing of it. vertices: how many there are,
    if known.
    """
    n = links.count() if vertices is None else vertices
    first = variant.initial(n)
    ranks = links.mapValues(lambda _: first)
    for _ in range(iterations):
        both = links.join(ranks)
        dangling = 0.0
        if variant.dangling == "redistributed":
            dangling = both.map(_rank_without_links).sum()
        received = both.flatMap(_contributions).reduceByKey(add, links.getNumPartitions())
        ranks = received.mapValues(_NextRank(variant, n, dangling))
    return ranks


def _contributions(item: tuple[Any, tuple[Sequence[Any], float]]) -> list[tuple[Any, float]]:
    # A vertex sends itself nothing, so that it stays in the graph though nobody links to it.
    vertex, (targets, rank) = item
    return [(vertex, 0.0), *((target, rank / len(targets)) for target in targets)]


def _rank_without_links(item: tuple[Any, tuple[Sequence[Any], float]]) -> float:
    targets, rank = item[1]
    return 0.0 if targets else rank


class _NextRank:
    def __init__(self, variant: PageRankVariant, vertices: int, dangling: float) -> None:
        self.variant, self.vertices, self.dangling = variant, vertices, dangling

    def __call__(self, received: float) -> float:
        return self.variant.rank(received, self.vertices, self.dangling)
