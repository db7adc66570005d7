"""What must hold of every loop (SYSTEMS.md §7(f)), beside what must hold of every stage of it as a
MapReduce job.

================  ============================================================================================
SameNode          a partition goes to the worker that had it an iteration before, if that lives and is idle
ReadOnce          with the reducer input cache, a piece of an invariant table is read again only after a loss
RightCache        a reduce task has every pair of its invariant tables, from the cache or not
RightDistance     the distance that was told is that of the outputs in the file system
EndsRight         the loop ends when it shall: at the fix point, the threshold or the maximum
================  ============================================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from labkit.parts.checks import Violation, whole
from labkit.runtime.cluster import Cluster
from labkit.systems.mapreduce.counters import total
from labkit.systems.mapreduce.invariants import Replay
from labkit.systems.mapreduce.invariants import Report as JobReport
from labkit.systems.mapreduce.messages import MAP, REDUCE

from .model import distance_of
from .options import REDUCER_INPUT, Body

__all__ = ["Report", "check_loop"]

#: Two sums of the same numbers in another order.
CLOSE = 1e-9


@dataclass
class Report(JobReport):
    """What replaying a loop found."""

    iterations: int = 0

    def __str__(self) -> str:
        judged = {"iteration": self.iterations, "execution": self.tasks, "commit": self.commits}
        return "\n".join(self.lines(judged))


class LoopReplay(Replay):
    """Each stage is judged as a job."""

    def __init__(self, name: str, store: str, caching: bool) -> None:
        super().__init__(name, store)
        self.report: Report = Report()
        self.caching = caching
        self.step = self.iteration = self.invariant = 0
        self.homes: dict[tuple[int, int], str] = {}
        self.busy: dict[str, int] = {}  #: reduce tasks that run, by worker
        self.attempts: dict[int, tuple[str, int, str]] = {}
        self.alive: set[str] = set()
        #: By step and map task of an invariant table: who has its output.
        self.kept: dict[tuple[int, int], str] = {}
        self.cached: set[int] = set()  #: attempts that have their invariant tables from a cache
        self.distances: list[float | None] = []
        self.ends = ""

    def on_worker_registered(self, event: Any, data: Any) -> None:
        self.alive.add(data["worker"])

    def on_worker_failed(self, event: Any, data: Any) -> None:
        self.alive.discard(data["worker"])
        self.kept = {key: worker for key, worker in self.kept.items() if worker != data["worker"]}

    def on_cache_read(self, event: Any, data: Any) -> None:
        if data["cache"] == REDUCER_INPUT:
            self.cached.add(data["attempt"])

    def fetched(self, data: Any, sources: list[int]) -> list[int]:
        return sources[self.invariant :] if data["attempt"] in self.cached else sources

    def on_stage_started(self, event: Any, data: Any) -> None:
        self.iteration, self.step, self.M = data["iteration"], data["step"], data["M"]
        self.invariant = data["invariant"]
        self.output = ""
        kept = {(MAP, task): self.completed.get((MAP, task), -1) for task in data["kept"]}
        self.completed = kept
        self.counts = {("before", 0): total(self.counts.values())}

    def on_task_started(self, event: Any, data: Any) -> None:
        super().on_task_started(event, data)
        worker, kind, task = data["worker"], data["kind"], data["task"]
        self.attempts[data["attempt"]] = kind, task, worker
        key = self.step, task
        if kind != REDUCE:
            if self.caching and key in self.kept:
                self.report.broken(
                    event, "ReadOnce", f"map {task} of step {self.step} reads its piece of a table again"
                )
            return
        home = self.homes.get((self.step, task))
        if data["why"] == "first" and home in self.alive and home != worker and not self.busy.get(str(home)):
            self.report.broken(
                event,
                "SameNode",
                f"partition {task} of step {self.step} goes to {worker}, and {home} is idle",
            )
        self.busy[worker] = self.busy.get(worker, 0) + 1

    def on_task_finished(self, event: Any, data: Any) -> None:
        super().on_task_finished(event, data)
        kind, task, worker = self.attempts.get(data["attempt"], ("", 0, ""))
        if kind == REDUCE:
            self.busy[worker] -= 1
            if data["result"] == "ok":
                self.homes[self.step, task] = worker
        elif kind == MAP and data["result"] == "ok" and task < self.invariant:
            self.kept[self.step, task] = worker

    def on_iteration_finished(self, event: Any, data: Any) -> None:
        self.report.iterations += 1
        self.distances.append(data["distance"])
        self.ends = data["end"]


def check_loop(
    cluster: Cluster, name: str, store: str, body: Body, output_of: Callable[[int], bytes]
) -> Report:
    """The report. output_of: the output files of an iteration, one after the other. Raises ``LabError`` if
    the trace has forgotten its beginning."""
    replay = LoopReplay(name, store, REDUCER_INPUT in body.caches)
    for event in whole(cluster):
        replay.apply(event)
    report = replay.report
    for each in [each for each in report.violations if each.what == "EveryPairArrives"]:
        report.violations.append(Violation(each.time, "RightCache", each.detail))
    now = cluster.now
    for number, told in enumerate(replay.distances, start=1):
        if told is not None:
            right = distance_of(output_of(number - 1), output_of(number), body.distance)
            if abs(told - right) > CLOSE * max(1.0, abs(right)):
                detail = f"iteration {number} told {told!r}, and it is {right!r}"
                report.violations.append(Violation(now, "RightDistance", detail))
        if bool(body.over(number, told)) != (number == len(replay.distances)) and replay.ends:
            report.violations.append(Violation(now, "EndsRight", f"iteration {number} is not the right end"))
    return report
