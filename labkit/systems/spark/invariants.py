"""What must hold in every run, as predicates on the driver's view at one instant.

``trace_checks.py`` applies them to a recorded run. Each takes plain data and returns what is wrong, or None.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

__all__ = [
    "fits_cores",
    "fits_memory",
    "keeps_own_rdd",
    "only_missing",
    "pipelined",
]

Edges = Mapping[int, Iterable[tuple[int, str]]]  #: RDD to (parent RDD, "narrow" or "wide")


def pipelined(stage_rdd: int, rdds: Collection[int], parents: Edges) -> str | None:
    """No stage has a wide dependency inside: its RDDs hang together by narrow ones."""
    reached, todo = {stage_rdd}, [stage_rdd]
    while todo:
        for parent, kind in parents.get(todo.pop(), ()):
            if kind == "narrow" and parent not in reached:
                reached.add(parent)
                todo.append(parent)
    beyond = sorted(set(rdds) - reached)
    return f"RDDs {beyond} are not reached from {stage_rdd} by narrow dependencies" if beyond else None


def fits_cores(running: Collection[int], cores: int) -> str | None:
    """An executor runs as many tasks as it has cores."""
    return f"{len(running)} tasks on {cores} cores" if len(running) > cores else None


def fits_memory(sizes: Iterable[int], memory: int) -> str | None:
    """An executor's blocks in memory fit into it."""
    used = sum(sizes)
    return f"{used} bytes of blocks in {memory}" if used > memory else None


def keeps_own_rdd(evicted: Collection[int], filling: int) -> str | None:
    """No block makes room for another of the same RDD."""
    return f"blocks of RDD {filling} made room for one of the same RDD" if filling in evicted else None


def only_missing(started: Collection[int], missing: Collection[int]) -> str | None:
    """A stage that is run again runs the map tasks whose output is missing, and no others."""
    if sorted(started) == sorted(missing):
        return None
    return f"ran {sorted(started)} while {sorted(missing)} were missing"
