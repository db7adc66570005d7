"""The set scheduler (UAI 2010, §3.4.1): ((S₁, f₁), …, (S_k, f_k)) compiled to an execution plan.

"f_i is applied to all of S_i, then f_i+1 to all of S_i+1". Executed as written, each set would wait for the
slowest of the one before. The plan is the graph of what really must wait: a vertex of S_j waits for those
earlier executions that are in its scope. So the sets run into each other where their scopes do not overlap.
Within a set the consistency model decides, as always. What the functions return is not looked at: the plan
says it all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from .schedulers import SCHEDULERS, Scheduler

__all__ = ["Plan", "compiled"]

Sets = Sequence[tuple[Sequence[int], str]]


def compiled(sets: Sets) -> dict[int, list[int]]:
    """By vertex the numbers of the sets that it is in, in order."""
    found: dict[int, list[int]] = {}
    for number, (vertices, _) in enumerate(sets):
        for v in vertices:
            found.setdefault(int(v), []).append(number)
    return found


class Plan(Scheduler):
    """The plan of a machine: executions (v, i) of its own vertices, and for how many others each waits."""

    def __init__(
        self, around: Mapping[int, Sequence[int]], part_of: Callable[[int], int] = lambda v: 0,
        splash: int = 10, sets: Sets = (),
    ) -> None:  # fmt: skip
        super().__init__(around, part_of, splash)
        self.functions = [function for _, function in sets]
        self.member = compiled(sets)
        self.done: dict[int, int] = {}  #: how many of a vertex's executions are over, ghosts' too
        self.begun: dict[int, int] = {}
        self.ready: deque[tuple[int, int]] = deque()
        #: Of the next execution of each own vertex: how many vertices of its scope it waits for.
        self.left = sum(len(self.member.get(v, ())) for v in around)
        for v in sorted(around):
            self._look(v)

    def __len__(self) -> int:
        return self.left

    def __contains__(self, v: int) -> bool:
        return self.begun.get(v, 0) < len(self.member.get(v, ()))

    def add(self, v: int, priority: float = 0.0) -> None:
        """Nothing: it is in the plan, or it is not."""

    def pop(self) -> tuple[int, str] | None:
        """One that waits for nobody; None if all do."""
        if not self.ready:
            return None
        v, number = self.ready.popleft()
        self.left -= 1
        return v, self.functions[number]

    def finished(self, v: int, _function: str) -> None:
        """Those around it may be ready now."""
        self.done[v] = self.done.get(v, 0) + 1
        for u in self._reach(v):
            self._look(u)

    def _reach(self, v: int) -> Iterator[int]:
        """Own vertices in whose scope it is."""
        if v in self.around:
            yield v
            yield from (int(u) for u in self.around[v] if u in self.around)
        else:
            yield from self.ghosted.get(v, ())

    @property
    def ghosted(self) -> dict[int, list[int]]:
        """By ghost its own neighbours; made when it is first asked for."""
        if "_ghosted" not in self.__dict__:
            found: dict[int, list[int]] = {}
            for v in sorted(self.around):
                for u in map(int, self.around[v]):
                    if u not in self.around:
                        found.setdefault(u, []).append(v)
            self._ghosted = found
        return self._ghosted

    def _look(self, v: int) -> None:
        """Whether its next execution waits for nobody, and begins."""
        numbers, at = self.member.get(v, ()), self.begun.get(v, 0)
        if at == len(numbers) or at > self.done.get(v, 0):
            return
        number = numbers[at]
        if all(self._over(int(u), number) for u in self.around[v]):
            self.begun[v] = at + 1
            self.ready.append((v, number))

    def _over(self, u: int, number: int) -> bool:
        """Whether all of u's executions in earlier sets are over."""
        numbers, done = self.member.get(u, ()), self.done.get(u, 0)
        return done == len(numbers) or numbers[done] >= number

    def state(self, v: int) -> Any:
        """How many executions are over."""
        return self.done.get(v, 0)

    def restore(self, v: int, state: Any) -> None:
        """So many are over, of an own vertex or a ghost."""
        if v in self.around:
            self.left -= state
            self.begun[v] = state
            self.ready = deque(each for each in self.ready if each[0] != v)
        self.done[v] = state
        for u in self._reach(v):
            self._look(u)


SCHEDULERS["set"] = Plan
