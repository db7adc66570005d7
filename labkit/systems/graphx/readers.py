"""Graphs from files, arrays, pandas and NetworkX."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np

from labkit.parts.graphs import csr
from labkit.parts.options import whole
from labkit.runtime.raised import short
from labkit.systems.spark import BaseContext

from .columns import column, constant
from .edge_partition import EdgeArrays, checked_id
from .model import Graph
from .vertex_partition import VertexArrays

__all__ = ["GraphLoader"]

partitions = whole(1, says="a whole number, at least one partition", write=4)


class GraphLoader:
    """Makes graphs. sc: the context."""

    @staticmethod
    def edgeListFile(
        sc: BaseContext, path: str, canonicalOrientation: bool = False, numEdgePartitions: int | None = None
    ) -> Graph:
        """Of a text file with two ids in each line; lines that begin with # are skipped. All attributes are
        1.

        canonicalOrientation: each edge goes from the smaller to the larger id."""
        lines = sc.textFile(path, numEdgePartitions)
        return Graph.fromEdges(lines.flatMap(_Line(canonicalOrientation)), 1)

    @staticmethod
    def fromArrays(
        sc: BaseContext, sources: Any, targets: Any, attrs: Any = 1, ids: Any = (),
        defaultVertexAttr: Any = 1, numEdgePartitions: int | None = None,
    ) -> Graph:  # fmt: skip
        """Of arrays of ids, cut into partitions of neighbouring edges. attrs: an array, or one value for all.
        ids: of vertices that may have no edge."""
        sources, targets, known = (_ids(each) for each in (sources, targets, ids))
        if len(sources) != len(targets):
            raise ValueError(
                f"fromArrays() got {len(sources)} sources and {len(targets)} targets: give as many"
            )
        many = isinstance(attrs, list) or (hasattr(attrs, "__array__") and np.ndim(attrs))
        if many and len(attrs) != len(sources):
            raise ValueError(
                f"fromArrays() got {len(sources)} edges and {len(attrs)} attrs: give as many, or one for all"
            )
        values = (
            column(attrs if isinstance(attrs, list) else np.asarray(attrs))
            if many
            else constant(attrs, len(sources))
        )
        parts = (
            sc.defaultParallelism
            if numEdgePartitions is None
            else partitions("numEdgePartitions", numEdgePartitions)
        )
        cuts = [part * len(sources) // parts for part in range(parts + 1)]
        slices = [EdgeArrays(sources[a:b], targets[a:b], values[a:b]) for a, b in pairwise(cuts)]
        vertices = [VertexArrays(known, constant(defaultVertexAttr, len(known)))]
        return Graph(sc.parallelize(vertices, 1), sc.parallelize(slices, parts), defaultVertexAttr)

    @staticmethod
    def fromGraph(sc: BaseContext, graph: csr.Graph, numEdgePartitions: int | None = None) -> Graph:
        """Of a graph in compressed sparse rows (``labkit.parts.graphs``), by its vertices' numbers; edges
        have their weights, or 1.0. An undirected one has each edge in both directions."""
        graph = csr.only_graph(graph)
        weights = 1.0 if graph.weights is None else np.asarray(graph.weights)
        ends = graph.sources(), graph.targets
        return GraphLoader.fromArrays(sc, *ends, weights, np.arange(graph.n), 1, numEdgePartitions)

    @staticmethod
    def fromPandas(sc: BaseContext, vertices: Any, edges: Any, defaultVertexAttr: Any = None) -> Graph:
        """Of two frames: vertices with a column ``id``, edges with ``src`` and ``dst``. Each attribute is
        that of the column ``attr``, or, without one, a dictionary of the other columns."""
        if not (hasattr(vertices, "columns") and hasattr(edges, "columns")):
            raise TypeError(
                f"fromPandas() needs two frames, not {short(vertices)} and {short(edges)}: "
                'pd.DataFrame({"id": …}) and pd.DataFrame({"src": …, "dst": …})'
            )
        for frame, needed in ((vertices, {"id"}), (edges, {"src", "dst"})):
            if missing := needed - set(frame.columns):
                raise ValueError(
                    f"a frame lacks {', '.join(sorted(missing))}; it has {', '.join(map(str, frame.columns))}"
                    ": vertices need a column id, edges src and dst"
                )
        pairs = zip(map(checked_id, vertices["id"].tolist()), _attributes(vertices, ("id",)), strict=True)
        ends = zip(
            edges["src"].tolist(), edges["dst"].tolist(), _attributes(edges, ("src", "dst")), strict=True
        )
        return Graph(sc.parallelize(list(pairs)), sc.parallelize(list(ends)), defaultVertexAttr)

    @staticmethod
    def fromNetworkX(sc: BaseContext, graph: Any) -> Graph:
        """Of a NetworkX graph; an undirected one gets each edge in both directions. Attributes are those
        called ``attr``, else dictionaries of all. If nodes are not whole numbers, they are numbered in their
        order, and their dictionaries have ``name``."""
        if not hasattr(graph, "nodes"):
            raise TypeError(f"fromNetworkX() needs a graph, not {short(graph)}: nx.Graph({short(graph)})")
        nodes = list(graph.nodes(data=True))
        whole = all(isinstance(node, (int, np.integer)) and not isinstance(node, bool) for node, _ in nodes)
        number = {node: int(node) if whole else place for place, (node, _) in enumerate(nodes)}
        pairs = [
            (number[node], _attribute(data if whole else {**data, "name": node})) for node, data in nodes
        ]
        ends = [(number[a], number[b], _attribute(data)) for a, b, data in graph.edges(data=True)]
        if not graph.is_directed():
            ends += [(b, a, attr) for a, b, attr in ends if a != b]
        return Graph(sc.parallelize(pairs), sc.parallelize(ends))


def _ids(given: Any) -> np.ndarray:
    """Ids as an array (int64); none is rounded or cut off."""
    array = np.asarray(given)
    if array.ndim != 1:
        raise ValueError(
            f"ids are one row, not an array of shape {array.shape}: write array.ravel(), or array[:, 0]"
        )
    if array.dtype == np.int64:
        return array
    return np.fromiter(map(checked_id, array.tolist()), np.int64, len(array))


class _Line:
    def __init__(self, canonical: bool) -> None:
        self.canonical = canonical

    def __call__(self, line: str) -> Iterable[tuple[int, int, int]]:
        if not line.strip() or line.lstrip().startswith("#"):
            return []
        try:
            source, target = map(int, line.split()[:2])
        except ValueError:
            raise ValueError(
                f"{line!r:.60} is no edge: a line has two whole numbers, the source and the target"
            ) from None
        return [(min(source, target), max(source, target), 1) if self.canonical else (source, target, 1)]


def _attributes(frame: Any, ends: tuple[str, ...]) -> list[Any]:
    if "attr" in frame.columns:
        return list(frame["attr"].tolist())
    others = [name for name in frame.columns if name not in ends]
    return list(frame[others].to_dict("records")) if others else [None] * len(frame)


def _attribute(data: dict[str, Any]) -> Any:
    return data["attr"] if set(data) == {"attr"} else dict(data)
