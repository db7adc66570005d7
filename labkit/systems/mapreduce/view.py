"""What a job's events add up to at a position of the trace: one fold, read by panel, checks and status."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from labkit.trace.machines import Machines, MachineView

from .messages import MAP, REDUCE

__all__ = ["RATES", "Execution", "JobReducer", "JobState"]

#: Of Figure 3: bytes that map tasks read, that reduce tasks fetch, that reduce tasks write.
RATES = ("input", "shuffle", "output")


@dataclass(frozen=True)
class Execution:
    """One attempt at a task: a bar of the time line."""

    attempt: int
    kind: str
    task: int
    worker: str
    machine: str
    why: str  # first, retry, lost or backup
    locality: str
    began: float
    running: float | None = None  # when the user's code began
    end: float | None = None
    result: str = "in progress"  # ok, failed, lost, too_late or cancelled
    bytes_out: int = 0
    emitted: int = 0  # pairs by the user's map
    pairs: int = 0  # of them in the regions, after the combiner; of a reduce task: that came in


@dataclass
class JobState:
    """A job so far."""

    lab: Machines = field(default_factory=Machines)
    name: str = ""
    M: int = 0
    R: int = 0
    input: int = 0
    began: float = 0.0
    end: float | None = None
    result: str = ""  # ok, failed, cancelled or aborted, when it is over
    executions: dict[int, Execution] = field(default_factory=dict)
    completed: dict[tuple[str, int], int] = field(default_factory=dict)  # (kind, task): attempt
    committed: dict[int, str] = field(default_factory=dict)  # reduce task: path
    workers: dict[str, str] = field(default_factory=dict)  # name: alive or failed
    counters: dict[str, int] = field(default_factory=dict)
    lost: dict[int, float] = field(default_factory=dict)  # attempt: when its output was lost
    #: (time, machine, dead, noticed or back) while the job ran.
    moments: list[tuple[float, str, str]] = field(default_factory=list)
    #: (time, input, shuffle or output, bytes, attempt): a lost map output is taken
    #: back from the input.
    moved: list[tuple[float, str, int, int]] = field(default_factory=list)
    skipped: list[tuple[str, int, int]] = field(default_factory=list)

    def done(self, kind: str) -> int:
        """Completed tasks of a kind."""
        return sum(1 for each, _ in self.completed if each == kind)

    def state(self, kind: str, task: int) -> str:
        """idle, in progress or completed (§3.2)."""
        if (kind, task) in self.completed:
            return "completed"
        running = any(
            each.kind == kind and each.task == task and each.end is None for each in self.executions.values()
        )
        return "in progress" if running else "idle"


class JobReducer:
    """Folds the events of the nodes of one job, beginning with machines that are known, if any."""

    def __init__(self, name: str, known: Sequence[MachineView] = ()) -> None:
        self.prefix, self.known = f"{name}-", known

    def initial(self) -> JobState:
        """Nothing yet."""
        return JobState(Machines.known(self.known), self.prefix[:-1])

    def apply(self, state: JobState, event: Any) -> None:
        """Fold one event."""
        if event.kind in ("killed", "machine_died") and state.executions and state.end is None:
            machine = state.lab.machines.get(event.machine)
            if machine is not None and machine.state != "dead":
                state.moments.append((event.time, event.machine, "dead"))
        state.lab.apply(event)
        handler = _HANDLERS.get(event.kind)
        if handler is not None and event.node is not None and event.node.startswith(self.prefix):
            handler(state, event, event.data)


def _job_started(state: JobState, event: Any, data: Mapping[str, Any]) -> None:
    state.name, state.M, state.R = data["job"], data["M"], data["R"]
    state.input, state.began = data["input"], event.time


def _job_finished(state: JobState, event: Any, data: Mapping[str, Any]) -> None:
    state.end, state.result, state.counters = event.time, data["result"], dict(data["counters"])


def _task_started(state: JobState, event: Any, data: Mapping[str, Any]) -> None:
    state.executions[data["attempt"]] = Execution(
        data["attempt"], data["kind"], data["task"], data["worker"], data["machine"], data["why"],
        data["locality"], event.time,
    )  # fmt: skip


def _task_running(state: JobState, event: Any, data: Mapping[str, Any]) -> None:
    if (found := state.executions.get(data["attempt"])) is not None:
        state.executions[found.attempt] = replace(found, running=event.time)


def _task_finished(state: JobState, event: Any, data: Mapping[str, Any]) -> None:
    if (found := state.executions.get(data["attempt"])) is not None:
        state.executions[found.attempt] = replace(
            found, end=event.time, result=data["result"], bytes_out=data["bytes_out"],
            emitted=data["counts"].get("map_output_pairs", 0), pairs=sum(data["pairs"]),
        )  # fmt: skip
    if data["result"] == "ok":
        state.completed[data["kind"], data["task"]] = data["attempt"]


def _outputs_lost(state: JobState, event: Any, data: Mapping[str, Any]) -> None:
    for task in data["tasks"]:
        attempt = state.completed.pop((MAP, task), None)
        if attempt is not None:
            state.lost[attempt] = event.time
            read = sum(size for _, what, size, who in state.moved if who == attempt and what == "input")
            state.moved.append((event.time, "input", -read, attempt))


def _recovered(state: JobState, event: Any, data: Mapping[str, Any]) -> None:
    """The new copy of the master knows no execution, and only what its checkpoint has of the completed."""
    for number, found in state.executions.items():
        if found.end is None:
            state.executions[number] = replace(found, end=event.time, result="lost")
    known = {*((MAP, task) for task in data["maps"]), *((REDUCE, task) for task in data["reduces"])}
    state.completed = {key: attempt for key, attempt in state.completed.items() if key in known}


def _moved(what: str) -> Callable[[JobState, Any, Mapping[str, Any]], None]:
    def apply(state: JobState, event: Any, data: Mapping[str, Any]) -> None:
        state.moved.append((event.time, what, data["bytes"], data["attempt"]))

    return apply


def _committed(state: JobState, event: Any, data: Mapping[str, Any]) -> None:
    state.committed[data["task"]] = data["path"]


def _worker(what: str) -> Callable[[JobState, Any, Mapping[str, Any]], None]:
    def apply(state: JobState, event: Any, data: Mapping[str, Any]) -> None:
        was, state.workers[data["worker"]] = state.workers.get(data["worker"], "alive"), what
        if was != what and state.end is None:
            seen = "noticed" if what == "failed" else "back"
            state.moments.append((event.time, data["machine"], seen))

    return apply


def _skipped(state: JobState, event: Any, data: Mapping[str, Any]) -> None:
    state.skipped.append((data["kind"], data["task"], data["record"]))


_HANDLERS: dict[str, Callable[[JobState, Any, Mapping[str, Any]], None]] = {
    "job_started": _job_started,
    "job_finished": _job_finished,
    "task_started": _task_started,
    "task_running": _task_running,
    "task_finished": _task_finished,
    "outputs_lost": _outputs_lost,
    "master_recovered": _recovered,
    "input_read": _moved("input"),
    "shuffled": _moved("shuffle"),
    "output_written": _moved("output"),
    "reduce_committed": _committed,
    "worker_registered": _worker("alive"),
    "worker_failed": _worker("failed"),
    "record_skipped": _skipped,
}
