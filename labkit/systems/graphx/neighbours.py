"""Neighbourhoods as lists (``collectNeighborIds``, ``collectNeighbors``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .triplets import EdgeDirection, TripletFields

__all__ = ["collect", "collect_ids"]


def collect_ids(graph: Any, direction: str) -> Any:
    """See ``Graph``."""
    return _collected(graph, direction, _from_source, _from_target, TripletFields(False, False, False))


def collect(graph: Any, direction: str) -> Any:
    """See ``Graph``."""
    return _collected(graph, direction, _source, _target, None)


def _collected(
    graph: Any, direction: str, out: Callable[[Any], None], into: Callable[[Any], None], fields: Any
) -> Any:
    """out: what is told to the source of an edge; into: to its target."""
    both = lambda t: (out(t), into(t))  # noqa: E731
    senders = {EdgeDirection.In: into, EdgeDirection.Out: out, EdgeDirection.Either: both}
    if direction not in senders:
        raise ValueError(f"{direction!r} is no direction of neighbours: write one of {', '.join(senders)}")
    if direction == EdgeDirection.Either and fields is None:
        fields = TripletFields()
    found = graph.aggregateMessages(senders[direction], _both_lists, fields)
    return graph.vertices.leftJoin(found, _list)


def _from_source(t: Any) -> None:
    t.sendToSrc((t.dstId,))


def _from_target(t: Any) -> None:
    t.sendToDst((t.srcId,))


def _source(t: Any) -> None:
    t.sendToSrc(((t.dstId, t.dstAttr),))


def _target(t: Any) -> None:
    t.sendToDst(((t.srcId, t.srcAttr),))


def _both_lists(a: Any, b: Any) -> Any:
    return a + b


def _list(vertex: int, attr: Any, found: Any) -> list[Any]:
    return sorted(found, key=_by_id) if found else []


def _by_id(each: Any) -> int:
    return each[0] if isinstance(each, tuple) else each
