"""The programming model (§3): a job is a graph that is composed of smaller ones by operators.

=================  ======================================================================================
``vertex(f)``      a graph of one vertex, which is both its input and its output: (v), no edge, {v}, {v}
``G ** k``         k clones of G beside each other
``A >= B``         pointwise: an edge for each output of A, dealt round to B's inputs; if B has more inputs,
                   an edge for each of them, dealt round from A's outputs
``A >> B``         bipartite: an edge from each output of A to each input of B
``A | B``          merge: what both have is there once; the paper writes A || B
``encapsulate(G)`` one vertex that runs G in one process
=================  ======================================================================================

::

    @vertex
    async def longest(readers, writers):          # the paper's Main
        best = ""
        async for word in readers[0]:
            best = max(best, word, key=len)
        await writers[0].write(best)

    graph = (dryad.input("corpus/*") >= longest**8) >> merge()
    job = dryad.submit(graph)

Why ``async``: a vertex waits where its channel has no item yet, and must then give way to others, in the
simulator as on real processes. In ``async for`` and ``await write`` a reader sees each place where it may
wait; and the program streams through a pipe as it streams through a file.

**Brackets.** Python reads ``a >= b >= c`` as ``(a >= b) and (b >= c)``; that raises an error here, so write
``(a >= b) >= c``. And ``**`` binds tighter than ``>>``, ``>>`` than ``|``, ``|`` than ``>=``.

Edges into a vertex are its input ports, in the order in which they came to be; edges out of it its output
ports. Two vertices may have several edges between them. Graphs do not change: each operator makes a new one,
of the same vertices; only ``**`` makes new vertices.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from labkit.parts.options import text, whole
from labkit.runtime.raised import short

from .channels import FILE
from .drawing import Picture, bundle

__all__ = ["Edge", "Graph", "Vertex", "compose", "encapsulate", "vertex"]

CHAIN = (
    "a graph is neither true nor false. Python reads a >= b >= c as (a >= b) and (b >= c): write "
    "(a >= b) >= c. And | binds tighter than >=: write (a >= b) | (c >= d)"
)


class Vertex:
    """One vertex; it is itself and no other, however equal."""

    __slots__ = ("file", "hard", "near", "program", "stage")

    def __init__(
        self, stage: str, program: Any, file: str = "", hard: tuple[str, ...] = (), near: tuple[str, ...] = ()
    ) -> None:
        self.stage = stage
        self.program = program  #: its ``Main``, or a ``Graph`` that is encapsulated; None: it is a file
        self.file = file
        self.hard = hard  #: machines on one of which it must run; empty: any
        self.near = near  #: machines on which it would best run

    def clone(self) -> Vertex:
        """Another one that does the same."""
        return Vertex(self.stage, self.program, self.file, self.hard, self.near)

    def __repr__(self) -> str:
        return f"<Vertex {self.stage}>"


class Edge:
    """From an output port of one vertex to an input port of another."""

    __slots__ = ("source", "target")

    def __init__(self, source: Vertex, target: Vertex) -> None:
        self.source, self.target = source, target


class Graph:
    """⟨V, E, I, O⟩: vertices and edges in order, the inputs and the outputs among the vertices."""

    def __init__(
        self, vertices: Sequence[Vertex], edges: Sequence[Edge], inputs: Sequence[Vertex],
        outputs: Sequence[Vertex],
    ) -> None:  # fmt: skip
        self.vertices, self.edges = tuple(vertices), tuple(edges)
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)

    # the paper's operators ------------------------------------------------------------

    def __pow__(self, k: int) -> Graph:
        """Figure 3a: k clones, "concatenated"."""
        k = whole(1, write=4)("k", k, "G ** k, ")
        copies = [self._clone() for _ in range(k)]
        return Graph(*(sum((getattr(g, part) for g in copies), ()) for part in PARTS))

    def _clone(self) -> Graph:
        twin = {each: each.clone() for each in self.vertices}
        edges = [Edge(twin[edge.source], twin[edge.target]) for edge in self.edges]
        inputs, outputs = ([twin[each] for each in some] for some in (self.inputs, self.outputs))
        return Graph(list(twin.values()), edges, inputs, outputs)

    def __ge__(self, other: Graph) -> Graph:
        """Figure 3b, pointwise: max(|O_A|, |I_B|) edges."""
        a, b = _ends(self, other, ">=")
        return compose(self, other, [(i % len(a), i % len(b)) for i in range(max(len(a), len(b)))])

    def __rshift__(self, other: Graph) -> Graph:
        """Figure 3c, bipartite: |O_A| · |I_B| edges."""
        a, b = _ends(self, other, ">>")
        return compose(self, other, [(i, j) for i in range(len(a)) for j in range(len(b))])

    def __or__(self, other: Graph) -> Graph:
        """Figure 3d, merge: the first graph's edges have the first ports; an input with an edge into it is
        none any more, nor an output with one out of it."""
        other = _graph(other, "|")
        edges = _united(self.edges, other.edges)
        entered, left = {edge.target for edge in edges}, {edge.source for edge in edges}
        graph = Graph(
            _united(self.vertices, other.vertices),
            edges,
            [each for each in _united(self.inputs, other.inputs) if each not in entered],
            [each for each in _united(self.outputs, other.outputs) if each not in left],
        )
        graph.order()
        return graph

    def __le__(self, other: Any) -> Graph:
        return _graph(other, ">=") >= self

    def __rrshift__(self, other: Any) -> Graph:
        return _graph(other, ">>") >> self

    def __ror__(self, other: Any) -> Graph:
        return _graph(other, "|") | self

    def __bool__(self) -> bool:
        raise TypeError(CHAIN)

    # parts and constraints ------------------------------------------------------------

    def __getitem__(self, index: int | slice) -> Graph:
        """Some of its vertices without edges, by their place among all: to be composed further."""
        found = self.vertices[index] if isinstance(index, slice) else (self.vertices[index],)
        return Graph(found, (), found, found)

    def __len__(self) -> int:
        return len(self.vertices)

    def on(self, *machines: str) -> Graph:
        """Its vertices must run on one of these machines: a hard constraint. Returns the graph."""
        return self._placed("hard", machines)

    def near(self, *machines: str) -> Graph:
        """Its vertices would best run on one of these: a preference. Returns the graph."""
        return self._placed("near", machines)

    def _placed(self, what: str, machines: tuple[str, ...]) -> Graph:
        rule = text(says="machines are given by name", write="m1")
        for each in self.vertices:
            setattr(each, what, tuple(rule("machine", name) for name in machines))
        return self

    # what it looks like ------------------------------------------------------------

    def into(self, which: Vertex) -> list[Edge]:
        """The edges of its input ports, in order."""
        return [edge for edge in self.edges if edge.target is which]

    def out_of(self, which: Vertex) -> list[Edge]:
        """The edges of its output ports, in order."""
        return [edge for edge in self.edges if edge.source is which]

    def order(self) -> list[Vertex]:
        """The vertices, each after those it reads from. Raises ``ValueError`` if there is a cycle."""
        after: dict[Vertex, list[Vertex]] = {each: [] for each in self.vertices}
        missing = dict.fromkeys(self.vertices, 0)
        for edge in self.edges:
            after[edge.source].append(edge.target)
            missing[edge.target] += 1
        found = [each for each in self.vertices if not missing[each]]
        for each in found:
            for target in after[each]:
                missing[target] -= 1
                if not missing[target]:
                    found.append(target)
        if len(found) < len(self.vertices):
            stages = list(dict.fromkeys(each.stage for each in self.vertices if missing[each]))
            raise ValueError(
                f"a graph is acyclic, and this would have a cycle through {', '.join(stages)}; where data "
                "is to go round, give each round vertices of its own: a ** 1 is another a"
            )
        return found

    def skeleton(self) -> dict[tuple[str, str], int]:
        """The stages' graph: how many edges there are from one stage to another."""
        found: dict[tuple[str, str], int] = {}
        for edge in self.edges:
            pair = edge.source.stage, edge.target.stage
            found[pair] = found.get(pair, 0) + 1
        return found

    def stages(self) -> dict[str, int]:
        """Every stage, and how many vertices it has."""
        found: dict[str, int] = {}
        for each in self.vertices:
            found[each.stage] = found.get(each.stage, 0) + 1
        return found

    def __repr__(self) -> str:
        stages = ", ".join(f"{n} × {stage}" for stage, n in self.stages().items())
        edges = ", ".join(f"{n} × {a} → {b}" for (a, b), n in self.skeleton().items())
        ends = f"{len(self.inputs)} inputs, {len(self.outputs)} outputs"
        return f"<Graph of {stages}; {edges or 'no edges'}; {ends}>"

    def picture(self, title: str = "as composed") -> Picture:
        """Itself, to be drawn."""
        number = {each: i for i, each in enumerate(self.vertices)}
        edges = [(number[edge.source], number[edge.target], FILE) for edge in self.edges]
        return Picture(title, {i: each.stage for each, i in number.items()}, edges)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return bundle(self.picture(), repr(self))


