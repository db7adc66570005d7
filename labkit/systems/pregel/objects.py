"""A partition whose vertices are objects, and what one superstep does with them. No message, no clock here.

Its messages for the next superstep are gathered by the vertex that is to get them, and combined at once where
there is a combiner. When there are enough of them they are divided by partition and leave as batches, while
the partition goes on computing (§4.3).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from zlib import crc32

import numpy as np

from labkit.runtime.copying import ATOMS, copy_value, loads_keeping_classes, stream
from labkit.runtime.loop import traceback_text
from labkit.runtime.packing import dumps
from labkit.runtime.raised import Ending, named, short

from .messages import Batch, Report
from .model import Edge, Graph, Vertex
from .mutations import apply_requests
from .partition import Homes, misplaced
from .readers import packed
from .reductions import Aggregator, reduced, same

__all__ = ["Partition", "Step", "UserFailed", "users"]

#: Vertices, the messages for them, and requests for changes of the graph.
Box = tuple[list[Any], list[Any], list[Any]]
#: Messages of a superstep and partition on which the combiner is tried in both orders.
TRIED = 3


class UserFailed(Exception):
    """The user's code failed."""


@contextmanager
def users(what: str) -> Iterator[None]:
    """Code of the user's. Raises ``UserFailed``."""
    try:
        yield
    except Ending:
        raise
    except BaseException as error:
        raise UserFailed(f"{what}: {named(error)}\n{traceback_text(error)}") from error


def aggregator_of(program: type[Vertex], name: str) -> Aggregator:
    """One of the program's. Raises ``KeyError`` with those there are."""
    if name not in program.aggregators:
        known = ", ".join(map(str, program.aggregators)) or "none"
        raise KeyError(f"{program.__name__} has no aggregator {name!r}; it has: {known}")
    return program.aggregators[name]


class Step:
    """What a superstep is told of the world; the same for all partitions."""

    def __init__(
        self, superstep: int, num_vertices: int, aggregated: dict[str, Any], seed: int = 0,
        combine: bool = True, batch: int = 1 << 60,
    ) -> None:  # fmt: skip
        self.superstep, self.num_vertices, self.aggregated = superstep, num_vertices, aggregated
        self.seed, self.combine, self.batch = seed, combine, batch


