"""What structural operations do to one edge partition; each is sent to the executors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import numpy as np

from .columns import Column, column, frozen, values_of
from .edge_partition import EdgeArrays, EdgePartition, edge_partition, edges_of
from .merging import ufunc_of
from .rdds import Function
from .strategies import PartitionStrategy
from .triplets import EdgeDirection, TripletArrays, column_for, mask_for, triplets

__all__ = [
    "Build",
    "Cut",
    "FilterEdges",
    "GroupEdges",
    "MapTriplets",
    "MaskEdges",
    "TripletsOf",
    "placed_edges",
]


class Build:
    """An edge partition of records of edges."""

    def __call__(self, index: int, records: Iterable[Any]) -> list[EdgePartition]:
        return [edge_partition(*edges_of(records))]


class Cut:
    """Each edge to the partition that the strategy says."""

    def __init__(self, strategy: PartitionStrategy, parts: int) -> None:
        self.strategy, self.parts = strategy, parts

    def __call__(self, index: int, records: Iterable[EdgePartition]) -> list[tuple[int, EdgeArrays]]:
        (edges,) = records
        where = self.strategy.parts(edges.src_ids, edges.dst_ids, self.parts)
        found = []
        for part in range(self.parts):
            here = np.flatnonzero(where == part)
            if len(here):
                found.append(
                    (part, EdgeArrays(edges.src_ids[here], edges.dst_ids[here], frozen(edges.attrs[here])))
                )
        return found


def placed_edges(index: int, records: Iterable[tuple[int, EdgeArrays]]) -> list[EdgePartition]:
    """The partition of the edges that arrived."""
    return [edge_partition(*edges_of(each for _, each in records))]


class MapTriplets(Function):
    """f(triplet) as attributes of the edges."""

    def __init__(self, f: Callable[..., Any], sides: tuple[bool, bool]) -> None:
        super().__init__(f)
        self.sides = sides

    def __call__(self, p: int, mine: list[EdgePartition]) -> EdgePartition:
        (edges,) = mine
        f = self.f.function
        if self.of_arrays and len(edges):
            given = f(TripletArrays(edges, None, self.sides))
            return edges.with_attrs(column_for(len(edges), given, "a function of triplets"))
        return edges.with_attrs(column([f(each) for each in triplets(edges, None, self.sides)]))


class FilterEdges(Function):
    """The edges of which both ends are in the active set, and for which f(triplet), if given, is true."""

    def __init__(self, f: Callable[..., Any] | None, sides: tuple[bool, bool], active: bool) -> None:
        super().__init__(f or bool)
        self.sides, self.active, self.all = sides, active, f is None

    def __call__(self, p: int, mine: list[EdgePartition]) -> EdgePartition:
        (edges,) = mine
        chosen = edges.scan(EdgeDirection.Both, index=False).chosen if self.active else None
        chosen = np.arange(len(edges)) if chosen is None else chosen
        if self.all or not len(chosen):
            return edges.with_edges(chosen)
        f = self.f.function
        if self.of_arrays:
            given = f(TripletArrays(edges, chosen, self.sides))
            keep = mask_for(len(chosen), given, "epred")
        else:
            keep = np.fromiter(
                (bool(f(each)) for each in triplets(edges, chosen, self.sides)), bool, len(chosen)
            )
        return edges.with_edges(chosen[keep])


class MaskEdges:
    """The edges that another partition has, too, and whose ends are in the active set."""

    def __call__(self, p: int, mine: list[EdgePartition], other: list[EdgePartition]) -> EdgePartition:
        (edges,) = mine
        chosen = edges.scan(EdgeDirection.Both, index=False).chosen
        chosen = np.arange(len(edges)) if chosen is None else chosen
        return edges.with_edges(chosen[np.isin(edges.pairs()[chosen], other[0].pairs())])


class GroupEdges(Function):
    """Parallel edges as one, their attributes merged."""

    def __init__(self, f: Callable[[Any, Any], Any]) -> None:
        super().__init__(f)
        self.ufunc = None if (known := ufunc_of(f)) is None else known.__name__

    def __call__(self, p: int, mine: list[EdgePartition]) -> EdgePartition:
        (edges,) = mine
        first = edges.runs()
        return edges.with_edges(first).with_attrs(self.merged(edges.attrs, first))

    def merged(self, attrs: Column, first: np.ndarray) -> Column:
        """Of each run, which begins at ``first``."""
        if (
            self.ufunc is not None
            and attrs.ndim == 1
            and attrs.dtype == np.float64
            and not np.isnan(attrs).any()
        ):
            return frozen(getattr(np, self.ufunc).reduceat(attrs, first)) if len(first) else attrs
        f, values, found = self.f.function, values_of(attrs), []
        for begin, end in pairwise([*first.tolist(), len(attrs)]):
            merged = values[begin]
            for value in values[begin + 1 : end]:
                merged = f(merged, value)
            found.append(merged)
        return column(found)


class TripletsOf:
    """The triplets of a partition, one by one."""

    def __call__(self, index: int, records: Iterable[EdgePartition]) -> Iterable[Any]:
        (edges,) = records
        return triplets(edges, None, (True, True))
