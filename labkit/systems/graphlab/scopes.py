"""A scope: what an update function may read and write, by consistency model (VLDB 2012, Figure 2).

===========  ======================  ===============  ==================  ==================================
consistency  the vertex              adjacent edges   adjacent vertices   locked: the vertex, its neighbours
===========  ======================  ===============  ==================  ==================================
``full``     read and write          read and write   read and write      write, write
``edge``     read and write          read and write   read                write, read
``vertex``   read and write          -                -                   write, not at all
===========  ======================  ===============  ==================  ==================================

Whoever stays within these rights has a serializable run (UAI 2010, Proposition 3.1). An access beyond them is
a ``ConsistencyError``; with ``enforce=False`` it is allowed, and races with whatever else runs: that is what
the VLDB paper's Figure 1d shows the damage of.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from labkit.runtime.errors import LabError

__all__ = ["EDGE", "FULL", "MODELS", "VERTEX", "ConsistencyError", "Item", "Record", "Scope", "Store",
           "allowed"]  # fmt: skip

FULL, EDGE, VERTEX = "full", "edge", "vertex"
#: From the most concurrent to the safest.
MODELS = (VERTEX, EDGE, FULL)

#: A vertex, or an edge (u, v).
Item = int | tuple[int, int]
#: A value and its version.
Record = tuple[Any, int]


class ConsistencyError(LabError):
    """An update function reached for something that the consistency model does not give it."""


def allowed(consistency: str, v: int, item: Item, write: bool) -> bool:
    """Whether an update of v may read, or write, this item of its scope."""
    if item == v or consistency == FULL:
        return True
    return consistency == EDGE and not (write and not isinstance(item, tuple))


class Store(Protocol):
    """What a scope reads from: a machine's part of the data graph, or all of it."""

    n: int
    out: dict[int, Any]  #: by vertex an array of vertices, sorted
    into: dict[int, Any]
    around: dict[int, Any]
    directed: bool

    def record(self, item: Item) -> Record:
        """Value and version. Raises ``KeyError``."""

    def degree(self, u: int) -> int:
        """Of a vertex in reach, how many edges go out of it."""


class Scope:
    """S_v. Reads are remembered with their versions, so a second one sees the same; writes take effect when
    the update is over."""

    __slots__ = ("_near", "_store", "consistency", "enforce", "reads", "table", "v", "writes")

    def __init__(
        self, store: Store, v: int, consistency: str = EDGE, enforce: bool = True,
        table: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self._store, self.v, self.consistency, self.enforce = store, v, consistency, enforce
        self.table: Mapping[str, Any] = table or {}  #: the shared data table; read-only
        self.reads: dict[Item, Record] = {}
        self.writes: dict[Item, Any] = {}
        self._near: set[int] | None = None  #: the neighbours, once somebody asks

    # the structure, which never changes ------------------------------------------------------------

    @property
    def n(self) -> int:
        """Vertices of the whole graph."""
        return self._store.n

    @property
    def neighbours(self) -> list[int]:
        """All that an edge joins to the vertex, whichever way; in order."""
        return self._list(self._store.around)

    @property
    def out(self) -> list[int]:
        """Those that its edges lead to."""
        return self._list(self._store.out)

    @property
    def into(self) -> list[int]:
        """Those whose edges lead to it."""
        return self._list(self._store.into)

    def _list(self, by_vertex: Mapping[int, Any]) -> list[int]:
        found: list[int] = by_vertex[self.v].tolist()
        return found

    def out_degree(self, u: int) -> int:
        """How many edges go out of the vertex or of a neighbour."""
        return self._store.degree(u)

    # data ------------------------------------------------------------

    @property
    def value(self) -> Any:
        """D_v."""
        return self._read(self.v)

    @value.setter
    def value(self, value: Any) -> None:
        self._write(self.v, value)

    def __getitem__(self, u: int) -> Any:
        """D_u of a neighbour, or of the vertex itself."""
        return self._read(self._in_scope(u))

    def __setitem__(self, u: int, value: Any) -> None:
        self._write(self._in_scope(u), value)

    def edge(self, u: int, v: int) -> Any:
        """D_u→v of an adjacent edge."""
        return self._read(self._edge(u, v))

    def set_edge(self, u: int, v: int, value: Any) -> None:
        """Replace D_u→v."""
        self._write(self._edge(u, v), value)

    def _in_scope(self, u: int) -> int:
        if u != self.v and not self.holds(u):
            raise ConsistencyError(
                f"vertex {u!r} is not in the scope of {self.v}: a scope is the vertex, its edges and its "
                f"neighbours, {', '.join(map(str, self.neighbours[:8])) or 'of which it has none'}"
            )
        return int(u)

    def holds(self, u: int) -> bool:
        """Whether it is the vertex or a neighbour."""
        if self._near is None:
            self._near = set(self.neighbours)
        return u == self.v or u in self._near

    def _edge(self, u: int, v: int) -> Item:
        other = v if u == self.v else u
        if self.v not in (u, v) or not self.holds(other):
            raise ConsistencyError(f"edge {u!r} → {v!r} is not adjacent to vertex {self.v}")
        return (int(u), int(v)) if self._store.directed or u < v else (int(v), int(u))

    def _check(self, item: Item, write: bool) -> None:
        if self.enforce and not allowed(self.consistency, self.v, item, write):
            what = f"edge {item[0]} → {item[1]}" if isinstance(item, tuple) else f"vertex {item}"
            need = EDGE if not write or isinstance(item, tuple) else FULL
            raise ConsistencyError(
                f"the update of vertex {self.v} {'writes' if write else 'reads'} {what}, and "
                f"consistency={self.consistency!r} does not give it that; write consistency={need!r}, or "
                "enforce=False to see what happens without"
            )

    def _read(self, item: Item) -> Any:
        if item in self.writes:
            return self.writes[item]
        found = self.reads.get(item)
        if found is None:
            self._check(item, write=False)
            try:
                found = self._store.record(item)
            except KeyError:
                what = "has no data: give DataGraph(graph, edges=...)" if isinstance(item, tuple) else "?"
                raise KeyError(f"{item} {what}") from None
            self.reads[item] = found
        return found[0]

    def _write(self, item: Item, value: Any) -> None:
        self._check(item, write=True)
        if isinstance(value, np.ndarray):
            value.flags.writeable = False  # so that NumPy refuses what no version would tell of
        self.writes[item] = value
