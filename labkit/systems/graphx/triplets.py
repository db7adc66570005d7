"""What the user's functions see of an edge: one edge, one triplet, or all triplets of a partition as
arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from labkit.runtime.copying import copy_value
from labkit.runtime.errors import LabError
from labkit.runtime.raised import short

from .columns import Column, column, constant, unchanging, values_of

__all__ = [
    "Arrays",
    "Edge",
    "EdgeContext",
    "EdgeDirection",
    "EdgeTriplet",
    "TripletArrays",
    "TripletFields",
    "arrays",
]


class Edge(NamedTuple):
    """A directed edge with its attribute."""

    srcId: int
    dstId: int
    attr: Any = None

    def otherVertexId(self, vid: int) -> int:
        """The other end."""
        return self.srcId if vid == self.dstId else self.dstId

    def __getattr__(self, name: str) -> Any:
        where = ": attributes of vertices are in triplets, graph.triplets or graph.mapTriplets(…)"
        raise AttributeError(
            f"an edge has no {name!r}; it has srcId, dstId and attr"
            + (where if name in ("srcAttr", "dstAttr") else "")
        )

    def relativeDirection(self, vid: int) -> str:
        """``EdgeDirection.Out`` seen from the source, ``In`` from the target."""
        return EdgeDirection.Out if vid == self.srcId else EdgeDirection.In


class EdgeDirection:
    """Edges seen from a vertex: those into it, out of it, either kind; ``Both``: of which both ends count."""

    In, Out, Either, Both = "In", "Out", "Either", "Both"


@dataclass(frozen=True)
class TripletFields:
    """What a function reads of a triplet, so that nothing else is shipped."""

    useSrc: bool = True
    useDst: bool = True
    useEdge: bool = True

    @property
    def sides(self) -> tuple[bool, bool]:
        """Whether attributes of sources and of targets are needed at the edges."""
        return self.useSrc, self.useDst


TripletFields.None_ = TripletFields(False, False, False)  # type: ignore[attr-defined]
TripletFields.EdgeOnly = TripletFields(False, False, True)  # type: ignore[attr-defined]
TripletFields.Src = TripletFields(True, False, True)  # type: ignore[attr-defined]
TripletFields.Dst = TripletFields(False, True, True)  # type: ignore[attr-defined]
TripletFields.All = TripletFields(True, True, True)  # type: ignore[attr-defined]


class EdgeTriplet:
    """An edge and the attributes of its two vertices: a row of the join of edges and vertices."""

    __slots__ = ("attr", "dstAttr", "dstId", "srcAttr", "srcId")

    def __init__(self, srcId: int, dstId: int, attr: Any) -> None:
        self.srcId, self.dstId, self.attr = srcId, dstId, attr

    def __getattr__(self, name: str) -> Any:
        # Only for a slot that is empty: the attribute was not shipped.
        if name in ("srcAttr", "dstAttr"):
            raise LabError(
                f"{name} was not shipped to this edge: the tripletFields that were given leave it out; write "
                "tripletFields=TripletFields.All, or give none, and what the function reads is shipped"
            )
        if name in ("_send", "sendToSrc", "sendToDst"):
            raise LabError(
                "messages are sent by sendToDst() and sendToSrc() in aggregateMessages(), and in functions "
                "marked by arrays(); the function of pregel() or mapReduceTriplets() returns them: "
                "lambda t: [(t.dstId, message)]"
            )
        raise AttributeError(
            f"a triplet has no {name!r}; it has srcId, dstId, srcAttr, dstAttr and attr; in "
            "aggregateMessages() also sendToSrc(message) and sendToDst(message)"
        )

    def otherVertexId(self, vid: int) -> int:
        """The other end."""
        return self.srcId if vid == self.dstId else self.dstId

    def otherVertexAttr(self, vid: int) -> Any:
        """The attribute of the other end."""
        return self.srcAttr if vid == self.dstId else self.dstAttr

    def vertexAttr(self, vid: int) -> Any:
        """The attribute of this end."""
        return self.srcAttr if vid == self.srcId else self.dstAttr

    def toTuple(self) -> tuple[tuple[int, Any], tuple[int, Any], Any]:
        """((srcId, srcAttr), (dstId, dstAttr), attr)."""
        return (self.srcId, self.srcAttr), (self.dstId, self.dstAttr), self.attr

    def __reduce__(self) -> Any:
        return _rebuilt, self.toTuple()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EdgeTriplet) and self.toTuple() == other.toTuple()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        there = [name for name in ("srcId", "dstId", "srcAttr", "dstAttr", "attr") if self._has(name)]
        return f"EdgeTriplet({', '.join(f'{name}={getattr(self, name)!r}' for name in there)})"

    def _has(self, name: str) -> bool:
        try:
            object.__getattribute__(self, name)
        except AttributeError:  # not shipped
            return False
        return True


def _rebuilt(source: tuple[int, Any], target: tuple[int, Any], attr: Any) -> EdgeTriplet:
    triplet = EdgeTriplet(source[0], target[0], attr)
    triplet.srcAttr, triplet.dstAttr = source[1], target[1]
    return triplet


class EdgeContext(EdgeTriplet):
    """A triplet that messages can be sent along."""

    __slots__ = ("_send",)

    def sendToSrc(self, msg: Any) -> None:
        """A message to the source."""
        self._send(0, msg)

    def sendToDst(self, msg: Any) -> None:
        """A message to the target."""
        self._send(1, msg)


class TripletArrays:
    """All triplets of a partition that are looked at: each field is an array with an item for each.

    A function marked by ``arrays`` gets one instead of a triplet."""

    def __init__(self, edges: Any, chosen: np.ndarray | None, sides: tuple[bool, bool]) -> None:
        self._edges, self._chosen, self._sides = edges, chosen, sides
        self.sent: list[tuple[np.ndarray, Column]] = []  #: local numbers of targets, and their messages

    def _of(self, values: np.ndarray) -> np.ndarray:
        return values if self._chosen is None else values[self._chosen]

    @property
    def srcId(self) -> np.ndarray:
        """Ids of the sources (int64)."""
        return self._edges.ids[self._of(self._edges.source)]

    @property
    def dstId(self) -> np.ndarray:
        """Ids of the targets (int64)."""
        return self._edges.ids[self._of(self._edges.target)]

    @property
    def attr(self) -> Column:
        """Attributes of the edges."""
        return self._of(self._edges.attrs)

    @property
    def srcAttr(self) -> Column:
        """Attributes of the sources."""
        return self._side(0, self._edges.source)

    @property
    def dstAttr(self) -> Column:
        """Attributes of the targets."""
        return self._side(1, self._edges.target)

    def _side(self, side: int, local: np.ndarray) -> Column:
        if not self._sides[side]:
            EdgeTriplet(0, 0, None).__getattr__(("srcAttr", "dstAttr")[side])
        return self._edges.values[self._of(local)]

    def __len__(self) -> int:
        return len(self._edges.source) if self._chosen is None else len(self._chosen)

    def __repr__(self) -> str:
        return f"<{len(self)} triplets as arrays>"

    def sendToSrc(self, msgs: Any, where: np.ndarray | None = None) -> None:
        """A message to the source of each edge, or of those where ``where`` is true. msgs: an array with an
        item for each edge, or one value for all."""
        self._send(self._edges.source, msgs, where)

    def sendToDst(self, msgs: Any, where: np.ndarray | None = None) -> None:
        """The same, to the targets."""
        self._send(self._edges.target, msgs, where)

    def _send(self, local: np.ndarray, msgs: Any, where: np.ndarray | None) -> None:
        to, given = self._of(local), column_for(len(self), msgs, "sendToDst or sendToSrc")
        if where is not None:
            chosen = mask_for(len(self), where, "where")
            to, given = to[chosen], given[chosen]
        self.sent.append((to, given))


def column_for(count: int, given: Any, who: str) -> Column:
    """What a function of arrays gave for ``count`` things: an array with an item for each, or one value."""
    if isinstance(given, list):
        raise TypeError(
            f"a function of arrays gave a list to {who}: give an array with one for each, np.array([…]), "
            "or one value for all; what lists are for is done by a function that is not marked by arrays()"
        )
    if hasattr(given, "__array__") and not isinstance(given, np.generic):
        given = np.asarray(given)  # a column of pandas
    if not isinstance(given, np.ndarray) or given.ndim == 0:
        value = given.item() if isinstance(given, (np.generic, np.ndarray)) else given
        return constant(value, count)
    if len(given) != count:
        raise ValueError(
            f"a function of arrays gave {len(given)} values to {who}, and there are {count}: give an "
            "array with one for each, or one value for all"
        )
    return column(given)


def mask_for(count: int, given: Any, who: str) -> np.ndarray:
    """The same of bools."""
    mask = np.asarray(given)
    if mask.ndim and mask.shape != (count,):
        raise ValueError(
            f"a function of arrays gave an array of shape {mask.shape} to {who}, and there are {count}: "
            "give one bool for each, or one for all"
        )
    return np.broadcast_to(mask.astype(bool), count)


class Arrays:
    """A function of whole arrays instead of one edge or vertex at a time."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.__wrapped__ = function

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)


