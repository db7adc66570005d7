"""What must hold of every run, judged on its trace (SYSTEMS.md §14(f)); on both engines.

==================  ==========================================================================
Exclusion           nobody has a lock beside a writer
CanonicalOrder      an update's locks are taken in the order (owner, vertex)
Versions            an owner makes an item's versions 1, 2, 3 …, each once
Serializable        the conflict graph of the updates has no circle, where the consistency model says so
AllExecuted         T is empty at the end: what was scheduled was executed after that
SnapshotWhole       a snapshot has every vertex, and each item once
SnapshotConsistent  it holds no effect without its cause: who wrote what it has read only what it has
SnapshotTasks       what an update in it has scheduled, and none in it has executed since, is in its T
==================  ==========================================================================

Whether a run was serializable is told in any case. It breaks a rule only if all updates stayed within their
consistency model; the synchronous scheduler, and ``enforce=False`` for those who go beyond, promise nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from labkit.parts.checks import Findings, Violation, whole
from labkit.parts.serializability import Conflict, conflict_cycle
from labkit.runtime.cluster import Cluster

from .view import RunReducer, RunState, Update

__all__ = ["Report", "check_run"]

Key = tuple[int, int]  #: epoch and number of a snapshot


@dataclass
class Report(Findings):
    """What replaying a run found."""

    updates: int = 0
    snapshots: int = 0
    serializable: bool = True
    promised: bool = True  #: the consistency model promised it
    cycle: list[Conflict] = field(default_factory=list)  #: if it was not: conflicts that make a circle

    def __str__(self) -> str:
        verdict = "serializable" if self.serializable else "NOT serializable"
        if not self.promised:
            verdict += " (and nothing had promised it)"
        lines = self.lines({"update": self.updates, "snapshot": self.snapshots})
        return "\n".join([*lines, f"the run was {verdict}", *(f"  {each}" for each in self.cycle)])


class _Replay:
    def __init__(self, name: str) -> None:
        self.reducer = RunReducer(name)
        self.state: RunState = self.reducer.initial()
        self.report = Report()
        self.order: dict[tuple[int, int], tuple[int, int]] = {}  #: by job its last lock
        self.versions: dict[str, int] = {}
        self.items: dict[Key, dict[str, int]] = {}
        self.tasks: dict[Key, set[int]] = {}
        self.parts: dict[Key, set[str]] = {}  #: machines whose part is known
        self.died = False  #: a member of the epoch, and its last events with it
        self.vertices: set[int] = set()
        self.synchronous = False

    def apply(self, event: Any) -> None:
        mine = event.node is not None and event.data.get("run") == self.state.name
        handler = getattr(self, f"on_{event.kind}", None)
        if mine and handler is not None and event.data.get("epoch", 0) >= self.state.epoch:
            handler(event, event.data)
        if event.kind in ("killed", "machine_died") and event.machine in self.state.members:
            self.died = True
        self.reducer.apply(self.state, event)

    def on_epoch_began(self, event: Any, data: Any) -> None:
        self.order.clear()
        self.died = False
        self.versions.clear()
        self.synchronous = data["synchronous"]

    def on_loaded(self, event: Any, data: Any) -> None:
        if not isinstance(data["vertices"], int):
            self.vertices.update(data["vertices"])

    def on_locked(self, event: Any, data: Any) -> None:
        job, place = tuple(data["job"]), self.state.members.index(event.machine)
        for vertex, write in ((int(v), write) for v, write in data["locks"].items()):
            others = [(j, w) for (v, j), w in self.state.held.items() if v == vertex and j != job]
            if others and (write or any(w for _, w in others)):
                self.report.broken(event, "Exclusion", f"{job} locks {vertex}, which {others[0][0]} has")
            if self.order.get(job, (-1, -1)) >= (place, vertex):
                self.report.broken(event, "CanonicalOrder", f"{job} locks {vertex} after {self.order[job]}")
            self.order[job] = place, vertex

    def on_updated(self, event: Any, data: Any) -> None:
        self._made(event, data["writes"])

    def on_written(self, event: Any, data: Any) -> None:
        self._made(event, data["writes"])

    def _made(self, event: Any, writes: dict[str, int]) -> None:
        for item, version in writes.items():
            before = self.versions.get(item)
            if before is not None and version != before + 1:
                self.report.broken(event, "Versions", f"version {version} of {item} comes after {before}")
            self.versions[item] = version

    def on_part_saved(self, event: Any, data: Any) -> None:
        key = data["epoch"], data["number"]
        items = self.items.setdefault(key, {})
        for item, version in data["items"].items():
            if item in items:
                self.report.broken(event, "SnapshotWhole", f"{item} is saved twice in snapshot {key}")
            items[item] = version
        self.tasks.setdefault(key, set()).update(data["scheduled"])
        self.parts.setdefault(key, set()).add(event.machine)

    def on_snapshot_completed(self, event: Any, data: Any) -> None:
        key = data["epoch"], data["number"]
        if self.parts.get(key) != set(self.state.members):
            return  # not logged, or a machine has died with what it was to tell
        self.report.snapshots += 1
        items = self.items[key]
        lost = sorted(v for v in self.vertices if str(v) not in items)
        if lost:
            self.report.broken(event, "SnapshotWhole", f"vertex {lost[0]} is not in snapshot {key}")
        waiting: dict[int, Update] = {}
        for update in self.state.log:
            writes = {**update.writes, **self.state.written.get((update.epoch, update.job), {})}
            if update.epoch != key[0]:
                continue
            within = [items.get(item, 0) >= version for item, version in writes.items()]
            if not writes or all(within):
                waiting.pop(update.vertex, None)
            if any(within):
                self._judge(event, key, items, update, all(within))
                waiting |= dict.fromkeys(update.scheduled, update)
        for v, update in waiting.items():
            if v not in self.tasks[key]:
                self.report.broken(
                    event, "SnapshotTasks", f"update {update.job} is in snapshot {key}, its task {v} is not"
                )

    def _judge(self, event: Any, key: Key, items: dict[str, int], update: Update, whole_: bool) -> None:
        if not whole_:
            self.report.broken(event, "SnapshotConsistent", f"half of update {update.job} is in {key}")
        for item, version in update.reads.items():
            if items.get(item, 0) < version:
                self.report.broken(
                    event, "SnapshotConsistent",
                    f"update {update.job} is in {key}, and version {version} of {item}, which it read, not",
                )  # fmt: skip

    def end(self) -> None:
        """What is judged when all is over."""
        state, report = self.state, self.report
        report.updates = state.updates
        now = state.end or 0.0
        if state.result == "empty" and not self.died:
            for v, update in self._unexecuted().items():
                what = f"vertex {v} was scheduled by {update.job} and never executed after that"
                report.violations.append(Violation(now, "AllExecuted", what))
        for epoch in sorted({each.epoch for each in state.log}):
            promised = not self.synchronous and state.promised(epoch)
            report.promised &= promised
            try:
                cycle = conflict_cycle(state.transactions(epoch)) or []
            except ValueError as error:
                report.violations.append(Violation(now, "Versions", str(error)))
                continue
            if cycle:
                report.serializable, report.cycle = False, report.cycle or cycle
                if promised:
                    report.violations.append(Violation(now, "Serializable", "; ".join(map(str, cycle[:4]))))

    def _unexecuted(self) -> dict[int, Update]:
        waiting: dict[int, Update] = {}
        for update in self.state.log:
            if update.epoch == self.state.epoch:
                waiting.pop(update.vertex, None)
                waiting |= dict.fromkeys(update.scheduled, update)
        return waiting


def check_run(cluster: Cluster, name: str) -> Report:
    """The report on a run. Raises ``LabError`` if the trace has forgotten its beginning."""
    replay = _Replay(name)
    for event in whole(cluster):
        replay.apply(event)
    replay.end()
    return replay.report
