"""A readers-writer lock for each vertex, with callbacks instead of waiting threads (VLDB 2012, §4.2.2).

Whoever wants several locks asks for them one after the other, in the *canonical order* (owner, vertex): each
waits only for larger ones than it holds, so no circle of waiting can close. A queue is first come, first
served: a reader does not overtake a writer who waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

__all__ = ["Locks", "Wanted"]


class Wanted(NamedTuple):
    """A lock to be had."""

    vertex: int
    write: bool


class _Lock:
    __slots__ = ("holders", "queue", "writing")

    def __init__(self) -> None:
        self.holders: dict[Any, None] = {}
        self.writing = False
        self.queue: deque[tuple[Any, bool, Callable[[], None]]] = deque()


class Locks:
    """The locks of one machine's own vertices."""

    def __init__(self) -> None:
        self.locks: dict[int, _Lock] = {}  #: those that somebody holds

    def acquire(
        self, who: Any, wanted: Sequence[Wanted], done: Callable[[], None],
        waits: Callable[[int], None] = lambda vertex: None,
    ) -> None:  # fmt: skip
        """Take all of these, in this order, and then call ``done``. ``waits``: told of each that is held."""
        for at, (vertex, write) in enumerate(wanted):
            lock = self.locks.setdefault(vertex, _Lock())
            if lock.queue or (lock.holders and (write or lock.writing)):
                rest = wanted[at + 1 :]
                lock.queue.append((who, write, lambda: self.acquire(who, rest, done, waits)))  # noqa: B023
                waits(vertex)
                return
            lock.holders[who], lock.writing = None, write
        done()

    def release(self, who: Any, wanted: Sequence[Wanted]) -> None:
        """Give them back; those who wait are called."""
        for vertex, _ in wanted:
            lock = self.locks[vertex]
            del lock.holders[who]
            if not lock.holders:
                lock.writing = False
            self._grant(vertex, lock)

    def _grant(self, vertex: int, lock: _Lock) -> None:
        granted = []
        while lock.queue and not (lock.holders and (lock.queue[0][1] or lock.writing)):
            who, lock.writing, then = lock.queue.popleft()
            lock.holders[who] = None
            granted.append(then)
        if not lock.holders and not lock.queue:
            del self.locks[vertex]
        for then in granted:
            then()

    def held(self, vertex: int) -> tuple[Any, ...]:
        """Who holds it."""
        lock = self.locks.get(vertex)
        return tuple(lock.holders) if lock else ()
