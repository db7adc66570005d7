"""The triplets join (§4.3): vertices are shipped to the edges, and messages come back.

The *replicated vertex view* are the edge partitions with the attributes of their vertices. It is a
materialised view of the vertex RDD: when vertices have changed, only what has changed since is shipped
(§4.5.1), and only to the sides that are read (§4.5.2). With it goes the active set, if a function is to see
some edges only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np

from labkit.runtime.copying import copy_value
from labkit.runtime.errors import LabError
from labkit.runtime.raised import short
from labkit.systems.spark import RDD

from .columns import column, frozen
from .edge_partition import EdgePartition, Sides
from .merging import Merge
from .options import Options
from .packing import packed, sealed
from .rdds import VertexRDD, ZippedRDD, function_for, shuffled
from .triplets import EdgeContext, TripletArrays, triplets
from .vertex_partition import VertexPartition

__all__ = ["NOWHERE", "ReplicatedView", "aggregated", "each_of"]

NOWHERE: Sides = (False, False)

#: Told of each shuffle when it is planned: what it carries, its number, and which sides it is for.
Tell = Callable[..., None]


@dataclass(frozen=True)
class ReplicatedView:
    """Edge partitions, and of which vertices they have attributes on which sides."""

    edges: RDD
    sides: Sides = NOWHERE
    of: VertexRDD | None = None

    def updated(
        self, vertices: VertexRDD, sides: Sides, options: Options, tell: Tell, active: VertexRDD | None = None
    ) -> ReplicatedView:
        """A view of these vertices that has at least these sides; the active set is in it for the next
        function."""
        sides = sides if options.join_elimination else (True, True)
        held = self.sides
        same = self.of is vertices
        if (not same and not options.incremental_view) or self.of is None:
            held = NOWHERE
        else:
            sides = (sides[0] or held[0], sides[1] or held[1])
        if active is None and (sides == NOWHERE or (same and sides == held)):
            return self
        to_ship = NOWHERE if same and sides == held else sides
        parents = [vertices.partitionsRDD]
        if held != NOWHERE and to_ship != NOWHERE and not same:
            assert self.of is not None
            parents.append(self.of.partitionsRDD)
        if active is not None:
            parents.append(active.partitionsRDD)
        ship = Ship(self.edges.getNumPartitions(), to_ship, held, same, active is not None)
        sent = ZippedRDD(parents, ship)._pipe(each_of).setName("ship vertices")
        there = shuffled(sent, self.edges.getNumPartitions())
        tell("vertices", there, sides=to_ship, incremental=held != NOWHERE, active=active is not None)
        receive = Receive(vertices.getNumPartitions(), to_ship, active is not None)
        edges = ZippedRDD([self.edges, there], receive).setName("replicated vertex view")
        return ReplicatedView(edges, sides, vertices)

    def mapped(self, function: Any) -> ReplicatedView:
        """With every edge partition changed; attributes of vertices stay."""
        return replace(self, edges=ZippedRDD([self.edges], function))


def each_of(index: int, records: Iterable[Any]) -> Iterator[Any]:
    """What each record holds."""
    return chain.from_iterable(records)


class Ship:
    """A vertex partition to all edge partitions that its routing table names."""

    def __init__(self, parts: int, sides: Sides, held: Sides, same: bool, active: bool) -> None:
        self.parts, self.sides, self.held, self.same, self.active = parts, sides, held, same, active

    def __call__(self, p: int, mine: list[VertexPartition], *others: list[VertexPartition]) -> list[Any]:
        (vertices,) = mine
        active = others[-1][0] if self.active else None
        fresh = None
        if any(self.held) and any(self.sides):
            fresh = np.zeros(len(vertices.mask), bool) if self.same else self.changed(vertices, others[0][0])
        sent = []
        for part in range(self.parts):
            positions, values, who = vertices.ship(part, self.sides, self.held, fresh, active)
            if (values is not None and len(values)) or (who is not None and (who[0] is None or len(who[0]))):
                who = None if who is None else [sealed(who[0])]
                sent.append((part, (p, sealed(positions), sealed(values), who)))
        return sent

    def changed(self, new: VertexPartition, old: VertexPartition) -> np.ndarray:
        """What the view has not seen yet."""
        return new.diff(old)


class Receive:
    """An edge partition with what was shipped to it."""

    def __init__(self, homes: int, sides: Sides, active: bool) -> None:
        self.homes, self.sides, self.active = homes, sides, active

    def __call__(self, p: int, mine: list[EdgePartition], arrived: list[Any]) -> EdgePartition:
        part = mine[0].receive((block for _, block in arrived), self.homes, self.sides)
        if self.active and part.active is None:
            return replace(part, active=np.zeros(len(part.ids), bool))
        return part


def aggregated(
    view: ReplicatedView, vertices: VertexRDD, send: Callable[..., Any], merge: Callable[[Any, Any], Any],
    direction: str | None, pairs: bool, options: Options, tell: Tell,
) -> VertexRDD:  # fmt: skip
    """The messages that ``send`` gives for the edges, combined for each vertex. pairs: whether ``send``
    returns pairs (id, message), rather than to send by its argument."""
    combine = Merge(merge)
    sender = Send(send, combine, view.sides, direction, pairs, vertices.getNumPartitions(), options)
    sent = ZippedRDD([view.edges], sender)._pipe(each_of).setName("messages to vertices")
    there = shuffled(sent, vertices.getNumPartitions())
    tell("messages", there, sides=view.sides, incremental=False, active=direction is not None)
    gathered = ZippedRDD([vertices.partitionsRDD, there], Gather(combine))
    return VertexRDD(gathered.setName("messages"))


class Send:
    """An edge partition's messages, combined, to the homes of their vertices."""

    def __init__(
        self, send: Callable[..., Any], merge: Merge, sides: Sides, direction: str | None, pairs: bool,
        homes: int, options: Options,
    ) -> None:  # fmt: skip
        self.f, self.of_arrays = function_for(send)
        self.merge, self.sides, self.direction, self.pairs = merge, sides, direction, pairs
        self.homes, self.options = homes, options

    def __call__(self, p: int, mine: list[EdgePartition]) -> list[Any]:
        (edges,) = mine
        scan = edges.scan(self.direction, self.options.index_scan, self.options.scan_below)
        parts = self.by_arrays(edges, scan.chosen) if self.of_arrays else self.one_by_one(edges, scan.chosen)
        who, messages = self.merge.combine(len(edges.ids), parts)
        note = {
            "part": p, "edges": len(edges), "touched": scan.touched, "by_index": scan.by_index,
            "seen": len(edges) if scan.chosen is None else len(scan.chosen),
            "received": edges.received, "replicas": len(edges.ids), "sent": len(who),
        }  # fmt: skip
        has = np.zeros(len(edges.ids), bool)
        has[who] = True
        number = np.cumsum(has) - 1
        blocks: list[Any] = []
        for home in range(self.homes):
            here = edges.mirrors.of(home, self.homes)
            chosen = has[here]
            values = frozen(messages[number[here[chosen]]])
            mine_to_tell = note if home == p % self.homes else None
            if len(values) or mine_to_tell:
                ids = None if self.options.index_reuse else edges.ids[here[chosen]]
                positions = packed(chosen) if ids is None else None
                blocks.append((home, (p, sealed(positions), sealed(values), sealed(ids), mine_to_tell)))
        return blocks

    def by_arrays(self, edges: EdgePartition, chosen: np.ndarray | None) -> list[Any]:
        """One call for all."""
        given = TripletArrays(edges, chosen, self.sides)
        if not len(given):
            return []
        sends(self.f.function(given), "a function of arrays")
        return given.sent

    def one_by_one(self, edges: EdgePartition, chosen: np.ndarray | None) -> list[Any]:
        """A call for each triplet."""
        send = self.f.function
        to: list[int] = []
        messages: list[Any] = []
        source, target = edges.source, edges.target
        if chosen is not None:
            source, target = source[chosen], target[chosen]
        for ends, triplet in zip(
            zip(source.tolist(), target.tolist(), strict=True),
            triplets(edges, chosen, self.sides, EdgeContext), strict=True,
        ):  # fmt: skip
            if self.pairs:
                for vertex, message in pairs_of(send(triplet), triplet):
                    to.append(ends[0] if vertex == triplet.srcId else ends[1])
                    messages.append(copy_value(message))
            else:
                triplet._send = lambda side, message, ends=ends: (
                    to.append(ends[side]), messages.append(copy_value(message))
                )  # fmt: skip
                sends(send(triplet), "the function of aggregateMessages()")
        return [(np.array(to, np.int64), column(messages))]


