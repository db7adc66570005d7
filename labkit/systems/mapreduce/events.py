"""What the nodes of a job tell of themselves: each event's data, and how it reads. Sizes in bytes."""

from __future__ import annotations

from typing import Any

from labkit.trace.words import Events, fault, plain, quiet, repair, trouble

__all__ = ["EVENTS"]

WHY = {"first": "", "retry": " once more", "lost": " again: its output was lost", "backup": " as a backup"}


def _started(event: Any) -> str:
    data = event.data
    near = {"process": ", near its input", "any": ", far from its input"}.get(data.get("locality", ""), "")
    words = WHY.get(data.get("why", ""), "")
    return f"{data.get('kind')} {data.get('task')} begins on {data.get('worker')}{words}{near}"


def _finished(event: Any) -> str:
    data = event.data
    result = {
        "ok": "is completed", "failed": "failed", "lost": "ended with its worker",
        "too_late": "was too late: another execution was first", "cancelled": "is not needed any more",
    }.get(data.get("result", ""), "ended")  # fmt: skip
    return f"{data.get('kind')} {data.get('task')} {result} on {data.get('worker')}"


EVENTS = Events(
    "mapreduce",
    # the master's
    job_started=plain("{job}: {input:bytes} in {M:map task}, {R:reduce task}, {workers:worker}"),
    job_finished=plain("{job} is done: {result}"),
    worker_registered=repair("{worker} is ready"),
    worker_failed=fault("{worker} is marked as failed: {why}"),
    task_started=quiet(_started),
    backup_started=repair("{kind} {task} is executed a second time, on {worker}: it takes long"),
    task_finished=quiet(_finished),
    task_failed=trouble("the user's code failed in {kind} {task}: {error}"),
    outputs_lost=trouble("the outputs of {tasks:map task} died with {worker}: they are to be run again"),
    record_skipped=repair("record {record} of {kind} {task} failed twice: it will be left out"),
    checkpoint_written=quiet("the master wrote a checkpoint: {maps:map} and {reduces:reduce} completed"),
    master_recovered=repair("the master is back: {maps:map} and {reduces:reduce} were completed"),
    # the workers'
    input_read=quiet("{node} read {bytes:bytes} for map {task}"),
    shuffled=quiet("{node} fetched {bytes:bytes} of {maps:map} for reduce {task}"),
    spilled=quiet("{node} wrote {spills:spill} to its disk for {kind} {task}"),
    task_running=quiet("{node}: the user's code runs for {kind} {task}"),
    last_gasp=trouble("{node}: the user's code failed on record {record} of {kind} {task}"),
    output_written=quiet("{node} wrote {bytes:bytes} for reduce {task}"),
    reduce_committed=plain(
        "{path} is there, by {node}", "committed", "{total:output file} of the job committed"
    ),
    commit_refused=quiet("{path} was there before {node} was ready"),
    side_file_written=plain("{path} is there, by {node}"),
    began_anew=repair("{node} was marked as failed: it lives on as a new worker"),
)
