"""The same search on one thread: what a query must find, whom it reaches, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .collection import SharedFile, fits
from .topology import Graph, ball, distances, flood_messages

__all__ = ["Expected", "everything", "flood"]


class Expected(NamedTuple):
    """Of a flood under equal delays."""

    found: set[tuple[int, bytes]]  #: (peer, root)
    reached: set[int]  #: peers, without the origin
    messages: int
    last_hop: int  #: hops to the peer that hears of it last


def everything(libraries: Sequence[Sequence[SharedFile]], text: str) -> set[tuple[int, bytes]]:
    """All that fits, wherever it is: (peer, root)."""
    return {
        (peer, file.root)
        for peer, library in enumerate(libraries)
        for file in library
        if fits(text, file.name)
    }


def flood(
    graph: Graph, libraries: Sequence[Sequence[SharedFile]], origin: int, text: str, ttl: int
) -> Expected:
    """Breadth first."""
    reached = ball(graph, origin, ttl) - {origin}
    found = {(peer, root) for peer, root in everything(libraries, text) if peer in reached}
    last = max(distances(graph, origin, ttl).values())
    return Expected(found, reached, flood_messages(graph, origin, ttl), last)
