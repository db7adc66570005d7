"""Planted mistakes: roles that break one rule of the papers each, which ``run.check()`` must catch.

``GraphLab(cluster, fs, roles=MISTAKES["reads without a lock"])``
"""

from __future__ import annotations

from typing import Any

from labkit.runtime.node import Node

from .locks import Locks, Wanted
from .messages import Done, Lock, Push
from .nodes import ChromaticProcess, LockingProcess, Monitor
from .scopes import Item

__all__ = ["MISTAKES"]

Roles = tuple[type[Node], ...]


class Crowd(Locks):
    """Gives a lock to all who ask."""

    def acquire(self, who: Any, wanted: Any, done: Any, waits: Any = None) -> None:
        """At once."""
        done()

    def release(self, who: Any, wanted: Any) -> None:
        """Nothing."""


class NoLocks(LockingProcess):
    """Its locks exclude nobody."""

    def _reset(self) -> None:
        super()._reset()
        self.locks = Crowd()


class OwnFirst(LockingProcess):
    """Locks the vertex first and then its neighbours, which is no order for all."""

    def _canonical(self, wanted: Wanted) -> tuple[int, int]:
        return (super()._canonical(wanted)[0] + self.number) % len(self.members), wanted.vertex


class ReadsWithoutLock(LockingProcess):
    """Locks no neighbour, and says that it had edge consistency."""

    def _forward(self, lock: Lock) -> None:
        own = tuple(each for each in lock.parts if each[0] == self.machine)
        parts = [(machine, tuple(w for w in wanted if w.write)) for machine, wanted in own]
        run = self.jobs[lock.job]
        run.parts, run.waiting = dict(parts), 1
        super()._forward(lock._replace(parts=tuple(parts)))


class ForgetsTasks(LockingProcess):
    """Drops the tasks that come from another machine."""

    def _done(self, message: Done) -> None:
        super()._done(message._replace(tasks=()))


class OldGhosts(LockingProcess):
    """Does not tell the ghosts of a new version."""

    def _tell(self, machine: str, message: Any) -> None:
        if not isinstance(message, Push) or not message.records:
            super()._tell(machine, message)


class SameVersion(LockingProcess):
    """Makes a version twice."""

    def _write(self, writes: dict[Item, Any]) -> dict[str, int]:
        for item in writes:
            value, version = self.local.records[item]
            self.local.records[item] = (value, version - (version == 2))
        return super()._write(writes)


class BeforeTheWave(LockingProcess):
    """An update reads what lies behind the wave of a snapshot, and its own vertex is saved after it."""

    def _behind_the_wave(self, v: int) -> bool:
        return False

    def _next_snapshot(self) -> tuple[int, str] | None:
        """One at a time, and so late that updates come between."""
        if self.jobs or self.random.random() < 0.5:
            return None
        return super()._next_snapshot()


class ForgetsT(LockingProcess):
    """A snapshot without the set of tasks."""

    async def _save(self, records: Any, states: Any, number: int) -> None:
        await super()._save(records, dict.fromkeys(states), number)


class SavesHalf(LockingProcess):
    """A snapshot without the vertices whose number is odd."""

    async def _save(self, records: Any, states: Any, number: int) -> None:
        kept = {item: record for item, record in records.items() if isinstance(item, tuple) or not item % 2}
        await super()._save(kept if number else records, states, number)


class OneColour(ChromaticProcess):
    """Updates all colours at once."""

    async def _colour(self, colour: int) -> bool:
        if colour:
            return True
        before, self.colours = self.colours, self.colours * 0
        found = await super()._colour(0)
        self.colours = before
        return found


def _locking(role: type[LockingProcess]) -> Roles:
    return (Monitor, role, ChromaticProcess)


MISTAKES: dict[str, Roles] = {
    "locks that exclude nobody": _locking(NoLocks),
    "no order of the locks": _locking(OwnFirst),
    "reads without a lock": _locking(ReadsWithoutLock),
    "tasks that are forgotten": _locking(ForgetsTasks),
    "ghosts that stay old": _locking(OldGhosts),
    "a version made twice": _locking(SameVersion),
    "an update before the wave": _locking(BeforeTheWave),
    "a snapshot without T": _locking(ForgetsT),
    "half a snapshot": _locking(SavesHalf),
    "all colours at once": (Monitor, LockingProcess, OneColour),
}
