"""What must hold in every run, as predicates on the driver's view at one instant.

``trace_checks.py`` applies them to a recorded run. Each takes plain data and returns what is wrong, or None.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from .state import RddView

__all__ = [
    "fits_cores",
    "fits_memory",
    "keeps_own_rdd",
    "only_missing",
    "pipelined",
]


def pipelined(stage_rdd: int, rdds: Collection[int], known: Mapping[int, RddView]) -> str | None:
    """No stage has a wide dependency inside: its RDDs hang together by narrow ones."""
    reached, todo = {stage_rdd}, [stage_rdd]
    while todo:
        rdd = known.get(todo.pop())
        narrow = [parent.rdd for parent in rdd.parents if not parent.wide] if rdd is not None else []
        todo += [parent for parent in narrow if parent not in reached]
        reached.update(narrow)
    beyond = sorted(set(rdds) - reached)
    return f"RDDs {beyond} are not reached from {stage_rdd} by narrow dependencies" if beyond else None


def fits_cores(running: Collection[int], cores: int) -> str | None:
    """An executor runs as many tasks as it has cores."""
    return f"{len(running)} tasks on {cores} cores" if len(running) > cores else None


def fits_memory(used: int, memory: int) -> str | None:
    """An executor's blocks in memory fit into it."""
    return f"{used} bytes of blocks in {memory}" if used > memory else None


def keeps_own_rdd(evicted: Collection[int], filling: int) -> str | None:
    """No block makes room for another of the same RDD."""
    return f"blocks of RDD {filling} made room for one of the same RDD" if filling in evicted else None


def only_missing(started: Collection[int], missing: Collection[int]) -> str | None:
    """A stage that is run again runs the map tasks whose output is missing, and no others."""
    if sorted(started) == sorted(missing):
        return None
    return f"ran {sorted(started)} while {sorted(missing)} were missing"
