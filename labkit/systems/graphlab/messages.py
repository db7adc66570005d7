"""What processes and monitor tell each other. All but calls goes through ``Lines``, in order and once."""

from __future__ import annotations

from typing import Any, NamedTuple

from .locks import Wanted
from .scopes import Item, Record

__all__ = [
    "Begin", "Done", "EndOfStep", "Flushed", "Ghosts", "Job", "Lock", "Locked", "Order", "Push", "Report",
    "Token",
]  # fmt: skip

#: A task under way: the machine's number and the task's own.
Job = tuple[int, int]


class Begin(NamedTuple):
    """The monitor's to a process: an epoch begins, from a snapshot or from the start."""

    epoch: int
    folder: str  #: where the atoms are
    saved: tuple[str, ...]  #: the files of the snapshot; none: from the start
    place: tuple[str, ...]  #: machine of each atom
    members: tuple[str, ...]  #: the machines that take part, in order
    consistency: str
    colours: Any  #: of the chromatic engine
    scheduler: str
    tasks: Any  #: T at the start: {vertex: priority}; None: the snapshot says it
    table: dict[str, Any]


class Ghosts(NamedTuple):
    """After loading: everything that the receiver has ghosts of."""

    records: dict[Item, Record]
    states: dict[int, Any]  #: of the set scheduler


class Lock(NamedTuple):
    """A request that goes along the machines of a scope, in canonical order (§4.2.2)."""

    job: Job
    asker: str
    vertex: int  #: whose update it is
    parts: tuple[tuple[str, tuple[Wanted, ...]], ...]  #: those that are still to be locked


class Locked(NamedTuple):
    """The sender's part of the locks is held, and its data came before this message."""

    job: Job


class Push(NamedTuple):
    """New values for the receiver's ghosts, with versions, and marks of snapshots."""

    records: dict[Item, Record]
    marks: dict[int, int] = {}  # noqa: RUF012 - never changed
    finished: tuple[tuple[int, str], ...] = ()  #: of the set scheduler: executed vertices and functions


class Done(NamedTuple):
    """An update is over: what it wrote of the receiver's, tasks for it, and the locks that it gives back."""

    job: Job
    writes: dict[Item, Any]
    tasks: tuple[tuple[int, float], ...]
    unlock: tuple[Wanted, ...]
    snapshot: tuple[int, ...] = ()  #: vertices to be snapshotted (Algorithm 5)


class EndOfStep(NamedTuple):
    """The chromatic engine's barrier: nothing of this step comes after it."""

    step: int
    active: int  #: tasks that the sender has or has given to others
    orders: int  #: how many of the monitor's orders it has


class Flushed(NamedTuple):
    """The sender stands still for a synchronous snapshot; nothing of it comes after this."""

    number: int


class Token(NamedTuple):
    """Of the detection of termination: messages on their way, as far as it has come, and its colour."""

    on_the_way: int
    black: bool


class Order(NamedTuple):
    """The monitor's to all processes; numbered from 1 in an epoch."""

    number: int
    kind: str  #: consistency, scheduler, snapshot, resume, fold, table, finish or stop
    data: Any = None


class Report(NamedTuple):
    """A process's to the monitor."""

    kind: str  #: loaded, idle, saved, folded or failed
    data: Any = None
