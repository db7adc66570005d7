"""A partition of the edges (§4.2): arrays of edges clustered by source, and replicas of their vertices.

Vertices have numbers of their own in each partition, in the order of their ids; the edges are pairs of such
numbers. The *mirrors*, which ids there are and which of them are sources and targets, stay the same while
edges are removed and attributes change, so that they are shared and the routing tables stay right.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from labkit.runtime.raised import short

from .columns import Column, column, frozen, joined, same_kind, unchanging, values_of
from .packing import unpacked, unsealed
from .triplets import Edge, EdgeDirection

__all__ = ["EdgeArrays", "EdgePartition", "Mirrors", "Scan", "edge_partition"]

#: Below this part of the sources active, edges are found by the index instead of a scan of all (§4.5.3).
SCAN_BELOW = 0.8

Sides = tuple[bool, bool]


class EdgeArrays(NamedTuple):
    """Many edges as one record: ids of sources and targets (int64), and a column of attributes."""

    sources: np.ndarray
    targets: np.ndarray
    attrs: Column


@dataclass(frozen=True)
class Mirrors:
    """The vertices of which an edge partition has replicas."""

    ids: np.ndarray  #: int64, increasing
    is_source: np.ndarray  #: bool for each
    is_target: np.ndarray

    @cached_property
    def _by_home(self) -> dict[int, list[np.ndarray]]:
        return {}

    def __reduce__(self) -> Any:
        return Mirrors, (self.ids, self.is_source, self.is_target)  # what can be made again stays

    def of(self, home: int, homes: int, sides: Sides = (True, True)) -> np.ndarray:
        """Local numbers of those that live in this vertex partition and are on these sides, in order of
        their ids."""
        if homes not in self._by_home:
            where = self.ids % homes
            self._by_home[homes] = [np.flatnonzero(where == each) for each in range(homes)]
        here = self._by_home[homes][home]
        return here[on_sides(self.is_source[here], self.is_target[here], sides)]

    def reversed(self) -> Mirrors:
        """With sources and targets exchanged."""
        return Mirrors(self.ids, self.is_target, self.is_source)

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return 10 * len(self.ids)


def on_sides(is_source: np.ndarray, is_target: np.ndarray, sides: Sides) -> np.ndarray:
    """Which vertices are on one of these sides."""
    return (is_source & sides[0]) | (is_target & sides[1])


@dataclass(frozen=True)
class Ends:
    """The ends of a partition's edges, and indexes of them, which are made once for all partitions with the
    same edges."""

    source: np.ndarray  #: int32, local number of each edge's source; increasing
    target: np.ndarray  #: int32; of one source increasing

    @cached_property
    def first(self) -> np.ndarray:
        """Number of the first edge of each source, and at the end of all (compressed sparse rows)."""
        return _starts(self.source)

    @cached_property
    def by_target(self) -> tuple[np.ndarray, np.ndarray]:
        """The edges' numbers in the order of their targets, and where each target begins among them."""
        order = np.argsort(self.target, kind="stable")
        return order, _starts(self.target[order])

    def __reduce__(self) -> Any:
        return Ends, (self.source, self.target)  # what can be made again stays


def _starts(increasing: np.ndarray) -> np.ndarray:
    """Where each number up to the last one begins, and the end of all."""
    return np.concatenate(([0], np.cumsum(np.bincount(increasing))))


class Scan(NamedTuple):
    """Which edges are looked at: their numbers (None: all), how many were touched to find them, and whether
    by the index."""

    chosen: np.ndarray | None
    touched: int
    by_index: bool


