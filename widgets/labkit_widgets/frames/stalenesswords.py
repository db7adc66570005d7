"""The parameter server's events in plain words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .words import add_words

Data = Mapping[str, Any]


def who(data: Data) -> str:
    """The worker of an event, with its shard if that is another number."""
    return str(data.get("worker") or "a worker")


def _change(event: Any, data: Data) -> str:
    return f"Consistency is now {called(data.get('consistency'))}: {meaning(data.get('bound'))}"


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


def _finished(event: Any, data: Data) -> str:
    return "Training has ended" if data.get("ok", True) else "Training was stopped"


def _became(event: Any, data: Data) -> str:
    return f"{event.node} is {data.get('role')} of {_part(data)} of the keys"


def _part(data: Data) -> str:
    share = float(data.get("hi") or 0.0) - float(data.get("lo") or 0.0)
    return f"{share:.0%}" if 0 <= share <= 1 else "a range"


def _size(count: Any) -> str:
    number = float(count or 0)
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


add_words(
    {
        "training_started": lambda e, d: (
            f"Training began: {len(d.get('workers') or ())} workers, {d.get('iterations')} iterations, "
            f"{called(d.get('consistency'))}"
        ),
        "training_finished": _finished,
        "consistency_changed": _change,
        "worker_failed": lambda e, d: f"{who(d)} is taken for dead: {d.get('why') or 'no heartbeat'}",
        "worker_joined": lambda e, d: f"{who(d)} joined on {d.get('machine')}",
        "shard_reassigned": lambda e, d: (
            f"The examples of {d.get('from')} (shard {d.get('shard')}) go on at {d.get('to')}"
        ),
        "shard_over": lambda e, d: f"{who(d)} has ended its part (shard {d.get('shard')})",
        "server_joined": lambda e, d: f"{d.get('server')} joined on {d.get('machine')}",
        "server_failed": lambda e, d: (
            f"{d.get('server')} is taken for dead: {d.get('why') or 'no heartbeat'}"
        ),
        "server_left": lambda e, d: f"{d.get('server')} left; its keys have new owners",
        "push_resent": lambda e, d: f"{who(d)} sends a push again, to {d.get('to')}",
        "duplicate_rejected": lambda e, d: f"{e.node} refused a push of {who(d)} that it had already",
        "checkpoint_written": lambda e, d: f"Checkpoint written: {_size(d.get('bytes'))}",
        "checkpoint_restored": lambda e, d: "Checkpoint restored",
        "range_copied": lambda e, d: f"A range was copied to {d.get('to') or e.node}",
        # Without a line of their own; the space-time diagram shows them.
        "clock": lambda e, d: f"{who(d)} begins iteration {d.get('clock')}",
        "wait_started": lambda e, d: (
            f"{who(d)} waits at {d.get('clock')} for the slowest, at {d.get('slowest')}"
        ),
        "wait_finished": lambda e, d: f"{who(d)} goes on after {float(d.get('seconds') or 0):.2f} s",
        "pushed": lambda e, d: f"{who(d)} pushed {d.get('keys')} keys of {d.get('vector')}",
        "pulled": lambda e, d: f"{who(d)} pulled {d.get('keys')} keys of {d.get('vector')}",
        "loss": lambda e, d: (
            f"{who(d)}: loss {float(d.get('loss') or 0):.4f} in iteration {d.get('iteration')}"
        ),
        "applied": lambda e, d: f"{e.node} applied a push of {who(d)}",
        "forwarded": lambda e, d: f"{e.node} forwarded an update to {d.get('to')}",
        "round_applied": lambda e, d: f"{e.node} applied the pushes of round {d.get('clock')}",
        "buffered": lambda e, d: f"{e.node} keeps a push of {who(d)} for its round",
        "iteration_finished": lambda e, d: f"{who(d)} has ended {d.get('iterations')} iterations",
        "copied": lambda e, d: f"{e.node} has copied an update",
        "acknowledged": lambda e, d: f"{who(d)} has the answer to a push: every copy has it",
        "read": lambda e, d: f"{e.node} answered a pull",
        "range_lost": lambda e, d: f"{_part(d)} of the keys are lost: no copy is left",
        "replaced": lambda e, d: f"{e.node} learns that it was taken for dead, and begins anew",
        "became": _became,
        "view": lambda e, d: f"View {d.get('view')}: the keys are dealt out anew",
    },
    silent=(
        "clock", "wait_started", "wait_finished", "pushed", "pulled", "loss", "applied", "forwarded",
        "round_applied", "became", "view", "buffered", "acknowledged", "read",
        "copied", "iteration_finished", "shard_over",
    ),
    faults=("worker_failed", "server_failed"),
    repairs=("shard_reassigned", "server_joined", "worker_joined", "range_copied", "checkpoint_restored"),
    trouble=("push_resent", "duplicate_rejected"),
    merged={"push_resent": lambda e: "push_resent", "duplicate_rejected": lambda e: "duplicate_rejected"},
    summaries={
        "push_resent": "parts of pushes were sent again",
        "duplicate_rejected": "parts of pushes were refused: they had been applied already",
    },
)  # fmt: skip

__all__ = ["called", "meaning", "who"]
