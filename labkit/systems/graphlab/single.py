"""Algorithm 2 on one thread: the oracle of the tests. No machines, no locks, no versions that matter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from labkit.parts.graphs.csr import Graph

from .model import DataGraph, Program, data_of, parsed
from .plan import Plan
from .schedulers import make
from .scopes import FULL, Item, Record, Scope

__all__ = ["LocalRun", "run_locally"]


class Whole:
    """The whole graph as a ``Store``."""

    def __init__(self, data: DataGraph) -> None:
        self.n, self.directed = data.graph.n, data.graph.directed
        out, into = data.neighbours()
        self.out: dict[int, Any] = dict(enumerate(out))
        self.into: dict[int, Any] = dict(enumerate(into))
        self.around: dict[int, Any] = {v: np.union1d(out[v], into[v]) for v in range(self.n)}
        self.records: dict[Item, Record] = {v: (data.vertex(v), 0) for v in range(self.n)}
        if data.edges is not None:
            for v in range(self.n):
                for u in into[v].tolist():
                    if self.directed or u < v:
                        self.records[u, v] = (data.edge(u, v), 0)

    def record(self, item: Item) -> Record:
        """Its value; the version is always 0."""
        return self.records[item]

    def degree(self, u: int) -> int:
        """How many edges go out of it."""
        return len(self.out[u])


class LocalRun:
    """What it came to."""

    def __init__(self, whole: Whole, ended: str, counts: Counter[int], table: dict[str, Any]) -> None:
        self.whole, self.ended, self.table = whole, ended, table
        self.counts = counts  #: updates of each vertex

    def values(self) -> list[Any]:
        """D_v of all vertices."""
        return [self.whole.records[v][0] for v in range(self.whole.n)]

    @property
    def updates(self) -> int:
        """How many were executed."""
        return sum(self.counts.values())


def run_locally(
    program: Program, graph: Graph | DataGraph, *, scheduler: str = "fifo",
    tasks: Iterable[Any] | None = None, sets: Sequence[tuple[Sequence[int], str]] = (),
    consistency: str = FULL, splash: int = 10, max_updates: int | None = None,
) -> LocalRun:  # fmt: skip
    """Execute T until it is empty, with any of the schedulers, ``synchronous`` too."""
    data = data_of(program, graph)
    whole, counts, ended = Whole(data), Counter[int](), "empty"
    together = scheduler == "synchronous"
    name = "round_robin" if together else scheduler
    todo = (
        Plan(whole.around, sets=sets) if name == "set" else make(name, whole.around, lambda v: v % 4, splash)
    )
    for task in range(whole.n) if tasks is None else tasks:
        todo.add(*parsed(task))
    while len(todo):
        if max_updates is not None and sum(counts.values()) >= max_updates:
            ended = "bound"
            break
        scopes = []
        while (found := todo.pop()) is not None:
            v, function = found
            scope = Scope(whole, v, consistency)
            added = list(getattr(program, function)(v, scope) or ())
            counts[v] += 1
            scopes.append((scope, added))
            todo.finished(v, function)
            if not together:
                break
        for scope, added in scopes:
            whole.records |= {item: (value, 0) for item, value in scope.writes.items()}
            for task in added:
                todo.add(*parsed(task))
    table: dict[str, Any] = {}
    for entry, sync in program.syncs().items():
        total = sync.initial
        for v in range(whole.n):
            total = sync.fold(total, Scope(whole, v, FULL, True, table))
        table[entry] = sync.apply(total)
    return LocalRun(whole, ended, counts, table)
