"""What Spark's events add up to: how each of them changes what is known of a context.

The driver tells what there is to compute (`rdd`, `job_started`, `stage_started`), who computes it
(`task_started`, `task_finished`), and where results are kept: partitions of persisted RDDs (`block_stored`,
`block_dropped`) and shuffle outputs on the mappers' disks (`outputs_stored`, `outputs_lost`). What a
failure takes away, and what has to be done again for it, is kept by `lost.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from labkit.trace.machines import Machines, MachineView

from . import lost
from .state import Copy, JobView, LineageState, Parent, RddView, StageView, TaskView, count

#: What the panel can look back at: finished tasks, and jobs.
TASKS_KEPT, JOBS_KEPT = 2000, 200


class LineageReducer:
    """Folds Spark's events and the lifecycle below them, beginning with machines that are known, if any."""

    def __init__(self, known: tuple[MachineView, ...] = ()) -> None:
        self.known = known

    def initial(self) -> LineageState:
        """No context yet."""
        return LineageState(Machines.known(self.known))

    def apply(self, state: LineageState, event: Any) -> None:
        """Fold one event."""
        state.lab.apply(event)
        handler = HANDLERS.get(event.kind)
        if handler is None:
            return
        if state.judging and event.kind not in LOSSES:
            lost.judge(state)
        handler(state, event, event.data)
        if event.kind in _PLANNING:
            state.changes += 1


# -- what there is to compute ------------------------------------------------------------


def _rdd(state: LineageState, event: Any, data: Mapping[str, Any]) -> None:
    parents = tuple(Parent(rdd, how == "wide", shuffle) for rdd, how, shuffle in data.get("parents", ()))
    words = (data.get("kind") or "RDD", data.get("op") or "", data.get("name") or "", data.get("site") or "")
    state.rdds[data["rdd"]] = RddView(
        data["rdd"], *words, int(data.get("partitions") or 0), parents, data.get("storage")
    )


def _storage(state: LineageState, event: Any, data: Mapping[str, Any]) -> None:
    rdd = state.rdds.get(data["rdd"])
    if rdd is None:
        return
    state.rdds[rdd.id] = replace(rdd, storage=data.get("storage"))
    if not data.get("storage"):  # nobody misses what nobody wants kept
        for piece in [piece for piece in state.lost if piece[:2] == ("block", rdd.id)]:
            lost.forgive(state, piece)


def _job_started(state: LineageState, event: Any, data: Mapping[str, Any]) -> None:
    job = JobView(data["job"], data["rdd"], data.get("action") or "job", event.time)
    state.jobs[job.id] = job
    if len(state.jobs) > JOBS_KEPT:
        state.jobs.pop(next(iter(state.jobs)))
    lost.expect(state, job)


def _job_finished(state: LineageState, event: Any, data: Mapping[str, Any]) -> None:
    job = state.jobs.get(data["job"])
    if job is None:
        return
    state.jobs[job.id] = replace(job, end=event.time, ok=bool(data.get("ok")))
    for unit in [unit for unit in state.interrupted if unit[:2] == ("result", job.id)]:
        del state.interrupted[unit]
    for unit in [unit for unit in state.owed if unit[:2] == ("result", job.id)]:
        del state.owed[unit]


def _stage_started(state: LineageState, event: Any, data: Mapping[str, Any]) -> None:
    old = state.stages.get(data["stage"])
    wanted = old.wanted if old is not None else tuple(data.get("partitions", ()))
    state.stages[data["stage"]] = StageView(
        data["stage"],
        data["job"],
        data.get("kind") or "result",
        data["rdd"],
        data.get("shuffle"),
        wanted,
        int(data.get("total") or len(wanted)),
    )


def _stage_finished(state: LineageState, event: Any, data: Mapping[str, Any]) -> None:
    stage = state.stages.get(data["stage"])
    if stage is not None:
        state.stages[stage.id] = replace(stage, running=False, ok=bool(data.get("ok")))


