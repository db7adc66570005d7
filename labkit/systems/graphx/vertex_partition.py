"""A partition of the vertices (§4.2): sorted ids, a bit for each, a column of attributes, and a routing
table.

The ids are the *index*. What is made of a partition by a map, a filter or an aggregation shares the index,
and a filter only clears bits, so that two such partitions are joined place by place (§4.4).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from labkit.runtime.raised import short

from .columns import (
    Column,
    changed,
    column,
    constant,
    frozen,
    joined,
    same_kind,
    spread,
    unchanging,
    values_of,
)
from .edge_partition import Mirrors, Sides, checked_id, on_sides
from .merging import Merge
from .packing import packed, unpacked, unsealed

__all__ = ["Route", "VertexArrays", "VertexIndex", "VertexPartition", "indexed", "placed"]


class VertexArrays(NamedTuple):
    """Many vertices as one record: their ids (int64) and a column of attributes."""

    ids: np.ndarray
    values: Column


class Route(NamedTuple):
    """Which vertices of a vertex partition one edge partition has: their places in the index, in order, and
    whether they are sources and targets there."""

    places: np.ndarray
    is_source: np.ndarray
    is_target: np.ndarray


@dataclass(frozen=True)
class VertexIndex:
    """The ids of a partition and the routing table: what graphs have in common that differ in attributes."""

    ids: np.ndarray  #: int64, increasing
    routes: tuple[Route, ...] = ()  #: for each edge partition

    @cached_property
    def _sides(self) -> dict[Sides, list[np.ndarray]]:
        return {}

    def __reduce__(self) -> Any:
        return VertexIndex, (self.ids, self.routes)  # what can be made again stays

    def places(self, part: int, sides: Sides = (True, True)) -> np.ndarray:
        """Where the vertices are that an edge partition has on these sides."""
        if sides not in self._sides:
            self._sides[sides] = [
                each.places[on_sides(each.is_source, each.is_target, sides)] for each in self.routes
            ]
        return self._sides[sides][part]

    def reversed(self) -> VertexIndex:
        """The routing table of the reversed edges."""
        return VertexIndex(
            self.ids, tuple(Route(each.places, each.is_target, each.is_source) for each in self.routes)
        )

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return 8 * len(self.ids) + sum(10 * len(each.places) for each in self.routes)


@dataclass(frozen=True)
class VertexPartition:
    """Read-only. Attributes are of the vertices whose bit is set; the others' places hold anything."""

    index: VertexIndex
    mask: np.ndarray  #: bool for each id of the index
    values: Column
    notes: tuple[Any, ...] = ()  #: of an aggregation: what the edge partitions did for it

    @property
    def unchanging(self) -> bool:
        """Whether no function can change it, so that it need not be copied for each."""
        return unchanging(self.values)

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self.index.nbytes + len(self.mask) + self.values.nbytes

    def __len__(self) -> int:
        return int(np.count_nonzero(self.mask))

    @property
    def ids(self) -> np.ndarray:
        """Ids of those that are there."""
        found: np.ndarray = self.index.ids[self.mask]
        return found

    @property
    def here(self) -> Column:
        """Attributes of those that are there."""
        return frozen(self.values[self.mask])

    def pairs(self) -> Iterator[tuple[int, Any]]:
        """(id, attribute) of each."""
        return zip(self.ids.tolist(), values_of(self.here), strict=True)

    # --- other attributes -------------------------------------------------------------------------------

    def with_values(self, values: Column, mask: np.ndarray | None = None) -> VertexPartition:
        """Other attributes for those of the mask (or of this one's), in order."""
        mask = self.mask if mask is None else mask
        return VertexPartition(self.index, mask, spread(values, mask))

    def masked(self, mask: np.ndarray) -> VertexPartition:
        """Without those whose bit is cleared."""
        return replace(self, mask=self.mask & mask, notes=())

    def diff(self, old: VertexPartition) -> np.ndarray:
        """Whose attribute is another than in a partition with the same index."""
        different = changed(old.values, self.values)
        return self.mask & (different | ~old.mask)

    # --- joins ------------------------------------------------------------------------------------------

    def places_in(self, other: VertexPartition, reuse: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """Where the vertices are here that both have (a mask), and where they are in the other (places).

        reuse: whether the same index spares the search."""
        if reuse and (self.index is other.index or np.array_equal(self.index.ids, other.index.ids)):
            both = self.mask & other.mask
            return both, np.flatnonzero(both)
        ids = other.ids
        order = np.flatnonzero(other.mask)[np.argsort(ids, kind="stable")]
        where = np.searchsorted(other.index.ids[order], self.index.ids)
        where[where == len(order)] = 0
        found = (
            self.mask & (other.index.ids[order][where] == self.index.ids) if len(order) else self.mask & False
        )
        return found, order[where[found]] if len(order) else order

    # --- shipping ---------------------------------------------------------------------------------------

    def ship(
        self, part: int, sides: Sides, held: Sides, fresh: np.ndarray | None, active: VertexPartition | None
    ) -> tuple[Any, Any, Any]:
        """What an edge partition is sent: packed positions, attributes, and, if there is an active set, the
        packed positions of the active ones in a list.

        sides: where attributes are needed; held: where the edge partition has them already, but for those
        that are ``fresh`` (None: it has none)."""
        positions = values = None
        if any(sides):
            places = self.index.places(part, sides)
            chosen = self.mask[places]
            if fresh is not None:
                route = self.index.routes[part]
                wanted = on_sides(route.is_source, route.is_target, sides)
                has = on_sides(route.is_source, route.is_target, held)[wanted]
                chosen = chosen & (fresh[places] | ~has)
            positions, values = packed(chosen), frozen(self.values[places[chosen]])
        if active is None:
            return positions, values, None
        return positions, values, [packed(self.places_in(active)[0][self.index.places(part)])]

    def gather(self, blocks: Iterable[Any], merge: Merge) -> VertexPartition:
        """The combined messages (``aggregateUsingIndex``). blocks: (edge partition, packed positions,
        messages, ids instead of positions or None, note or None) each."""
        parts, notes = [], []
        for part, positions, sent, ids, note in blocks:
            messages = unsealed(sent)
            if ids is None:
                places = self.index.places(part)
                parts.append((places[unpacked(unsealed(positions), len(places))], messages))
            else:
                parts.append(
                    (np.searchsorted(np.sort(self.index.ids), unsealed(ids)), messages)
                )  # no index to be reused
            if note is not None:
                notes.append(note)
        who, combined = merge.combine(len(self.index.ids), parts)
        mask = np.zeros(len(self.index.ids), bool)
        mask[who] = True
        made = self.with_values(combined, mask) if self.mask[who].all() else self._alive(who, combined)
        return replace(made, notes=tuple(notes))

    def _alive(self, who: np.ndarray, combined: Column) -> VertexPartition:
        """Messages to vertices that are no longer there are dropped."""
        alive = self.mask[who]
        mask = np.zeros(len(self.index.ids), bool)
        mask[who[alive]] = True
        return self.with_values(frozen(combined[alive]), mask)


def routed(mirrors: Mirrors, home: int, homes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What an edge partition tells a vertex partition, for its routing table: ids, sources, targets."""
    here = mirrors.of(home, homes)
    return mirrors.ids[here], mirrors.is_source[here], mirrors.is_target[here]


def indexed(ids: np.ndarray, told: Sequence[tuple[int, Any]], parts: int) -> VertexIndex:
    """The index of these ids (increasing), with the routes that edge partitions have told."""
    empty = Route(np.empty(0, np.int64), np.empty(0, bool), np.empty(0, bool))
    routes = [empty] * parts
    for part, (theirs, is_source, is_target) in told:
        routes[part] = Route(np.searchsorted(ids, theirs), is_source, is_target)
    return VertexIndex(ids, tuple(routes))


def placed(given: VertexArrays, told: Sequence[tuple[int, Any]], parts: int, default: Any) -> VertexPartition:
    """A partition of these vertices, of two with the same id the first, and of all that edges name, which
    have the default attribute."""
    named = [theirs[0] for _, theirs in told]
    ids, first = np.unique(np.concatenate([given.ids, *named]), return_index=True)
    index = indexed(ids, told, parts)
    given_ones = first < len(given.ids)
    if given_ones.all():
        return VertexPartition(index, np.ones(len(ids), bool), frozen(given.values[first]))
    values = constant(default, int(np.count_nonzero(~given_ones)))
    known = frozen(given.values[first[given_ones]])
    if len(known) and not same_kind([known, values]):
        mixed: list[Any] = [default] * len(ids)
        for place, value in zip(np.flatnonzero(given_ones).tolist(), values_of(known), strict=True):
            mixed[place] = value
        return VertexPartition(index, np.ones(len(ids), bool), column(mixed))
    everyone = spread(values, ~given_ones).copy()
    if len(known):
        everyone[given_ones] = known
    return VertexPartition(index, np.ones(len(ids), bool), frozen(everyone))


def vertices_of(records: Iterable[Any]) -> VertexArrays:
    """Records of vertices as arrays: (id, attribute) pairs, ``VertexArrays``."""
    ids: list[int] = []
    values: list[Any] = []
    many: list[VertexArrays] = []
    for record in records:
        if isinstance(record, VertexArrays):
            many.append(record)
            continue
        if not isinstance(record, (tuple, list)) or len(record) != 2:
            raise TypeError(
                f"{short(record)} is no vertex: write pairs (id, attribute), with whole numbers as ids"
            )
        ids.append(checked_id(record[0]))
        values.append(record[1])
    many.append(VertexArrays(np.array(ids, np.int64), column(values)))
    return VertexArrays(np.concatenate([each.ids for each in many]), joined([each.values for each in many]))


def by_home(given: VertexArrays, homes: int) -> list[tuple[int, VertexArrays]]:
    """The vertices of each vertex partition: (partition, vertices)."""
    where = given.ids % homes
    found: list[tuple[int, VertexArrays]] = []
    for home in range(homes):
        here = np.flatnonzero(where == home)
        if len(here):
            found.append((home, VertexArrays(given.ids[here], frozen(given.values[here]))))
    return found
