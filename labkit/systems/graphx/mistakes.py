"""Planted mistakes: each breaks one rule of the paper, and ``GraphX.check()`` must catch it.

``with planted("a changed vertex is not shipped"): …`` works in the simulator, whose tasks run in this
process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from . import pregel, replicated, routing, structure

__all__ = ["MISTAKES", "planted"]


def _forgets(right: Any) -> Any:
    """The view is not told of one vertex that has changed (§4.5.1)."""

    def changed(self: Any, new: Any, old: Any) -> Any:
        fresh = right(self, new, old).copy()
        fresh[np.flatnonzero(fresh)[:1]] = False
        return fresh

    return changed


def _leaves_out(right: Any) -> Any:
    """A vertex is missing in what an edge partition tells for the routing table (§4.2)."""

    def routed(mirrors: Any, home: int, homes: int) -> Any:
        return tuple(each[1:] for each in right(mirrors, home, homes))

    return routed


def _anywhere(right: Any) -> Any:
    """Edges are placed by no rule: a vertex may be everywhere (§3.1)."""

    def __call__(self: Any, index: int, records: Any) -> Any:  # noqa: N807
        for part, edges in right(self, index, records):
            for k in range(len(edges.sources)):
                yield (part + k) % self.parts, type(edges)(*(column[k : k + 1] for column in edges))

    return __call__


def _one_end(right: Any) -> Any:
    """A subgraph keeps the edges of which the source is there (§3.2)."""

    def __call__(self: Any, p: int, mine: Any) -> Any:  # noqa: N807
        (edges,) = mine
        return edges if edges.active is None else edges.with_edges(np.flatnonzero(edges.active[edges.source]))

    return __call__


def _mask_of_one(right: Any) -> Any:
    """``mask`` looks at the vertices only."""

    def __call__(self: Any, p: int, mine: Any, other: Any) -> Any:  # noqa: N807
        return right(self, p, mine, mine)

    return __call__


def _goes_on(right: Any) -> Any:
    """Pregel asks for one more iteration when there are no messages."""

    def round(self: Any, graph: Any, messages: Any) -> int:
        active, late = right(self, graph, messages), getattr(self, "late", False)
        self.late = not active
        return int(active or not late)

    return round


#: By name: where it is, its name there, and how the right one is made wrong.
MISTAKES: dict[str, tuple[Any, str, Callable[[Any], Any]]] = {
    "a changed vertex is not shipped": (replicated.Ship, "changed", _forgets),
    "a vertex is left out of the routing table": (routing, "routed", _leaves_out),
    "edges are placed by no rule": (structure.Cut, "__call__", _anywhere),
    "a subgraph keeps edges with one end": (structure.FilterEdges, "__call__", _one_end),
    "a mask keeps all edges": (structure.MaskEdges, "__call__", _mask_of_one),
    "Pregel goes on without messages": (pregel.Loop, "round", _goes_on),
}


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Inside, GraphX makes this mistake."""
    where, what, wrong = MISTAKES[name]
    right = getattr(where, what)
    setattr(where, what, wrong(right))
    try:
        yield
    finally:
        setattr(where, what, right)
