"""What a run's events add up to at a position of the trace: one fold, for panel, checks and experiments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from labkit.parts.serializability import Transaction
from labkit.trace.machines import Machines, MachineView

from .scopes import EDGE, FULL, VERTEX, allowed

__all__ = ["RunReducer", "RunState", "Snapshot", "Update"]


class Update(NamedTuple):
    """An update that was executed."""

    time: float
    machine: str
    epoch: int
    job: tuple[int, int]
    vertex: int
    consistency: str
    reads: Mapping[Any, int]  #: by item the version
    writes: Mapping[Any, int]  #: of the machine's own items; what it wrote elsewhere is in ``written``
    scheduled: tuple[int, ...]


class Snapshot(NamedTuple):
    """One that was begun."""

    epoch: int
    number: int
    mode: str
    began: float
    completed: float | None = None

    @property
    def seconds(self) -> float:
        """How long it took; 0 if it is not complete."""
        return 0.0 if self.completed is None else self.completed - self.began


@dataclass
class RunState:
    """A run so far."""

    lab: Machines = field(default_factory=Machines)
    name: str = ""
    began: float = 0.0
    end: float | None = None
    result: str = ""
    error: str = ""
    epoch: int = 0
    running: bool = False  # all machines of the epoch have loaded
    members: tuple[str, ...] = ()
    place: tuple[str, ...] = ()  # machine of each atom
    owner: dict[int, str] = field(default_factory=dict)  # by vertex
    consistency: str = ""
    scheduler: str = ""
    changes: list[tuple[float, str]] = field(default_factory=list)  # of the consistency
    rollbacks: list[tuple[float, str, str]] = field(default_factory=list)  # when, machine, why
    log: list[Update] = field(default_factory=list)
    #: By (epoch, job) what updates wrote on other machines: versions by item.
    written: dict[tuple[int, tuple[int, int]], Mapping[Any, int]] = field(default_factory=dict)
    per_vertex: dict[int, int] = field(default_factory=dict)  # updates
    values: dict[int, Any] = field(default_factory=dict)  # the last ones that events have shown
    scheduled: dict[int, None] = field(default_factory=dict)  # in T or in a pipeline, as far as events tell
    held: dict[tuple[int, tuple[int, int]], bool] = field(default_factory=dict)  # (vertex, job): write
    #: By job: its vertex, and the one that it waits for.
    awaited: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    locks: int = 0  # given so far
    waits: int = 0  # of these, those that had to wait
    snapshots: list[Snapshot] = field(default_factory=list)
    synced: dict[str, list[tuple[float, Any]]] = field(default_factory=dict)
    counted: int = 0  # updates, as the monitor counts them
    agreed: str = ""  # that T is empty: after what

    @property
    def updates(self) -> int:
        """How many were executed, in all epochs; with ``log=False`` those of the last, when it is over."""
        return len(self.log) or self.counted

    def transactions(self, epoch: int, last: int = 0) -> list[Transaction]:
        """The updates of an epoch, for the checker of serializability; of the ``last`` ones, if given."""
        return [
            Transaction(
                f"update {each.job[0]}.{each.job[1]} of vertex {each.vertex}",
                each.reads, {**each.writes, **self.written.get((epoch, each.job), {})},
            )
            for each in self.log[-last:]
            if each.epoch == epoch
        ]  # fmt: skip

    def promised(self, epoch: int) -> bool:
        """Whether all updates of an epoch stayed within their consistency model, so that it promises a
        serializable run (UAI, Proposition 3.1)."""
        return all(
            _within(each, item, write)
            for each in self.log
            if each.epoch == epoch
            for items, write in (
                (each.reads, False), (each.writes, True), (self.written.get((epoch, each.job), {}), True),
            )
            for item in items
        )  # fmt: skip


def _within(update: Update, item: str, write: bool) -> bool:
    edge = "→" in item
    if update.consistency == FULL or (not edge and int(item) == update.vertex):
        return True
    return update.consistency != VERTEX and (edge or allowed(EDGE, update.vertex, int(item), write))


class RunReducer:
    """Folds the events of the nodes of one run."""

    def __init__(self, name: str, known: Sequence[MachineView] = ()) -> None:
        self.name, self.known = name, known

    def initial(self) -> RunState:
        """Nothing yet."""
        return RunState(Machines.known(self.known), self.name)

    def apply(self, state: RunState, event: Any) -> None:
        """Fold one event."""
        state.lab.apply(event)
        handler = _HANDLERS.get(event.kind)
        mine = event.node is not None and event.data.get("run") == self.name
        # What a machine of an earlier epoch still does has no effect.
        if handler is not None and mine and event.data.get("epoch", state.epoch) >= state.epoch:
            handler(state, event, event.data)


Data = Mapping[str, Any]


def _epoch_began(state: RunState, event: Any, data: Data) -> None:
    if data["epoch"] == 1:
        state.began = event.time
    else:
        state.rollbacks.append((event.time, data["lost"], data["why"]))
    state.epoch, state.running, state.agreed = data["epoch"], False, ""
    state.members, state.place = tuple(data["members"]), tuple(data["place"])
    state.consistency, state.scheduler = data["consistency"], data["scheduler"]
    state.held.clear()
    state.awaited.clear()
    state.scheduled.clear()


def _epoch_runs(state: RunState, event: Any, data: Data) -> None:
    state.running = True


def _loaded(state: RunState, event: Any, data: Data) -> None:
    if not isinstance(data["vertices"], int):
        state.owner |= dict.fromkeys(data["vertices"], event.machine)
        state.scheduled |= dict.fromkeys(data["scheduled"])


def _updated(state: RunState, event: Any, data: Data) -> None:
    vertex, job = data["vertex"], tuple(data["job"])
    state.log.append(
        Update(event.time, event.machine, data["epoch"], job, vertex, data["consistency"], data["reads"],
               data["writes"], tuple(data["scheduled"]))
    )  # fmt: skip
    state.per_vertex[vertex] = state.per_vertex.get(vertex, 0) + 1
    if data["value"] is not None:
        state.values[vertex] = data["value"]
    state.scheduled.pop(vertex, None)
    state.scheduled |= dict.fromkeys(data["scheduled"])


def _written(state: RunState, event: Any, data: Data) -> None:
    key = data["epoch"], tuple(data["job"])
    state.written[key] = {**state.written.get(key, {}), **data["writes"]}


def _locked(state: RunState, event: Any, data: Data) -> None:
    job = tuple(data["job"])
    state.locks += len(data["locks"])
    state.awaited.pop(job, None)
    for vertex, write in data["locks"].items():
        state.held[int(vertex), job] = write


def _lock_awaited(state: RunState, event: Any, data: Data) -> None:
    state.waits += 1
    state.awaited[tuple(data["job"])] = data["by"], data["vertex"]


def _unlocked(state: RunState, event: Any, data: Data) -> None:
    for vertex in data["vertices"]:
        state.held.pop((vertex, tuple(data["job"])), None)


def _consistency_changed(state: RunState, event: Any, data: Data) -> None:
    state.consistency = data["consistency"]
    state.changes.append((event.time, data["consistency"]))


def _scheduler_changed(state: RunState, event: Any, data: Data) -> None:
    state.scheduler = data["scheduler"]


def _snapshot_began(state: RunState, event: Any, data: Data) -> None:
    state.snapshots.append(Snapshot(data["epoch"], data["number"], data["mode"], event.time))


def _snapshot_completed(state: RunState, event: Any, data: Data) -> None:
    for at, each in enumerate(state.snapshots):
        if (each.epoch, each.number) == (data["epoch"], data["number"]):
            state.snapshots[at] = each._replace(completed=event.time)


def _synced(state: RunState, event: Any, data: Data) -> None:
    before = state.synced.get(data["name"], [])
    state.synced[data["name"]] = [*before, (event.time, data["value"])]


def _all_idle(state: RunState, event: Any, data: Data) -> None:
    state.agreed = data["after"]


def _run_finished(state: RunState, event: Any, data: Data) -> None:
    state.end, state.result, state.error = event.time, data["result"], data["error"]
    state.counted = data["updates"]


_HANDLERS: dict[str, Callable[[RunState, Any, Data], None]] = {
    "epoch_began": _epoch_began,
    "epoch_runs": _epoch_runs,
    "loaded": _loaded,
    "updated": _updated,
    "written": _written,
    "locked": _locked,
    "lock_awaited": _lock_awaited,
    "unlocked": _unlocked,
    "consistency_changed": _consistency_changed,
    "scheduler_changed": _scheduler_changed,
    "snapshot_began": _snapshot_began,
    "snapshot_completed": _snapshot_completed,
    "synced": _synced,
    "all_idle": _all_idle,
    "run_finished": _run_finished,
}
