"""What Chord's nodes tell of themselves: each event's data, and how it reads."""

from __future__ import annotations

from typing import Any

from labkit.trace.words import Events, first_line, names, plain, quiet, repair, trouble

__all__ = ["EVENTS"]


def _successors(event: Any) -> str:
    return f"{event.node}: successors are now {names(list(event.data.get('successors', ()))[:3])} …"


def _stored(event: Any) -> str:
    return f"{event.node} stores {event.data.get('key')!r}" + (
        " as a copy" if event.data.get("replica") else ""
    )


def _protocol(event: Any) -> str:
    return f"{event.node} maintains the ring by {event.data.get('protocol')} now"


EVENTS = Events(
    "Chord",
    # The ring: id, successor; successors, ids; predecessor; fingers (number to name).
    joined=repair("{node} joined; its successor is {successor}", "joined", "{total:node} joined the ring"),
    left=plain("{node} left the ring"),
    successors_changed=quiet(_successors),
    predecessor_changed=quiet("{node}: predecessor is now {predecessor}"),
    fingers_changed=quiet("{node} corrected {fingers:finger}"),
    dead_seen=trouble(
        "{node} noticed that {peer} does not answer",
        "silent {peer}",
        "{peer} does not answer: {total:call} to it timed out",
        adds=0,
    ),
    protocol_changed=plain(_protocol, "protocol", "{total:node} changed the protocol"),
    # Lookups: key, key_id, origin; hops, timeouts, owner.
    lookup_started=quiet(lambda event: f"{event.node} starts to look up {event.data.get('key')!r}"),
    hop=quiet("{node} passes the lookup on to {to}"),
    hop_timed_out=trouble(
        "a lookup at {node} got no answer from {to} and goes another way",
        "silent {to}",
        "{to} does not answer: {total:call} to it timed out",
    ),
    lookup_finished=quiet("{node} learns the owner: {owner} ({hops:hop})"),
    lookup_failed=trouble(
        lambda event: f"a lookup at {event.node} failed: {first_line(event.data.get('error'))}"
    ),
    # The store: key, key_id, replica, version; copies; count, to, why.
    stored=quiet(_stored),
    written=quiet(
        lambda event: (
            f"{event.node} has {event.data.get('key')!r} written, in {event.data.get('copies')} copies"
        )
    ),
    removed=quiet(lambda event: f"{event.node} removes {event.data.get('key')!r}"),
    replicated=repair(
        "{node} copied {count:key} to {to}", "replicated", "{total:key} were copied to new holders", "count"
    ),
    moved=repair(
        "{node} moved {count:key} to {to} ({why})", "moved", "{total:key} moved to their new owners", "count"
    ),
)
