"""What can be chosen for a job, and what its nodes are told at their start."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from labkit.parts.options import Rule, checked, number, one_of, outlasts, settle, switch, whole
from labkit.parts.store import Settings as FileSettings
from labkit.runtime.errors import LabError

from .partition import hash_partition

__all__ = ["CONFINED", "RECOVERIES", "ROLLBACK", "JobAborted", "JobCancelled", "JobFailed", "JobSpec",
           "Options", "given", "young"]  # fmt: skip

ROLLBACK, CONFINED = "rollback", "confined"
RECOVERIES = (ROLLBACK, CONFINED)


class JobFailed(LabError):
    """The user's code failed; the text has its traceback."""


class JobCancelled(JobFailed):
    """Somebody cancelled the job."""


class JobAborted(LabError):
    """The master died: Pregel's has no checkpoint of its own."""


def young(checkpoint: float, mtbf: float) -> float:
    """Seconds from one checkpoint to the next: √(2 · seconds of a checkpoint · seconds between two failures)
    (Young, CACM 1974; as GraphLab's paper uses it: 64 machines that fail once a year, 2 minutes: 3 hours)."""
    checkpoint = number(0, says="seconds of a checkpoint", write=120.0)("checkpoint", checkpoint)
    return math.sqrt(2 * checkpoint * number(0, says="seconds between failures", write=3600.0)("mtbf", mtbf))


def _interval(value: Any) -> Any:
    if value is None or value == "young":
        return value
    return whole(1).take(value)


@dataclass(frozen=True)
class Options:
    """All that can be chosen. Times in seconds, sizes in bytes."""

    partitions: int = 0  #: of the graph, 1 to 10,000; 0: two for each worker
    partitioner: Callable[[Any, int], int] = hash_partition  #: (vertex id, partitions) → partition
    arrays: bool | None = None  #: compute_batch; None: where the program has no compute
    #: Supersteps from one checkpoint to the next, >= 1; None: none is made; "young": by ``young``'s formula,
    #: from ``mtbf`` and the seconds that the last checkpoint took.
    checkpoint_every: int | str | None = None
    mtbf: float = 3600.0  #: seconds between two failures in this cluster, > 0
    recovery: str = ROLLBACK  #: or "confined" (§4.2)
    combine: bool = True  #: whether the program's combiner is used
    batch: int = 50_000  #: messages, >= 1, after which a partition's are sent, before it has computed (§4.3)
    max_supersteps: int = 1000  #: >= 1; a job that has not halted then has failed
    ping_every: float = 0.25
    timeout: float = 2.0  #: silence after which a worker has failed, and one without pings ends; > 2 pings
    call_timeout: float = 1.0  #: after which a message is taken for lost and sent again
    #: Virtual seconds, in the simulator, of an order, a vertex, a message, a byte: about what it needs.
    seconds_per_order: float = 1e-3
    seconds_per_vertex: float = 1e-6
    seconds_per_message: float = 1e-6
    seconds_per_byte: float = 1e-8

    def __post_init__(self) -> None:
        settle(self, RULES)
        outlasts(self.timeout, "ping_every", self.ping_every, "mark living workers as failed")


RULES: dict[str, Rule] = {
    **{
        field.name: whole(1) if field.type == "int" else number(0, write=field.default)
        for field in fields(Options)
        if field.type in ("int", "float")
    },
    "partitioner": Rule(
        lambda value: value if callable(value) else _no_function(),
        "a function (vertex id, partitions) → partition", ("hash_partition",), TypeError,
    ),
    "arrays": switch.or_none(),
    "checkpoint_every": Rule(_interval, "supersteps, 1 or more, or Young's formula", (10, "young")).or_none(),
    "partitions": whole(0, 10_000, write=8),
    "ping_every": number(0.001, says="seconds from one ping to the next, >= 0.001", write=0.25),
    "call_timeout": number(0.01, says="seconds, longer than a message and its answer travel, >= 0.01"),
    "mtbf": number(above=0, write=3600.0),
    "recovery": one_of(RECOVERIES),
    "combine": switch,
}  # fmt: skip


def _no_function() -> Any:
    raise TypeError


@dataclass(frozen=True)
class JobSpec:
    """One for all nodes of a job."""

    name: str  #: before the names of its nodes
    options: Options
    files: FileSettings  #: of the file system
    program: bytes  #: the user's class, pickled
    title: str  #: its name
    inputs: tuple[str, ...]  #: files, a piece of the input each
    reader: bytes  #: what makes vertices of them, pickled
    output: str  #: the folder
    workers: int  #: how many there are at the start
    arrays: bool
    n: int = 0  #: vertices of the input, if that is a graph in arrays
    seed: int = 0  #: of the vertices' random numbers; a machine that was restarted has another one

    @property
    def master(self) -> str:
        """The master's name."""
        return f"{self.name}-master"

    def worker(self, machine: str) -> str:
        """The name of a machine's worker."""
        return f"{self.name}-{machine}"

    @property
    def temporary(self) -> str:
        """The folder of what is there only while the job runs."""
        return f"{self.output}/_temporary"

    def checkpoint(self, superstep: int) -> str:
        """The folder of a checkpoint."""
        return f"{self.temporary}/checkpoint-{superstep:05}"


def given(options: dict[str, Any]) -> Options:
    """Options by name; raises ``TypeError`` naming those there are, ``ValueError``."""
    return Options(**checked("Pregel", options, RULES))
