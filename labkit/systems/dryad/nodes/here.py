"""What a daemon keeps of a job and its processes."""

from __future__ import annotations

from collections import deque
from typing import Any

from labkit.runtime.endable import Endable
from labkit.runtime.loop import Task
from labkit.runtime.raised import Ending
from labkit.runtime.sync import Signal

from ..channels import ROOM, Channel
from ..messages import Order, Outcome
from ..options import Options
from ..process import Process

__all__ = ["JobHere", "Key", "Pipe", "Running", "Unreadable"]

Key = tuple[int, int, int]  #: of a pipe: source, port, version


class ProcessEnded(Ending):
    """Raised in the thread of a process that nobody wants any more."""


class Unreadable(Exception):
    """Input channels that could not be read: vertex and version of each."""

    def __init__(self, lost: list[tuple[int, int]]) -> None:
        super().__init__(lost)
        self.lost = tuple(lost)


class Pipe(Channel):
    """The reader's end of a pipe. taken: chunks that have come in."""

    def __init__(self) -> None:
        super().__init__(room=2 * ROOM)
        self.taken = 0


class Running:
    """A process, until the job manager knows how it ended."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.work = Endable(ProcessEnded)
        self.task: Task | None = None
        self.process: Process | None = None
        self.began = False
        self.news = Signal()  #: something has come through a pipe, or has left through one


class JobHere:
    """A job as this daemon knows it."""

    def __init__(self, name: str, manager: str, options: Options, output: str, now: float) -> None:
        self.name, self.manager, self.options, self.output = name, manager, options, output
        self.heard = now
        self.told = 0  #: the number of the last message of the manager's
        self.programs: dict[int, Any] = {}
        self.running: dict[int, Running] = {}
        self.waiting: deque[Running] = deque()  #: for a slot
        self.active = 0  #: processes that have one
        self.pipes: dict[Key, Pipe] = {}
        self.ended: dict[Key, None] = {}  #: pipes whose reader has ended: what still comes is for nobody
        self.renamed = Signal()
        self.outcomes: list[Outcome] = []
        self.reported = Signal()
        self.selected: dict[int, int] = {}  #: by vertex the version that has its name here
        self.over = False
