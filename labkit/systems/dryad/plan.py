"""A graph with numbers, as a job is submitted: edges have ports and kinds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from labkit.runtime.errors import Unpicklable
from labkit.runtime.packing import dumps
from labkit.runtime.raised import named, short

from .channels import FIFO, FILE, PIPE
from .model import Graph

__all__ = ["Inside", "Link", "Plan", "Planned", "groups", "packed", "plan", "port_of"]

KINDS = (FILE, PIPE, FIFO)


class Link(NamedTuple):
    """A channel: an output port of one vertex, and which vertex reads it. Its place among the reader's links
    is the input port."""

    source: int
    port: int
    target: int
    kind: str


class Planned(NamedTuple):
    """A vertex: its stage, its program's number (-1: it is a file), and where it may run."""

    stage: str
    program: int
    file: str = ""
    hard: tuple[str, ...] = ()
    near: tuple[str, ...] = ()


class Inside(NamedTuple):
    """An encapsulated graph: its vertices' programs, its edges, which are inputs and outputs."""

    programs: tuple[Any, ...]
    edges: tuple[tuple[int, int], ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class Plan(NamedTuple):
    """All of a job."""

    vertices: tuple[Planned, ...]
    links: tuple[Link, ...]
    outputs: tuple[int, ...]  #: vertices whose items are the job's output, in order
    programs: tuple[bytes, ...]


def plan(graph: Graph, channels: Mapping[tuple[str, str], str] | None = None) -> Plan:
    """Number a graph. channels: by the stages of both ends ``file``, ``pipe`` or ``fifo``; file unless given.

    Raises ``ValueError`` for what cannot be run, ``Unpicklable`` for programs that cannot be sent.
    """
    if not isinstance(graph, Graph):
        raise TypeError(f"a job is a Graph, not {short(graph)}; write vertex(f), or compose some")
    graph.order()
    kinds = _kinds(graph, channels or {})
    number = {each: i for i, each in enumerate(graph.vertices)}
    programs: dict[int, int] = {}  # by identity: clones share theirs
    binaries: list[bytes] = []
    owner: dict[str, int] = {}
    vertices = []
    for each in graph.vertices:
        if each.program is None:
            vertices.append(Planned(each.stage, -1, each.file))
            continue
        if id(each.program) not in programs:
            programs[id(each.program)] = len(binaries)
            binaries.append(packed(each.program, each.stage))
        program = programs[id(each.program)]
        if owner.setdefault(each.stage, program) != program:
            raise ValueError(
                f"two different programs are both named {each.stage!r}, and a stage has one: give another "
                f'name, as in vertex(f, name="{each.stage}2")'
            )
        vertices.append(Planned(each.stage, program, "", each.hard, each.near))
    ports = dict.fromkeys(graph.vertices, 0)
    links = []
    for edge in graph.edges:
        kind = kinds.get((edge.source.stage, edge.target.stage), FILE)
        links.append(Link(number[edge.source], ports[edge.source], number[edge.target], kind))
        ports[edge.source] += 1
    outputs = tuple(number[each] for each in graph.outputs)
    if not outputs or any(vertices[each].program < 0 for each in outputs):
        raise ValueError(
            "a job's outputs are vertices that run, and the graph has none; write inputs >= merge()"
        )
    return Plan(tuple(vertices), tuple(links), outputs, tuple(binaries))


def _kinds(graph: Graph, channels: Mapping[tuple[str, str], str]) -> dict[tuple[str, str], str]:
    there = graph.skeleton()
    files = {each.stage for each in graph.vertices if each.program is None}
    for pair, kind in channels.items():
        if pair not in there:
            known = ", ".join(map(str, there)) or "none"
            raise ValueError(
                f"channels[{pair!r}]: no edge goes from such a stage to such a one; there are {known}"
            )
        if kind not in KINDS:
            raise ValueError(f'channels[{pair!r}]={kind!r}: a channel is "file", "pipe" or "fifo"')
        if kind != FILE and pair[0] in files:
            raise ValueError(f'channels[{pair!r}]={kind!r}: input is read from files; write "file"')
    return dict(channels)


def packed(program: Any, stage: str) -> bytes:
    """A vertex's program as it travels. Raises ``Unpicklable``."""
    try:
        return dumps(_inside(program) if isinstance(program, Graph) else program)
    except Exception as error:
        raise Unpicklable(
            f"the vertices of {stage!r} cannot be sent to a computer: {named(error)}. What a vertex uses "
            "from outside may not be a lock, an open file, a cluster or file system"
        ) from error


def _inside(graph: Graph) -> Inside:
    """Numbered; what is encapsulated within it stays so."""
    number = {each: i for i, each in enumerate(graph.vertices)}
    edges = tuple((number[edge.source], number[edge.target]) for edge in graph.edges)
    programs = tuple(
        _inside(e.program) if isinstance(e.program, Graph) else e.program for e in graph.vertices
    )
    inputs, outputs = (tuple(number[each] for each in some) for some in (graph.inputs, graph.outputs))
    return Inside(programs, edges, inputs, outputs)


def port_of(ends: Sequence[int], port: int) -> int:
    """Which vertex of an encapsulated graph has a port: they are dealt round."""
    return ends[port % len(ends)]


def groups(vertices: Iterable[int], links: Iterable[Link], kinds: Sequence[str]) -> list[list[int]]:
    """The vertices in groups that channels of these kinds join, each group and all of them in order."""
    head = {each: each for each in vertices}

    def first(each: int) -> int:
        while head[each] != each:
            head[each] = each = head[head[each]]
        return each

    for link in links:
        if link.kind in kinds and link.source in head and link.target in head:
            a, b = sorted((first(link.source), first(link.target)))
            head[b] = a
    found: dict[int, list[int]] = {}
    for each in head:
        found.setdefault(first(each), []).append(each)
    return list(found.values())
