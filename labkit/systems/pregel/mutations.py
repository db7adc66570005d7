"""Changes of the graph (§3.4), applied at the beginning of the superstep after the one that asked for them.

"Removals are performed first, with edge removal before vertex removal, since removing a vertex implicitly
removes all of its out-edges. Additions follow removals, with vertex addition before edge addition, and all
mutations precede calls to Compute()."
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .model import Edge

__all__ = ["apply_requests"]


def apply_requests(partition: Any, requests: Iterable[tuple[Any, ...]]) -> None:
    """To the vertices of one partition. What is to be removed and is not there is no conflict; nor is an edge
    that is to be added to a source that is not there: it is left out."""
    vertices, program = partition.vertices, partition.program
    asked: dict[str, list[tuple[Any, ...]]] = {}
    for kind, *what in requests:
        asked.setdefault(kind, []).append(tuple(what))
    for source, target in asked.get("remove_edge", ()):
        if source in vertices:
            vertices[source].remove_edge(target)
    for (vertex_id,) in asked.get("remove_vertex", ()):
        vertices.pop(vertex_id, None)
    added: dict[Any, list[Any]] = {}
    for vertex_id, value in asked.get("add_vertex", ()):
        there = [vertices[vertex_id].value] if vertex_id in vertices else []
        added.setdefault(vertex_id, there).append(value)
    for vertex_id, values in added.items():
        value = values[0] if len(values) == 1 else partition._guarded(
            "conflicting_vertices", vertex_id, program.conflicting_vertices, vertex_id, values
        )  # fmt: skip
        if vertex_id in vertices:
            vertices[vertex_id].value = value
        else:
            partition.make(vertex_id, value)
    edges: dict[tuple[Any, Any], list[Any]] = {}
    for source, target, value in asked.get("add_edge", ()):
        edges.setdefault((source, target), []).append(value)
    for (source, target), values in edges.items():
        if (vertex := vertices.get(source)) is None:
            continue
        values = [edge.value for edge in vertex.out_edges if edge[0] == target] + values
        value = values[0] if len(values) == 1 else partition._guarded(
            "conflicting_edges", source, program.conflicting_edges, source, target, values
        )  # fmt: skip
        vertex.remove_edge(target)
        vertex.out_edges = (*vertex.out_edges, Edge(target, value))
