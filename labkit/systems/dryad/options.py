"""What can be chosen for a job, and what its nodes are told at their start."""

from __future__ import annotations

from dataclasses import Field, dataclass, fields
from typing import Any

from labkit.parts.options import Rule, checked, number, outlasts, settle, switch, whole
from labkit.parts.store import Settings as FileSettings
from labkit.parts.tasks import Speculation
from labkit.runtime.errors import LabError

from .plan import Plan

__all__ = ["JobCancelled", "JobDeadlocked", "JobFailed", "JobSpec", "JobTerminated", "Options", "given"]


class JobFailed(LabError):
    """A vertex was executed again more often than allowed; the text has the last reason."""


class JobCancelled(JobFailed):
    """Somebody cancelled the job."""


class JobDeadlocked(JobFailed):
    """Vertices that pipes join must all run at once, and there are not enough computers for them."""


class JobTerminated(LabError):
    """The job manager died: then the job is terminated (§3)."""


@dataclass(frozen=True)
class Options:
    """All that can be chosen. Times in seconds, sizes in bytes."""

    slots: int = 1  #: processes that a computer runs at a time, >= 1
    #: Vertices that wait at a computer beside those that run, >= 0: then their number, not the way to the
    #: job manager, limits how many short ones run in a second.
    queue: int = 0
    duplicates: bool | Speculation = True  #: whether, or by which rule, slow vertices get a second execution
    max_reruns: int = 6  #: executions of a vertex beyond the first, >= 0, before the job fails
    stuck_after: float = 5.0  #: a job that can start nothing is given up after this
    chunk: int = 500  #: items that a channel carries at once, >= 1
    ping_every: float = 0.25  #: between two signs of life of the job manager and a daemon
    timeout: float = 2.0  #: silence after which either counts as dead; > 2 pings
    call_timeout: float = 1.0  #: after which a message is taken for lost and sent again
    #: Virtual seconds, in the simulator: to start a process, of an item read or written, and of a byte on its
    #: way to or from a disk (pipes and FIFOs need none).
    seconds_per_vertex: float = 1e-3
    seconds_per_item: float = 2e-6
    seconds_per_byte: float = 1e-8

    def __post_init__(self) -> None:
        settle(self, RULES)
        outlasts(self.timeout, "ping_every", self.ping_every, "take living computers for dead")

    @property
    def rule(self) -> Speculation | None:
        """By which duplicates are started; None: there are none."""
        if isinstance(self.duplicates, Speculation):
            return self.duplicates
        return Speculation() if self.duplicates else None


def _rule(field: Field[Any]) -> Rule:
    if field.type == "int":
        least = 0 if field.name in ("queue", "max_reruns") else 1
        return whole(least, write=field.default)
    return number(0, write=field.default)


#: What each must be by itself.
RULES = {field.name: _rule(field) for field in fields(Options)}
RULES["duplicates"] = Rule(
    lambda value: value if isinstance(value, Speculation) else switch.take(value),
    "True, False, or a Speculation with a rule of its own",
    (True, False),
)


@dataclass(frozen=True)
class JobSpec:
    """What the job manager is told."""

    name: str
    options: Options
    plan: Plan
    files: FileSettings  #: of the file system
    output: str  #: the folder
    name_server: str
    managers: bytes = b""  #: stage managers by stage, pickled

    @property
    def manager(self) -> str:
        """The job manager's name."""
        return f"{self.name}-manager"


def given(options: dict[str, Any]) -> Options:
    """Options by name; raises ``TypeError`` naming those there are, ``ValueError``."""
    return Options(**checked("submit", options, RULES))
