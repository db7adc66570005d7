"""What can be read out of a trace: a table, stories, causes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.runtime.errors import LabError
from labkit.trace.event import FIELDS, Event

if TYPE_CHECKING:
    import pandas

__all__ = ["Chain", "frame", "story", "why"]

#: Kinds of events that are faults; ``why`` stops at one.
FAULTS = frozenset(
    [
        "killed",
        "paused",
        "slowed",
        "partitioned",
        "loss_changed",
        "latency_changed",
        "duplicate_changed",
        "disk_lost",
        "machine_died",
        "node_stopped",
    ]
)
MENDS = {"restarted": "killed", "resumed": "paused", "healed": "partitioned"}


def frame(events: Sequence[Event]) -> pandas.DataFrame:
    """One row per event; data keys become columns (a key named like a field gets ``data_`` before it)."""
    import pandas

    rows = []
    for event in events:
        row = dict(zip(FIELDS, event[:7], strict=True))
        row.update((f"data_{key}" if key in FIELDS else key, value) for key, value in event.data.items())
        rows.append(row)
    return pandas.DataFrame(rows, columns=None if rows else list(FIELDS))


def story(events: Sequence[Event], about: Any, last: int) -> str:
    """Lines of the events that concern a node, machine, key or span."""
    chosen = [event for event in events if concerns(event, about)]
    if not chosen:
        return f"no event in this trace is about {about!r}"
    head = [f"… {len(chosen) - last} earlier events"] if len(chosen) > last else []
    return "\n".join([*head, *map(str, chosen[-last:])])


def concerns(event: Event, about: Any) -> bool:
    """Whether the event is about this node, machine, span, or names it in its data."""
    return about in (event.node, event.machine) or event.span == about or _named(about, event.data.values())


def _named(about: Any, values: Any) -> bool:
    for value in values:
        if isinstance(value, (list, tuple)):
            if _named(about, value):
                return True
        elif type(value) is type(about) and value == about:
            return True
    return False


@dataclass(frozen=True)
class Chain:
    """Events from a cause to the event asked about, in order."""

    events: tuple[Event, ...]

    @property
    def fault(self) -> Event | None:
        """The fault it began with, if it did."""
        first = self.events[0]
        return first if first.kind in FAULTS else None

    def __str__(self) -> str:
        lines = [str(event) for event in self.events]
        return "\n".join(
            f"{'  because' if index else '         '} {line}" for index, line in enumerate(lines[::-1])
        )

    def __repr__(self) -> str:
        return str(self)


def why(events: Sequence[Event], event: Event | int) -> Chain:
    """Walk happens-before back from the event, and from a lost message to the fault that lost it."""
    by_seq = {one.seq: one for one in events}
    if isinstance(event, int):
        if event not in by_seq:
            raise LabError(
                f"the trace has no event with seq {event}; it holds {len(events):,}, and older ones may have "
                "been forgotten"
            )
        event = by_seq[event]
    chain = [event]
    while True:
        current = chain[-1]
        before = _fault_behind(events, current) if current.kind in ("timed_out", "dropped") else None
        before = before or by_seq.get(current.parent or 0)
        if before is None or before in chain:
            break
        chain.append(before)
        if before.kind in FAULTS:
            break
    return Chain(tuple(reversed(chain)))


def _fault_behind(events: Sequence[Event], symptom: Event) -> Event | None:
    """The latest fault not yet mended that kept a message from its target, or its answer from coming back."""
    from_machine, to_machine = symptom.machine, symptom.data.get("to_machine")
    sent = symptom.time - symptom.data.get("after", 0.0)  # what was mended before did no harm
    active: dict[tuple[Any, ...], Event] = {}
    for event in events:
        if (event.time, event.seq) >= (symptom.time, symptom.seq):
            break
        stopped = event.kind in MENDS or event.data.get("factor") == 1 or event.data.get("probability") == 0
        if stopped and event.time >= sent:
            continue
        if event.kind in MENDS:
            cured = MENDS[event.kind]
            for key in [
                key
                for key in active
                if key[0] in (cured, "machine_died") and event.machine in (key[1], "client")
            ]:
                del active[key]
        elif event.kind == "loss_changed" and not event.data.get("probability"):
            active.pop(("loss_changed", None), None)
        elif event.kind == "slowed" and event.data.get("factor") == 1:
            active.pop(("slowed", event.machine), None)
        elif event.kind in ("killed", "paused", "slowed", "machine_died"):
            if event.machine in (to_machine, from_machine):
                active.setdefault((event.kind, event.machine), event)
        elif event.kind == "partitioned":
            a, b = event.data["a"], event.data["b"]
            if (from_machine in a and to_machine in b) or (from_machine in b and to_machine in a):
                active["partitioned", "client", len(active)] = event
        elif event.kind in ("loss_changed", "latency_changed"):
            active[event.kind, None] = event
        elif event.kind == "node_stopped" and event.node == symptom.data.get("to"):
            active[event.kind, event.node] = event
    if not active:
        return None
    strength = {"killed": 3, "paused": 2, "partitioned": 2, "node_stopped": 3, "machine_died": 1}
    return max(active.values(), key=lambda event: (strength.get(event.kind, 0), event.time))
