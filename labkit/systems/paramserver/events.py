"""What the parameter server's nodes tell of themselves: each event's data, and how it reads."""

from __future__ import annotations

import re
from typing import Any

from labkit.trace.words import Events, fault, plain, quiet, repair, trouble

__all__ = ["EVENTS", "called", "meaning", "who"]


def who(data: Any) -> str:
    """The worker of an event."""
    return str(data.get("worker") or "a worker")


def called(consistency: Any) -> str:
    """A consistency model as it is written: SSP(3), not SSP(staleness=3)."""
    return re.sub(r"\w+=", "", str(consistency))


def meaning(bound: int | None) -> str:
    """A bound in words."""
    if bound is None:
        return "nobody waits for anybody"
    if bound == 0:
        return "each iteration begins when all have ended the one before"
    return f"nobody is more than {bound} iteration{'s' * (bound != 1)} ahead of the slowest"


def _change(event: Any) -> str:
    return f"Consistency is now {called(event.data.get('consistency'))}: {meaning(event.data.get('bound'))}"


def _began(event: Any) -> str:
    d = event.data
    workers = len(d.get("workers") or ())
    return (
        f"Training began: {workers} workers, {d.get('iterations')} iterations, {called(d.get('consistency'))}"
    )


def _ended(event: Any) -> str:
    return "Training has ended" if event.data.get("ok", True) else "Training was stopped"


def _became(event: Any) -> str:
    return f"{event.node} is {event.data.get('role')} of {_part(event.data)} of the keys"


def _part(data: Any) -> str:
    share = float(data.get("hi") or 0.0) - float(data.get("lo") or 0.0)
    return f"{share:.0%}" if 0 <= share <= 1 else "a range"


def _failed(what: str) -> Any:
    return lambda event: (
        f"{event.data.get(what)} is taken for dead: {event.data.get('why') or 'no heartbeat'}"
    )


def _loss(event: Any) -> str:
    d = event.data
    return f"{who(d)}: loss {float(d.get('loss') or 0):.4f} in iteration {d.get('iteration')}"


EVENTS = Events(
    "parameter server",
    # Training: the scheduler's and the workers'.
    training_started=plain(_began),
    training_finished=plain(_ended),
    consistency_changed=plain(_change),
    clock=quiet("{worker} begins iteration {clock}"),
    iteration_finished=quiet("{worker} has ended {iterations} iterations"),
    wait_started=quiet("{worker} waits at {clock} for the slowest, at {slowest}"),
    wait_finished=quiet("{worker} goes on after {seconds:.2f} s"),
    loss=quiet(_loss),
    shard_over=quiet("{worker} has done its part of the examples (shard {shard})"),
    # Members.
    worker_joined=repair("{worker} joined on {machine}"),
    worker_failed=fault(_failed("worker")),
    shard_reassigned=repair("The examples of {from} (shard {shard}) go on at {to}"),
    server_joined=repair("{server} joined on {machine}"),
    server_failed=fault(_failed("server")),
    server_left=plain("{server} left; its keys have new owners"),
    replaced=plain("{node} learns that it was taken for dead, and begins anew"),
    view=quiet("View {view}: the keys are dealt out anew"),
    became=quiet(_became),
    range_copied=repair(lambda event: f"A range was copied to {event.data.get('to') or event.node}"),
    range_lost=plain(lambda event: f"{_part(event.data)} of the keys are lost: no copy is left"),
    # Pushes and pulls.
    pushed=quiet("{worker} pushed {keys} keys of {vector}"),
    pulled=quiet("{worker} pulled {keys} keys of {vector}"),
    push_resent=trouble(
        "{worker} sends a push again, to {to}", "push_resent", "{total:part} of pushes were sent again"
    ),
    duplicate_rejected=trouble(
        "{node} refused a push of {worker} that it had already",
        "duplicate_rejected",
        "{total:part} of pushes were refused: they had been applied already",
    ),
    applied=quiet("{node} applied a push of {worker}"),
    buffered=quiet("{node} keeps a push of {worker} for its round"),
    round_applied=quiet("{node} applied the pushes of round {clock}"),
    forwarded=quiet("{node} forwarded an update to {to}"),
    copied=quiet("{node} has copied an update"),
    acknowledged=quiet("{worker} has the answer to a push: every copy has it"),
    read=quiet("{node} answered a pull"),
    # Checkpoints.
    checkpoint_written=plain("Checkpoint written: {bytes:bytes}"),
    checkpoint_restored=repair("Checkpoint restored"),
)
