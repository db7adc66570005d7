"""The programming model (§2, §3): a program is what one vertex does in one superstep.

::

    class PageRank(Vertex):
        combiner = Sum()

        def compute(self, messages):
            if self.superstep >= 1:
                self.value = 0.15 / self.num_vertices + 0.85 * sum(messages)
            if self.superstep < 30:
                self.send_message_to_all_neighbors(self.value / len(self.out_edges))
            else:
                self.vote_to_halt()

    job = Pregel(cluster, fs).run(PageRank, graph, "ranks", partitions=8, checkpoint_every=10)
    job.output()

In superstep S a vertex reads the messages that were sent to it in S-1, sends messages that will be read in
S+1, and changes its value and its edges; these are "the only per-vertex state that persists across
supersteps". All vertices are active in superstep 0. One that has voted to halt runs again when a message
arrives; the end is when all have halted and no message is in transit.

``compute_batch`` is the same for a whole partition at once, over arrays: see ``arrays.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any, ClassVar, NamedTuple, TypeVar

from .reductions import Aggregator, Combiner

__all__ = ["Edge", "Graph", "Vertex", "only_class"]

Program = TypeVar("Program", bound="Vertex")


class Edge(NamedTuple):
    """One edge that leaves a vertex."""

    target: Any
    value: Any = None


class Graph:
    """What a vertex sees of the partition that it is in, while ``compute`` runs (C++'s library has it behind
    the vertex). A handler of ``Vertex`` gets one, too."""

    superstep: int
    num_vertices: int
    random: Random

    def send(self, dest: Any, message: Any) -> None:
        """A message for the next superstep."""
        raise NotImplementedError

    def send_all(self, vertex: Vertex, message: Any) -> None:
        """The same message along each of its edges."""
        raise NotImplementedError

    def request(self, *what: Any) -> None:
        """A change of the graph, for the next superstep."""
        raise NotImplementedError

    def add_vertex(self, vertex_id: Any, value: Any = None) -> None:
        """In ``message_to_missing``: make the vertex at once; it gets the messages in this superstep."""
        raise NotImplementedError

    def request_remove_edge(self, source: Any, target: Any) -> None:
        """Remove all edges from one vertex to another, in the next superstep."""
        self.request("remove_edge", source, target)

    def aggregate(self, name: str, value: Any) -> None:
        """Give a value to an aggregator."""
        raise NotImplementedError

    def aggregated(self, name: str) -> Any:
        """What an aggregator made of the values of the superstep before."""
        raise NotImplementedError


class _Kind(type):
    """A vertex has no attributes but those of ``Vertex``: anything else would be lost with its worker."""

    def __new__(mcs, name: str, bases: tuple[type, ...], members: dict[str, Any], **more: Any) -> type:
        if bases:
            _refuse(name, members)
        members.setdefault("__slots__", ())
        made = super().__new__(mcs, name, bases, members, **more)
        if made.__dictoffset__:
            mixin = next(each for each in made.__mro__ if not isinstance(each, _Kind) and each.__dictoffset__)
            raise TypeError(
                f"class {name}: {mixin.__name__} has attributes of its own, which would be lost "
                f"with the worker; write __slots__ = () in it"
            )
        return made


def _refuse(name: str, members: dict[str, Any]) -> None:
    """What cannot be in the body of a class of vertices."""
    for each in members:
        if each in Vertex.__slots__ or each in ("superstep", "num_vertices"):
            instead = "initial = …" if each == "value" else "another name"
            raise TypeError(f"class {name}: {each} is each vertex's own; write {instead}")
    if "__init__" in members or members.get("__slots__"):
        what = "__init__" if "__init__" in members else "__slots__"
        raise TypeError(
            f"class {name} has {what}, and a vertex keeps nothing but its value and its edges: write initial "
            "= … for the first value, and parameters as attributes of the class"
        )


class Vertex(metaclass=_Kind):
    """Subclass it and define ``compute``. Attributes of the class are parameters, the same for all vertices;
    ``ShortestPaths.having(source=3)`` is the program with another one."""

    __slots__ = ("_graph", "active", "halted", "out_edges", "value", "vertex_id")

    #: A combiner (§3.2), or None.
    combiner: ClassVar[Combiner | None] = None
    #: By name (§3.3).
    aggregators: ClassVar[dict[str, Aggregator]] = {}
    #: The value of a vertex for which the input has none. Over arrays also its type.
    initial: ClassVar[Any] = None

    vertex_id: Any
    value: Any
    out_edges: tuple[Edge, ...]  #: (target, value) each; changed by add_edge, remove_edge, set_edge_value
    halted: Any
    active: Any  #: in ``compute_batch``: (n,) of bool, the vertices that compute
    _graph: Graph

    # the user's functions ------------------------------------------------------------

    def compute(self, messages: Sequence[Any]) -> None:
        """What a vertex does in a superstep. messages: those sent to it in the one before, in no particular
        order."""
        raise NotImplementedError

    def holds(self, before: Any) -> bool:
        """After compute, which got the vertex with the value ``before``: whether the value may follow it.
        ``job.check()`` tells where it does not."""
        return True

    @classmethod
    def conflicting_vertices(cls, vertex_id: Any, values: Sequence[Any]) -> Any:
        """The value of a vertex that was to be added with each of these (first that of one that is there).
        Unless overridden one of them "arbitrarily" (§3.4): the first."""
        return values[0]

    @classmethod
    def conflicting_edges(cls, source: Any, target: Any, values: Sequence[Any]) -> Any:
        """The same for an edge; unless overridden the last one."""
        return values[-1]

    @classmethod
    def message_to_missing(cls, graph: Graph, vertex_id: Any, messages: Sequence[Any]) -> None:
        """Messages have come for a vertex that does not exist (§3.1). "A handler could, for example, create
        the missing vertex or remove the dangling edge from its source vertex": ``graph.add_vertex``,
        ``graph.request_remove_edge``. Unless overridden they are dropped, and counted."""

    # what they may do ------------------------------------------------------------

    @property
    def superstep(self) -> int:
        """The number of the superstep, from 0."""
        return self._graph.superstep

    @property
    def num_vertices(self) -> int:
        """Vertices of the whole graph when the superstep before had ended."""
        return self._graph.num_vertices

    @property
    def random(self) -> Random:
        """Random numbers that are the same when the superstep is computed again after a failure."""
        return self._graph.random

    def send_message_to(self, dest: Any, message: Any) -> None:
        """``dest``: any vertex, whether or not there is an edge. The message is copied."""
        self._graph.send(dest, message)

    def send_message_to_all_neighbors(self, message: Any) -> None:
        """Along each out edge."""
        self._graph.send_all(self, message)

    def vote_to_halt(self, where: Any = True) -> None:
        """Be inactive until a message comes. where: in ``compute_batch``, which of the vertices."""
        self.halted = where

    def aggregate(self, name: str, value: Any) -> None:
        """Give a value to one of the ``aggregators``."""
        self._graph.aggregate(name, value)

    def aggregated(self, name: str) -> Any:
        """What it made of the values of the superstep before; its ``initial`` in superstep 0."""
        return self._graph.aggregated(name)

    # local mutations: at once (§3.4) ------------------------------------------------------------

    def add_edge(self, target: Any, value: Any = None) -> None:
        """An out edge of this vertex."""
        self.out_edges = (*self.out_edges, Edge(target, value))

    def remove_edge(self, target: Any) -> None:
        """All out edges of this vertex to another."""
        self.out_edges = tuple([edge for edge in self.out_edges if edge[0] != target])

    def set_edge_value(self, target: Any, value: Any) -> None:
        """The value of all out edges to another vertex."""
        self.out_edges = tuple([Edge(target, value) if e[0] == target else e for e in self.out_edges])

    # requests: in the next superstep, before compute ------------------------------------------------

    def request_add_vertex(self, vertex_id: Any, value: Any = None) -> None:
        """A vertex without edges; active in the next superstep."""
        self._graph.request("add_vertex", vertex_id, value)

    def request_remove_vertex(self, vertex_id: Any) -> None:
        """A vertex with its out edges."""
        self._graph.request("remove_vertex", vertex_id)

    def request_add_edge(self, source: Any, target: Any, value: Any = None) -> None:
        """An edge between any two vertices; nothing if the source does not exist then."""
        self._graph.request("add_edge", source, target, value)

    def request_remove_edge(self, source: Any, target: Any) -> None:
        """All edges from one vertex to another."""
        self._graph.request_remove_edge(source, target)

    # the program ------------------------------------------------------------

    @classmethod
    def having(cls: type[Program], **parameters: Any) -> type[Program]:
        """The same program with other parameters. Raises ``TypeError`` for what is none."""
        for name in parameters:
            if name.startswith("_") or not hasattr(cls, name) or name in Vertex.__slots__:
                own = [each for each in dir(cls) if not each.startswith("_") and each not in dir(Vertex)]
                known = ", ".join(each for each in own if not callable(getattr(cls, each))) or "none"
                raise TypeError(f"{cls.__name__} has no parameter {name!r}; it has {known}")
        return type(cls)(cls.__name__, (cls,), {**parameters, "__module__": cls.__module__})

    def __repr__(self) -> str:
        if not hasattr(self, "vertex_id"):  # made by a user, where the class is wanted
            return f"{type(self).__name__}()"
        return f"<{type(self).__name__} {self.vertex_id!r}: {self.value!r:.60}>"


def only_class(program: Any) -> type[Vertex]:
    """What is given as a program, if it is one. Raises ``TypeError``."""
    if isinstance(program, type) and issubclass(program, Vertex):
        return program
    write = f": write {type(program).__name__}, without ()" if isinstance(program, Vertex) else ""
    raise TypeError(
        f"the program is a class of vertices, class Mine(Vertex): ...; not {program!r:.80}{write}"
    )