@dataclass(frozen=True)
class EdgePartition:
    """Read-only: every operation makes a new one that shares what is the same."""

    mirrors: Mirrors
    ends: Ends
    attrs: Column
    values: Column  #: the mirrors' attributes, as far as they were shipped
    active: np.ndarray | None = None  #: bool for each mirror, if there is an active set
    received: int = 0  #: attributes that came with the last shipment

    @property
    def ids(self) -> np.ndarray:
        """The mirrors' ids."""
        return self.mirrors.ids

    @property
    def source(self) -> np.ndarray:
        """Local number of each edge's source."""
        return self.ends.source

    @property
    def target(self) -> np.ndarray:
        """Local number of each edge's target."""
        return self.ends.target

    def __len__(self) -> int:
        return len(self.source)

    @property
    def unchanging(self) -> bool:
        """Whether no function can change it, so that it need not be copied for each."""
        return unchanging(self.attrs) and unchanging(self.values)

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self.mirrors.nbytes + 8 * len(self) + self.attrs.nbytes + self.values.nbytes

    @property
    def src_ids(self) -> np.ndarray:
        """Id of each edge's source."""
        found: np.ndarray = self.ids[self.source]
        return found

    @property
    def dst_ids(self) -> np.ndarray:
        """Id of each edge's target."""
        found: np.ndarray = self.ids[self.target]
        return found

    # --- finding edges ----------------------------------------------------------------------------------

    def scan(self, direction: str | None, index: bool, below: float = SCAN_BELOW) -> Scan:
        """The edges of which the ends that ``direction`` names are active; all without an active set.

        index: whether the index may be used, which it is if a smaller part than ``below`` is active."""
        if direction is None or self.active is None:
            return Scan(None, len(self), False)
        active = self.active
        if index and len(active) and active.mean() < below:
            chosen, touched = self._by_index(direction, np.flatnonzero(active))
            return Scan(chosen, touched, True)
        return Scan(np.flatnonzero(self._is_active(direction)), len(self), False)

    def _is_active(self, direction: str, edges: Any = slice(None)) -> np.ndarray:
        assert self.active is not None
        source, target = self.active[self.source[edges]], self.active[self.target[edges]]
        if direction == EdgeDirection.Out:
            return source
        if direction == EdgeDirection.In:
            return target
        return source & target if direction == EdgeDirection.Both else source | target

    def _by_index(self, direction: str, who: np.ndarray) -> tuple[np.ndarray, int]:
        """In the order of the edges, so that sums are the same as of a scan."""
        out = _ranges(self.ends.first, who) if direction != EdgeDirection.In else who[:0]
        if direction == EdgeDirection.Both:
            return out[self._is_active(direction, out)], len(out)
        if direction == EdgeDirection.Out:
            return out, len(out)
        order, first = self.ends.by_target
        into = np.sort(order[_ranges(first, who)])
        touched = len(out) + len(into)
        return (into, touched) if direction == EdgeDirection.In else (np.union1d(out, into), touched)

    # --- replicas ---------------------------------------------------------------------------------------

    def receive(self, blocks: Iterable[Any], homes: int, sides: Sides) -> EdgePartition:
        """With what vertex partitions have shipped: (home, packed positions, attributes, None or the packed
        positions of the active ones in a list) each. Positions are those among the home's mirrors on the
        sides."""
        arrived: list[tuple[np.ndarray, Column]] = []
        active: np.ndarray | None = None
        for home, packed, sent, who in blocks:
            here, values = self.mirrors.of(home, homes, sides), unsealed(sent)
            if values is not None and len(values):
                arrived.append((here[unpacked(unsealed(packed), len(here))], values))
            if who is not None:
                active = np.zeros(len(self.ids), bool) if active is None else active
                everybody = self.mirrors.of(home, homes)
                active[everybody[unpacked(unsealed(who[0]), len(everybody))]] = True
        wanted = on_sides(self.mirrors.is_source, self.mirrors.is_target, sides)
        values = _updated(self.values, arrived, wanted)
        return replace(self, values=values, active=active, received=sum(len(each) for each, _ in arrived))

    # --- other edges ------------------------------------------------------------------------------------

    def with_edges(self, chosen: np.ndarray) -> EdgePartition:
        """Only the edges with these numbers; the mirrors stay, and so do the routing tables."""
        ends = Ends(self.source[chosen], self.target[chosen])
        return replace(self, ends=ends, attrs=frozen(self.attrs[chosen]), active=None)

    def with_attrs(self, attrs: Column) -> EdgePartition:
        """With other attributes of the edges."""
        return replace(self, attrs=attrs, active=None)

    def reversed(self) -> EdgePartition:
        """Each edge the other way."""
        order = np.lexsort((self.source, self.target))
        ends = Ends(self.target[order], self.source[order])
        attrs = frozen(self.attrs[order])
        return replace(self, mirrors=self.mirrors.reversed(), ends=ends, attrs=attrs, active=None)

    def runs(self) -> np.ndarray:
        """Numbers of the edges that are not parallel to the one before."""
        if not len(self):
            return np.empty(0, np.int64)
        new = (self.source[1:] != self.source[:-1]) | (self.target[1:] != self.target[:-1])
        return np.flatnonzero(np.concatenate(([True], new)))

    def pairs(self) -> np.ndarray:
        """(source, target) ids of each edge as one item, to be looked for in others."""
        both = np.empty(len(self), [("s", np.int64), ("t", np.int64)])
        both["s"], both["t"] = self.src_ids, self.dst_ids
        return both

    def edges(self) -> list[Edge]:
        """One by one."""
        ends = self.src_ids.tolist(), self.dst_ids.tolist()
        return [Edge(*each) for each in zip(*ends, values_of(self.attrs), strict=True)]

    def as_arrays(self) -> EdgeArrays:
        """All edges as one record."""
        return EdgeArrays(self.src_ids, self.dst_ids, self.attrs)


