"""Spark's events in plain words; see `words.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .words import add_words


def _many(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _stage(event: Any, d: Mapping[str, Any]) -> str:
    tasks = _many(len(d.get("partitions", ())), f"{d.get('kind', '')} task")
    if d.get("attempt"):
        return f"stage {d.get('stage')} again: {tasks}, of {d.get('total')}, whose outputs are missing"
    return f"stage {d.get('stage')} starts: {tasks}"


def _job_finished(event: Any, d: Mapping[str, Any]) -> str:
    if d.get("ok"):
        return f"job {d.get('job')} is done after {float(d.get('seconds') or 0):.2f} s"
    error = str(d.get("error") or "?").splitlines()[0]
    return f"job {d.get('job')} failed: {error}"


def _task_finished(event: Any, d: Mapping[str, Any]) -> str:
    return f"task {d.get('task')} (partition {d.get('partition')}) on {d.get('machine')}: {d.get('result')}"


def _who(d: Mapping[str, Any]) -> str:
    return f"{d.get('executor')} on {d.get('machine')}"


def _storage(event: Any, d: Mapping[str, Any]) -> str:
    keep = d.get("storage")
    return f"RDD {d.get('rdd')} is to be kept: {keep}" if keep else f"RDD {d.get('rdd')} is no longer kept"


_WHY = {"evicted": "memory was full", "spilled": "memory was full; it goes to disk",
        "lost": "its machine is gone", "unpersisted": "unpersist()"}  # fmt: skip

Phrase = Callable[[Any, Mapping[str, Any]], str]
PHRASES: dict[str, Phrase] = {
    "job_started": lambda e, d: f"job {d.get('job')}: {d.get('action')} ({d.get('site') or 'no site'})",
    "job_finished": _job_finished,
    "stage_started": _stage,
    "rdd_storage": _storage,
    "executor_registered": lambda e, d: f"{_who(d)} registers with the driver",
    "executor_lost": lambda e, d: f"the driver gives up {_who(d)} ({d.get('why')})",
    "outputs_lost": lambda e, d: (
        f"{_many(len(d.get('maps', ())), 'output')} of shuffle {d.get('shuffle')} lost with "
        f"{d.get('machine')}"
    ),
    "block_dropped": lambda e, d: (
        f"partition {d.get('partition')} of RDD {d.get('rdd')} leaves {d.get('machine')}: "
        f"{_WHY.get(str(d.get('why')), d.get('why'))}"
    ),
    "checkpointed": lambda e, d: f"RDD {d.get('rdd')} is checkpointed: its lineage ends here",
}
QUIET: dict[str, Phrase] = {
    "rdd": lambda e, d: f"RDD {d.get('rdd')}: {d.get('op')}, {_many(d.get('partitions') or 0, 'partition')}",
    "task_started": lambda e, d: (
        f"task {d.get('task')} (stage {d.get('stage')}, partition {d.get('partition')}) goes to "
        f"{d.get('executor')}"
    ),
    "task_running": lambda e, d: f"{e.node} computes task {d.get('task')}",
    "task_finished": _task_finished,
    "block_stored": lambda e, d: (
        f"{d.get('executor')} keeps partition {d.get('partition')} of RDD {d.get('rdd')} ({d.get('where')})"
    ),
    "outputs_stored": lambda e, d: (
        f"{d.get('executor')} has output {d.get('map')} of shuffle {d.get('shuffle')} on disk"
    ),
    "stage_finished": lambda e, d: f"stage {d.get('stage')} {'is done' if d.get('ok') else 'ends'}",
}


def _left(event: Any) -> str:
    """What the line of a block that leaves is about: blocks that leave for the same reason share it."""
    why = str(event.data.get("why"))
    return f"blocks-{why} {event.data.get('machine')}" if why in _WHY else ""


add_words(
    {**PHRASES, **QUIET},
    silent=(
        "rdd", "task_started", "task_running", "task_finished", "block_stored", "outputs_stored",
        "stage_finished", "shuffle_cleaned",
    ),
    repairs=("executor_registered", "checkpointed"),
    trouble=("executor_lost", "outputs_lost"),
    merged={"block_dropped": _left},
    summaries={
        "blocks-evicted": "partitions left memory: it was full",
        "blocks-spilled": "partitions went from memory to disk: memory was full",
        "blocks-lost": "kept partitions were lost with their machine",
        "blocks-unpersisted": "partitions were dropped by unpersist()",
    },
)  # fmt: skip
