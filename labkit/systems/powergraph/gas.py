"""Gather, apply and scatter on one machine's replicas, vertex by vertex; and the cached accumulators (Alg.
1).

A *replica* here gathers over the edges that are here (its ``partial``), takes a new value, and scatters over
the edges that are here. The *master* adds the partials to the accumulator a_u and applies it.

Delta caching. a_u is with the master, and counts the partials of all replicas. Whoever scatters to v over an
edge tells v's master Δa; what it tells, and the partials, come over one channel in order, so each Δa is
either in a partial, when it comes before it, or to be added, when it comes after it. Without Δa the
accumulator is emptied: the next run of v gathers in full.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from labkit.runtime.raised import short

from .model import ALL, IN, NONE, OUT, Vertex, VertexProgram
from .partition import Partition

__all__ = ["Counts", "Replicas", "Told"]


class Told(NamedTuple):
    """What a scatter tells a neighbour's master."""

    activated: bool
    touched: bool  #: whether the accumulator is concerned
    delta: Any  #: Δa, or None: it is emptied
    reads: dict[int, int]  #: versions that Δa was made from, if they are wanted

    def and_then(self, later: Told, program: VertexProgram) -> Told:
        """Two as one."""
        if not (self.touched and later.touched):
            one = self if self.touched else later
            delta = one.delta
        elif self.delta is None or later.delta is None:
            delta = None
        else:
            delta = summed(program, self.delta, later.delta)
        return Told(
            self.activated or later.activated, self.touched or later.touched, delta,
            {**self.reads, **later.reads},
        )  # fmt: skip


class Counts:
    """Calls of the program's functions."""

    def __init__(self) -> None:
        self.gathers = self.applies = self.scatters = 0

    @property
    def all(self) -> int:
        """Together."""
        return self.gathers + self.applies + self.scatters


