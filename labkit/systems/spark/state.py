"""What the trace has told of a Spark context.

Its RDDs, jobs, stages and tasks; what is kept where, and what was lost. Plain data, which
`view.py` changes event by event.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from labkit.trace.machines import Machines

#: Deaths and returns of machines that the panel can look back at.
MOMENTS_KEPT = 60

#: A piece of work that gives the same result whenever it is done: ("map", shuffle, map) or
#: ("result", job, partition).
Unit = tuple[str, int, int]
#: A partition that is kept: ("block", rdd, partition) or ("output", shuffle, map).
Piece = tuple[str, int, int]


@dataclass(frozen=True)
class Parent:
    """One dependency of an RDD."""

    rdd: int
    wide: bool = False
    shuffle: int | None = None


@dataclass(frozen=True)
class RddView:
    """One RDD as the driver announced it."""

    id: int
    kind: str
    op: str
    name: str
    site: str
    partitions: int
    parents: tuple[Parent, ...] = ()
    storage: str | None = None  # "memory", "disk", …, "checkpoint" or None

    @property
    def title(self) -> str:
        """What a person calls it: its name, else the operation that made it."""
        return self.name or self.op or self.kind


@dataclass(frozen=True)
class Copy:
    """One copy of a piece."""

    executor: str
    machine: str
    where: str  # "memory" or "disk"
    bytes: int = 0


@dataclass(frozen=True)
class JobView:
    """One action."""

    id: int
    rdd: int
    action: str
    start: float
    end: float | None = None
    ok: bool | None = None
    tasks: int = 0  # that ended well, all attempts
    seconds: float = 0.0  # of work in them
    again: int = 0  # of these tasks, how many did lost work again
    again_seconds: float = 0.0


@dataclass(frozen=True)
class StageView:
    """One stage, in its latest attempt."""

    id: int
    job: int
    kind: str  # "map" or "result"
    rdd: int
    shuffle: int | None
    wanted: tuple[int, ...]  # partitions of the first attempt
    total: int
    running: bool = True
    ok: bool | None = None

    def unit(self, partition: int) -> Unit:
        """The work of one of its tasks."""
        if self.kind == "map" and self.shuffle is not None:
            return ("map", self.shuffle, partition)
        return ("result", self.job, partition)


@dataclass(frozen=True)
class TaskView:
    """One attempt of one task."""

    id: int
    stage: int
    unit: Unit
    executor: str
    machine: str
    slot: int
    start: float
    why: str = "first"  # first, lost, retry or speculative
    computing: bool = False  # it has all its inputs
    end: float | None = None
    result: str = ""
    computed: tuple[tuple[int, int], ...] = ()
    read: tuple[tuple[int, int], ...] = ()
    records: int = 0
    bytes: int = 0  # of shuffle outputs that it fetched
    again: int = 0  # the number of the failure for which it does work again, or 0

    @property
    def partition(self) -> int:
        """The partition of its stage."""
        return self.unit[2]


@dataclass(frozen=True)
class Failure:
    """A machine's death, as far as it concerns the context: what it took, what is done again for it."""

    number: int
    machine: str
    time: float
    noticed: float | None = None  # when the driver gave the executor up
    blocks: int = 0  # kept partitions of which this was the last copy
    outputs: int = 0  # shuffle outputs
    interrupted: int = 0  # tasks that were running there
    predicted: int = 0  # tasks that lineage says must do work again
    predicted_records: int = 0  # what those tasks had processed before, as far as known
    predicted_bytes: int = 0
    unknown: int = 0  # of these tasks, how many are the first of their kind: nobody knows what they take
    tasks: int = 0  # tasks that did
    partitions: int = 0  # lost kept partitions that were computed again
    records: int = 0
    bytes: int = 0
    seconds: float = 0.0
    last: float | None = None  # when the latest of them ended


@dataclass
class LineageState:
    """The fold behind `LineageFrame`."""

    lab: Machines = field(default_factory=Machines)
    executors: dict[str, tuple[str, int]] = field(default_factory=dict)  # name -> (machine, cores), ever
    rdds: dict[int, RddView] = field(default_factory=dict)
    jobs: dict[int, JobView] = field(default_factory=dict)
    stages: dict[int, StageView] = field(default_factory=dict)
    running: dict[int, TaskView] = field(default_factory=dict)
    done: dict[int, TaskView] = field(default_factory=dict)
    blocks: dict[tuple[int, int], tuple[Copy, ...]] = field(default_factory=dict)
    outputs: dict[tuple[int, int], Copy] = field(default_factory=dict)
    buckets: dict[tuple[int, int], tuple[int, ...]] = field(
        default_factory=dict
    )  # (shuffle, map) -> bytes for each reader
    passed: dict[tuple[int, int], str] = field(default_factory=dict)  # (rdd, p) -> where it was last computed
    results: dict[tuple[int, int], str] = field(default_factory=dict)  # (job, p) -> who delivered it
    makers: dict[Piece, int] = field(default_factory=dict)  # the task that made it last
    costs: dict[Unit, tuple[int, int]] = field(default_factory=dict)  # records, bytes of its last good run
    lost: dict[Piece, tuple[str, int]] = field(default_factory=dict)  # machine, failure; until made again
    ghosts: dict[Piece, str] = field(default_factory=dict)  # lost on this machine, made again since
    again: dict[Piece, int] = field(default_factory=dict)  # made again, after which failure
    interrupted: dict[Unit, int] = field(default_factory=dict)  # -> failure; until it ran elsewhere
    owed: dict[Unit, int] = field(default_factory=dict)  # predicted to do work again, for which failure
    failures: dict[int, Failure] = field(default_factory=dict)
    current: dict[str, int] = field(default_factory=dict)  # machine -> its failure, until it is back
    judging: tuple[int, ...] = ()  # failures whose losses are being told; predicted when all are known
    counts: dict[tuple[str, int], dict[str, int]] = field(
        default_factory=dict
    )  # (state, id) -> machine -> pieces; inner dicts are replaced, never changed
    sizes: dict[tuple[str, str], int] = field(default_factory=dict)  # (where, executor) -> bytes
    moments: deque[tuple[float, str, str]] = field(default_factory=lambda: deque(maxlen=MOMENTS_KEPT))
    changes: int = 0  # counts what can change the graph; `memo` is good for one count
    memo: dict[str, Any] = field(default_factory=dict)


def count(state: LineageState, key: tuple[str, int, str], change: int) -> None:
    """Keep the number of pieces in one state, of one RDD or shuffle, on one machine."""
    what, machine = key[:2], key[2]
    old = state.counts.get(what, {})
    state.counts[what] = {**old, machine: old.get(machine, 0) + change}


def pieces(state: LineageState, what: str, ident: int) -> int:
    """How many pieces of one RDD or shuffle are in one state, on all machines."""
    return sum(state.counts.get((what, ident), {}).values())