# -- who computes it ------------------------------------------------------------


def _task_started(state: LineageState, event: Any, data: Mapping[str, Any]) -> None:
    stage = state.stages.get(data["stage"])
    unit = stage.unit(data["partition"]) if stage else ("result", -1, data["partition"])
    executor = data["executor"]
    taken = {task.slot for task in state.running.values() if task.executor == executor}
    slot = next(k for k in range(len(taken) + 1) if k not in taken)
    why = "speculative" if data.get("speculative") else str(data.get("why") or "first")
    state.running[data["task"]] = TaskView(
        data["task"], data["stage"], unit, executor, data["machine"], slot, event.time, why,
        again=lost.again_for(state, unit),
    )  # fmt: skip


def _task_running(state: LineageState, event: Any, data: Mapping[str, Any]) -> None:
    task = state.running.get(data["task"])
    if task is not None:
        state.running[task.id] = replace(task, computing=True)


def _task_finished(state: LineageState, event: Any, data: Mapping[str, Any]) -> None:
    task = state.running.pop(data["task"], None)
    if task is None:  # started before the trace begins
        return
    pairs = {name: tuple((rdd, p) for rdd, p in data.get(name) or ()) for name in ("computed", "read")}
    task = replace(
        task,
        end=event.time,
        result=str(data.get("result") or ""),
        records=int(data.get("records") or 0),
        bytes=int(data.get("fetched_local") or 0) + int(data.get("fetched_remote") or 0),
        **pairs,
    )
    if task.result == "executor_lost":
        lost.interrupt(state, task, event.time)
    elif task.result == "ok":
        task = _succeeded(state, task, float(data.get("seconds") or 0.0), event.time)
    state.done[task.id] = task
    if len(state.done) > TASKS_KEPT:
        state.done.pop(next(iter(state.done)))


def _succeeded(state: LineageState, task: TaskView, seconds: float, now: float) -> TaskView:
    """Note what a task made; whether it made it again, and at what cost."""
    before = [pair for pair in task.computed if pair in state.passed]
    for rdd, p in task.computed:
        _move(state, ("passed", rdd), state.passed.get((rdd, p)), task.machine)
        state.passed[rdd, p] = task.machine
        state.makers["block", rdd, p] = task.id
    kind, ident, partition = task.unit
    if kind == "map":
        state.makers["output", ident, partition] = task.id
    else:
        _move(state, ("result", ident), state.results.get((ident, partition)), task.machine)
        state.results[ident, partition] = task.machine
        state.makers["result", ident, partition] = task.id
    number = lost.paid(state, task, seconds, now, before)
    state.costs[task.unit] = (task.records, task.bytes)
    stage = state.stages.get(task.stage)
    job = state.jobs.get(stage.job) if stage else None
    if job is not None:
        state.jobs[job.id] = replace(
            job,
            tasks=job.tasks + 1,
            seconds=job.seconds + seconds,
            again=job.again + bool(number),
            again_seconds=job.again_seconds + (seconds if number else 0.0),
        )
    return replace(task, again=number)


# -- where it is kept ------------------------------------------------------------


def _block_stored(state: LineageState, event: Any, data: Mapping[str, Any]) -> None:
    key, executor = (data["rdd"], data["partition"]), data["executor"]
    copy = Copy(executor, data["machine"], data.get("where") or "memory", int(data.get("bytes") or 0))
    others = tuple(c for c in state.blocks.get(key, ()) if c.executor != executor)
    for old in state.blocks.get(key, ()):
        if old.executor == executor:
            _tally(state, key[0], old, -1)
    state.blocks[key] = (*others, copy)
    _tally(state, key[0], copy, +1)