class Replicas:
    """All replicas of a machine. Vertices are numbers of the partition."""

    def __init__(self, partition: Partition, program: VertexProgram, caching: bool) -> None:
        self.partition, self.program, self.caching = partition, program, caching
        self.versions = False  #: whether an accumulator comes with the versions that it was made from
        numbers = zip(
            partition.gid.tolist(), partition.in_degree.tolist(), partition.out_degree.tolist(), strict=True
        )
        self.D = [program.initial(Vertex(*each, partition.vertices)) for each in numbers]
        self.E = [program.edge(weight) for weight in partition.weight.tolist()]
        self.changed_edges: set[int] = set()
        self.version = [0] * partition.size
        self.active = [False] * partition.size  #: of masters
        self.gid = partition.gid.tolist()
        self.number = {gid: vertex for vertex, gid in enumerate(self.gid)}
        self.master = partition.master.tolist()
        self.holders = partition.holders()
        into, outof = partition.adjacency("in"), partition.adjacency("out")
        self.gathered = _chosen(program.gather_nbrs, into, outof)
        self.scattered_in = into if program.scatter_nbrs in (IN, ALL) else [[]] * partition.size
        self.scattered_out = outof if program.scatter_nbrs in (OUT, ALL) else [[]] * partition.size
        self.cache: dict[int, Any] = {}  #: masters' accumulators, where they are not empty
        self.cached_reads: dict[int, dict[int, int]] = {}  #: the versions that they were made from, if wanted
        #: By replica, whether its partial is in its master's accumulator, which is to hear of each change.
        self.offered = [False] * partition.size
        self.counts = Counts()

    # a replica's ------------------------------------------------------------

    def partial(self, u: int) -> tuple[Any, dict[int, int]]:
        """The sum over the edges here; None if there is none. And the versions read, if they are wanted."""
        D, E, program, acc = self.D, self.E, self.program, None
        for edge, v in self.gathered[u]:
            found = program.gather(D[u], E[edge], D[v])
            if found is None:
                raise TypeError(
                    f"{type(program).__name__}.gather returned None: return what u takes from v; if that is "
                    "nothing, what changes no sum, as 0"
                )
            acc = found if acc is None else summed(program, acc, found)
        self.counts.gathers += len(self.gathered[u])
        self.offered[u] = self.caching
        reads = {self.gid[v]: self.version[v] for _, v in self.gathered[u]} if self.versions else {}
        return acc, reads

    def take(self, u: int, value: Any, version: int) -> None:
        """The master's new value."""
        self.D[u], self.version[u] = value, version

    def scatter(self, u: int) -> dict[int, Told]:
        """Scatter over the edges here; what is to be told, by neighbour (or u itself)."""
        told: dict[int, Told] = {}
        gathers = self.program.gather_nbrs
        for edge, v in self.scattered_out[u]:
            self._scatter(u, edge, v, gathers in (IN, ALL), told)
        for edge, v in self.scattered_in[u]:
            self._scatter(u, edge, v, gathers in (OUT, ALL), told)
        return told

    def _scatter(self, u: int, edge: int, v: int, gathers: bool, told: dict[int, Told]) -> None:
        """gathers: whether v gathers from u over this edge."""
        program = self.program
        program.activated = ""
        before = self.E[edge]
        found = program.scatter(self.D[u], before, self.D[v])
        if not isinstance(found, tuple) or len(found) != 2:
            raise TypeError(
                f"{type(program).__name__}.scatter returned {short(found)}: write return D_uv, None (or what "
                "changes in v's accumulator, instead of None)"
            )
        self.E[edge], delta = found
        self.counts.scatters += 1
        if self.E[edge] is not before:
            self.changed_edges.add(edge)
        touched = gathers and self.offered[v]
        if touched and delta is None:
            self.offered[v] = False  # it is empty, which need not be said twice
        if touched or "v" in program.activated:
            reads = {self.gid[u]: self.version[u]} if self.versions and touched else {}
            self._tell(told, v, Told("v" in program.activated, touched, delta if touched else None, reads))
        if "u" in program.activated:
            self._tell(told, u, Told(True, False, None, {}))

    def _tell(self, told: dict[int, Told], vertex: int, what: Told) -> None:
        told[vertex] = told[vertex].and_then(what, self.program) if vertex in told else what

    # a master's ------------------------------------------------------------

    def apply(self, u: int, acc: Any) -> Any:
        """The new D_u. It is not seen before the replicas, the master's too, have taken it."""
        self.counts.applies += 1
        value = self.program.apply(self.D[u], self.program.zero if acc is None else acc)
        if value is None and self.D[u] is not None:
            raise TypeError(
                f"{type(self.program).__name__}.apply returned None where D_u was {short(self.D[u])}: return "
                "what D_u is to be, or D_u as it was"
            )
        return value

    def hear(self, u: int, told: Told) -> None:
        """Take Δa into a cached accumulator, or empty it."""
        if told.touched and u in self.cache:
            if told.delta is None:
                self.forget(u)
            else:
                self.cache[u] = self.added(self.cache[u], told.delta)
                self.cached_reads.setdefault(u, {}).update(told.reads)

    def forget(self, u: int) -> None:
        """Empty an accumulator."""
        self.cache.pop(u, None)
        self.cached_reads.pop(u, None)

    def activate_all(self) -> None:
        """Every master runs."""
        for u in self.partition.mastered.tolist():
            self.active[u] = True

    def set_caching(self, on: bool) -> None:
        """Begin or stop to keep accumulators; those that there are go."""
        self.caching = on
        self.cache.clear()
        self.cached_reads.clear()
        self.offered = [False] * len(self.D)

    def added(self, acc: Any, more: Any) -> Any:
        """Two accumulators, either of which may be empty (None)."""
        if acc is None or more is None:
            return more if acc is None else acc
        return summed(self.program, acc, more)

    # at rest ------------------------------------------------------------

    def saved(self) -> dict[str, Any]:
        """What a snapshot has of this machine."""
        masters = self.partition.mastered.tolist()
        edges = sorted(self.changed_edges)
        return {
            "gid": self.partition.gid[masters],
            "D": [self.D[u] for u in masters],
            "active": [self.active[u] for u in masters],
            "eid": self.partition.eid[edges],
            "E": [self.E[edge] for edge in edges],
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Take what concerns the replicas here from one file of a snapshot."""
        for gid, value, active in zip(saved["gid"].tolist(), saved["D"], saved["active"], strict=True):
            if (u := self.number.get(gid)) is not None:
                self.D[u] = value
                self.active[u] = active and self.master[u] == self.partition.rank
        edges = {eid: edge for edge, eid in enumerate(self.partition.eid.tolist())} if saved["E"] else {}
        for eid, value in zip(saved["eid"].tolist(), saved["E"], strict=True):
            if (edge := edges.get(eid)) is not None:
                self.E[edge] = value
                self.changed_edges.add(edge)


def summed(program: VertexProgram, a: Any, b: Any) -> Any:
    """The program's sum. None would stand for an accumulator that is empty."""
    found = program.sum(a, b)
    if found is None:
        raise TypeError(
            f"{type(program).__name__}.sum({short(a)}, {short(b)}) returned None: "
            "write return a + b, or the like"
        )
    return found


def _chosen(nbrs: str, into: Any, outof: Any) -> Any:
    if nbrs == NONE:
        return [[]] * len(into)
    if nbrs == ALL:
        return [ins + outs for ins, outs in zip(into, outof, strict=True)]
    return into if nbrs == IN else outof
