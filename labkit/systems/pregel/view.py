"""What a job's events add up to at a position of the trace: one fold, read by panel and statistics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from labkit.trace.machines import Machines, MachineView

__all__ = ["Computation", "PregelReducer", "PregelState", "Recovery", "Superstep"]


@dataclass(frozen=True)
class Computation:
    """One superstep of one partition: a bar of the time line."""

    superstep: int
    partition: int
    worker: str
    machine: str
    epoch: int
    began: float
    end: float
    computed: int  # vertices
    active: int
    sent: int  # messages, before the combiner
    combined: int  # and after it
    bytes: int
    recovering: bool  # a lost partition, which computes it again


@dataclass(frozen=True)
class Superstep:
    """A superstep as the master sees it; the last time it was done."""

    number: int
    began: float
    end: float | None = None
    vertices: int = 0
    edges: int = 0
    computed: int = 0
    active: int = 0
    sent: int = 0
    combined: int = 0
    bytes: int = 0
    aggregated: Mapping[str, Any] = field(default_factory=dict)
    finished: tuple[tuple[str, float], ...] = ()  # worker, when


@dataclass(frozen=True)
class Recovery:
    """A failure, and what was done about it."""

    time: float
    kind: str
    lost: tuple[int, ...]
    superstep: int  # that was interrupted
    back_to: int | None  # the checkpoint; None: the input
    end: float | None = None


@dataclass
class PregelState:
    """A job so far."""

    lab: Machines = field(default_factory=Machines)
    name: str = ""
    program: str = ""
    partitions: int = 0
    workers: dict[str, str] = field(default_factory=dict)  # name: alive or failed
    machines: dict[str, str] = field(default_factory=dict)  # of workers
    places: tuple[str, ...] = ()
    vertices: int = 0
    edges: int = 0
    degrees: tuple[int, ...] = ()
    began: float = 0.0
    end: float | None = None
    result: str = ""
    recovery: str = ""
    supersteps: dict[int, Superstep] = field(default_factory=dict)
    current: int = -1  # the superstep that runs, or ran last
    computations: list[Computation] = field(default_factory=list)
    #: By partition its last computation.
    latest: dict[int, Computation] = field(default_factory=dict)
    recoveries: list[Recovery] = field(default_factory=list)
    checkpoints: list[tuple[float, int, int, float]] = field(
        default_factory=list
    )  # when, superstep, bytes, s
    broken: list[tuple[float, int, int, str]] = field(default_factory=list)

    @property
    def superstep(self) -> Superstep | None:
        """The one that runs, or ran last."""
        return self.supersteps.get(self.current)

    @property
    def waiting_for(self) -> list[str]:
        """Workers that have not finished the superstep that runs."""
        now = self.superstep
        if now is None or now.end is not None:
            return []
        finished = {worker for worker, _ in now.finished}
        return [worker for worker in sorted(set(self.places)) if worker and worker not in finished]

    @property
    def recovering(self) -> Recovery | None:
        """The recovery that goes on."""
        last = self.recoveries[-1] if self.recoveries else None
        return last if last is not None and last.end is None else None

    def work(self) -> dict[str, int]:
        """Calls of compute: all of them, and those that each superstep needed once."""
        needed = {(each.partition, each.superstep): each.computed for each in self.computations}
        return {"computed": sum(each.computed for each in self.computations), "needed": sum(needed.values())}


class PregelReducer:
    """Folds the events of the nodes of one job, beginning with machines that are known, if any."""

    def __init__(self, name: str, known: Sequence[MachineView] = ()) -> None:
        self.prefix, self.known = f"{name}-" if name else "", known

    def initial(self) -> PregelState:
        """Nothing yet."""
        return PregelState(Machines.known(self.known), self.prefix[:-1])

    def apply(self, state: PregelState, event: Any) -> None:
        """Fold one event."""
        state.lab.apply(event)
        handler = _HANDLERS.get(event.kind)
        if handler is not None and event.node is not None and event.node.startswith(self.prefix):
            handler(state, event, event.data)


def _job_started(state: PregelState, event: Any, data: Mapping[str, Any]) -> None:
    state.name, state.program, state.partitions = data["job"], data["program"], data["partitions"]
    state.recovery, state.began = data["recovery"], event.time


def _loaded(state: PregelState, event: Any, data: Mapping[str, Any]) -> None:
    state.vertices, state.edges, state.degrees = data["vertices"], data["edges"], tuple(data["degrees"])


def _registered(state: PregelState, event: Any, data: Mapping[str, Any]) -> None:
    state.workers[data["worker"]], state.machines[data["worker"]] = "alive", data["machine"]


def _failed(state: PregelState, event: Any, data: Mapping[str, Any]) -> None:
    state.workers[data["worker"]] = "failed"


def _assigned(state: PregelState, event: Any, data: Mapping[str, Any]) -> None:
    state.places = tuple(data["places"])


def _superstep_started(state: PregelState, event: Any, data: Mapping[str, Any]) -> None:
    state.current = data["superstep"]
    state.supersteps[state.current] = Superstep(state.current, event.time)


def _superstep_finished(state: PregelState, event: Any, data: Mapping[str, Any]) -> None:
    number = data["superstep"]
    found = state.supersteps.get(number, Superstep(number, event.time))
    names = ("vertices", "edges", "computed", "active", "sent", "combined", "bytes", "aggregated")
    state.supersteps[number] = replace(found, end=event.time, **{name: data[name] for name in names})
    state.vertices, state.edges = data["vertices"], data["edges"]


def _computed(state: PregelState, event: Any, data: Mapping[str, Any]) -> None:
    each = Computation(
        data["superstep"], data["partition"], event.node, event.machine, data["epoch"], data["began"],
        event.time, data["computed"], data["active"], data["sent"], data["combined"], data["bytes"],
        data["recovering"],
    )  # fmt: skip
    state.computations.append(each)
    state.latest[each.partition] = each


def _worker_finished(state: PregelState, event: Any, data: Mapping[str, Any]) -> None:
    found = state.supersteps.get(data["superstep"])
    if found is not None and found.end is None:
        finished = (*found.finished, (event.node, event.time))
        state.supersteps[found.number] = replace(found, finished=finished)


def _checkpoint(state: PregelState, event: Any, data: Mapping[str, Any]) -> None:
    state.checkpoints.append((event.time, data["superstep"], data["bytes"], data["seconds"]))


def _recovery_started(state: PregelState, event: Any, data: Mapping[str, Any]) -> None:
    found = Recovery(event.time, data["kind"], tuple(data["lost"]), data["superstep"], data["back_to"])
    state.recoveries.append(found)


def _recovery_finished(state: PregelState, event: Any, data: Mapping[str, Any]) -> None:
    if state.recoveries:
        state.recoveries[-1] = replace(state.recoveries[-1], end=event.time)


def _chosen(state: PregelState, event: Any, data: Mapping[str, Any]) -> None:
    state.recovery = data["recovery"]


def _broken(state: PregelState, event: Any, data: Mapping[str, Any]) -> None:
    state.broken.append((event.time, data["partition"], data["superstep"], data["detail"]))


def _finished(state: PregelState, event: Any, data: Mapping[str, Any]) -> None:
    state.end, state.result = event.time, data["result"]


_HANDLERS: dict[str, Callable[[PregelState, Any, Mapping[str, Any]], None]] = {
    "job_started": _job_started,
    "graph_loaded": _loaded,
    "worker_registered": _registered,
    "worker_failed": _failed,
    "partitions_assigned": _assigned,
    "superstep_started": _superstep_started,
    "superstep_finished": _superstep_finished,
    "partition_computed": _computed,
    "worker_finished": _worker_finished,
    "checkpoint_written": _checkpoint,
    "recovery_started": _recovery_started,
    "recovery_finished": _recovery_finished,
    "recovery_chosen": _chosen,
    "invariant_broken": _broken,
    "job_finished": _finished,
}
