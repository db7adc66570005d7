"""What the nodes tell of themselves: each event's data, and how it reads. Sizes in bytes."""

from __future__ import annotations

from typing import Any

from labkit.trace.words import Events, fault, many, plain, quiet, repair

__all__ = ["EVENTS"]


def _epoch(event: Any) -> str:
    data = event.data
    count = len(data.get("members", ()))
    load = "loads" if count == 1 else "load"
    begin = f"{many(count, 'machine')} {load} {many(data.get('edges'), 'edge')}, cut: {data.get('cut')}"
    if not data.get("why"):
        return begin
    origin = "the last snapshot" if data.get("snapshot") else "the beginning"
    return f"{data['why']}: {begin}; then all go on from {origin}"


def _ordered(event: Any) -> str:
    what, value = event.data.get("what"), event.data.get("value")
    return {
        "go": "the program begins", "snapshot": "a snapshot is wanted", "engine": f"engine: {value}",
        "delta_caching": f"delta caching: {'on' if value else 'off'}", "cut": f"cut: {value}",
    }.get(str(what), f"{what} {value}")  # fmt: skip


EVENTS = Events(
    "powergraph",
    # the coordinator's
    machine_registered=repair("{member} is ready", "ready", "{total:machine} ready"),
    machine_lost=fault("{member} has been silent for {silent:.1f} s and counts as dead"),
    epoch_began=plain(_epoch),
    graph_loaded=plain("the graph is loaded ({cut}): {replication:.2f} replicas of a vertex in the mean"),
    ordered=plain(_ordered),
    snapshot_taken=repair("snapshot {number} is whole: {parts:part}"),
    finished=plain("the program is over: {result}"),
    # the machines'
    loaded=quiet("{node} has {edges:edge} and {vertices:replica}, {masters:master} among them"),
    performed=plain(lambda event: f"all machines have done it: {_ordered(event)}"),
    saved=quiet("{node} wrote {bytes:bytes} of snapshot {number}"),
    superstep_began=quiet("{node}: superstep {superstep} with {active:active master}"),
    superstep_ended=quiet("{node}: superstep {superstep} took {gathers:gather} and {bytes:bytes}"),
    machine_done=quiet("{node} is done: {gathers:gather}, {bytes:bytes} sent"),
    # of one vertex, on small graphs
    vertex_activated=quiet("vertex {vertex} is activated"),
    vertex_locks=quiet("vertex {vertex} wants its forks"),
    forks_wanted=quiet("vertex {vertex} waits on {node} for the forks of {of}"),
    vertex_gathers=quiet("vertex {vertex} gathers"),
    vertex_applied=quiet("vertex {vertex} is {value} now, version {version}"),
    vertex_ended=quiet("vertex {vertex} has run"),
    mirror_updated=quiet("{node}: the mirror of {vertex} is {value} now"),
)