def arrays(function: Callable[..., Any]) -> Arrays:
    """Mark a function as one of arrays: it is called once for a partition, and not for each edge or vertex.

    The function itself often stays what it was: ``arrays(lambda t: t.sendToDst(t.srcAttr * t.attr))``."""
    if not callable(function):
        raise TypeError(f"arrays() marks a function, not {short(function)}")
    return Arrays(function)


def triplets(
    edges: Any, chosen: Iterable[int] | None, sides: tuple[bool, bool], make: type[EdgeTriplet] = EdgeTriplet
) -> Iterator[EdgeTriplet]:
    """The triplets of an edge partition, or of the edges with these numbers; what is not shipped is empty.

    An attribute that can be changed in place is each triplet's own."""
    ids = edges.ids.tolist()
    source, target, attrs = edges.source, edges.target, edges.attrs
    if chosen is not None:
        source, target, attrs = source[chosen], target[chosen], attrs[chosen]
    with_source, with_target = sides
    values = values_of(edges.values) if with_source or with_target else []
    own = copy_value if values and not unchanging(edges.values) else None
    for s, t, attr in zip(source.tolist(), target.tolist(), values_of(attrs), strict=True):
        triplet = make(ids[s], ids[t], attr)
        if with_source:
            triplet.srcAttr = own(values[s]) if own else values[s]
        if with_target:
            triplet.dstAttr = own(values[t]) if own else values[t]
        yield triplet
