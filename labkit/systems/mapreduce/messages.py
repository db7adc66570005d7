"""What the master and the workers tell each other."""

from __future__ import annotations

from typing import Any, NamedTuple

from .readers import Segment

__all__ = ["MAP", "REDUCE", "Order", "Outcome", "Output"]

MAP, REDUCE = "map", "reduce"


class Order(NamedTuple):
    """The master assigns a task (§3.1 step 2: "picks idle workers and assigns each one a map task or a reduce
    task")."""

    attempt: int
    kind: str  #: MAP or REDUCE
    task: int
    skip: tuple[int, ...]  #: records that are to be left out
    split: tuple[Segment, ...] = ()  #: a map task's
    news: int = 0  #: entries of the master's news that it is to know before it reads a map output
    stage: int = 0  #: a job may have several stages of map and reduce tasks, as HaLoop's
    plan: Any = None  #: what such a job says of its stage


class Output(NamedTuple):
    """Where a completed map task's R regions are (§3.2): on a worker's disk, in one of its lives."""

    task: int
    attempt: int
    worker: str
    machine: str
    life: int
    sizes: tuple[int, ...]  #: bytes
    stage: int = 0


class Outcome(NamedTuple):
    """How an attempt ended: "ok", or "failed" with the user's traceback."""

    result: str
    error: str = ""
    counts: dict[str, int] = {}  # noqa: RUF012 - never changed
    sizes: tuple[int, ...] = ()  #: map: bytes of each region
    pairs: tuple[int, ...] = ()  #: map: pairs in each region; reduce: those that came in
    bytes_in: int = 0
    bytes_out: int = 0
    records: int = 0  #: map: read; reduce: written
    spills: int = 0
    skipped: int = 0
    note: Any = None  #: what a job of several stages wants to know
