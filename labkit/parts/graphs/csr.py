"""A graph in compressed sparse rows: each vertex's out-edges stand together in one array.

Vertices are 0 to n-1; a graph may know other *names* for them. An undirected graph holds each edge twice,
once in each direction, so that every algorithm on out-edges works on both kinds.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labkit.runtime.raised import short
from labkit.trace.words import many

__all__ = ["Graph", "only_graph"]

Ints = NDArray[np.int64]
ARRAYS = ("indptr", "targets", "weights")


def only_graph(graph: Any) -> Graph:
    """What is given as a graph, if it is one. Raises ``TypeError`` with how to make one of what it is."""
    if isinstance(graph, Graph):
        return graph
    if isinstance(graph, Mapping):
        write = "Graph.of(graph)"
    elif hasattr(graph, "adj"):
        write = "from_networkx(graph), of labkit.parts.graphs.readers"
    elif hasattr(graph, "columns"):
        write = "from_pandas(graph), of labkit.parts.graphs.readers"
    else:
        write = "Graph.of([('a', 'b'), …]), or a generator's graph"
    raise TypeError(f"graph={short(graph)} is no Graph of labkit.parts.graphs: write {write}")


class Graph:
    """n vertices and m edges; do not change the arrays of one that others hold.

    indptr: int64, (n + 1,); the out-edges of v are at indptr[v] to indptr[v + 1].
    targets: int32 (int64 above 2³¹ vertices), (m,); in each row in the order in which the edges were given.
    weights: float64, (m,), or None. ids: n names, or None if the numbers are the names.
    """

    def __init__(
        self,
        indptr: Ints,
        targets: NDArray[Any],
        weights: NDArray[np.float64] | None = None,
        ids: Sequence[Hashable] | None = None,
        *,
        directed: bool = True,
    ) -> None:
        self.indptr, self.targets, self.weights = indptr, targets, weights
        self.directed = directed
        self.n, self.m = len(indptr) - 1, len(targets)
        if ids is not None and len(ids) != self.n:
            raise ValueError(f"{len(ids)} ids for {self.n} vertices: give one for each")
        self.ids = None if ids is None else list(ids)
        if ids is not None and len(set(ids)) < self.n:
            twice = next(name for name, count in Counter(ids).items() if count > 1)
            raise ValueError(f"two vertices are named {twice!r}: give each a name of its own")

    @classmethod
    def from_arrays(
        cls,
        sources: ArrayLike,
        targets: ArrayLike,
        n: int | None = None,
        weights: ArrayLike | None = None,
        ids: Sequence[Hashable] | None = None,
        *,
        directed: bool = True,
    ) -> Graph:
        """Of edges sources[i] → targets[i]. n: the number of vertices; without it, up to the largest that is
        named.

        directed=False: every edge is also entered the other way round (a loop once).
        """
        u, v = _vertices(sources, "sources"), _vertices(targets, "targets")
        if len(u) != len(v):
            raise ValueError(f"{len(u)} sources and {len(v)} targets: an edge has one of each")
        w = None if weights is None else _weights(weights, len(u))
        if n is None:
            n = len(ids) if ids is not None else int(max(u.max(initial=-1), v.max(initial=-1))) + 1
        for side in (u, v):
            if len(side) and not (side.min() >= 0 and side.max() < n):
                wrong = side[(side < 0) | (side >= n)][0]
                raise ValueError(f"vertex {wrong} of an edge is not one of the {n}: they are 0 to {n - 1}")
        if not directed:
            back = u != v
            u, v = np.concatenate([u, v[back]]), np.concatenate([v, u[back]])
            w = None if w is None else np.concatenate([w, w[back]])
        order = np.argsort(u, kind="stable")
        indptr = np.zeros(n + 1, dtype=np.int64)
        np.cumsum(np.bincount(u, minlength=n), out=indptr[1:])
        kind = np.int32 if n < 2**31 else np.int64
        return cls(indptr, v[order].astype(kind), None if w is None else w[order], ids, directed=directed)

    @classmethod
    def of(
        cls,
        edges: Iterable[tuple[Any, ...]] | Mapping[Any, Iterable[Any]],
        vertices: Iterable[Hashable] = (),
        *,
        directed: bool = True,
    ) -> Graph:
        """Of edges (u, v) or (u, v, weight) between vertices of any hashable names; vertices: such without
        edges.

        Instead of edges also {vertex: [targets]} or {vertex: {target: weight}}. Names are numbered in their
        own order if they have one, else in that in which they come. If some edges have a weight, the others
        weigh 1.
        """
        if isinstance(edges, Mapping):
            vertices = [*vertices, *edges]
            edges = [edge for u, targets in edges.items() for edge in _out_edges(u, targets)]
        rows = []
        for edge in edges:
            whole = isinstance(edge, Iterable) and not isinstance(edge, (str, bytes))
            if not whole or len(row := tuple(edge)) not in (2, 3):
                raise ValueError(
                    f"an edge is (u, v) or (u, v, weight), not {edge!r:.80}; what NetworkX and pandas have "
                    "is read by from_networkx(graph) and from_pandas(frame)"
                )
            if any(name != name for name in row[:2]):
                raise ValueError(f"an edge has two ends, and one of {edge!r} is missing")
            rows.append(row)
        try:
            seen: dict[Any, None] = dict.fromkeys([*vertices, *(name for row in rows for name in row[:2])])
        except TypeError as error:
            raise TypeError(f"a vertex's name: {error}; of a list [1, 2] write the tuple (1, 2)") from None
        try:
            names = sorted(seen)
        except TypeError:  # names of several kinds
            names = list(seen)
        number = {name: i for i, name in enumerate(names)}
        weights = (
            [row[2] if len(row) == 3 else 1.0 for row in rows] if any(len(row) == 3 for row in rows) else None
        )
        plain = all(type(name) is int and name == i for i, name in enumerate(names))
        return cls.from_arrays(
            [number[row[0]] for row in rows],
            [number[row[1]] for row in rows],
            len(names),
            weights,
            None if plain else names,
            directed=directed,
        )

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────

    def out(self, v: int) -> NDArray[Any]:
        """The targets of v's out-edges."""
        return self.targets[self.indptr[v] : self.indptr[v + 1]]

    def out_weights(self, v: int) -> NDArray[np.float64]:
        """The weights of v's out-edges; 1 each if the graph has none."""
        if self.weights is None:
            return np.ones(int(self.indptr[v + 1] - self.indptr[v]))
        return self.weights[self.indptr[v] : self.indptr[v + 1]]

    def sources(self) -> NDArray[Any]:
        """Each edge's source, (m,), in the order of ``targets``."""
        return np.repeat(np.arange(self.n, dtype=self.targets.dtype), self.out_degrees)

    @cached_property
    def out_degrees(self) -> Ints:
        """(n,)"""
        return np.diff(self.indptr)

    @cached_property
    def in_degrees(self) -> Ints:
        """(n,)"""
        return np.bincount(self.targets, minlength=self.n).astype(np.int64)

    def reversed(self) -> Graph:
        """The same vertices, every edge the other way round."""
        turned = Graph.from_arrays(self.targets, self.sources(), self.n, self.weights, self.ids)
        turned.directed = self.directed
        return turned

    def name(self, v: int) -> Hashable:
        """What the user calls vertex v."""
        return v if self.ids is None else self.ids[v]

    def index(self, name: Hashable) -> int:
        """The number of the vertex that the user calls so; KeyError if there is none."""
        if self.ids is None:
            if isinstance(name, (int, np.integer)) and 0 <= name < self.n:
                return int(name)
            raise KeyError(f"no vertex {name!r}: they are 0 to {self.n - 1}")
        try:
            return self._numbers[name]
        except KeyError:
            raise KeyError(f"no vertex {name!r} among the {self.n} of this graph") from None

    @cached_property
    def _numbers(self) -> dict[Hashable, int]:
        return {name: i for i, name in enumerate(self.ids or ())}

    def __repr__(self) -> str:
        kind = "directed" if self.directed else "undirected"
        return f"<Graph, {kind}: {self.n:,} vertices, {self.edges:,} edges>"

    @property
    def edges(self) -> int:
        """The number of edges; one of an undirected graph counts once, though it is held twice."""
        if self.directed:
            return self.m
        loops = int(np.count_nonzero(self.sources() == self.targets))
        return (self.m - loops) // 2 + loops

    # ── keeping and handing over ────────────────────────────────────────────────────────────────────────

    def save(self, folder: str | Path) -> None:
        """One .npy file for each array and a graph.json, in a folder that is made. Names must be JSON's:
        numbers or text.
        """
        if self.ids is not None and not all(type(each) in (str, int, float) for each in self.ids):
            odd = next(each for each in self.ids if type(each) not in (str, int, float))
            raise TypeError(f"a saved graph's names are numbers or text, and {odd!r} is neither")
        where = Path(folder)
        where.mkdir(parents=True, exist_ok=True)
        for name in ARRAYS:
            array = getattr(self, name)
            if array is None:
                (where / f"{name}.npy").unlink(missing_ok=True)
            else:
                # Beside it first: the array may be a mapping of the very file that is to be written.
                np.save(where / f"{name}.new.npy", array)
                (where / f"{name}.new.npy").replace(where / f"{name}.npy")
        (where / "graph.json").write_text(json.dumps({"directed": self.directed, "ids": self.ids}))

    @classmethod
    def load(cls, folder: str | Path) -> Graph:
        """What ``save`` wrote. The arrays stay on disk and are mapped: a computer's processes share them."""
        where = Path(folder)
        if not (where / "graph.json").is_file():
            raise FileNotFoundError(
                f"no graph in {str(where)!r}: Graph.save(folder) writes a graph.json there"
            )
        about = json.loads((where / "graph.json").read_text())
        indptr, targets, weights = (
            np.load(path, mmap_mode="r") if (path := where / f"{name}.npy").is_file() else None
            for name in ARRAYS
        )
        if indptr is None or targets is None:
            raise FileNotFoundError(f"the graph in {str(where)!r} lacks indptr.npy or targets.npy")
        return cls(indptr, targets, weights, about["ids"], directed=about["directed"])

    def to_pandas(self) -> Any:
        """One row for each edge: source, target and, if there are weights, weight. One direction of an
        undirected edge."""
        import pandas as pd

        u, v, keep = self._once()
        frame = pd.DataFrame({"source": self._named(u[keep]), "target": self._named(v[keep])})
        if self.weights is not None:
            frame["weight"] = self.weights[keep]
        return frame

    def to_networkx(self) -> Any:
        """A networkx.DiGraph or Graph, a Multi… if edges are parallel; with ``weight`` if there are any."""
        import networkx as nx

        u, v, keep = self._once()
        u, v = u[keep], v[keep]
        parallel = len(u) > len(np.unique(np.stack([u, v]), axis=1).T) if len(u) else False
        kind = "Multi" * parallel + ("DiGraph" if self.directed else "Graph")
        graph = getattr(nx, kind)()
        graph.add_nodes_from(self.name(i) for i in range(self.n))
        pairs = zip(self._named(u), self._named(v), strict=True)
        if self.weights is None:
            graph.add_edges_from(pairs)
        else:
            graph.add_weighted_edges_from(
                (a, b, w) for (a, b), w in zip(pairs, self.weights[keep].tolist(), strict=True)
            )
        return graph

    def _named(self, vertices: NDArray[Any]) -> list[Hashable]:
        return vertices.tolist() if self.ids is None else [self.ids[i] for i in vertices.tolist()]

    def _once(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]:
        """Sources, targets, and which of them stand for an edge: of an undirected one, one direction."""
        u, v = self.sources(), self.targets
        return u, v, np.ones(self.m, dtype=bool) if self.directed else u <= v


