"""What the nodes of a run tell of themselves: each event's data, and how it reads."""

from __future__ import annotations

from typing import Any

from labkit.trace.words import Events, fault, many, plain, quiet, repair

__all__ = ["EVENTS"]

ENDS = {
    "empty": "no task is left", "until": "its termination function says so",
    "bound": "max_updates is reached", "cancelled": "it was cancelled", "failed": "an update function failed",
}  # fmt: skip


def _epoch(event: Any) -> str:
    data = event.data
    if data["epoch"] == 1:
        return f"{data['run']} begins on {many(len(data['members']), 'machine')}"
    since = f"snapshot {data['snapshot'][1]}" if data["snapshot"] else "the start: there is no snapshot"
    return f"{data['run']}: {data['why']}; all go back to {since}"


def _finished(event: Any) -> str:
    return f"{event.data['run']} is over: {ENDS.get(event.data['result'], event.data['result'])}"


EVENTS = Events(
    "graphlab",
    # the monitor's
    epoch_began=repair(_epoch),
    epoch_runs=quiet("all machines have loaded their atoms"),
    all_idle=plain("the machines agree that no task is left, after {after}"),
    run_finished=plain(_finished),
    snapshot_began=plain("a snapshot begins ({mode})"),
    snapshot_completed=repair("snapshot {number} is complete"),
    consistency_changed=fault("the consistency is now {consistency}"),
    scheduler_changed=plain("the scheduler is now {scheduler}"),
    synced=quiet("{name} is {value}"),
    # the processes'
    loaded=quiet("{node} has loaded {atoms:atom}"),
    updated=quiet("{node} has updated vertex {vertex}, under {consistency} consistency"),
    written=quiet("{node} has written what an update elsewhere has changed"),
    lock_awaited=quiet("vertex {vertex} is locked: the update of {by} waits", "trouble"),
    locked=quiet("{node} has locked {locks:vertex} for a task"),
    unlocked=quiet("{node} has unlocked {vertices:vertex}"),
    step_began=quiet("{node} updates {vertices:vertex} of colour {colour}"),
    part_saved=quiet("{node} has saved {items:item} for snapshot {number}"),
)
