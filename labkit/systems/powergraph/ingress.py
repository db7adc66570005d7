"""Loading the graph (§5.2, "ingress"): every machine reads some edges, decides where each of them goes, and
sends it there; then the machines find out who has which vertex.

1. *Cut.* Each loader places its edges. ``random``, ``1d``, ``2d`` and ``canonical`` are hashes. ``oblivious``
   is the greedy heuristic of each loader alone. ``coordinated`` "maintains the values of A_i(v) in a
   distributed table. Then each machine runs the greedy heuristic and periodically updates the distributed
   table": here the row of v is at its *home*, machine v mod p, and is fetched and updated once a round.
2. *Edges* go to their machines.
3. *Masters.* Every machine tells each vertex's home that it has a replica, and its local degrees. The home
   picks one replica at random as master, and answers with the degrees in the whole graph. A vertex without
   edges has its only replica at its home.
4. *Mirrors.* Every machine tells the masters' machines which mirrors it has.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from labkit.parts.graphs.cuts import VERTEX_CUTS, Greedy
from labkit.runtime.copying import loads_keeping_classes
from labkit.runtime.node import Node
from labkit.runtime.packing import dumps

from .channels import Channels
from .options import Load
from .partition import Partition, grouped

__all__ = ["GREEDY", "Ingress", "pieces"]

#: Cuts that look at what was placed before.
GREEDY = ("oblivious", "coordinated")
#: In so many rounds a loader fetches and updates the shared table.
ROUNDS = 32


def pieces(graph: Any, count: int, self_edges: bool) -> list[bytes]:
    """The edges as files, dealt like cards: what the loaders read."""
    source, target = graph.sources().astype(np.int32), graph.targets.astype(np.int32)
    keep = np.arange(graph.m, dtype=np.int32 if graph.m < 2**31 else np.int64)
    if not self_edges:
        keep = keep[source != target]
    weight = np.ones(graph.m) if graph.weights is None else graph.weights
    dealt = (keep[k::count] for k in range(count))
    return [dumps((eid, source[eid], target[eid], weight[eid])) for eid in dealt]


class Edges(NamedTuple):
    """Edges of a loader: arrays (m)."""

    eid: Any
    source: Any
    targets: Any
    weight: Any

    def sources(self) -> Any:
        """As a ``Graph`` names them: hashing cuts ask for nothing else."""
        return self.source

    def take(self, which: Any) -> Edges:
        """Some of them."""
        return Edges(*(array[which] for array in self))


class Ingress:
    """One machine's part in loading."""

    def __init__(self, node: Node, channels: Channels, load: Load, vertices: int, seed: int) -> None:
        self.node, self.channels, self.load, self.vertices, self.seed = node, channels, load, vertices, seed
        self.rank, self.machines = channels.rank, len(channels.members)
        self.random = np.random.default_rng([seed, self.rank])
        self.asked = np.zeros(0, np.int64)  #: vertices of this round
        self.others_load = [0] * self.machines  #: edges on each machine that other loaders have placed

    async def partition(self, files: list[bytes]) -> Partition:
        """This machine's, of the edges in these files and in those of the others."""
        edges = await self.node.compute(_read, files)
        own = await self._exchanged(edges, await self._cut(edges))
        return await self._met(own)

    def _work(self, edges: int) -> float:
        """Virtual seconds."""
        return edges * self.load.seconds_per_edge

    # 1: where each edge goes ------------------------------------------------------------

    async def _cut(self, edges: Edges) -> Any:
        """By edge, the rank that gets it."""
        if self.load.cut not in GREEDY:
            hashing: Any = VERTEX_CUTS[self.load.cut]
            return await self.node.compute(hashing, edges, self.machines, cost=self._work(len(edges.eid)))
        ends = np.concatenate([edges.source, edges.targets])
        left = np.bincount(ends, minlength=self.vertices).tolist()
        greedy = Greedy(self.machines, left, self.rank)
        cut = np.empty(len(edges.eid), np.int64)
        for some in np.array_split(self.random.permutation(len(edges.eid)), ROUNDS):
            if self.load.cut == "coordinated":
                await self._coordinate(greedy, edges.take(some))
            cut[some] = await self.node.compute(
                self._place, greedy, edges.take(some), cost=self._work(len(some))
            )
        if self.load.cut == "coordinated":
            await self._coordinate(greedy, edges.take(slice(0, 0)))
        return cut

    def _place(self, greedy: Greedy, edges: Edges) -> list[int]:
        pairs = zip(edges.source.tolist(), edges.targets.tolist(), strict=True)
        return [greedy.place(u, v) for u, v in pairs]

    async def _coordinate(self, greedy: Greedy, edges: Edges) -> None:
        """Tell the homes what was placed in the last round, and hear what they know of the vertices of the
        next one. The home's rows are kept in its own ``greedy.held``."""
        told = self.asked
        self.asked = np.unique(np.concatenate([edges.source, edges.targets])).astype(np.int64)
        own_load = [known - others for known, others in zip(greedy.load, self.others_load, strict=True)]
        held = np.array([greedy.held[v] for v in told.tolist()], np.int64)
        home = told % self.machines, self.asked % self.machines
        sent = [
            (told[home[0] == peer], held[home[0] == peer], self.asked[home[1] == peer])
            for peer in range(self.machines)
        ]
        heard = await self.channels.exchange("table", [own_load] * self.machines, sent)
        for item in heard:
            for v, bits in zip(item.arrays[0].tolist(), item.arrays[1].tolist(), strict=True):
                greedy.held[v] |= bits
        rows = [np.array([greedy.held[v] for v in each.arrays[2].tolist()], np.int64) for each in heard]
        answers = await self.channels.exchange("rows", [None] * self.machines, [(row,) for row in rows])
        for peer, answer in enumerate(answers):
            for v, bits in zip(sent[peer][2].tolist(), answer.arrays[0].tolist(), strict=True):
                greedy.held[v] |= bits
        loads = [item.what for item in heard]
        self.others_load = [
            sum(load[r] for peer, load in enumerate(loads) if peer != self.rank) for r in range(self.machines)
        ]
        greedy.load[:] = [own + more for own, more in zip(own_load, self.others_load, strict=True)]

    # 2: the edges go there ------------------------------------------------------------

    async def _exchanged(self, edges: Edges, cut: Any) -> Edges:
        def dealt() -> list[tuple[Any, ...]]:
            return [tuple(edges.take(np.flatnonzero(cut == peer))) for peer in range(self.machines)]

        sent = await self.node.compute(dealt)
        heard = await self.channels.exchange("edges", [None] * self.machines, sent)
        return await self.node.compute(_together, [item.arrays for item in heard])

    # 3 and 4: masters and mirrors ------------------------------------------------------------

    async def _met(self, edges: Edges) -> Partition:
        gid, source, target, degrees = await self.node.compute(self._local, edges)
        at = [np.flatnonzero(gid % self.machines == peer) for peer in range(self.machines)]
        sent = [(gid[who], degrees[0][who], degrees[1][who]) for who in at]
        heard = await self.channels.exchange("replicas", [None] * self.machines, sent)
        answers, alone = await self.node.compute(self._masters, [item.arrays for item in heard])
        told = await self.channels.exchange("masters", [None] * self.machines, answers)
        columns = [np.empty(len(gid), np.int64) for _ in range(3)]
        for who, item in zip(at, told, strict=True):
            for column, array in zip(columns, item.arrays, strict=True):
                column[who] = array
        everyone = np.sort(np.concatenate([gid, alone]))
        place, zeros = np.searchsorted(everyone, gid), np.zeros(len(everyone), np.int64)
        spread = [zeros + self.rank, zeros.copy(), zeros.copy()]
        for wide, column in zip(spread, columns, strict=True):
            wide[place] = column
        partition = await self.node.compute(
            Partition, self.rank, self.machines, self.vertices, everyone, spread[0], (spread[1], spread[2]),
            (edges.eid, place[source], place[target], edges.weight), cost=self._work(len(edges.eid)),
        )  # fmt: skip
        mirrors = [(everyone[each],) for each in partition.mirrors]
        known = await self.channels.exchange("mirrors", [None] * self.machines, mirrors)
        partition.meet([item.arrays[0] for item in known])
        return partition

    def _local(self, edges: Edges) -> tuple[Any, Any, Any, Any]:
        """The vertices with edges here, the edges in their numbers, and in- and out-degrees here."""
        there = np.zeros(self.vertices, bool)
        there[edges.source] = there[edges.targets] = True
        gid, number = np.flatnonzero(there), np.cumsum(there) - 1
        source, target = number[edges.source], number[edges.targets]
        degrees = np.bincount(target, minlength=len(gid)), np.bincount(source, minlength=len(gid))
        return gid, source, target, degrees

    def _masters(self, heard: list[tuple[Any, ...]]) -> tuple[list[tuple[Any, ...]], Any]:
        """Of the vertices whose home is here: by rank what is answered (master, in-degree, out-degree of each
        vertex that it named), and the vertices without edges."""
        rows = [arrays[0] // self.machines for arrays in heard]  # v is machines · row + rank
        named = np.concatenate(rows)
        ranks = np.repeat(np.arange(self.machines), [len(arrays[0]) for arrays in heard])
        count = len(range(self.rank, self.vertices, self.machines))
        order, begins = grouped(named, count)
        replicas = np.diff(begins)
        chosen = np.zeros(count, np.int64)
        some = np.flatnonzero(replicas)
        chosen[some] = ranks[order][begins[some] + self.random.integers(0, replicas[some])]
        degrees = [np.concatenate([arrays[k] for arrays in heard]) for k in (1, 2)]
        totals = [np.bincount(named, each, count).astype(np.int64) for each in degrees]
        answers = [(chosen[row], totals[0][row], totals[1][row]) for row in rows]
        return answers, np.flatnonzero(replicas == 0) * self.machines + self.rank


def _read(files: list[bytes]) -> Edges:
    """The edges in some files."""
    none = np.zeros(0, np.int32)
    read = [loads_keeping_classes(data) for data in files] or [(none, none, none, np.zeros(0))]
    return Edges(*(np.concatenate(column) for column in zip(*read, strict=True)))


def _together(parts: list[tuple[Any, ...]]) -> Edges:
    """Edges from several loaders."""
    return Edges(*(np.concatenate(column) for column in zip(*parts, strict=True)))