def _block_dropped(state: LineageState, event: Any, data: Mapping[str, Any]) -> None:
    key = (data["rdd"], data["partition"])
    gone = [c for c in state.blocks.get(key, ()) if c.executor == data["executor"]]
    for copy in gone:
        _tally(state, key[0], copy, -1)
    rest = tuple(c for c in state.blocks.get(key, ()) if c.executor != data["executor"])
    if rest:
        state.blocks[key] = rest
    else:
        state.blocks.pop(key, None)
    if data.get("why") == "lost" and gone:
        lost.take(state, ("block", *key), data["machine"], event.time, last=not rest)


def _tally(state: LineageState, rdd: int, copy: Copy, sign: int) -> None:
    count(state, (copy.where, rdd, copy.machine), sign)
    where = (copy.where, copy.executor)
    state.sizes[where] = state.sizes.get(where, 0) + sign * copy.bytes


def _outputs_stored(state: LineageState, event: Any, data: Mapping[str, Any]) -> None:
    key = (data["shuffle"], data["map"])
    old = state.outputs.get(key)
    _move(state, ("output", key[0]), old.machine if old else None, data["machine"])
    state.outputs[key] = Copy(data["executor"], data["machine"], "disk", int(data.get("bytes") or 0))
    state.buckets[key] = tuple(data.get("buckets") or ())
    lost.found(state, ("output", *key))


def _outputs_lost(state: LineageState, event: Any, data: Mapping[str, Any]) -> None:
    for number in data.get("maps", ()):
        key = (data["shuffle"], number)
        copy = state.outputs.get(key)
        if copy is not None and copy.executor == data.get("executor", copy.executor):
            del state.outputs[key]
            count(state, ("output", key[0], copy.machine), -1)
            lost.take(state, ("output", *key), copy.machine, event.time, last=True)


def _move(state: LineageState, what: tuple[str, int], old: str | None, new: str) -> None:
    if old is not None:
        count(state, (*what, old), -1)
    count(state, (*what, new), +1)


# -- machines and executors ------------------------------------------------------------


def _registered(state: LineageState, event: Any, data: Mapping[str, Any]) -> None:
    machine = data["machine"]
    state.executors[data["executor"]] = (machine, int(data.get("cores") or 1))
    if state.current.pop(machine, None) is not None:
        state.moments.append((event.time, machine, "back"))
    for piece in [piece for piece, home in state.ghosts.items() if home == machine]:
        del state.ghosts[piece]


def _executor_lost(state: LineageState, event: Any, data: Mapping[str, Any]) -> None:
    state.moments.append((event.time, data["machine"], "noticed"))
    lost.noticed(state, data["machine"], event.time)


def _killed(state: LineageState, event: Any, data: Mapping[str, Any]) -> None:
    if event.machine in state.current or all(m != event.machine for m, _ in state.executors.values()):
        return
    state.moments.append((event.time, event.machine, "dead"))
    lost.struck(state, event.machine, event.time)


Handler = Callable[[LineageState, Any, Mapping[str, Any]], None]
HANDLERS: dict[str, Handler] = {
    "rdd": _rdd,
    "rdd_storage": _storage,
    "job_started": _job_started,
    "job_finished": _job_finished,
    "stage_started": _stage_started,
    "stage_finished": _stage_finished,
    "task_started": _task_started,
    "task_running": _task_running,
    "task_finished": _task_finished,
    "block_stored": _block_stored,
    "block_dropped": _block_dropped,
    "outputs_stored": _outputs_stored,
    "outputs_lost": _outputs_lost,
    "executor_registered": _registered,
    "executor_lost": _executor_lost,
    "killed": _killed,
    "machine_died": _killed,
}

#: Events that tell what a failure took: lineage predicts the work when the last of them is in.
LOSSES = {"executor_lost", "outputs_lost", "block_dropped", "task_finished", "killed", "machine_died"}
#: Kinds after which the picture's rows may be others.
_PLANNING = {"rdd", "rdd_storage", "job_started", "stage_started", "stage_finished", "job_finished"}
