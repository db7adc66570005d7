"""The set T of tasks, and RemoveNext(T): the schedulers of UAI 2010, §3.4. Each machine has one, for its own
vertices.

========================  =====================================================================
``fifo``                  one queue; the vertex that was added first
``fifo_partitioned``      a queue for each atom, served in turn
``priority``              the largest priority; of equal ones the first added
``priority_approximate``  a priority queue for each atom, served in turn
``round_robin``           in the order of the vertices, round and round (Gauss-Seidel)
``splash``                along a tree around the most urgent vertex, from its leaves to the root and back
``set``                   a plan of sets and functions: see ``plan.py``
``synchronous``           all of T at once, on the values of the round before (Jacobi): ``nodes/chromatic``
========================  =====================================================================

The papers ask for no more than that every vertex in T is executed some time (VLDB §3.3): "duplicate vertices
are ignored". Priorities only advise.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

__all__ = ["SCHEDULERS", "UPDATE", "Scheduler", "make"]

#: The function that a task calls unless a plan says another.
UPDATE = "update"


class Scheduler:
    """T. A subclass says in which order its vertices are taken."""

    def __init__(
        self, around: Mapping[int, Sequence[int]], part_of: Callable[[int], int] = lambda v: 0,
        splash: int = 10,
    ) -> None:  # fmt: skip
        #: Of each own vertex its neighbours; in which part, an atom, it is; how large a splash gets.
        self.around, self.part_of, self.size = around, part_of, splash
        self.tasks: dict[int, float] = {}  #: T, with priorities

    def __len__(self) -> int:
        return len(self.tasks)

    def __contains__(self, v: int) -> bool:
        return v in self.tasks

    def add(self, v: int, priority: float = 0.0) -> None:
        """T ← T ∪ {v}."""
        before = self.tasks.get(v)
        if before is None or priority > before:
            self.tasks[v] = priority
            self._added(v, priority, before)

    def pop(self) -> tuple[int, str] | None:
        """RemoveNext(T): a vertex and its function; None while there is none to be taken."""
        v = self._next() if self else None
        if v is None:
            return None
        self.tasks.pop(v, None)
        return v, UPDATE

    def finished(self, v: int, _function: str) -> None:
        """A task was executed, here or on a neighbour."""

    def state(self, v: int) -> Any:
        """What a snapshot keeps of a vertex: its priority, or None if it is not in T."""
        return self.tasks.get(v)

    def restore(self, v: int, state: Any) -> None:
        """Put it back."""
        if state is not None:
            self.add(v, state)

    def _added(self, v: int, priority: float, before: float | None) -> None:
        raise NotImplementedError

    def _next(self) -> int | None:
        raise NotImplementedError


class Fifo(Scheduler):
    """``dict`` keeps the order in which they were added."""

    def _added(self, v: int, priority: float, before: float | None) -> None:
        pass

    def _next(self) -> int | None:
        return next(iter(self.tasks))


class Priority(Scheduler):
    """A heap, in which an entry with another priority than the vertex has now is of the past."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.heap: list[tuple[float, int, int]] = []
        self.count = 0

    def _added(self, v: int, priority: float, before: float | None) -> None:
        self.count += 1
        heapq.heappush(self.heap, (-priority, self.count, v))

    def _next(self) -> int | None:
        while True:
            priority, _, v = heapq.heappop(self.heap)
            if self.tasks.get(v) == -priority:
                return v


class RoundRobin(Scheduler):
    """The next vertex in T after the one that was taken last."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.order: list[int] = []
        self.last = -1

    def _added(self, v: int, priority: float, before: float | None) -> None:
        if before is None:
            insort(self.order, v)

    def _next(self) -> int | None:
        at = bisect_left(self.order, self.last + 1) % len(self.order)
        self.last = self.order.pop(at)
        return self.last


class Partitioned(Scheduler):
    """A queue for each part, served in turn: what many threads, or many parts, can do beside each other.
    Of priorities the order is approximate, since it is kept within a part only."""

    kind: type[Scheduler] = Fifo

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.queues: dict[int, Scheduler] = {}
        self.turns: list[int] = []
        self.turn = 0

    def _added(self, v: int, priority: float, before: float | None) -> None:
        part = self.part_of(v)
        if part not in self.queues:
            self.queues[part] = self.kind(self.around)
            insort(self.turns, part)
        self.queues[part].add(v, priority)

    def _next(self) -> int | None:
        while True:
            self.turn = (self.turn + 1) % len(self.turns)
            if found := self.queues[self.turns[self.turn]].pop():
                return found[0]


class PartitionedPriority(Partitioned):
    """See there."""

    kind = Priority


class Splash(Priority):
    """Around the most urgent vertex a tree of at most ``size`` own vertices grows, breadth first. Its
    vertices are executed from the leaves to the root, then from the root to the leaves, in T or not; as
    belief propagation wants it (Gonzalez, Low, Guestrin: Residual Splash, AISTATS 2009)."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.rest: list[int] = []  #: of the splash that is under way, the last first
        self.waiting: dict[int, float] = {}  #: those of it that were in T

    def __len__(self) -> int:
        return len(self.tasks) + len(self.rest)

    def _next(self) -> int | None:
        if not self.rest:
            root = super()._next()
            assert root is not None
            tree = self._tree(root)
            self.rest = tree[:0:-1] + tree  # taken from its end: leaves to root, then root to leaves
            self.waiting = {v: self.tasks.pop(v) for v in tree if v in self.tasks}
        v = self.rest.pop()
        if v not in self.rest:
            self.waiting.pop(v, None)
        return v

    def pop(self) -> tuple[int, str] | None:
        """The next of the splash. What is added meanwhile stays in T: its neighbour may have changed."""
        v = self._next() if self else None
        return None if v is None else (v, UPDATE)

    def _tree(self, root: int) -> list[int]:
        tree, seen = [root], {root}
        for v in tree:
            for u in map(int, self.around[v]):
                if len(tree) >= self.size:
                    return tree
                if u in self.around and u not in seen:
                    seen.add(u)
                    tree.append(u)
        return tree

    def state(self, v: int) -> Any:
        """In T, or in the splash because it was."""
        return self.tasks.get(v, self.waiting.get(v))


SCHEDULERS: dict[str, type[Scheduler]] = {
    "fifo": Fifo,
    "fifo_partitioned": Partitioned,
    "priority": Priority,
    "priority_approximate": PartitionedPriority,
    "round_robin": RoundRobin,
    "splash": Splash,
    "set": Scheduler,
}


def make(
    name: str, around: Mapping[int, Sequence[int]], part_of: Callable[[int], int], splash: int,
    tasks: Iterable[tuple[int, float]] = (),
) -> Scheduler:  # fmt: skip
    """A scheduler with tasks in it."""
    found = SCHEDULERS[name](around, part_of, splash)
    for v, priority in tasks:
        found.add(v, priority)
    return found
