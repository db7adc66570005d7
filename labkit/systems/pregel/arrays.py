"""A partition whose vertices are arrays: the same supersteps for graphs of millions of edges.

::

    def compute_batch(self, values, messages, out_edges):
        if self.superstep >= 1:
            values[:] = 0.15 / self.num_vertices + 0.85 * messages.combined
        if self.superstep < 30:
            out_edges.send(values / out_edges.degrees)
        else:
            self.vote_to_halt()

One call computes all n vertices of a partition; ``self.vertex_id``, ``self.active``, ``values`` and what
``messages`` has are arrays over them. Vertices that have halted and got no message keep their values and send
nothing, whatever the function says of them. The graph does not change.

Who gets messages from a partition's edges is always the same. So each partition makes a *plan* once: its
edges in the order of partition and vertex that they lead to. What it sends to another partition is then an
array of one number for each vertex there, without a name, or, if few have something to say, those numbers
with names.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np

from labkit.runtime.copying import loads_keeping_classes, stream
from labkit.runtime.loop import traceback_text
from labkit.runtime.packing import dumps
from labkit.runtime.raised import Ending, named

from .messages import PLAN, Batch, Report
from .model import Graph, Vertex
from .objects import Step, UserFailed, aggregator_of
from .partition import partitions_of
from .reductions import reduced

__all__ = ["ArrayPartition", "Layout", "Messages", "OutEdges"]

#: Of what is sent at most so many bytes go into the digest.
DIGESTED = 1 << 16
#: If less than this part of the edges carries messages, they are sent with names.
SPARSE = 0.25


class Layout:
    """Where each of n vertices is: its partition, and its place there. Every worker can compute it."""

    def __init__(self, n: int, N: int, partitioner: Callable[[Any, int], int]) -> None:
        self.home = partitions_of(n, N, partitioner)
        self.members = [np.flatnonzero(self.home == each) for each in range(N)]
        self.place = np.empty(n, np.int32)
        for members in self.members:
            self.place[members] = np.arange(len(members), dtype=np.int32)


class Messages:
    """What n vertices got. arrived: (n,) of bool.

    combined: (n,), with a combiner: its result, or its identity where nothing came. values, indptr: without
    one; vertex v got ``values[indptr[v]:indptr[v + 1]]``.
    """

    def __init__(
        self, n: int, arrived: Any, combined: Any = None, values: Any = None, indptr: Any = None
    ) -> None:
        self.n, self.arrived, self.combined = n, arrived, combined
        self.values, self.indptr = values, indptr


class OutEdges:
    """The m edges that leave a partition's n vertices.

    sources: (m,), places in this partition; targets: (m,), vertex numbers; values: (m,) or None;
    degrees: (n,). Edges of one vertex lie together.
    """

    def __init__(self, partition: ArrayPartition) -> None:
        self._partition = partition
        self.degrees, self.targets, self.values = partition.degrees, partition.targets, partition.weights

    @property
    def sources(self) -> np.ndarray:
        """Made when it is first asked for."""
        return self._partition.sources()

    def send(self, messages: Any, where: Any = None) -> None:
        """``send_message_to_all_neighbors``: messages: (n,), one for all out edges of each vertex.
        where: (n,) of bool; all vertices that compute unless given."""
        self._partition.send_along(messages, where, by_edge=False)

    def send_along(self, messages: Any, where: Any = None) -> None:
        """Messages: (m,), one for each edge. where: (m,) of bool."""
        self._partition.send_along(messages, where, by_edge=True)


class Plan(NamedTuple):
    """The edges of a partition in the order of partition and vertex that they lead to. A *slot* is a vertex
    somewhere to which at least one of them leads."""

    order: np.ndarray  #: (m,): the edges
    columns: np.ndarray  #: (m,): the place of each one's source
    slots: np.ndarray  #: (m,): its slot
    starts: np.ndarray  #: by slot, where its edges begin
    dests: np.ndarray  #: by slot, the place of the vertex in its partition
    bounds: np.ndarray  #: (N + 1,): by partition, where its slots begin
    rank: np.ndarray  #: (m,): the inverse of ``order``

    @classmethod
    def of(cls, sources: np.ndarray, targets: np.ndarray, layout: Layout) -> Plan:
        """Of m edges."""
        N, m = len(layout.members), len(targets)
        first = np.concatenate([[0], np.cumsum([len(each) for each in layout.members])])
        where = first[layout.home[targets]] + layout.place[targets]
        order = np.argsort(where, kind="stable")
        where = where[order]
        starts = np.flatnonzero(np.concatenate([[True], where[1:] != where[:-1]])) if m else np.empty(0, int)
        slots = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, m)))
        there = where[starts]
        bounds = np.searchsorted(there, first)
        dests = there - np.repeat(first[:N], np.diff(bounds))
        rank = np.empty(m, np.int64)
        rank[order] = np.arange(m)
        return cls(order, sources[order].astype(np.int64), slots, starts, dests, bounds, rank)


class ArrayPartition(Graph):
    """Vertices as arrays, with the face of ``objects.Partition``."""

    def __init__(self, number: int, program: type[Vertex], layout: Layout) -> None:
        self.number, self.program, self.layout = number, program, layout
        self.next = 0
        self.inbox: dict[int, dict[tuple[int, int], Batch]] = {}
        self.report = Report(number, -1)
        self.given: dict[str, Any] = {}
        self.arrived: dict[int, int] = {}
        self.digest = 0
        self.wrong: list[str] = []
        self.ids = layout.members[number]
        #: By partition that sends to this one: the places of the vertices to which its edges lead, and how
        #: many lead to each.
        self.plans: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        combiner = program.combiner
        if combiner is not None and combiner.ufunc is None:
            raise TypeError(f"{type(combiner).__name__} has no ufunc: over arrays a combiner needs one")
        self.ufunc = None if combiner is None else combiner.ufunc

    # building ------------------------------------------------------------

    def put(self, batch: Batch) -> None:
        """As ``objects.Partition``'s."""
        if self.next == 0 or batch.superstep >= self.next - 1:
            self.inbox.setdefault(batch.superstep, {})[batch.source, batch.number] = batch

    def take(self, superstep: int) -> list[Batch]:
        """As ``objects.Partition``'s."""
        batches = self.inbox.pop(superstep, {})
        return [batches[key] for key in sorted(batches)]

    def build(self, batches: list[Batch]) -> list[Batch]:
        """Of the pieces (ids, degrees, targets, weights); returns what the others need of its plan."""
        pieces = [batch.payload for batch in batches]
        degrees, targets, weights = (
            None if not pieces or pieces[0][i] is None else np.concatenate([piece[i] for piece in pieces])
            for i in (1, 2, 3)
        )
        n = len(self.ids)
        if not np.array_equal(np.concatenate([self.ids[:0], *(piece[0] for piece in pieces)]), self.ids):
            raise ValueError(
                "the partitioner says something else here: it must depend on the id alone (§4.1)"
            )
        initial = 0.0 if self.program.initial is None else self.program.initial
        if np.ndim(initial) or np.asarray(initial).dtype.kind not in "biufc":
            raise TypeError(f"{self.program.__name__}.initial is {initial!r:.60}: over arrays write a number")
        self.values = np.full(n, initial)
        self.halted = np.zeros(n, bool)
        self._edges(
            np.zeros(n, np.int64) if degrees is None else degrees,
            np.empty(0, np.int32) if targets is None else targets, weights,
        )  # fmt: skip
        plan = self.plan
        counts = np.diff(np.append(plan.starts, len(plan.order)))
        batches = []
        for target, (a, b) in enumerate(zip(plan.bounds, plan.bounds[1:], strict=False)):
            if b > a:
                payload = (_frozen(plan.dests[a:b].astype(np.int32)), _frozen(counts[a:b].astype(np.int32)))
                batches.append(Batch(PLAN, self.number, target, 0, 0, payload))
        return batches

    def _edges(self, degrees: np.ndarray, targets: np.ndarray, weights: np.ndarray | None) -> None:
        self.degrees, self.targets, self.weights = degrees, targets, weights
        self._indptr = np.concatenate([[0], np.cumsum(degrees)])
        self._sources = np.repeat(np.arange(len(degrees), dtype=np.int32), degrees)
        self.plan = Plan.of(self._sources, targets, self.layout)
        self._buffer: np.ndarray | None = None
        self._edges_shown = OutEdges(self)

    def sources(self) -> np.ndarray:
        """(m,): the place of each edge's source."""
        return self._sources

    # a superstep ------------------------------------------------------------

    def begin(self, step: Step) -> None:
        """Take what was sent to it in the superstep before."""
        self._step, self.superstep, self.num_vertices = step, step.superstep, step.num_vertices
        self._combine = step.combine and self.ufunc is not None
        self._random: Any = None
        self.given, self.arrived, self.digest, self.wrong = {}, {}, 0, []
        self._sent = self._combined = self._bytes = self._computed = 0
        self._out: list[Batch] = []
        self._numbers: dict[int, int] = {}
        batches = self.take(step.superstep - 1)
        if step.superstep == 0:
            self.plans = {batch.source: batch.payload for batch in batches}
            batches = []
        for batch in batches:
            self.arrived[batch.source] = self.arrived.get(batch.source, 0) + batch.messages
        self._messages = self._received(batches)

    def _received(self, batches: list[Batch]) -> Messages:
        n = len(self.ids)
        arrived = np.zeros(n, bool)
        if self.ufunc is None:
            return self._uncombined(batches, arrived)
        combined: Any = None
        for batch in batches:
            dests, values, unique = self._opened(batch)
            if combined is None:
                identity = type(self.program.combiner).identity  # type: ignore[union-attr]
                combined = np.full(n, identity, np.result_type(values.dtype, np.float64))
            if unique:
                combined[dests] = self.ufunc(combined[dests], values)
            else:
                self.ufunc.at(combined, dests, values)
            arrived[dests] = True
        if combined is None:
            combined = np.full(n, self.program.combiner.identity)  # type: ignore[union-attr]
        return Messages(n, arrived, combined)

    def _uncombined(self, batches: list[Batch], arrived: np.ndarray) -> Messages:
        n, opened = len(arrived), [self._opened(batch)[:2] for batch in batches]
        dests = np.concatenate([each for each, _ in opened]) if opened else np.empty(0, np.int64)
        values = np.concatenate([each for _, each in opened]) if opened else np.empty(0)
        order = np.argsort(dests, kind="stable")
        counts = np.bincount(dests, minlength=n)
        arrived[:] = counts > 0
        return Messages(n, arrived, None, values[order], np.concatenate([[0], np.cumsum(counts)]))

    def _opened(self, batch: Batch) -> tuple[Any, Any, bool]:
        """The places of the vertices, the messages, and whether no vertex is there twice."""
        kind, dests, values = batch.payload
        values = values.view(values.dtype.type)  # one that was pickled has a type of its own, which is slow
        if kind == "named":
            return dests, values, False
        if kind == "some":
            return dests, values, True
        dests, counts = self.plans[batch.source]
        return (dests, values, True) if kind == "slots" else (np.repeat(dests, counts), values, False)

    def run(self) -> tuple[bool, list[Batch]]:
        """Compute; returns True, and the batches. Raises ``UserFailed``."""
        messages, vertex = self._messages, self.program()
        self.halted &= ~messages.arrived
        active = self.active = ~self.halted
        self._computed = int(np.count_nonzero(active))
        self.next = self.superstep + 1
        if not self._computed:
            return True, []
        everybody = self._computed == len(active)
        asleep = None if everybody else self.values[self.halted]
        before = self.values.copy() if self.program.holds is not Vertex.holds else None
        vertex._graph, vertex.vertex_id, vertex.active, vertex.halted = self, self.ids, active, False
        vertex.value, vertex.out_edges = None, self._edges_shown
        try:
            if vertex.compute_batch(self.values, messages, self._edges_shown) is not None:
                raise TypeError(
                    "compute_batch returns something: it is to change values in place and to send"
                )
            if vertex.value is not None:
                raise TypeError("self.value is one vertex's: write values[:] = … in compute_batch")
            halted = self._flags("vote_to_halt", vertex.halted, len(active))
        except Ending:
            raise
        except BaseException as error:
            where = f"compute_batch of partition {self.number} in superstep {self.superstep}"
            raise UserFailed(f"{where}: {named(error)}\n{traceback_text(error)}") from error
        if asleep is not None:
            self.values[self.halted] = asleep
        if before is not None:
            vertex.value = self.values
            if not np.all(vertex.holds(before)):
                self.wrong.append(f"{np.count_nonzero(~vertex.holds(before))} vertices")
        self.halted = self.halted | (active & halted)
        return True, self._out

    def reported(self) -> Report:
        """How the superstep was."""
        active = len(self.halted) - int(np.count_nonzero(self.halted))
        self.report = Report(
            self.number, self.superstep, len(self.ids), len(self.targets), self._computed, active, self._sent,
            self._combined, self._bytes,
        )  # fmt: skip
        return self.report

    # sending ------------------------------------------------------------

    def send_along(self, messages: Any, where: Any, by_edge: bool) -> None:
        """Along the edges of vertices that compute: ``OutEdges.send`` and ``send_along``."""
        plan, size = self.plan, len(self.targets) if by_edge else len(self.ids)
        what = "send_along: one for each out edge" if by_edge else "send: one for each vertex"
        messages = self._numbers_for(what, messages, size)
        where = None if where is None else self._flags(what, where, size)
        if where is None and self._computed == len(self.ids):
            chosen: Any = None
        elif by_edge:
            chosen = np.flatnonzero(
                self.active[self._sources] if where is None else self.active[self._sources] & where
            )
        else:
            chosen = self._edges_of(np.flatnonzero(self.active if where is None else self.active & where))
        if chosen is not None and len(chosen) < len(plan.order):
            self._send_some(messages, chosen, by_edge)
            return
        self._sent += len(plan.order)
        along = messages[plan.order] if by_edge else self._taken(messages)
        if self._combine:
            self._divide("slots", self._reduced(along), plan.bounds)
        else:
            ends = np.append(plan.starts, len(plan.order))[plan.bounds]
            self._divide("edges", along, ends)

    @staticmethod
    def _numbers_for(what: str, messages: Any, size: int) -> np.ndarray:
        """Messages as an array (size,)."""
        found = np.asarray(messages)
        if found.dtype.kind not in "biufc" or found.shape not in ((), (size,)):
            raise TypeError(
                f"{what}, ({size},) or a number, and {messages!r:.60} is {found.dtype}{found.shape}"
            )
        return np.broadcast_to(found, (size,))

    @staticmethod
    def _flags(what: str, where: Any, size: int) -> np.ndarray:
        found = np.asarray(where)
        if found.dtype != bool or found.shape not in ((), (size,)):
            raise TypeError(
                f"{what}, where: ({size},) of bool, as values < 3, and {where!r:.60} is "
                f"{found.dtype}{found.shape}"
            )
        return np.broadcast_to(found, (size,))

    def _taken(self, messages: np.ndarray) -> np.ndarray:
        """By edge in the plan's order the message of its source; into the same memory each time."""
        if self._buffer is None or self._buffer.dtype != messages.dtype:
            self._buffer = np.empty(len(self.plan.columns), messages.dtype)
        out = self._buffer if self._combine else None
        return np.take(messages, self.plan.columns, out=out, mode="clip")

    def _reduced(self, along: np.ndarray) -> np.ndarray:
        """One message for each slot."""
        plan = self.plan
        if self.ufunc is np.add and along.dtype == np.float64:
            return np.bincount(plan.slots, weights=along, minlength=len(plan.starts))
        return self.ufunc.reduceat(along, plan.starts) if len(along) else along[:0]

    def _edges_of(self, vertices: np.ndarray) -> np.ndarray:
        """The numbers of their out edges."""
        degrees = self.degrees[vertices]
        begins = self._indptr[vertices] - np.concatenate([[0], np.cumsum(degrees)[:-1]])
        return np.repeat(begins, degrees) + np.arange(degrees.sum())

    def _send_some(self, messages: np.ndarray, edges: np.ndarray, by_edge: bool) -> None:
        """Few edges carry messages: those are sent with the places of their vertices."""
        plan = self.plan
        self._sent += len(edges)
        ranks = np.sort(plan.rank[edges])
        along = messages[plan.order[ranks]] if by_edge else messages[plan.columns[ranks]]
        slots = plan.slots[ranks]
        if self._combine and len(slots):
            starts = np.flatnonzero(np.concatenate([[True], slots[1:] != slots[:-1]]))
            along, slots = self.ufunc.reduceat(along, starts), slots[starts]
        ends = np.searchsorted(slots, plan.bounds)
        kind = "some" if self._combine else "named"
        self._divide(kind, along, ends, plan.dests[slots].astype(np.int32))

    def send(self, dest: Any, message: Any) -> None:
        """``send_message_to``, with arrays of vertex numbers and of messages, for vertices that compute."""
        dest = np.atleast_1d(dest)
        if len(dest) and (dest.ndim > 1 or dest.dtype.kind not in "iu"):
            raise TypeError(
                f"send_message_to({dest!r:.60}, …): over arrays vertices are numbers, (k,) of int"
            )
        dest = dest.astype(np.int64)
        if len(dest) and not (dest.min() >= 0 and dest.max() < len(self.layout.home)):
            raise ValueError(
                f"send_message_to: there is no vertex {dest.max() if dest.min() >= 0 else dest.min()}"
            )
        message = self._numbers_for("send_message_to: one for each of them", message, len(dest))
        homes = self.layout.home[dest]
        order = np.argsort(homes, kind="stable")
        ends = np.searchsorted(homes[order], np.arange(len(self.layout.members) + 1))
        self._sent += len(dest)
        self._divide("named", message[order], ends, self.layout.place[dest[order]])

    def _divide(self, kind: str, values: np.ndarray, ends: np.ndarray, dests: Any = None) -> None:
        """A batch for each partition that gets anything."""
        values = _frozen(values)
        dests = None if dests is None else _frozen(dests)
        for target, (a, b) in enumerate(itertools.pairwise(ends)):
            if b > a:
                number = self._numbers[target] = self._numbers.get(target, -1) + 1
                payload = (kind, None if dests is None else dests[a:b], values[a:b])
                self.digest = crc32(values[a : min(b, a + DIGESTED // 8)].tobytes(), self.digest)
                self._combined += int(b - a)
                self._bytes += payload[2].nbytes + (0 if dests is None else payload[1].nbytes)
                self._out.append(Batch(self.superstep, self.number, target, number, int(b - a), payload))

    def send_all(self, vertex: Vertex, message: Any) -> None:
        """As ``out_edges.send``."""
        self.send_along(message, None, by_edge=False)

    def request(self, *what: Any) -> None:
        """Not over arrays."""
        raise TypeError(
            f"{what[0]}: over arrays the graph does not change; write compute instead of compute_batch"
        )

    # the rest of what a program may do ------------------------------------------------------------

    @property
    def random(self) -> Any:  # type: ignore[override]
        """A NumPy generator, seeded by superstep and partition."""
        if self._random is None:
            seed = stream(self._step.seed, "pregel", self.superstep, self.number).getrandbits(64)
            self._random = np.random.default_rng(seed)
        return self._random

    def aggregate(self, name: str, value: Any) -> None:
        """One value for the whole partition."""
        aggregator = aggregator_of(self.program, name)
        value = value.item() if isinstance(value, np.generic) else value
        self.given[name] = reduced(aggregator, self.given[name], value) if name in self.given else value

    def aggregated(self, name: str) -> Any:
        """Of the superstep before."""
        found = self._step.aggregated
        return found[name] if name in found else aggregator_of(self.program, name).initial

    # checkpoints and output ------------------------------------------------------------

    def saved(self) -> bytes:
        """As ``objects.Partition``'s."""
        batches = list(self.inbox.get(self.next - 1, {}).values())
        edges = (self.degrees, self.targets, self.weights)
        return dumps((self.next, self.values, self.halted, edges, self.plans, batches))

    def restore(self, data: bytes) -> None:
        """From a checkpoint."""
        self.next, self.values, self.halted, edges, self.plans, batches = loads_keeping_classes(data)
        self._edges(*edges)
        self.inbox = {}
        for batch in batches:
            self.put(batch)

    def output(self) -> Iterator[tuple[Any, Any]]:
        """Ids and values, as two arrays."""
        return iter(((self.ids, self.values),))

    def described(self) -> Report:
        """Its size, when it is built."""
        return Report.built(self.number, self.degrees)


def _frozen(values: np.ndarray) -> np.ndarray:
    """Messages share what nobody changes, and need not copy it."""
    values = values if values.flags.owndata else values.copy()
    values.flags.writeable = False
    return values
