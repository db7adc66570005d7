"""What can be chosen for a job, and what its nodes are told at their start."""

from __future__ import annotations

from dataclasses import Field, dataclass, fields
from typing import Any

from labkit.parts.options import Rule, checked, number, outlasts, seconds, settle, switch, whole
from labkit.parts.store import Settings as FileSettings
from labkit.runtime.errors import LabError

from .backup import Backup
from .readers import Segment

__all__ = ["JobAborted", "JobCancelled", "JobFailed", "JobSpec", "Options"]


class JobFailed(LabError):
    """The user's code failed in one task too often; the text has its traceback."""


class JobCancelled(JobFailed):
    """Somebody cancelled the job."""


class JobAborted(LabError):
    """The master died, and had no checkpoint (§3.3: "our current implementation aborts the MapReduce
    computation if the master fails")."""


@dataclass(frozen=True)
class Options:
    """All that can be chosen. Times in seconds, sizes in bytes."""

    M: int = 16  #: map tasks, >= 1; fewer if the input has fewer bytes
    R: int = 4  #: reduce tasks, >= 1: so many output files
    backup: bool | Backup = True  #: whether, or by which rule, the last tasks get backup executions (§3.6)
    slots: int = 1  #: map tasks that a worker runs at a time, >= 1; it runs one reduce task beside them
    #: A map task waits so long for a worker that has its input, before it goes elsewhere (§3.4). The paper
    #: says "attempts to"; the wait is delay scheduling's (Zaharia et al., EuroSys 2010).
    locality_wait: float = 0.0
    memory: float = 16e6  #: of intermediate pairs in a task, > 0; more is spilled to the disk (§3.1)
    skip_bad_records: bool = False  #: leave out records on which the user's code fails twice (§4.6)
    max_failures: int = 4  #: of one task by the user's code, >= 1, before the job fails (Hadoop's number)
    #: Between two checkpoints of the master, after whose death the job goes on; None: it is aborted (§3.3).
    checkpoint_every: float | None = None
    ping_every: float = 0.25  #: "The master pings every worker periodically" (§3.3)
    timeout: float = 2.0  #: silence after which a worker is marked as failed; > 2 pings
    call_timeout: float = 1.0  #: after which a message is taken for lost and sent again
    #: Virtual seconds, in the simulator, of a task, a record and a byte: about what this code needs.
    seconds_per_task: float = 1e-3
    seconds_per_record: float = 2e-6
    seconds_per_byte: float = 1e-8

    def __post_init__(self) -> None:
        settle(self, RULES)
        outlasts(self.timeout, "ping_every", self.ping_every, "mark living workers as failed")

    @property
    def backup_rule(self) -> Backup | None:
        """By which the master chooses; None: no backup tasks."""
        if isinstance(self.backup, Backup):
            return self.backup
        return Backup() if self.backup else None


def _rule(field: Field[Any]) -> Rule:
    if field.name == "skip_bad_records":
        return switch
    if field.name == "checkpoint_every":
        return seconds(0).or_none()
    return whole(1, write=4) if field.type == "int" else number(0, write=field.default)


#: What each must be by itself.
RULES = {field.name: _rule(field) for field in fields(Options)}
RULES["backup"] = Rule(
    lambda value: value if isinstance(value, Backup) else switch.take(value),
    "True, False, or a Backup with a rule of its own",
    (True, False),
)


@dataclass(frozen=True)
class JobSpec:
    """One for all nodes of a job."""

    name: str  #: before the names of its nodes
    options: Options
    files: FileSettings  #: of the file system
    maps: int  #: map tasks
    splits: tuple[tuple[Segment, ...], ...]  #: one for each map task; the workers are told with their orders
    output: str  #: the folder
    program: bytes  #: the user's ``MapReduce``, pickled: each task has a fresh one
    workers: int  #: how many

    @property
    def master(self) -> str:
        """The master's name."""
        return f"{self.name}-master"

    def worker(self, machine: str) -> str:
        """The name of a machine's worker."""
        return f"{self.name}-{machine}"


def given(program: str, options: dict[str, Any]) -> Options:
    """Options by name; raises ``TypeError`` naming those there are, ``ValueError``."""
    return Options(**checked(program, options, RULES))