def _ranges(first: np.ndarray, who: np.ndarray) -> np.ndarray:
    """first[w], first[w] + 1, … up to first[w + 1], for each w in ``who``."""
    last = len(first) - 1  # a vertex beyond has no edge
    begin = first[np.minimum(who, last)]
    count = first[np.minimum(who + 1, last)] - begin
    ends = np.cumsum(count)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) + np.repeat(begin - ends + count, count)


def _updated(old: Column, arrived: list[tuple[np.ndarray, Column]], wanted: np.ndarray) -> Column:
    if not arrived:
        return old
    kinds = [values for _, values in arrived]
    if len(old) and same_kind([old, *kinds]):
        new = old.copy()
    elif same_kind(kinds) and sum(map(len, kinds)) == np.count_nonzero(wanted):  # nothing old is left
        new = np.zeros((len(wanted), *kinds[0].shape[1:]), kinds[0].dtype.type)
    else:
        return _mixed(old, arrived, len(wanted))
    for where, values in arrived:
        new[where] = values
    return frozen(new)


def _mixed(old: Column, arrived: list[tuple[np.ndarray, Column]], count: int) -> Column:
    """Attributes of several types."""
    new = values_of(old) if len(old) else [None] * count
    for where, values in arrived:
        for place, value in zip(where.tolist(), values_of(values), strict=True):
            new[place] = value
    return column(new)


def edge_partition(sources: np.ndarray, targets: np.ndarray, attrs: Column) -> EdgePartition:
    """Of ids (int64) and attributes, in any order; parallel edges keep theirs."""
    ids, local = np.unique(np.concatenate((sources, targets)), return_inverse=True)
    source, target = local[: len(sources)].astype(np.int32), local[len(sources) :].astype(np.int32)
    order = np.lexsort((target, source))
    source, target = source[order], target[order]
    is_source, is_target = np.zeros(len(ids), bool), np.zeros(len(ids), bool)
    is_source[source], is_target[target] = True, True
    mirrors = Mirrors(ids, is_source, is_target)
    return EdgePartition(mirrors, Ends(source, target), frozen(attrs[order]), column([]))


def edges_of(records: Iterable[Any]) -> EdgeArrays:
    """Records of edges as arrays: ``Edge``, (source, target), (source, target, attribute), ``EdgeArrays``."""
    sources: list[int] = []
    targets: list[int] = []
    attrs: list[Any] = []
    many: list[EdgeArrays] = []
    for record in records:
        if isinstance(record, EdgeArrays):
            many.append(record)
            continue
        if not isinstance(record, (tuple, list)) or len(record) not in (2, 3):
            raise TypeError(
                f"{short(record)} is no edge: write Edge(srcId, dstId, attr) or (srcId, dstId), with whole "
                "numbers as ids"
            )
        sources.append(checked_id(record[0]))
        targets.append(checked_id(record[1]))
        attrs.append(record[2] if len(record) == 3 else None)
    many.append(EdgeArrays(np.array(sources, np.int64), np.array(targets, np.int64), column(attrs)))
    return EdgeArrays(
        np.concatenate([each.sources for each in many]), np.concatenate([each.targets for each in many]),
        joined([each.attrs for each in many]),
    )  # fmt: skip


def checked_id(vertex: Any) -> int:
    """A vertex's id. Raises ``TypeError`` for what is no whole number, ``ValueError`` beyond 64 bits."""
    if type(vertex) is not int:
        if not isinstance(vertex, (int, np.integer)) or isinstance(vertex, bool):
            raise TypeError(
                f"{short(vertex)} is no vertex id: ids are whole numbers of 64 bits; write int(…) of a "
                "number; number names first, names.zipWithUniqueId(), or use GraphLoader.fromNetworkX, which "
                "does it"
            )
        vertex = int(vertex)
    if not -(1 << 63) <= vertex < 1 << 63:
        raise ValueError(f"the vertex id {vertex} does not fit 64 bits: from -2**63 to 2**63 - 1")
    return vertex
