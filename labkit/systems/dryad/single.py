"""A graph executed here, vertex by vertex in order: the oracle of the tests, and easy to debug.

No computers, no channels but lists, no versions: each vertex reads what those before it have written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labkit.runtime.copying import copy_value

from .channels import Channel
from .model import Graph, Vertex
from .plan import _inside
from .process import Process, VertexFailed

__all__ = ["run_locally"]


def run_locally(graph: Graph, files: Mapping[str, Sequence[Any]] | None = None) -> list[list[Any]]:
    """The items of each output, in order. files: the items of input files by name. Raises what a vertex
    raises, as ``VertexFailed``."""
    ports: dict[Vertex, list[Channel]] = {each: [] for each in graph.vertices}
    into: dict[Vertex, list[Channel]] = {each: [] for each in graph.vertices}
    for edge in graph.edges:
        channel = Channel(packed=False, room=None)
        ports[edge.source].append(channel)
        into[edge.target].append(channel)
    results = {each: Channel(packed=False, room=None) for each in graph.outputs}
    for each, channel in results.items():
        ports[each].append(channel)
    for each in graph.order():
        if each.program is None:
            for channel in ports[each]:
                channel.put(list(copy_value(list((files or {})[each.file]))))
                channel.closed = True
            continue
        process = Process(1_000)
        program = _inside(each.program) if isinstance(each.program, Graph) else each.program
        process.add(each.stage, program, into[each], ports[each])
        process.step()
        if not process.done:
            raise VertexFailed(each.stage, f"{each.stage} waits for a channel that nobody will write to")
    return [[item for chunk in results[each].chunks for item in chunk] for each in graph.outputs]
