"""The same program in one process, without a network or failures: what jobs are compared with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labkit.runtime.copying import copy_value, loads_keeping_classes
from labkit.runtime.packing import dumps

from .messages import READ, Batch, Report
from .model import Vertex, only_class
from .objects import Partition, Step
from .partition import Homes, hash_partition
from .readers import Pieces, pieces_of

__all__ = ["run_locally", "supersteps"]


def run_locally(
    program: type[Vertex], graph: Any, max_supersteps: int = 1000, seed: int = 0
) -> dict[Any, Any]:
    """The value of each vertex at the end, from one thread and one partition. graph: as ``Pregel.run`` takes
    it. Raises ``UserFailed``, and ``RuntimeError`` if it does not halt."""
    values: dict[Any, Any] = {}
    for superstep, (_, found) in enumerate(supersteps(program, graph, 1, seed)):
        values = found
        if superstep >= max_supersteps:
            raise RuntimeError(f"after {max_supersteps} supersteps it has not halted")
    return {vertex_id: copy_value(value) for vertex_id, value in values.items()}


def supersteps(
    program: type[Vertex], graph: Any, partitions: int, seed: int = 0
) -> Iterator[tuple[list[Report], dict[Any, Any]]]:
    """Of each superstep what the partitions report, and the values after it."""
    if only_class(program).compute is Vertex.compute:
        raise TypeError(f"{program.__name__} has no compute: one thread runs compute(self, messages)")
    homes = Homes(hash_partition, partitions)
    parts = [Partition(number, program, homes) for number in range(partitions)]
    boxes: dict[int, list[Any]] = {number: [] for number in range(partitions)}
    for vertex in Pieces().read(pieces_of(graph, 1, arrays=False)[0]):
        boxes[homes[vertex[0]]].append(vertex)
    for part in parts:
        part.build([Batch(READ, 0, part.number, 0, len(boxes[part.number]), dumps(boxes[part.number]))])
    told: dict[str, Any] = {}
    superstep, running = 0, True
    while running:
        step = Step(superstep, sum(len(part.vertices) for part in parts), told, seed)
        batches = []
        for part in parts:
            part.begin(step)
            batches += part.run()[1]
        for batch in batches:
            parts[batch.target].put(batch)
        reports = [part.reported() for part in parts]
        told = _reduced(program, parts, told)
        yield reports, dict(pair for part in parts for pair in part.output())
        running = any(each.active or each.sent or each.requests for each in reports)
        superstep += 1


def _reduced(program: type[Vertex], parts: list[Partition], before: dict[str, Any]) -> dict[str, Any]:
    """What the aggregators show in the next superstep."""
    found: dict[str, Any] = {}
    for name, aggregator in program.aggregators.items():
        given = [before[name]] if aggregator.sticky and name in before else []
        given += [part.given[name] for part in parts if name in part.given]
        for value in given:
            found[name] = aggregator.reduce(found[name], value) if name in found else value
    return loads_keeping_classes(dumps(found))  # type: ignore[no-any-return]
