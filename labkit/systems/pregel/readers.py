"""Readers make vertices of input files, and writers files of values (§3.6).

A vertex is read as ``(vertex id, value or None, [(target, value of the edge or None), …])``. One that is read
several times, in one file or in several, is one vertex with all these edges.
"""

from __future__ import annotations

import ast
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from labkit.parts.graphs.readers import fields_of, no_heading, whole
from labkit.runtime.copying import loads_keeping_classes
from labkit.runtime.packing import dumps
from labkit.runtime.raised import named

__all__ = [
    "AdjacencyText",
    "ArrayPieces",
    "EdgeText",
    "Pieces",
    "Reader",
    "TextWriter",
    "Writer",
    "packed",
    "pieces_of",
    "vertices_of",
]

Read = tuple[Any, Any, list[tuple[Any, Any]]]


def _name(text: str) -> Any:
    """Whole numbers are numbers; all else is text, 007 too."""
    return int(text) if whole(text) else text


def _value(text: str, where: str, hint: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{where}: the value of an edge is a number, not {text!r:.60}{hint}") from None


class Reader:
    """Subclass it for files of your own."""

    def read(self, data: bytes) -> Iterable[Read]:
        """The vertices in one file."""
        raise NotImplementedError


def vertices_of(reader: Reader, data: bytes) -> Iterator[Read]:
    """What a reader finds. Raises ``TypeError`` for what is no vertex."""
    for vertex in reader.read(data):
        if not isinstance(reader, Pieces):
            fits = (
                isinstance(vertex, (tuple, list))
                and len(vertex) == 3
                and isinstance(vertex[2], (tuple, list))
            )
            if not fits or not all(isinstance(edge, (tuple, list)) and len(edge) == 2 for edge in vertex[2]):
                raise TypeError(
                    f"it gave {vertex!r:.60}: a vertex is (id, value or None, [(target, value or None), …])"
                )
        yield vertex


class AdjacencyText(Reader):
    """A vertex in each line: its id, then its targets, divided by white space. ``target:3.5`` is an edge with
    a value. What is a target only has to have a line of its own, to be a vertex. Names have no colon."""

    def read(self, data: bytes) -> Iterator[Read]:
        """Lines; empty ones and those that begin with # or % are left out. Raises ``ValueError``."""
        for where, (first, *rest) in fields_of(data.split(b"\n")):
            if first.endswith(":"):
                raise ValueError(
                    f"{where}: write {' '.join([first[:-1], *rest])!r:.60}, no colon after the id"
                )
            yield _name(first), None, [self._edge(each, where) for each in rest]

    def _edge(self, text: str, where: str) -> tuple[Any, Any]:
        target, colon, value = text.rpartition(":")
        if not colon:
            return _name(text), None
        return _name(target), _value(value, where, "; EdgeText() reads names with a colon")


class EdgeText(Reader):
    """An edge in each line: source, target, and a value or none, between blanks, tabs or commas. Both ends
    are vertices.
    directed: False makes an edge in each direction."""

    def __init__(self, directed: bool = True) -> None:
        self.directed = directed

    def read(self, data: bytes) -> Iterator[Read]:
        """Lines; empty ones and those that begin with # or % are left out. Raises ``ValueError``."""
        rows = list(fields_of(data.split(b"\n"), (2, 3)))
        no_heading(rows)
        for where, (source, target, *value) in rows:
            weight = _value(value[0], where, "") if value else None
            yield _name(source), None, [(_name(target), weight)]
            yield _name(target), None, [] if self.directed else [(_name(source), weight)]


class Pieces(Reader):
    """Vertices that a program had in memory, pickled."""

    def read(self, data: bytes) -> list[Read]:
        """As they were."""
        found: list[Read] = loads_keeping_classes(data)
        return found


class ArrayPieces(Reader):
    """A range of a graph's vertices as arrays: (first vertex, degrees, targets, weights or None)."""

    def read(self, data: bytes) -> Any:
        """As they were."""
        return loads_keeping_classes(data)


class Writer:
    """Subclass it for files of your own. Unless overridden a file is a pickled list of pairs."""

    def write(self, values: Iterable[tuple[Any, Any]]) -> bytes:
        """One partition's output, of its ids and values."""
        pairs = list(values)
        return packed(pairs, pairs)

    def read(self, data: bytes) -> list[tuple[Any, Any]]:
        """The same pairs."""
        found: list[tuple[Any, Any]] = loads_keeping_classes(data)
        return found


def packed(data: Any, pairs: Iterable[tuple[Any, Any]]) -> bytes:
    """Pickled. Raises ``TypeError`` with the vertex, of these pairs of ids and values, that cannot be."""
    try:
        return dumps(data)
    except Exception:
        for vertex_id, value in pairs:
            try:
                dumps(value)
            except Exception as error:
                raise TypeError(
                    f"the value of vertex {vertex_id!r:.60} cannot be saved: {named(error)}; a value is "
                    "plain data: numbers, texts, tuples, lists, dicts, arrays"
                ) from None
        raise


class TextWriter(Writer):
    """A line for each vertex: id, tabulator, value, as Python writes them."""

    def write(self, values: Iterable[tuple[Any, Any]]) -> bytes:
        """Lines; of arrays of ids and values, too."""
        pairs = (
            pair
            for ids, found in values
            for pair in (
                zip(ids.tolist(), found.tolist(), strict=True)
                if isinstance(ids, np.ndarray)
                else [(_plain(ids), _plain(found))]
            )
        )
        return "".join(f"{vertex_id!r}\t{value!r}\n" for vertex_id, value in pairs).encode()

    def read(self, data: bytes) -> list[tuple[Any, Any]]:
        """Values that are neither Python literals nor inf or nan stay text."""
        return [tuple(map(_literal, line.split("\t", 1))) for line in data.decode().splitlines()]  # type: ignore[misc]


def _literal(text: str) -> Any:
    try:
        return {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}.get(text) or ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def pieces_of(graph: Any, count: int, arrays: bool) -> list[bytes]:
    """A graph as ``count`` input files, of about as many edges each: a ``labkit.parts.graphs`` Graph, or a
    mapping of vertices to their targets (or to a mapping of targets to edge values). Raises ``TypeError``."""
    if isinstance(graph, Mapping):
        if arrays:
            raise TypeError("over arrays the input is a labkit.parts.graphs Graph: write Graph.of(edges)")
        found = [_vertex(vertex_id, targets) for vertex_id, targets in graph.items()]
        there = set(graph)
        ends: dict[Any, None] = {}
        for vertex_id, _, edges in found:
            try:
                ends.update({target: None for target, _ in edges if target not in there})
            except TypeError as error:
                raise TypeError(
                    f"graph[{vertex_id!r:.60}] is {graph[vertex_id]!r:.60}: {error}; a target is an id, as a "
                    "number or text, and edges with values are {target: value}"
                ) from None
        for vertex_id in (*graph, *ends):
            if vertex_id != vertex_id:
                raise ValueError(
                    f"a vertex is named {vertex_id!r}, which is not itself: leave out what is missing"
                )
        found += [(vertex_id, None, []) for vertex_id in ends]
        return [dumps(found[piece::count]) for piece in range(count)]
    if not all(hasattr(graph, name) for name in ("n", "indptr", "targets")):
        raise TypeError(
            f"a graph is a labkit.parts.graphs Graph, {{vertex: [targets]}}, or, for start() and run(), the "
            f"pattern of files; not {graph!r:.80}; of edges, NetworkX or pandas write Graph.of(edges), "
            "from_networkx(graph) or from_pandas(frame)"
        )
    cuts = np.searchsorted(graph.indptr, np.linspace(0, graph.indptr[-1], count + 1)[1:-1])
    bounds = [0, *map(int, cuts), graph.n]
    return [_piece(graph, a, b, arrays) for a, b in itertools.pairwise(bounds)]


def _vertex(vertex_id: Any, targets: Any) -> Read:
    if isinstance(targets, Mapping):
        return vertex_id, None, list(targets.items())
    if isinstance(targets, (str, bytes)) or not isinstance(targets, Iterable):
        raise TypeError(
            f"graph[{vertex_id!r:.60}] is {targets!r:.60}: give a list of its targets, or {{target: value}}"
        )
    return vertex_id, None, [(target, None) for target in targets]


def _piece(graph: Any, a: int, b: int, arrays: bool) -> bytes:
    begin, end = int(graph.indptr[a]), int(graph.indptr[b])
    targets = np.asarray(graph.targets[begin:end])
    weights = None if graph.weights is None else np.asarray(graph.weights[begin:end])
    degrees = np.diff(graph.indptr[a : b + 1])
    if arrays:
        return dumps((a, degrees, targets, weights))
    ids = range(graph.n) if graph.ids is None else [_plain(each) for each in graph.ids]
    names = [ids[target] for target in targets.tolist()]
    values = [None] * len(names) if weights is None else weights.tolist()
    ends = [0, *np.cumsum(degrees).tolist()]
    return dumps([
        (ids[a + each], None, list(zip(names[i:j], values[i:j], strict=True)))
        for each, (i, j) in enumerate(itertools.pairwise(ends))
    ])  # fmt: skip


def _plain(name: Any) -> Any:
    """A NumPy number or text as Python's own."""
    return name.item() if isinstance(name, np.generic) else name
