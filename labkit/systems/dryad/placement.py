"""Where an execution runs (§3.2): greedily, near its inputs, within what the user demands.

A vertex may have a hard constraint or a preference: a list of computers. What it reads makes a preference
too: the machine that has most bytes of it, then the rack.

The tasks ledger of MapReduce and Spark gives one slot to one task. Here the processes of a component need as
many slots as there are of them, all at once, or none: so this is not that ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .running import At, Component, JobGraph

__all__ = ["held", "hindrance", "place"]


def held(graph: JobGraph, vertices: Iterable[int]) -> dict[str, int]:
    """By machine the bytes of the files that these vertices read."""
    found: dict[str, int] = {}
    for vertex in vertices:
        for link in graph.states[vertex].inputs:
            source = graph.states[link.source]
            if source.component is None:
                for machine, size in source.held.items():
                    found[machine] = found.get(machine, 0) + size
            elif source.component.chosen is not None:
                chosen = source.component.chosen
                machine = chosen.where(link.source).machine
                found[machine] = found.get(machine, 0) + chosen.sizes[link.source][link.port]
    return found


def allowed(graph: JobGraph, vertices: Iterable[int], at: At) -> bool:
    """Whether hard constraints let these vertices run there."""
    demands = (graph.states[vertex].planned.hard for vertex in vertices)
    return all(not hard or at.machine in hard for hard in demands)


def place(
    graph: JobGraph, component: Component, computers: Iterable[At], room: Mapping[str, int], picky: bool
) -> list[At] | None:
    """A computer for each process of a component; None: not now. room: free slots by daemon.

    picky: only if each process gets a computer that it prefers, as far as there is one.
    """
    left = dict(room)
    found = []
    for vertices in component.processes:
        bytes_at = held(graph, vertices)
        near = {name for vertex in vertices for name in graph.states[vertex].planned.near}
        there = [at for at in computers if not at.lost and allowed(graph, vertices, at)]
        in_rack: dict[str, int] = {}
        for at in there:
            rack = at.computer.rack
            in_rack[rack] = in_rack.get(rack, 0) + bytes_at.get(at.machine, 0)

        def score(at: At, bytes_at: dict[str, int] = bytes_at, near: set[str] = near,
                  in_rack: dict[str, int] = in_rack) -> tuple[bool, int, int]:  # fmt: skip
            return at.machine in near, bytes_at.get(at.machine, 0), in_rack[at.computer.rack]

        free = [at for at in there if left[at.computer.daemon] > 0]
        if not free:
            return None
        best = max(free, key=lambda at: (*score(at), left[at.computer.daemon], -at.number))
        if picky and score(best)[:2] < max(score(at)[:2] for at in there):
            return None
        left[best.computer.daemon] -= 1
        found.append(best)
    return found


def hindrance(graph: JobGraph, component: Component, living: Sequence[At], slots: int) -> str:
    """Why a component that is ready cannot begin, though nothing else runs, in words."""
    states = [graph.states[each] for each in component.vertices]
    names = ", ".join(dict.fromkeys(state.stage for state in states))
    if not any(allowed(graph, some, at) for some in component.processes for at in living):
        hard = sorted({name for state in states for name in state.planned.hard})
        return f"{names} may run on {', '.join(hard) or 'any computer'} only, and none of these is there"
    need, there = len(component.processes), len(living) * slots
    return f"{names} must run in {need} processes at once, and {len(living)} computers run {there}"