PARTS = ("vertices", "edges", "inputs", "outputs")


def _graph(value: Any, sign: str) -> Graph:
    if not isinstance(value, Graph):
        hint = f"vertex({value.__name__})" if hasattr(value, "__name__") else "vertex(f), dryad.input(files)"
        raise TypeError(f"both sides of {sign} are graphs, and {short(value)} is none; write {hint}")
    return value


def _united(first: Sequence[Any], second: Sequence[Any]) -> list[Any]:
    """All of the first, then what the second has besides."""
    return list(dict.fromkeys((*first, *second)))


def _ends(a: Graph, b: Any, sign: str) -> tuple[Sequence[Vertex], Sequence[Vertex]]:
    """What is to be joined: both there, and of different vertices."""
    b = _graph(b, sign)
    shared = set(a.vertices) & set(b.vertices)
    if shared:
        stage = next(each.stage for each in a.vertices if each in shared)
        raise ValueError(
            f"both sides of {sign} have the same vertex of {stage!r}: for another like it write "
            f"{stage} ** 1; graphs that share vertices are merged by |"
        )
    if not a.outputs or not b.inputs:
        which, what = ("left", "output") if not a.outputs else ("right", "input")
        raise ValueError(f"the {which} side of {sign} has no {what} that an edge could be joined to")
    return a.outputs, b.inputs


