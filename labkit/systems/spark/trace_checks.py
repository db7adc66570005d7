"""The invariants over time: a recorded run, replayed event by event and judged at every change.

Only the driver's events are read: they tell of tasks, outputs and blocks in the order in which the driver
learned of them, on both engines.

* A task starts on a living executor with a free core, and only if its partition is wanted and not done.
* What a task fetched had been complete when the task started.
* A partition is done once, unless its output is lost.
* A stage that starts again runs the missing partitions and no others, and has no wide dependency inside.
* Blocks fit into memory, and none makes room for another of its RDD.
* A job that succeeds has a result of every partition.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from labkit.parts.checks import Findings, Violation

from .events import INPUT_LOST
from .invariants import fits_cores, fits_memory, keeps_own_rdd, only_missing, pipelined
from .state import StageView, pieces
from .view import LineageReducer

__all__ = ["Report", "Violation", "check_trace"]


@dataclass
class Report(Findings):
    """What replaying a trace found."""

    #: Tasks, stages and jobs that were judged.
    tasks: int = 0
    stages: int = 0
    jobs: int = 0
    #: Map tasks by stage that ran because their output was lost.
    run_again: dict[int, list[int]] = field(default_factory=dict)

    def __str__(self) -> str:
        judged = {"job": self.jobs, "stage": self.stages, "task": self.tasks}
        return "\n".join(self.lines(judged))


class _Replay:
    """Each event is judged against what those before it add up to, as the view tells it."""

    def __init__(self, cores: int, memory: int) -> None:
        self.cores = cores
        self.memory = memory
        self.reducer = LineageReducer()
        self.begin()

    def begin(self) -> None:
        """A new context: nothing of an earlier one on the same cluster, whose executors may be others."""
        self.report = Report()
        self.state = self.reducer.initial()
        self.alive: set[str] = set()  #: executors
        self.jobs: dict[int, list[int]] = {}  #: job to stages
        self.makes: dict[int, int] = {}  #: shuffle to stage
        self.wanted: dict[int, set[int]] = {}  #: stage to partitions
        self.at_work: dict[tuple[int, int], set[int]] = {}  #: stage and partition to tasks
        self.complete_at_start: dict[int, set[int]] = {}  #: task to the shuffles that were complete
        self.evicted: dict[str, set[int]] = {}  #: executor to RDDs whose blocks have just been evicted
        self.event: Any = None

    def wrong(self, what: str, detail: str | None) -> None:
        """Note a violation, if there is one."""
        if detail is not None:
            self.report.broken(self.event, what, detail)

    def apply(self, event: Any) -> None:
        """One event."""
        handler = getattr(self, f"on_{event.kind}", None)
        if handler is not None:
            self.event = event
            handler(event.data)
        self.reducer.apply(self.state, event)

    def on_node_started(self, data: dict[str, Any]) -> None:
        self.begin()

    # --- jobs, stages -------------------------------------------------------------------------------------

    def on_job_started(self, data: dict[str, Any]) -> None:
        self.jobs[data["job"]] = data["stages"]

    def on_job_finished(self, data: dict[str, Any]) -> None:
        self.report.jobs += 1
        if data["ok"] and self.jobs[data["job"]]:
            last = self.state.stages.get(self.jobs[data["job"]][-1])
            if last is None or pieces(self.state, "result", data["job"]) < last.total:
                self.wrong("MissingResult", f"job {data['job']} succeeded without all its partitions")

    def on_stage_started(self, data: dict[str, Any]) -> None:
        self.report.stages += 1
        self.wanted[data["stage"]] = set(data["partitions"])
        rdds, shuffle = self.state.rdds, data["shuffle"]
        if all(rdds[each].storage != "checkpoint" for each in data["rdds"] if each in rdds):
            self.wrong("WideInsideStage", pipelined(data["rdd"], data["rdds"], rdds))
        if shuffle is not None:
            self.makes[shuffle] = data["stage"]
            missing = [each for each in range(data["total"]) if (shuffle, each) not in self.state.outputs]
            self.wrong("NotMissing", only_missing(data["partitions"], missing))
        else:
            given = [each for each in data["partitions"] if (data["job"], each) not in self.state.results]
            self.wrong("NotMissing", only_missing(given, data["partitions"]))

    def on_stage_finished(self, data: dict[str, Any]) -> None:
        if data["error"] not in (None, INPUT_LOST):  # its attempts are nobody's, whenever they hear of it
            for key in [key for key in self.at_work if key[0] == data["stage"]]:
                del self.at_work[key]

    # --- tasks --------------------------------------------------------------------------------------------

    def on_task_started(self, data: dict[str, Any]) -> None:
        self.report.tasks += 1
        number, task, partition, executor = (
            data[each] for each in ("stage", "task", "partition", "executor")
        )
        if executor not in self.alive:
            self.wrong("NoExecutor", f"task {task} was given to {executor}, which is lost")
            return
        tasks = [each.id for each in self.state.running.values() if each.executor == executor]
        self.wrong("TooManyTasks", fits_cores([*tasks, task], self.cores))
        if partition not in self.wanted[number] or self.done(self.state.stages[number], partition):
            self.wrong("NotWanted", f"partition {partition} of stage {number} was run, but not missing")
        others = self.at_work.setdefault((number, partition), set())
        if others and not data["speculative"]:
            self.wrong("TwiceRunning", f"partition {partition} of stage {number} was already running")
        others.add(task)
        if data["why"] == "lost":
            self.report.run_again.setdefault(number, []).append(partition)
        self.complete_at_start[task] = {
            shuffle
            for shuffle, stage in self.makes.items()
            if pieces(self.state, "output", shuffle) == self.state.stages[stage].total
        }

    def done(self, stage: StageView, partition: int) -> bool:
        """Whether a partition's result or output is there."""
        if stage.shuffle is None:
            return (stage.job, partition) in self.state.results
        return (stage.shuffle, partition) in self.state.outputs

    def on_task_finished(self, data: dict[str, Any]) -> None:
        number, task, partition = (data[each] for each in ("stage", "task", "partition"))
        self.at_work.get((number, partition), set()).discard(task)
        if data["result"] != "ok":
            return
        early = {shuffle for shuffle, _ in data["fetched"]} - self.complete_at_start[task]
        if early:
            self.wrong("TooEarly", f"task {task} read shuffles {sorted(early)} before they were complete")
        if self.done(self.state.stages[number], partition):
            self.wrong("TwiceDone", f"partition {partition} of stage {number} was done already")
        self.at_work.pop((number, partition), None)  # other attempts are cancelled, whenever they hear of it

    # --- executors, outputs, blocks -----------------------------------------------------------------------

    def on_executor_registered(self, data: dict[str, Any]) -> None:
        if data["executor"] in self.alive:
            self.wrong("TwiceRegistered", f"{data['executor']} registered without having been lost")
        self.alive.add(data["executor"])

    def on_executor_lost(self, data: dict[str, Any]) -> None:
        self.alive.discard(data["executor"])

    def on_outputs_lost(self, data: dict[str, Any]) -> None:
        shuffle, executor = data["shuffle"], data["executor"]
        for each in data["maps"]:
            output = self.state.outputs.get((shuffle, each))
            if output is None or output.executor != executor:
                self.wrong("NotLost", f"output {each} of shuffle {shuffle} was not on {executor}")
            self.wanted[self.makes[shuffle]].add(each)

    def has(self, executor: str, key: tuple[int, int]) -> bool:
        """Whether it keeps this block."""
        return any(copy.executor == executor for copy in self.state.blocks.get(key, ()))

    def on_block_stored(self, data: dict[str, Any]) -> None:
        executor, key = data["executor"], (data["rdd"], data["partition"])
        if self.has(executor, key):
            self.wrong("TwiceStored", f"block {key} was on {executor} already")
        if data["where"] == "memory":
            self.wrong("KeepsOwnRDD", keeps_own_rdd(self.evicted.pop(executor, ()), data["rdd"]))
            used = self.state.sizes.get(("memory", executor), 0) + data["bytes"]
            self.wrong("TooMuchMemory", fits_memory(used, self.memory))

    def on_block_dropped(self, data: dict[str, Any]) -> None:
        executor, key = data["executor"], (data["rdd"], data["partition"])
        if not self.has(executor, key):
            self.wrong("NotStored", f"block {key} was dropped by {executor}, which did not have it")
        if data["why"] in ("evicted", "spilled"):
            self.evicted.setdefault(executor, set()).add(data["rdd"])


def check_trace(trace: Iterable[Any], cores: int = 1, memory: int = 1 << 62) -> Report:
    """Replay the run of the last context. cores, memory: of its executors."""
    replay = _Replay(cores, memory)
    for event in trace:
        if event.node == "driver":
            replay.apply(event)
    return replay.report
