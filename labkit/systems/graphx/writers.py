"""Graphs handed over to pandas and NetworkX, as ``GraphLoader`` takes them from there."""

from __future__ import annotations

from typing import Any

__all__ = ["to_networkx", "to_pandas"]


def to_pandas(graph: Any) -> tuple[Any, Any]:
    """Frames of the vertices (id, attr), by id, and of the edges (src, dst, attr)."""
    import pandas as pd

    vertices = sorted(graph.vertices.collect(), key=lambda pair: pair[0])
    edges = sorted(graph.edges.collect(), key=lambda edge: edge[:2])
    return (
        pd.DataFrame({"id": [v for v, _ in vertices], "attr": [attr for _, attr in vertices]}),
        pd.DataFrame(
            {
                "src": [e.srcId for e in edges],
                "dst": [e.dstId for e in edges],
                "attr": [e.attr for e in edges],
            }
        ),
    )


def to_networkx(graph: Any) -> Any:
    """A ``MultiDiGraph``. Raises ``ImportError`` without NetworkX."""
    import networkx as nx

    made = nx.MultiDiGraph()
    for vertex, attr in sorted(graph.vertices.collect(), key=lambda pair: pair[0]):
        made.add_node(vertex, attr=attr)
    for edge in sorted(graph.edges.collect(), key=lambda edge: edge[:2]):
        made.add_edge(edge.srcId, edge.dstId, attr=edge.attr)
    return made
