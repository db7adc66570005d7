"""What a job's events add up to at a position of the trace: one fold, read by panel, checks and pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from labkit.trace.machines import Machines, MachineView

from .plan import Link

__all__ = ["JobReducer", "JobState", "Record"]


@dataclass(frozen=True)
class Record:
    """A process of an execution record: a bar of the time line."""

    process: int
    vertices: tuple[int, ...]
    version: int
    machine: str
    rack: str
    why: str  # first, rerun, upstream or duplicate
    began: float
    running: float | None = None  # when it had its input
    end: float | None = None
    result: str = "running"  # ok, failed, lost, read_error or cancelled


@dataclass
class JobState:
    """A job so far."""

    lab: Machines = field(default_factory=Machines)
    name: str = ""
    began: float = 0.0
    end: float | None = None
    result: str = ""
    stage_of: dict[int, str] = field(default_factory=dict)
    files: set[int] = field(default_factory=set)  # vertices that are files
    outputs: set[int] = field(default_factory=set)
    links: dict[tuple[int, int], Link] = field(default_factory=dict)  # by source and port
    inserted: dict[int, float] = field(default_factory=dict)  # by refinement: when
    records: dict[int, Record] = field(default_factory=dict)  # by process
    completed: dict[int, int] = field(default_factory=dict)  # vertex: the version that counts
    lost: dict[tuple[int, int], float] = field(default_factory=dict)  # vertex, version: its output was
    committed: dict[int, str] = field(default_factory=dict)
    racks: dict[str, str] = field(default_factory=dict)  # by machine
    bytes_within: int = 0  # on one computer
    bytes_in_rack: int = 0
    bytes_between: int = 0  # racks
    bytes_piped: int = 0
    errors: list[tuple[float, str, str]] = field(default_factory=list)
    stuck: str = ""
    moments: list[tuple[float, str, str]] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Vertices that run."""
        return len(self.stage_of) - len(self.files)

    @property
    def completed_count(self) -> int:
        """Of these, how many are completed."""
        return len(self.completed)

    def edges(self) -> list[tuple[int, int, str]]:
        """Source, target, kind."""
        return [(link.source, link.target, link.kind) for link in self.links.values()]

    def of(self, vertex: int) -> list[Record]:
        """Its execution records."""
        return [each for each in self.records.values() if vertex in each.vertices]

    def state(self, vertex: int) -> str:
        """waiting, running or completed."""
        if vertex in self.completed or vertex in self.files:
            return "completed"
        return "running" if any(each.end is None for each in self.of(vertex)) else "waiting"

    def stages(self) -> dict[str, list[int]]:
        """By stage its vertices."""
        found: dict[str, list[int]] = {}
        for vertex, stage in self.stage_of.items():
            found.setdefault(stage, []).append(vertex)
        return found


class JobReducer:
    """Folds the events of the nodes that work on one job."""

    def __init__(self, name: str, known: Sequence[MachineView] = ()) -> None:
        self.name, self.known = name, known

    def initial(self) -> JobState:
        """Nothing yet."""
        return JobState(Machines.known(self.known), self.name)

    def apply(self, state: JobState, event: Any) -> None:
        """Fold one event."""
        if event.kind in ("killed", "machine_died") and state.records and state.end is None:
            machine = state.lab.machines.get(event.machine)
            if machine is not None and machine.state != "dead":
                state.moments.append((event.time, event.machine, "dead"))
        state.lab.apply(event)
        handler = _HANDLERS.get(event.kind)
        if handler is not None and event.node is not None and event.data.get("job") == self.name:
            handler(state, event, event.data)


def _job_started(state: JobState, event: Any, data: Mapping[str, Any]) -> None:
    state.began = event.time
    for number, (stage, is_file) in enumerate(data["vertices"]):
        state.stage_of[number] = stage
        if is_file:
            state.files.add(number)
    state.outputs = set(data["outputs"])
    for link in data["links"]:
        state.links[link[0], link[1]] = Link(*link)


def _job_finished(state: JobState, event: Any, data: Mapping[str, Any]) -> None:
    state.end, state.result = event.time, data["result"]


def _joined(state: JobState, event: Any, data: Mapping[str, Any]) -> None:
    if data["machine"] in state.racks:
        state.moments.append((event.time, data["machine"], "back"))
    state.racks[data["machine"]] = data["rack"]


def _computer_lost(state: JobState, event: Any, data: Mapping[str, Any]) -> None:
    state.moments.append((event.time, data["machine"], "noticed"))


def _process_started(state: JobState, event: Any, data: Mapping[str, Any]) -> None:
    state.stuck = ""
    state.records[data["process"]] = Record(
        data["process"], tuple(data["vertices"]), data["version"], data["machine"], data["rack"], data["why"],
        event.time,
    )  # fmt: skip


def _process_running(state: JobState, event: Any, data: Mapping[str, Any]) -> None:
    found = state.records.get(data["process"])
    if found is not None:
        state.records[found.process] = replace(found, running=event.time)
        for _, _, _, _, size, machine in data["reads"]:
            if machine:
                _moved(state, machine, found.machine, size)


def _moved(state: JobState, source: str, target: str, size: int) -> None:
    if source == target:
        state.bytes_within += size
    elif state.racks.get(source) == state.racks.get(target):
        state.bytes_in_rack += size
    else:
        state.bytes_between += size


def _pipe_closed(state: JobState, event: Any, data: Mapping[str, Any]) -> None:
    state.bytes_piped += data["bytes"]
    _moved(state, event.machine, data["machine"], data["bytes"])


def _process_ended(state: JobState, event: Any, data: Mapping[str, Any]) -> None:
    found = state.records.get(data["process"])
    if found is not None:
        state.records[found.process] = replace(found, end=event.time, result=data["result"])


def _selected(state: JobState, event: Any, data: Mapping[str, Any]) -> None:
    for vertex in data["vertices"]:
        state.completed[vertex] = data["version"]


def _output_lost(state: JobState, event: Any, data: Mapping[str, Any]) -> None:
    for vertex in data["vertices"]:
        state.completed.pop(vertex, None)
    state.lost[data["vertex"], data["version"]] = event.time


def _refined(state: JobState, event: Any, data: Mapping[str, Any]) -> None:
    vertex = data["vertex"]
    state.stage_of[vertex], state.inserted[vertex] = data["stage"], event.time
    for link in data["links"]:
        state.links[link[0], link[1]] = Link(*link)._replace(target=vertex)
    for link in data["targets"]:
        state.links[link[0], link[1]] = Link(*link)


def _failed(state: JobState, event: Any, data: Mapping[str, Any]) -> None:
    state.errors.append((event.time, data["name"], data["error"]))


def _committed(state: JobState, event: Any, data: Mapping[str, Any]) -> None:
    state.committed[data["vertex"]] = data["path"]


def _deadlocked(state: JobState, event: Any, data: Mapping[str, Any]) -> None:
    state.stuck = data["why"]


_HANDLERS: dict[str, Callable[[JobState, Any, Mapping[str, Any]], None]] = {
    "job_started": _job_started,
    "job_finished": _job_finished,
    "computer_joined": _joined,
    "computer_lost": _computer_lost,
    "process_started": _process_started,
    "process_running": _process_running,
    "process_ended": _process_ended,
    "pipe_closed": _pipe_closed,
    "version_selected": _selected,
    "output_lost": _output_lost,
    "vertex_inserted": _refined,
    "vertex_replicated": _refined,
    "vertex_failed": _failed,
    "output_committed": _committed,
    "deadlocked": _deadlocked,
}
