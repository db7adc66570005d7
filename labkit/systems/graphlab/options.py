"""What can be chosen for a run, and what its nodes are told at their start."""

from __future__ import annotations

from dataclasses import Field, dataclass, fields
from typing import Any

from labkit.parts.options import Rule, checked, number, one_of, outlasts, seconds, settle, switch, whole
from labkit.parts.store import Settings as FileSettings
from labkit.runtime.errors import LabError

from .schedulers import SCHEDULERS
from .scopes import MODELS

__all__ = ["Options", "RunCancelled", "RunFailed", "RunSpec", "given"]

CHROMATIC, LOCKING = "chromatic", "locking"
SYNCHRONOUS, ASYNCHRONOUS = "synchronous", "asynchronous"
#: What the chromatic engine takes: its order is that of the colours.
BY_STEPS = ("round_robin", "synchronous")


class RunFailed(LabError):
    """An update function failed; the text has its traceback."""


class RunCancelled(RunFailed):
    """Somebody cancelled the run."""


@dataclass(frozen=True)
class Options:
    """All that can be chosen. Times in seconds."""

    consistency: str = "edge"  #: full, edge or vertex (VLDB §3.4); may be changed while it runs
    #: False: what lies beyond the consistency model is not refused, and may be read and written all the same.
    enforce: bool = True
    engine: str = "locking"  #: or chromatic (VLDB §4.2)
    #: fifo, fifo_partitioned, priority, priority_approximate, round_robin, splash, set (UAI §3.4); for the
    #: chromatic engine round_robin or synchronous. None: fifo, or round_robin.
    scheduler: str | None = None
    pipeline: int = 100  #: locking: updates of a machine that wait for locks at a time, >= 1 (VLDB §4.2.2)
    batch: int = 8  #: updates that a worker executes together, >= 1
    workers: int = 1  #: threads of a machine, >= 1
    atoms: int = 4  #: for each machine, >= 1: "over-partitioned" (VLDB §4.1)
    splash: int = 10  #: vertices of a splash, >= 1 (UAI §3.4)
    snapshot_every: float | None = None  #: between two snapshots; None: only on demand
    #: How they are taken (VLDB §4.3): asynchronous or synchronous. None: asynchronous by the locking engine;
    #: the chromatic one, which stands still between two colours anyway, takes only synchronous ones.
    snapshot: str | None = None
    max_updates: int | None = None  #: about where a run is ended that would not end
    log: bool = True  #: emit each update with the versions it read and wrote, and each lock
    ping_every: float = 0.25  #: between two signs of life of a process
    timeout: float = 2.0  #: silence after which a machine counts as dead; > 2 pings
    call_timeout: float = 1.0  #: after which a message is taken for lost and sent again
    #: Virtual seconds, in the simulator, of an update and of each neighbour it has.
    seconds_per_update: float = 1e-3
    seconds_per_edge: float = 1e-5

    def __post_init__(self) -> None:
        settle(self, RULES)
        outlasts(self.timeout, "ping_every", self.ping_every, "take living machines for dead")
        scheduler = self.scheduler or ("fifo" if self.engine == LOCKING else "round_robin")
        object.__setattr__(self, "scheduler", scheduler)
        if (scheduler in BY_STEPS[1:]) if self.engine == LOCKING else (scheduler not in BY_STEPS):
            right = "locking" if self.engine == CHROMATIC else "chromatic"
            raise ValueError(
                f"scheduler={scheduler!r} is none of the {self.engine} engine: write engine={right!r}, or "
                f"scheduler={'fifo' if self.engine == LOCKING else 'round_robin'!r}"
            )
        if self.engine == CHROMATIC and self.snapshot == ASYNCHRONOUS:
            raise ValueError(
                "the chromatic engine stands still between two colours anyway: write snapshot='synchronous'"
            )
        mode = self.snapshot or (SYNCHRONOUS if self.engine == CHROMATIC else ASYNCHRONOUS)
        object.__setattr__(self, "snapshot", mode)


def _rule(field: Field[Any]) -> Rule:
    if field.type == "bool":
        return switch
    return whole(1, write=field.default) if field.type == "int" else number(0, write=field.default)


#: What each must be by itself.
RULES = {field.name: _rule(field) for field in fields(Options)}
RULES["consistency"] = one_of(MODELS)
RULES["engine"] = one_of((LOCKING, CHROMATIC))
RULES["scheduler"] = one_of((*SCHEDULERS, "synchronous")).or_none()
RULES["snapshot"] = one_of((ASYNCHRONOUS, SYNCHRONOUS)).or_none()
RULES["snapshot_every"] = seconds(write=1.0).or_none()
RULES["ping_every"], RULES["call_timeout"] = seconds(write=0.25), seconds(write=1.0)
RULES["max_updates"] = whole(1, write=10_000).or_none()


@dataclass(frozen=True)
class RunSpec:
    """What all nodes of a run are told."""

    name: str  #: before the names of its nodes
    options: Options
    files: FileSettings  #: of the file system
    program: bytes  #: the user's ``Program``, pickled
    n: int  #: vertices
    machines: tuple[str, ...]
    sets: tuple[tuple[tuple[int, ...], str], ...] = ()  #: of the set scheduler: vertices, update function

    @property
    def monitor(self) -> str:
        """The monitor's name."""
        return f"{self.name}-monitor"

    @property
    def folder(self) -> str:
        """Where its atoms, snapshots and result are in the file system."""
        return f"graphlab/{self.name}"

    def snapshot(self, epoch: int, number: int) -> str:
        """The folder of a snapshot; number 0 is the result."""
        return f"{self.folder}/snapshot-{epoch}-{number}"

    def process(self, machine: str) -> str:
        """The name of a machine's process."""
        return f"{self.name}-{machine}"


def given(options: dict[str, Any]) -> Options:
    """Options by name; raises ``TypeError`` naming those there are, ``ValueError``."""
    return Options(**checked("GraphLab.start", options, RULES))
