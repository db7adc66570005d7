"""What the nodes of a job tell of themselves: each event's data, and how it reads. Sizes in bytes."""

from __future__ import annotations

from typing import Any

from labkit.trace.words import Events, fault, plain, quiet, repair, trouble

__all__ = ["EVENTS"]

WHY = {
    "first": "",
    "rerun": " again",
    "upstream": " again: its output is gone",
    "duplicate": " as a duplicate",
}


def _named(data: Any) -> str:
    return f"{'+'.join(data.get('names', ()))} version {data.get('version')}"


def _started(event: Any) -> str:
    data = event.data
    again = WHY.get(data.get("why", ""), "")
    return f"{_named(data)} begins on {data.get('machine')}{again}"


def _ended(event: Any) -> str:
    data = event.data
    result = {
        "ok": "is done", "failed": "failed", "lost": "ended with its computer",
        "read_error": "could not read its input", "cancelled": "is not needed any more",
    }.get(data.get("result", ""), "ended")  # fmt: skip
    return f"{_named(data)} {result} on {data.get('machine')}"


EVENTS = Events(
    "dryad",
    # the name server's
    computer_registered=quiet("{daemon} on {machine} in {rack} is known"),
    # the job manager's
    job_started=plain("{job}: {vertices:vertex} in {stages:stage}"),
    job_finished=plain("{job} is done: {result}"),
    computer_joined=repair("{daemon} takes part"),
    computer_lost=fault("{daemon} is taken for dead: {why}"),
    process_started=quiet(_started),
    process_ended=quiet(_ended),
    vertex_failed=trouble("{name} version {version} failed: {error}"),
    version_selected=quiet("version {version} of {names} counts"),
    output_lost=trouble("the output of {name} version {version} is gone: it is to be executed again"),
    duplicate_started=repair("{names} is executed a second time: it takes long"),
    vertex_inserted=repair("the graph was refined: {name} now stands between {sources:vertex} and {target}"),
    vertex_replicated=repair("the graph was refined: {name} takes {sources:input} of {target}"),
    deadlocked=trouble("nothing can begin: {why}"),
    output_committed=plain("{path} is there", "committed", "{total:output file} of the job committed"),
    # the daemons'
    binary_fetched=quiet("{node} got the program of {stage}"),
    process_running=quiet("{node} has the input of process {process}, and it runs"),
    pipe_closed=quiet("{bytes:bytes} went through a pipe from {source} to {machine}"),
    channels_grew=repair("{node}: vertices wait for each other, so full channels get more room"),
    output_renamed=quiet("the output of vertex {vertex}, version {version}, has its name on {machine}"),
    job_dropped=trouble("{node} ended the vertices of {job}: its job manager is silent"),
)