def _weights(given: ArrayLike, m: int) -> NDArray[np.float64]:
    try:
        w: NDArray[np.float64] = np.asarray(given, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError) as error:
        raise type(error)(f"weights are numbers, one for each edge: {error}") from None
    if len(w) != m:
        raise ValueError(f"{many(len(w), 'weight')} for {many(m, 'edge')}: give one for each")
    if np.isnan(w).any():
        raise ValueError(f"the weight of edge {int(np.isnan(w).argmax())} is missing (nan): give it a number")
    return w


def _out_edges(u: Any, targets: Any) -> list[tuple[Any, ...]]:
    """Of one item of {vertex: [targets]} or {vertex: {target: weight}}."""
    if isinstance(targets, Mapping):
        return [(u, v) if weight is None else (u, v, weight) for v, weight in targets.items()]
    if isinstance(targets, (str, bytes)) or not isinstance(targets, Iterable):
        raise TypeError(f"the targets of {u!r:.60} are a list or {{target: weight}}, not {targets!r:.60}")
    return [(u, v) for v in targets]


def _vertices(given: ArrayLike, what: str) -> Ints:
    array = np.asarray(given)
    if array.size == 0:
        return np.zeros(0, dtype=np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise TypeError(
            f"{what} is one row of vertex numbers, not {array.dtype} of shape {array.shape}; "
            "of other names make a graph with Graph.of(edges)"
        )
    return array.astype(np.int64, copy=False)
