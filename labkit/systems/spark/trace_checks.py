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

from labkit.systems.report import Findings, Violation

from .events import INPUT_LOST
from .invariants import fits_cores, fits_memory, keeps_own_rdd, only_missing, pipelined

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
        judged = f"{self.jobs} jobs, {self.stages} stages and {self.tasks} tasks"
        return "\n".join(self.lines(judged))


@dataclass
class _Stage:
    """A stage as the trace has told of it."""

    rdd: int
    shuffle: int | None
    total: int
    reads: set[int]
    wanted: set[int] = field(default_factory=set)
    results: set[int] = field(default_factory=set)
    running: dict[int, set[int]] = field(default_factory=dict)


class _Replay:
    def __init__(self, cores: int, memory: int) -> None:
        self.cores = cores
        self.memory = memory
        self.report = Report()
        self.begin()

    def begin(self) -> None:
        """A new context: nothing of an earlier one on the same cluster."""
        self.parents: dict[int, list[tuple[int, str]]] = {}
        self.cut: set[int] = set()  #: RDDs whose lineage a checkpoint has replaced
        self.running: dict[str, dict[int, tuple[int, int]]] = {}  #: executor to its tasks
        self.stages: dict[int, _Stage] = {}
        self.makes: dict[int, int] = {}  #: shuffle to stage
        self.outputs: dict[int, dict[int, str]] = {}  #: shuffle to map task to executor
        self.complete_at_start: dict[int, set[int]] = {}  #: task to the shuffles that were complete
        self.blocks: dict[str, dict[tuple[int, int], tuple[str, int]]] = {}
        self.evicted: dict[str, set[int]] = {}  #: executor to RDDs whose blocks have just been evicted
        self.jobs: dict[int, list[int]] = {}
        self.event: Any = None

    def wrong(self, what: str, detail: str | None) -> None:
        """Note a violation, if there is one."""
        if detail is not None:
            self.report.violations.append(Violation(self.event.time, what, detail))

    def apply(self, event: Any) -> None:
        """One event."""
        handler = getattr(self, f"on_{event.kind}", None)
        if handler is not None:
            self.event = event
            handler(event.data)

    def on_node_started(self, data: dict[str, Any]) -> None:
        self.begin()

    # --- lineage, jobs, stages ----------------------------------------------------------------------------

    def on_rdd(self, data: dict[str, Any]) -> None:
        self.parents[data["rdd"]] = [(parent, kind) for parent, kind, _ in data["parents"]]

    def on_rdd_storage(self, data: dict[str, Any]) -> None:
        if data["storage"] == "checkpoint":
            self.cut.add(data["rdd"])

    def on_job_started(self, data: dict[str, Any]) -> None:
        self.jobs[data["job"]] = data["stages"]

    def on_job_finished(self, data: dict[str, Any]) -> None:
        self.report.jobs += 1
        if data["ok"] and self.jobs[data["job"]]:
            last = self.stages.get(self.jobs[data["job"]][-1])
            if last is None or len(last.results) < last.total:
                self.wrong("MissingResult", f"job {data['job']} succeeded without all its partitions")

    def on_stage_started(self, data: dict[str, Any]) -> None:
        self.report.stages += 1
        shuffle = data["shuffle"]
        stage = self.stages.setdefault(data["stage"], _Stage(data["rdd"], shuffle, data["total"], set()))
        known = [self.stages[parent].shuffle for parent in data["parents"] if parent in self.stages]
        stage.reads = {each for each in known if each is not None}
        stage.wanted = set(data["partitions"])
        if not self.cut & set(data["rdds"]):
            self.wrong("WideInsideStage", pipelined(data["rdd"], data["rdds"], self.parents))
        if shuffle is not None:
            self.makes[shuffle] = data["stage"]
            missing = set(range(stage.total)) - self.outputs.setdefault(shuffle, {}).keys()
            self.wrong("NotMissing", only_missing(data["partitions"], missing))
        else:
            self.wrong("NotMissing", only_missing(stage.wanted - stage.results, data["partitions"]))

    def on_stage_finished(self, data: dict[str, Any]) -> None:
        if data["error"] not in (None, INPUT_LOST):  # its attempts are nobody's, whenever they hear of it
            self.stages[data["stage"]].running.clear()

    # --- tasks --------------------------------------------------------------------------------------------

    def on_task_started(self, data: dict[str, Any]) -> None:
        self.report.tasks += 1
        stage, partition, executor = self.stages[data["stage"]], data["partition"], data["executor"]
        if executor not in self.running:
            self.wrong("NoExecutor", f"task {data['task']} was given to {executor}, which is lost")
            return
        tasks = self.running[executor]
        tasks[data["task"]] = (data["stage"], partition)
        self.wrong("TooManyTasks", fits_cores(tasks, self.cores))
        if partition not in stage.wanted or self.done(stage, partition):
            self.wrong(
                "NotWanted", f"partition {partition} of stage {data['stage']} was run, but not missing"
            )
        others = stage.running.setdefault(partition, set())
        if others and not data["speculative"]:
            self.wrong("TwiceRunning", f"partition {partition} of stage {data['stage']} was already running")
        others.add(data["task"])
        if data["why"] == "lost":
            self.report.run_again.setdefault(data["stage"], []).append(partition)
        self.complete_at_start[data["task"]] = {
            shuffle for shuffle, maps in self.outputs.items() if len(maps) == self.maps(shuffle)
        }

    def maps(self, shuffle: int) -> int:
        """How many map tasks a shuffle has."""
        return self.stages[self.makes[shuffle]].total

    def done(self, stage: _Stage, partition: int) -> bool:
        """Whether a partition's result or output is there."""
        if stage.shuffle is None:
            return partition in stage.results
        return partition in self.outputs[stage.shuffle]

    def on_task_finished(self, data: dict[str, Any]) -> None:
        stage, partition = self.stages[data["stage"]], data["partition"]
        self.running.get(data["executor"], {}).pop(data["task"], None)
        stage.running.get(partition, set()).discard(data["task"])
        if data["result"] != "ok":
            return
        early = {shuffle for shuffle, _ in data["fetched"]} - self.complete_at_start[data["task"]]
        if early:
            self.wrong(
                "TooEarly", f"task {data['task']} read shuffles {sorted(early)} before they were complete"
            )
        if self.done(stage, partition):
            self.wrong("TwiceDone", f"partition {partition} of stage {data['stage']} was done already")
        stage.results.add(partition)
        stage.running.pop(partition, None)  # other attempts are cancelled, whenever they hear of it

    # --- executors, outputs, blocks -----------------------------------------------------------------------

    def on_executor_registered(self, data: dict[str, Any]) -> None:
        if data["executor"] in self.running:
            self.wrong("TwiceRegistered", f"{data['executor']} registered without having been lost")
        self.running[data["executor"]] = {}
        self.blocks[data["executor"]] = {}

    def on_executor_lost(self, data: dict[str, Any]) -> None:
        self.running.pop(data["executor"], None)

    def on_outputs_stored(self, data: dict[str, Any]) -> None:
        self.outputs.setdefault(data["shuffle"], {})[data["map"]] = data["executor"]

    def on_outputs_lost(self, data: dict[str, Any]) -> None:
        stage = self.stages[self.makes[data["shuffle"]]]
        for each in data["maps"]:
            if self.outputs[data["shuffle"]].pop(each, None) != data["executor"]:
                self.wrong(
                    "NotLost", f"output {each} of shuffle {data['shuffle']} was not on {data['executor']}"
                )
            stage.wanted.add(each)

    def on_block_stored(self, data: dict[str, Any]) -> None:
        executor, key = data["executor"], (data["rdd"], data["partition"])
        blocks = self.blocks[executor]
        if key in blocks:
            self.wrong("TwiceStored", f"block {key} was on {executor} already")
        blocks[key] = (data["where"], data["bytes"])
        if data["where"] == "memory":
            self.wrong("KeepsOwnRDD", keeps_own_rdd(self.evicted.pop(executor, ()), data["rdd"]))
            sizes = [size for where, size in blocks.values() if where == "memory"]
            self.wrong("TooMuchMemory", fits_memory(sizes, self.memory))

    def on_block_dropped(self, data: dict[str, Any]) -> None:
        executor, key = data["executor"], (data["rdd"], data["partition"])
        if self.blocks.get(executor, {}).pop(key, None) is None:
            self.wrong("NotStored", f"block {key} was dropped by {executor}, which did not have it")
        if data["why"] in ("evicted", "spilled"):
            self.evicted.setdefault(executor, set()).add(data["rdd"])


def check_trace(trace: Iterable[Any], cores: int = 1, memory: int = 1 << 62) -> Report:
    """Replay a run. cores, memory: of an executor."""
    replay = _Replay(cores, memory)
    for event in trace:
        if event.node == "driver":
            replay.apply(event)
    return replay.report