class Partition(Graph):
    """Vertices, and the messages that they are to read."""

    def __init__(self, number: int, program: type[Vertex], homes: Homes) -> None:
        self.number, self.program, self.homes = number, program, homes
        self.vertices: dict[Any, Vertex] = {}
        self._ways: dict[Any, tuple[Any, dict[int, list[Any]]]] = {}
        self.next = 0  #: the superstep that it computes next
        #: By superstep in which they were sent, then by source and number, so that a batch that comes twice
        #: is there once, and the order in which batches come makes no difference.
        self.inbox: dict[int, dict[tuple[int, int], Batch]] = {}
        self.report = Report(number, -1)
        self.given: dict[str, Any] = {}  #: to aggregators, in the superstep computed last
        self.arrived: dict[int, int] = {}  #: messages by source, in that superstep
        self.digest = 0  #: of all that it has sent in it
        self.wrong: list[str] = []  #: what the program's ``holds`` or combiner did not keep, in it

    # building ------------------------------------------------------------

    def put(self, batch: Batch) -> None:
        """Messages for one of the next two supersteps."""
        if self.next == 0 or batch.superstep >= self.next - 1:
            self.inbox.setdefault(batch.superstep, {})[batch.source, batch.number] = batch

    def take(self, superstep: int) -> list[Batch]:
        """What was sent to it in a superstep, in the order of source and number."""
        batches = self.inbox.pop(superstep, {})
        return [batches[key] for key in sorted(batches)]

    def build(self, batches: list[Batch]) -> list[Batch]:
        """Make the vertices of what the readers found: of a vertex that is in several pieces the edges come
        together, and the first value counts. Returns batches for other partitions: none."""
        found: dict[Any, tuple[Any, list[Edge]]] = {}
        for batch in batches:
            for vertex_id, value, edges in loads_keeping_classes(batch.payload):
                known = found.get(vertex_id)
                if known is None:
                    found[vertex_id] = (value, list(edges))
                else:
                    known[1].extend(edges)
                    if known[0] is None:
                        found[vertex_id] = (value, known[1])
        for vertex_id, (value, edges) in found.items():
            if (home := self.homes[vertex_id]) != self.number:
                raise UserFailed(str(misplaced(vertex_id, home, self.number)))
            self.make(vertex_id, value, tuple([Edge(*edge) for edge in edges]))
        return []

    def make(self, vertex_id: Any, value: Any, edges: tuple[Edge, ...] = ()) -> Vertex:
        """A vertex, active."""
        vertex = self.program()
        vertex.vertex_id, vertex.out_edges = vertex_id, edges
        vertex.value = copy_value(self.program.initial) if value is None else value
        vertex.halted, vertex._graph = False, self
        self.vertices[vertex_id] = vertex
        return vertex

    # a superstep ------------------------------------------------------------

    def begin(self, step: Step) -> None:
        """Take what was sent to it in the superstep before: first the mutations, then the messages (§3.4)."""
        self.superstep, self.num_vertices = step.superstep, step.num_vertices
        self._step = step
        self._combiner = self.program.combiner if step.combine else None
        self._combine, self._tried = self._try, 0  # the first times
        self._random: Any = None
        self._out: dict[Any, Any] = {}  #: with a combiner: messages by vertex
        self._boxes: dict[int, Box] = {}  #: by partition, what is to be sent
        self._waiting = 0  #: messages in the boxes
        self._numbers: dict[int, int] = {}
        self.given, self.arrived, self.digest, self.wrong = {}, {}, 0, []
        self._sent = self._combined = self._bytes = self._missing = self._computed = 0
        self._asked = 0
        inbox: dict[Any, Any] = defaultdict(list) if self._combiner is None else {}
        requests: list[tuple[Any, ...]] = []
        for batch in self.take(step.superstep - 1):
            dests, messages, wanted = loads_keeping_classes(batch.payload)
            requests += wanted
            self.arrived[batch.source] = self.arrived.get(batch.source, 0) + batch.messages
            self._merge(inbox, dests, messages)
        if requests:
            apply_requests(self, requests)
        missing = [vertex_id for vertex_id in inbox if vertex_id not in self.vertices]
        for vertex_id in missing:
            if (home := self.homes[vertex_id]) != self.number:
                raise UserFailed(str(misplaced(vertex_id, home, self.number)))
            messages = self._as_list(inbox[vertex_id])
            self._missing += len(messages)
            self._guarded(
                "message_to_missing", vertex_id, self.program.message_to_missing, self, vertex_id, messages
            )
            if vertex_id not in self.vertices:
                del inbox[vertex_id]
        self._inbox = inbox
        self._todo = iter(list(self.vertices.items()))

    def _merge(self, inbox: dict[Any, Any], dests: list[Any], messages: list[Any]) -> None:
        """By vertex. The receiver combines, too."""
        if self._combiner is None:
            for dest, message in zip(dests, messages, strict=True):
                inbox[dest].append(message)
            return
        combine = self._combiner.combine
        for dest, message in zip(dests, messages, strict=True):
            inbox[dest] = combine(inbox[dest], message) if dest in inbox else message

    def _as_list(self, messages: Any) -> list[Any]:
        return messages if self._combiner is None else [messages]

    def run(self) -> tuple[bool, list[Batch]]:
        """Compute until enough messages are there to be sent, or all is done; returns whether it is, and the
        batches. Raises ``UserFailed``."""
        inbox, limit, combined = self._inbox, self._step.batch, self._combiner is not None
        checks = self.program.holds is not Vertex.holds
        out, vertex_id = self._out, None
        try:
            for vertex_id, vertex in self._todo:
                messages = inbox.pop(vertex_id, None)
                if messages is None:
                    if vertex.halted:
                        continue
                    messages = []
                else:
                    vertex.halted = False  # a message wakes it
                    if combined:
                        messages = [messages]
                self._computed += 1
                before = copy_value(vertex.value) if checks else None
                if vertex.compute(messages) is not None:
                    raise TypeError(
                        "compute returns or yields something: it is to set self.value and to send"
                    )
                if vertex.vertex_id is not vertex_id and vertex.vertex_id != vertex_id:
                    raise TypeError(
                        f"compute makes vertex_id {vertex.vertex_id!r:.60}, and a vertex keeps its id: "
                        "self.request_add_vertex() makes another vertex"
                    )
                if checks and not vertex.holds(before):
                    self.wrong.append(f"{vertex.vertex_id!r}: {short(before)} → {short(vertex.value)}")
                if len(out) >= limit or self._waiting >= limit:
                    return False, self._flush()
        except Ending:
            raise
        except BaseException as error:
            raise self._failed("compute", vertex_id, error) from error
        self._end()
        return True, self._flush()

    def _failed(self, function: str, vertex_id: Any, error: BaseException) -> UserFailed:
        hint = ""
        if isinstance(error, AttributeError):
            hint = (
                "\n(What a vertex keeps from one superstep to the next is self.value and its edges; "
                "self.add_edge, remove_edge and set_edge_value change these.)"
            )
        where = f"{function} of vertex {vertex_id!r:.60} in superstep {self.superstep}"
        return UserFailed(f"{where}: {named(error)}{hint}\n{traceback_text(error)}")

    def _guarded(self, what: str, vertex_id: Any, function: Any, *args: Any) -> Any:
        """A handler of the user's."""
        try:
            return function(*args)
        except Ending:
            raise
        except BaseException as error:
            raise self._failed(what, vertex_id, error) from error

    def _flush(self) -> list[Batch]:
        """All that is to be sent, by partition."""
        homes = self.homes
        for dest, message in self._out.items():
            box = self._box(homes[dest])
            box[0].append(dest)
            box[1].append(message)
        boxes, self._boxes, self._out, self._waiting = self._boxes, {}, {}, 0
        return [self._batch(target, boxes[target]) for target in sorted(boxes)]

    def _box(self, home: int) -> Box:
        if home not in self._boxes:
            self._boxes[home] = ([], [], [])
        return self._boxes[home]

    def _batch(self, target: int, box: Box) -> Batch:
        number = self._numbers.get(target, 0)
        self._numbers[target] = number + 1
        count, payload = len(box[0]), dumps(box)
        self.digest = crc32(payload, self.digest)
        self._combined += count
        self._bytes += len(payload)
        return Batch(self.superstep, self.number, target, number, count, payload)

    def _end(self) -> None:
        self._todo = iter(())
        self.next = self.superstep + 1
        vertices = self.vertices.values()
        self._active = sum(not vertex.halted for vertex in vertices)
        self._edges = sum(len(vertex.out_edges) for vertex in vertices)

    def reported(self) -> Report:
        """How the superstep was; after the last batch."""
        self.report = Report(
            self.number, self.superstep, len(self.vertices), self._edges, self._computed, self._active,
            self._sent, self._combined, self._bytes, self._asked, self._missing,
        )  # fmt: skip
        return self.report

    # what vertices do ------------------------------------------------------------

    @property
    def random(self) -> Any:  # type: ignore[override]
        """Seeded by superstep and partition, so that confined recovery draws the same (§4.2)."""
        if self._random is None:
            self._random = stream(self._step.seed, "pregel", self.superstep, self.number)
        return self._random

    def send(self, dest: Any, message: Any) -> None:
        """Into the box of its partition, or combined."""
        _hashable("send_message_to", dest)
        self._sent += 1
        if type(message) not in ATOMS:
            message = copy_value(message)
        if self._combiner is not None:
            out = self._out
            out[dest] = self._combine(out[dest], message) if dest in out else message
            return
        self._waiting += 1
        box = self._box(self.homes[dest])
        box[0].append(dest)
        box[1].append(message)

    def send_all(self, vertex: Vertex, message: Any) -> None:
        """As ``send`` along each edge."""
        if self._combiner is not None or type(message) not in ATOMS:
            for dest, _ in vertex.out_edges:
                self.send(dest, message)
            return
        for home, dests in self._neighbours(vertex):
            box = self._box(home)
            box[0].extend(dests)
            box[1].extend([message] * len(dests))
        self._sent += len(vertex.out_edges)
        self._waiting += len(vertex.out_edges)

    def _neighbours(self, vertex: Vertex) -> Iterable[tuple[int, list[Any]]]:
        """Its targets by partition: found out once, as long as its edges are the same."""
        edges, found = self._ways.get(vertex.vertex_id, (None, {}))
        if edges is not vertex.out_edges:
            found = {}
            for dest, _ in vertex.out_edges:
                found.setdefault(self.homes[dest], []).append(dest)
            self._ways[vertex.vertex_id] = (vertex.out_edges, found)
        return found.items()

    def _try(self, one: Any, other: Any) -> Any:
        """Combine, and look whether the combiner is commutative (§3.2)."""
        assert self._combiner is not None
        back = self._combiner.combine(copy_value(other), copy_value(one))
        told = f"combine({short(one)}, {short(other)})"
        there = self._combiner.combine(one, other)
        if there is None and one is not None and other is not None:
            kind = type(self._combiner).__name__
            raise TypeError(f"{kind}.combine returns nothing: return one message in place of two")
        if not same(there, back):
            self.wrong.append(f"{told} is {short(there)}, the other way {short(back)}")
        self._tried += 1
        if self._tried >= TRIED:
            self._combine = self._combiner.combine  # type: ignore[method-assign]
        return there

    def request(self, *what: Any) -> None:
        """By the partition of the vertex that it is about."""
        for each in what[1:3] if what[0].endswith("edge") else what[1:2]:
            _hashable(f"request_{what[0]}", each)
        self._asked += 1
        self._box(self.homes[what[1]])[2].append(copy_value(what))

    def add_vertex(self, vertex_id: Any, value: Any = None) -> None:
        """At once: for the handler of messages to missing vertices."""
        self.make(vertex_id, copy_value(value))

    def aggregate(self, name: str, value: Any) -> None:
        """Reduced here first."""
        aggregator = aggregator_of(self.program, name)
        value = copy_value(value)
        self.given[name] = reduced(aggregator, self.given[name], value) if name in self.given else value

    def aggregated(self, name: str) -> Any:
        """Of the superstep before."""
        aggregator, found = aggregator_of(self.program, name), self._step.aggregated
        return copy_value(found.get(name, aggregator.initial))

    # checkpoints and output ------------------------------------------------------------

    def saved(self) -> bytes:
        """For a checkpoint: "vertex values, edge values, and incoming messages" (§4.2)."""
        vertices = [(v.vertex_id, v.value, v.out_edges, v.halted) for v in self.vertices.values()]
        with users(f"checkpoint of partition {self.number}"):
            return packed((self.next, vertices, self.take_none()), self.output())

    def take_none(self) -> list[Batch]:
        """The messages for the next superstep, which stay."""
        return list(self.inbox.get(self.next - 1, {}).values())

    def restore(self, data: bytes) -> None:
        """From a checkpoint. Messages for later supersteps are void."""
        self.next, vertices, batches = loads_keeping_classes(data)
        self.vertices, self.inbox = {}, {}
        for vertex_id, value, edges, halted in vertices:
            self.make(vertex_id, None, edges)
            self.vertices[vertex_id].value, self.vertices[vertex_id].halted = value, halted
        for batch in batches:
            self.put(batch)

    def output(self) -> Iterator[tuple[Any, Any]]:
        """Ids and values."""
        return ((vertex.vertex_id, vertex.value) for vertex in self.vertices.values())

    def described(self) -> Report:
        """Its size, when it is built."""
        degrees = np.fromiter((len(vertex.out_edges) for vertex in self.vertices.values()), np.int64)
        return Report.built(self.number, degrees)


def _hashable(what: str, vertex_id: Any) -> None:
    try:
        hash(vertex_id)
    except TypeError as error:
        raise TypeError(f"{what}({vertex_id!r:.60}, …): {error}; a vertex's id, as (1, 2)") from None
