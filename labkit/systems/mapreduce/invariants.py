"""What must hold of every job, judged on its trace (SYSTEMS.md §6(f)); on both engines.

====================  ========================================================================
CommittedOnce         each output file is committed once, by a rename
CompletedReduceStays  a completed reduce task is not run again
CountedOnce           counters are the sums over one execution of each task
MapsFirst             no reduce task runs user code before all map outputs were available
LiveOutput            a reduce task that began after a loss does not use the lost output
EveryPairArrives      a reduce task gets as many pairs as the map tasks made for it
====================  ========================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labkit.parts.checks import Findings, whole
from labkit.runtime.cluster import Cluster

from .counters import total
from .messages import MAP, REDUCE

__all__ = ["Replay", "Report", "check_job"]


@dataclass
class Report(Findings):
    """What replaying a job found."""

    tasks: int = 0
    commits: int = 0

    def __str__(self) -> str:
        return "\n".join(self.lines({"execution": self.tasks, "commit": self.commits}))


class Replay:
    """Judges the events of one job, in their order."""

    def __init__(self, name: str, store: str) -> None:
        self.prefix, self.store = f"{name}-", store
        self.report = Report()
        self.output = ""
        self.started: dict[int, float] = {}
        self.maps: dict[int, int] = {}  #: by attempt, how many map outputs it is to have
        self.committed: dict[str, int] = {}
        self.completed: dict[tuple[str, int], int] = {}
        self.accepted: dict[int, tuple[int, list[int]]] = {}  #: map attempt: task, pairs by region
        self.lost_at: dict[int, float] = {}  #: map attempt
        self.counts: dict[tuple[str, int], dict[str, int]] = {}
        self.sources: dict[int, list[int]] = {}
        self.M = 0

    def apply(self, event: Any) -> None:
        own = event.node is not None and event.node.startswith(self.prefix)
        if own or (event.node == self.store and event.kind == "file_created"):
            handler = getattr(self, f"on_{event.kind}", None)
            if handler is not None:
                handler(event, event.data)

    def on_job_started(self, event: Any, data: Any) -> None:
        self.M, self.output = data["M"], data["output"]

    def on_task_started(self, event: Any, data: Any) -> None:
        self.report.tasks += 1
        self.started[data["attempt"]] = event.time
        self.maps[data["attempt"]] = self.M
        if data["kind"] == REDUCE and (REDUCE, data["task"]) in self.completed:
            self.report.broken(
                event, "CompletedReduceStays", f"reduce {data['task']} begins again: {data['why']}"
            )

    def on_task_running(self, event: Any, data: Any) -> None:
        if data["kind"] != REDUCE:
            return
        sources = self.sources[data["attempt"]] = data["sources"]
        wanted = self.maps.get(data["attempt"], self.M)
        if len(sources) != wanted:
            self.report.broken(
                event, "MapsFirst", f"reduce {data['task']} has {len(sources)} of {wanted} outputs"
            )
        began = self.started.get(data["attempt"], event.time)
        for source in self.fetched(data, sources):
            if self.lost_at.get(source, began) < began:
                self.report.broken(
                    event, "LiveOutput", f"reduce {data['task']} used lost output of attempt {source}"
                )

    def fetched(self, data: Any, sources: list[int]) -> list[int]:
        """Those of a reduce task's sources that it has fetched."""
        return sources

    def on_task_finished(self, event: Any, data: Any) -> None:
        if data["result"] != "ok":
            return
        key = (data["kind"], data["task"])
        self.completed[key] = data["attempt"]
        self.counts[key] = data["counts"]
        if data["kind"] == MAP:
            self.accepted[data["attempt"]] = (data["task"], data["pairs"])
        elif data["attempt"] in self.sources:
            made = [self.accepted.get(each) for each in self.sources[data["attempt"]]]
            wanted = sum(each[1][data["task"]] for each in made if each is not None)
            if None not in made and wanted != data["pairs"][0]:
                self.report.broken(
                    event,
                    "EveryPairArrives",
                    f"reduce {data['task']} got {data['pairs'][0]} of {wanted} pairs",
                )

    def on_master_recovered(self, event: Any, data: Any) -> None:
        """What it has forgotten since its checkpoint is done again."""
        known = {*((MAP, task) for task in data["maps"]), *((REDUCE, task) for task in data["reduces"])}
        self.completed = {key: attempt for key, attempt in self.completed.items() if key in known}
        self.counts = {key: counts for key, counts in self.counts.items() if key in known}

    def on_outputs_lost(self, event: Any, data: Any) -> None:
        for task in data["tasks"]:
            attempt = self.completed.pop((MAP, task), None)
            if attempt is not None:
                self.lost_at[attempt] = event.time

    def on_reduce_committed(self, event: Any, data: Any) -> None:
        self.report.commits += 1
        self.committed[data["path"]] = times = self.committed.get(data["path"], 0) + 1
        if times > 1:
            self.report.broken(event, "CommittedOnce", f"{data['path']} was committed {times} times")

    def on_file_created(self, event: Any, data: Any) -> None:
        if self.output and data["path"].startswith(f"{self.output}/part-"):
            self.report.broken(event, "CommittedOnce", f"{data['path']} was written in place, not renamed")

    def on_job_finished(self, event: Any, data: Any) -> None:
        if data["result"] == "aborted":  # the master that had counted is dead
            return
        wanted = total(self.counts.values())
        if dict(data["counters"]) != wanted:
            self.report.broken(event, "CountedOnce", f"counters are {data['counters']}, not {wanted}")


def check_job(cluster: Cluster, name: str, store: str) -> Report:
    """The report on a job. Raises ``LabError`` if the trace has forgotten its beginning."""
    replay = Replay(name, store)
    for event in whole(cluster):
        replay.apply(event)
    return replay.report
