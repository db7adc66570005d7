"""Dining philosophers (Chandy and Misra 1984), as Async+S uses them (§4.3.3): who runs holds all its forks.

Every two adjacent vertices share a fork, which is on the machine that has their edge; so forks never travel,
but a vertex needs those on all machines where it has a replica. Its master asks each replica to ``lock``; one
that holds all of its forks here says so; when all have said so, the vertex runs, and then lets go everywhere.

A fork is clean or dirty. It is used, and dirty, after its holder has run; a dirty one must be given to a
neighbour who asks, and is cleaned then; a clean one is kept until its holder has run. So whoever has run
gives way, the order of precedence has no circle, and nobody starves.

Between "I hold all" and the run, a neighbour with precedence may ask for a dirty fork. The replica must not
give it secretly: it asks the master to *cancel*, who agrees unless the vertex runs already.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["Forks"]

THINKING, HUNGRY, READY = "thinking", "hungry", "ready"


class Forks:
    """The forks of one machine. pairs: adjacent vertices, each pair once.

    Its methods return what the vertices' masters are to be told: ("locked", u) or ("cancel", u).
    """

    def __init__(self, pairs: Iterable[tuple[int, int]]) -> None:
        self.neighbours: dict[int, list[int]] = {}
        self.holder: dict[tuple[int, int], int] = {}
        self.dirty: dict[tuple[int, int], bool] = {}
        self.asked: set[tuple[int, int]] = set()  #: forks for which the one who has them not has asked
        self.state: dict[int, str] = {}
        self.cancelling: set[int] = set()
        for a, b in pairs:
            self.neighbours.setdefault(a, []).append(b)
            self.neighbours.setdefault(b, []).append(a)
            # Dirty, and with the smaller: the larger has precedence, so there is no circle to begin with.
            self.holder[a, b], self.dirty[a, b] = min(a, b), True

    def lock(self, u: int) -> list[tuple[str, int]]:
        """u is hungry: it asks for the forks that it does not hold."""
        self.state[u] = HUNGRY
        told: list[tuple[str, int]] = []
        for v in self.neighbours.get(u, ()):
            self._ask(u, v, told)
        self._ready(u, told)
        return told

    def missing(self, u: int) -> list[int]:
        """The neighbours who hold what u waits for."""
        return [v for v in self.neighbours.get(u, ()) if self.holder[_fork(u, v)] == v]

    def cancelled(self, u: int) -> list[tuple[str, int]]:
        """The master has agreed: u is hungry as before, and gives the dirty forks that were asked for."""
        self.cancelling.discard(u)
        if self.state.get(u) != READY:
            return []
        self.state[u] = HUNGRY
        told: list[tuple[str, int]] = []
        for v in self.neighbours.get(u, ()):
            fork = _fork(u, v)
            if fork in self.asked and self.holder[fork] == u and self.dirty[fork]:
                self._give(v, fork, told)
                self._ask(u, v, told)
        self._ready(u, told)
        return told

    def release(self, u: int) -> list[tuple[str, int]]:
        """u has run: all its forks are dirty, and who has asked gets them."""
        self.state[u] = THINKING
        self.cancelling.discard(u)
        told: list[tuple[str, int]] = []
        for v in self.neighbours.get(u, ()):
            fork = _fork(u, v)
            self.dirty[fork] = True
            if fork in self.asked:
                self._give(v, fork, told)
        return told

    def _ask(self, u: int, v: int, told: list[tuple[str, int]]) -> None:
        """u asks v for their fork, unless it has it."""
        fork = _fork(u, v)
        if self.holder[fork] == u:
            return
        self.asked.add(fork)
        state = self.state.get(v, THINKING)
        if not self.dirty[fork]:
            return  # v has precedence, and will let go when it has run
        if state == READY:
            if v not in self.cancelling:
                self.cancelling.add(v)
                told.append(("cancel", v))
            return
        self._give(u, fork, told)
        if state == HUNGRY:
            self._ask(v, u, told)

    def _give(self, to: int, fork: tuple[int, int], told: list[tuple[str, int]]) -> None:
        self.asked.discard(fork)
        self.holder[fork], self.dirty[fork] = to, False
        self._ready(to, told)

    def _ready(self, u: int, told: list[tuple[str, int]]) -> None:
        if self.state.get(u) == HUNGRY and not self.missing(u):
            self.state[u] = READY
            told.append(("locked", u))


def _fork(u: int, v: int) -> tuple[int, int]:
    return (u, v) if u < v else (v, u)
