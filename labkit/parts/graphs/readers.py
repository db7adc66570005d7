"""Graphs from files and from what other libraries hold."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from pathlib import Path
from typing import Any

from labkit.parts.graphs.csr import Graph

__all__ = [
    "edge_list",
    "fields_of",
    "from_networkx",
    "from_pandas",
    "ldbc",
    "matrix_market",
    "no_heading",
    "whole",
]


def edge_list(path: str | Path, *, directed: bool = True) -> Graph:
    """A line for each edge: source, target and perhaps a weight, between blanks, tabs or commas; lines that
    begin with ``#`` or ``%`` are comments (SNAP's format). Names that are all whole numbers become numbers.
    """
    rows = list(_rows(Path(path), (2, 3)))
    no_heading(rows)
    name = _names(field for _, fields in rows for field in fields[:2])
    edges = []
    for where, fields in rows:
        weight = () if len(fields) == 2 else (_number(fields[2], where),)
        edges.append((name(fields[0]), name(fields[1]), *weight))
    return Graph.of(edges, directed=directed)


def ldbc(prefix: str | Path, *, directed: bool = True) -> Graph:
    """LDBC Graphalytics: ``prefix.v`` has a vertex in each line, ``prefix.e`` an edge, perhaps with a weight.

    Whether the edges are directed stands in the data set's .properties, not here.
    """
    v, e = Path(f"{prefix}.v"), Path(f"{prefix}.e")
    vertices = [fields[0] for _, fields in _rows(v, (1,))]
    name = _names(vertices)
    known, edges = set(vertices), []
    for where, fields in _rows(e, (2, 3)):
        for each in fields[:2]:
            if each not in known:
                raise ValueError(f"{where}: vertex {each!r} does not stand in {v.name}")
        weight = () if len(fields) == 2 else (_number(fields[2], where),)
        edges.append((name(fields[0]), name(fields[1]), *weight))
    return Graph.of(edges, [name(each) for each in vertices], directed=directed)


def matrix_market(path: str | Path) -> Graph:
    """A square matrix in Matrix Market's format: entry (i, j) is the edge i → j, numbered from 0 here. A
    symmetric matrix is an undirected graph; a ``pattern`` has no weights.
    """
    import numpy as np
    from scipy.io import mminfo, mmread

    rows, columns, _, _, field, symmetry = mminfo(str(path))
    if rows != columns:
        raise ValueError(f"{path}: a graph's matrix is square, and this one is {rows} × {columns}")
    matrix = mmread(str(path))
    entries = matrix.tocoo() if hasattr(matrix, "tocoo") else _dense(matrix)
    u, v, w = entries.row, entries.col, entries.data
    undirected = symmetry == "symmetric"
    if undirected:  # the file holds one half, the reader fills in the other
        keep = u <= v
        u, v, w = u[keep], v[keep], w[keep]
    weights = None if field == "pattern" else np.asarray(w, dtype=np.float64)
    return Graph.from_arrays(u, v, rows, weights, directed=not undirected)


def _dense(matrix: Any) -> Any:
    from scipy.sparse import coo_array

    return coo_array(matrix)


def from_networkx(graph: Any, weight: str = "weight") -> Graph:
    """Of a networkx graph. weight: the edges' attribute; if no edge has it, the graph has no weights."""
    if not hasattr(graph, "edges") or not hasattr(graph, "is_directed"):
        raise TypeError(
            f"from_networkx takes a graph of networkx, not {graph!r:.60}; others: Graph.of(edges)"
        )
    found = list(graph.edges(data=weight))
    weighted = any(w is not None for _, _, w in found)
    edges = [(u, v, 1.0 if w is None else w) if weighted else (u, v) for u, v, w in found]
    return Graph.of(edges, graph.nodes, directed=graph.is_directed())


def from_pandas(
    frame: Any,
    source: str = "source",
    target: str = "target",
    weight: str = "weight",
    *,
    directed: bool = True,
) -> Graph:
    """Of a DataFrame with a row for each edge. The column of weights may be missing."""
    missing = [each for each in (source, target) if each not in frame.columns]
    if missing:
        raise KeyError(
            f"no column {missing[0]!r} among {', '.join(map(str, frame.columns))}: "
            "from_pandas(frame, source=…, target=…) names them"
        )
    columns = [frame[source].tolist(), frame[target].tolist()]
    if weight in frame.columns:
        columns.append(frame[weight].tolist())
    return Graph.of(zip(*columns, strict=True), directed=directed)


def _rows(path: Path, lengths: tuple[int, ...]) -> Iterator[tuple[str, list[str]]]:
    """Where it stands, and the fields of each line that is neither empty nor a comment."""
    with path.open("rb") as lines:
        yield from fields_of(lines, lengths, f"{path.name}, ")


def fields_of(
    lines: Iterable[bytes], lengths: tuple[int, ...] = (), file: str = ""
) -> Iterator[tuple[str, list[str]]]:
    """Of lines of UTF-8: which one it is, and its fields, between blanks, tabs or commas; without empty lines
    and comments. lengths: how many fields there may be; any number without it. Raises ``ValueError``."""
    for number, raw in enumerate(lines, 1):
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf8")
        except UnicodeDecodeError:
            packed = raw[:2] == b"\x1f\x8b"
            instead = "unpack the file with gunzip" if packed else "save the file as text in UTF-8"
            raise ValueError(f"{file}line {number} is no text in UTF-8: {instead}") from None
        fields = line.replace(",", " ").split()
        if not fields or fields[0][0] in "#%":
            continue
        if lengths and len(fields) not in lengths:
            wanted = " or ".join(map(str, lengths))
            raise ValueError(f"{file}line {number}: {wanted} fields in a line, not {line.strip()!r:.80}")
        yield f"{file}line {number}", fields


def no_heading(rows: list[tuple[str, list[str]]]) -> None:
    """Raises ``ValueError`` if the first of several edges is the only one that is not of whole numbers."""
    numbers = [[whole(each) for each in fields[:2]] for _, fields in rows]
    if len(rows) > 1 and not any(numbers[0]) and all(map(all, numbers[1:])):
        where, fields = rows[0]
        raise ValueError(
            f"{where}: {' '.join(fields)!r:.60} is no edge of numbers, as all others are; begin a "
            "line of headings with #"
        )


def _names(fields: Any) -> Callable[[str], Hashable]:
    """Numbers if all are whole numbers, in the spelling that Python gives them back; else the text."""
    return int if all(whole(each) for each in fields) else str


def whole(text: str) -> bool:
    """Whether it is a whole number, in the spelling that Python gives it back: 7, and neither 007 nor ²."""
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and (digits == "0" or digits[0] != "0") and text != "-0"


def _number(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{where}: a weight is a number, not {text!r}") from None
