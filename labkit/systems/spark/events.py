"""What Spark's driver and executors tell of themselves: each event's data, and how it reads."""

from __future__ import annotations

from typing import Any

from labkit.trace.words import Events, first_line, many, plain, quiet, repair, trouble

__all__ = ["EVENTS", "INPUT_LOST"]

#: Why a stage waits, as ``stage_finished`` says it. Its running tasks are wanted; after other errors not.
INPUT_LOST = "an input was lost"


def _stage(event: Any) -> str:
    d = event.data
    tasks = many(len(d.get("partitions", ())), f"{d.get('kind', '')} task")
    if d.get("attempt"):
        return f"stage {d.get('stage')} again: {tasks}, of {d.get('total')}, whose outputs are missing"
    return f"stage {d.get('stage')} starts: {tasks}"


def _job_started(event: Any) -> str:
    return f"job {event.data.get('job')}: {event.data.get('action')} ({event.data.get('site') or 'no site'})"


def _job_finished(event: Any) -> str:
    d = event.data
    if d.get("ok"):
        return f"job {d.get('job')} is done after {float(d.get('seconds') or 0):.2f} s"
    return f"job {d.get('job')} failed: {first_line(d.get('error'))}"


def _storage(event: Any) -> str:
    keep = event.data.get("storage")
    return f"RDD {event.data.get('rdd')} " + (f"is to be kept: {keep}" if keep else "is no longer kept")


#: Why a kept partition leaves, in words: for one, and for several.
_WHY = {
    "evicted": ("memory was full", "left memory: it was full"),
    "spilled": ("memory was full; it goes to disk", "went from memory to disk: memory was full"),
    "lost": ("its machine is gone", "that were kept were lost with their machine"),
    "unpersisted": ("unpersist()", "were dropped by unpersist()"),
}


def _dropped(event: Any) -> str:
    d = event.data
    why = _WHY.get(str(d.get("why")), (d.get("why"), ""))[0]
    return f"partition {d.get('partition')} of RDD {d.get('rdd')} leaves {d.get('machine')}: {why}"


def _dropped_together(event: Any, total: int) -> str:
    return f"{many(total, 'partition')} {_WHY.get(str(event.data.get('why')), ('', 'left memory'))[1]}"


def _stage_finished(event: Any) -> str:
    return f"stage {event.data.get('stage')} {'is done' if event.data.get('ok') else 'ends'}"


EVENTS = Events(
    "Spark",
    # The driver's: jobs and stages, what is kept, who is there.
    job_started=plain(_job_started),
    job_finished=plain(_job_finished),
    stage_started=plain(_stage),
    stage_finished=quiet(_stage_finished),
    rdd=quiet("RDD {rdd}: {op}, {partitions:partition}"),
    rdd_storage=plain(_storage),
    checkpointed=repair("RDD {rdd} is checkpointed: its lineage ends here"),
    executor_registered=repair("{executor} on {machine} registers with the driver"),
    executor_lost=trouble("the driver gives up {executor} on {machine} ({why})"),
    outputs_lost=trouble("{maps:output} of shuffle {shuffle} lost with {machine}"),
    outputs_stored=quiet("{executor} has output {map} of shuffle {shuffle} on disk"),
    shuffle_cleaned=quiet("shuffle {shuffle} is needed by nobody: its files go"),
    # Tasks and blocks.
    task_started=quiet("task {task} (stage {stage}, partition {partition}) goes to {executor}"),
    task_running=quiet("{node} computes task {task}"),
    task_finished=quiet("task {task} (partition {partition}) on {machine}: {result}"),
    block_stored=quiet("{executor} keeps partition {partition} of RDD {rdd} ({where})"),
    block_dropped=plain(_dropped, "blocks {why} {machine}", _dropped_together),
)