def compose(a: Graph, b: Graph, pairs: Iterable[tuple[int, int]]) -> Graph:
    """A composition of one's own: an edge from A's i-th output to B's j-th input for each pair (i, j). The
    inputs are A's, the outputs B's."""
    outputs, inputs = _ends(a, b, "compose")
    edges = [Edge(outputs[i], inputs[j]) for i, j in pairs]
    return Graph((*a.vertices, *b.vertices), (*a.edges, *b.edges, *edges), a.inputs, b.outputs)


def vertex(program: Callable[..., Any], name: str = "") -> Graph:
    """A graph of one vertex, which runs ``async def program(readers, writers)``. name: of its stage; the
    function's unless given. Raises ``TypeError`` for another kind of function."""
    called = name or getattr(program, "__name__", type(program).__name__)
    if not inspect.iscoroutinefunction(program):
        raise TypeError(
            f"a vertex is an async function of readers and writers, not {short(program)}; write async def "
            f"{getattr(program, '__name__', 'program')}(readers, writers), or use one of the vertices"
        )
    only = Vertex(text(says="a stage's name is text", write="sort")("name", called), program)
    return Graph((only,), (), (only,), (only,))


def encapsulate(graph: Graph, name: str = "") -> Graph:
    """§3.4: one vertex that runs a graph in a single process, over shared-memory FIFOs.

    Its edges are dealt round to the graph's inputs, and from its outputs. Raises ``ValueError`` for a graph
    with files in it.
    """
    graph = _graph(graph, "encapsulate")
    if files := [each for each in graph.vertices if each.program is None]:
        raise ValueError(f"{files[0].file!r} is a file, which no process runs; encapsulate what reads it")
    only = Vertex(name or "+".join(graph.stages()), graph)
    return Graph((only,), (), (only,), (only,))