def sends(returned: Any, who: str) -> None:
    """Raises ``TypeError`` if a function that is to send has returned messages instead."""
    many = isinstance(returned, (tuple, list)) and any(each is not None for each in returned)
    if many or isinstance(returned, (np.ndarray, Iterator)):
        raise TypeError(
            f"{who} returned {short(returned)}, and what it returns is not sent: write "
            "t.sendToDst(message) or t.sendToSrc(message); pairs are returned to mapReduceTriplets()"
        )


def pairs_of(returned: Any, triplet: Any) -> Iterator[tuple[int, Any]]:
    """The (id, message) pairs that a function has returned for a triplet. Raises for anything else."""
    if returned is None:
        return
    try:
        pairs = [(vertex, message) for vertex, message in returned]
    except (TypeError, ValueError):
        raise TypeError(
            f"the function returned {short(returned)} for an edge: return a list of pairs (id, message), "
            "[(triplet.dstId, message)], an empty one for no message"
        ) from None
    for vertex, message in pairs:
        if vertex not in (triplet.srcId, triplet.dstId):
            raise LabError(
                f"a message for vertex {short(vertex)} from the edge {triplet.srcId} to {triplet.dstId}: an "
                "edge sends to its own two vertices only"
            )
        yield vertex, message


class Gather:
    """Messages where their vertices live, combined with those of other edge partitions."""

    def __init__(self, merge: Merge) -> None:
        self.merge = merge

    def __call__(self, p: int, mine: list[VertexPartition], arrived: list[Any]) -> VertexPartition:
        return mine[0].gather((block for _, block in arrived), self.merge)
