"""The paper's three applications (§5, appendix).

Fractions are added by ``fsum``: the ``sum`` of Python 3.12 and later rounds otherwise than that of 3.11, and
the same seed would not be the same run.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import fsum
from typing import Any

from labkit.parts.store import FileSystem
from labkit.runtime.cluster import Cluster
from labkit.systems.mapreduce.readers import Pairs

from .job import HaLoop

__all__ = ["descendants", "file_of", "pagerank"]

#: PageRank's damping factor.
DAMPING = 0.85


def file_of(pairs: Iterable[tuple[Any, Any]]) -> str:
    """Pairs as a file that ``Pairs`` reads."""
    return "".join(Pairs().line(key, value) for key, value in pairs)


def pagerank(cluster: Cluster | None, fs: FileSystem | None, links: str, ranks: str, vertices: int) -> HaLoop:
    """Ranks of the pages of a graph. links: files of (source, target), the invariant table L.
    ranks: files of (page, rank), R0, with every page. The rank of a page without links is
    lost."""

    def map_rank(task: Any, page: Any, value: Any) -> None:
        task.emit_intermediate(page, value)

    def reduce_rank(task: Any, page: Any, ranks: Any, targets: list[Any]) -> None:
        rank = fsum(ranks)
        task.emit((rank / max(1, len(targets)), *targets))

    def map_aggregate(task: Any, page: Any, shared: Any) -> None:
        task.emit_intermediate(page, 0.0)  # so that a page that nobody links to is not lost
        share, *targets = shared
        for target in targets:
            task.emit_intermediate(target, share)

    def combine_aggregate(task: Any, page: Any, shares: Any) -> None:
        task.emit(fsum(shares))

    def reduce_aggregate(task: Any, page: Any, shares: Any, invariant: Any) -> None:
        task.emit((1 - DAMPING) / vertices + DAMPING * fsum(shares))

    def difference(page: Any, before: list[Any], now: list[Any]) -> float:
        return abs(fsum(now) - fsum(before))

    loop = HaLoop(cluster, fs)
    loop.add_map(map_rank, 1)
    loop.add_reduce(reduce_rank, 1)
    loop.add_map(map_aggregate, 2, combine=combine_aggregate)
    loop.add_reduce(reduce_aggregate, 2)
    loop.set_input(ranks)
    loop.add_invariant_table(links)
    loop.set_distance_measure(difference)
    return loop


def descendants(
    cluster: Cluster | None, fs: FileSystem | None, edges: str, start: str, output: str
) -> HaLoop:
    """Who can be reached: R(i+1) = R(i) ⋈ edges without what is known already. edges: files of
    (parent, child), invariant. start: files of (name, 0), R0. output: the folder that the loop is run with.
    The output of an iteration are the (name, distance) that were new in it; when there are none, that is
    the fix point."""

    def map_join(task: Any, name: Any, value: Any) -> None:
        task.emit_intermediate(name, value)

    def reduce_join(task: Any, name: Any, distances: Any, children: list[Any]) -> None:
        distance = min(distances)
        for child in children:
            task.emit((child, distance + 1))

    def map_known(task: Any, name: Any, value: Any) -> None:
        if isinstance(value, tuple):  # a new one, from the join
            task.emit_intermediate(value[0], (1, value[1]))
        else:  # one of an earlier iteration
            task.emit_intermediate(name, (0, value))

    def reduce_known(task: Any, name: Any, found: Any, invariant: Any) -> None:
        known, distance = min(found)
        if known:
            task.emit(distance)

    def earlier(step: int, iteration: int) -> str | None:
        """AddStepInput: the second step eliminates duplicates, so it reads what there was before."""
        return f"{output}/*/step-2/part-*" if step == 2 and iteration > 1 else None

    def beginning(step: int, iteration: int) -> str | None:
        return start if step == 2 else None

    loop = HaLoop(cluster, fs)
    loop.add_map(map_join, 1)
    loop.add_reduce(reduce_join, 1)
    loop.add_map(map_known, 2)
    loop.add_reduce(reduce_known, 2)
    loop.set_input(start)
    loop.add_invariant_table(edges)
    loop.add_step_input(earlier)
    loop.add_step_input(beginning)
    loop.set_distance_measure(lambda name, before, now: float(bool(now)))
    loop.set_fixed_point_threshold(0)
    return loop


def kmeans(cluster: Cluster | None, fs: FileSystem | None, points: str, centres: str) -> HaLoop:
    """Clusters of points. points: files of (number, coordinates), which never change. centres: files of
    (number, coordinates), R0.

    The first step copies the centres to every block of points, a reduce task each, and tells for each block
    and centre the sum and the number of its points; the second one makes the new centres."""
    blocks = 64

    def map_blocks(task: Any, number: Any, value: Any) -> None:
        if task.table:
            task.emit_intermediate(number % blocks, value)
        else:
            for block in range(blocks):
                task.emit_intermediate(block, (number, value))

    def reduce_blocks(task: Any, block: Any, centres_now: Any, points_here: list[Any]) -> None:
        known = sorted(centres_now)
        sums: dict[Any, list[Any]] = {number: [0, [0.0] * len(centre)] for number, centre in known}
        for point in points_here:
            nearest = min(known, key=lambda each: _far(each[1], point))[0]
            sums[nearest][0] += 1
            sums[nearest][1] = [a + b for a, b in zip(sums[nearest][1], point, strict=True)]
        for number, centre in known:
            task.emit((number, centre, sums[number][0], tuple(sums[number][1])))

    def map_centres(task: Any, block: Any, found: Any) -> None:
        number, *rest = found
        task.emit_intermediate(number, tuple(rest))

    def reduce_centres(task: Any, number: Any, found: Any, invariant: Any) -> None:
        parts = sorted(found)
        count = sum(part[1] for part in parts)
        totals = [fsum(column) for column in zip(*(part[2] for part in parts), strict=True)]
        task.emit(tuple(total / count for total in totals) if count else parts[0][0])

    loop = HaLoop(cluster, fs)
    loop.add_map(map_blocks, 1)
    loop.add_reduce(reduce_blocks, 1)
    loop.add_map(map_centres, 2)
    loop.add_reduce(reduce_centres, 2)
    loop.set_input(centres)
    loop.add_invariant_table(points)
    return loop


def _far(a: Iterable[float], b: Iterable[float]) -> float:
    """The square of a distance."""
    return fsum((x - y) ** 2 for x, y in zip(a, b, strict=True))
