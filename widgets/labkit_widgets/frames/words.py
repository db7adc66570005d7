"""Events in plain words. A first-year student reads these lines.

A kind that has no phrase is not worth a line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

#: Kinds that come in such numbers that a line for each would hide the others. Panels draw them instead.
SILENT = {
    "sent", "delivered", "hop", "lookup_started", "lookup_finished", "fingers_changed", "successors_changed",
    "predecessor_changed", "stored", "removed", "span_started", "latency_drawn",
}  # fmt: skip

FAULTS = {
    "killed", "machine_died", "paused", "slowed", "partitioned", "loss_changed", "latency_changed",
    "duplicate_changed", "disk_lost",
}  # fmt: skip
REPAIRS = {"restarted", "resumed", "healed", "replicated", "moved", "joined", "machine_started"}
TROUBLE = {"timed_out", "hop_timed_out", "dropped", "crash", "dead_seen", "lookup_failed"}


def tone(kind: str) -> str:
    """fault, repair, trouble or plain."""
    for name, kinds in (("fault", FAULTS), ("repair", REPAIRS), ("trouble", TROUBLE)):
        if kind in kinds:
            return name
    return "plain"


def _names(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple, set, frozenset)) else str(value)


def _count(value: Any, noun: str) -> str:
    return f"{value} {noun}" if value == 1 else f"{value} {noun}s"


def _slowed(event: Any, d: Mapping[str, Any]) -> str:
    factor = d.get("factor", 1)
    return (
        f"{event.machine} runs at full speed again"
        if factor == 1
        else f"{event.machine} became {factor:g}× slower"
    )


def _partitioned(event: Any, d: Mapping[str, Any]) -> str:
    arrow = "cannot send to" if d.get("oneway") else "is cut off from"
    return f"Network: {_names(d.get('a', ()))} {arrow} {_names(d.get('b', ()))}"


def _percent(value: Any) -> str:
    return f"{float(value):.0%}"


def _crash(event: Any, d: Mapping[str, Any]) -> str:
    error = str(d.get("error") or "?").splitlines()[0]
    return f"{event.node or event.machine} crashed: {error}"


def _stopped(event: Any, d: Mapping[str, Any]) -> str:
    reason = d.get("reason")
    return f"{event.node} stopped" + (f" ({reason})" if reason else "")


_PHRASES: dict[str, Callable[[Any, Mapping[str, Any]], str]] = {
    "machine_started": lambda e, d: f"{e.machine} started",
    "machine_died": lambda e, d: f"{e.machine} was seen to be gone",
    "killed": lambda e, d: f"{e.machine} was killed",
    "restarted": lambda e, d: f"{e.machine} was restarted with an empty memory and its old disk",
    "paused": lambda e, d: f"{e.machine} was paused: it looks dead to the others",
    "resumed": lambda e, d: f"{e.machine} goes on",
    "slowed": _slowed,
    "partitioned": _partitioned,
    "healed": lambda e, d: "Network: everybody can reach everybody again",
    "loss_changed": lambda e, d: f"Network: {_percent(d.get('probability', 0))} of the messages are lost",
    "latency_changed": lambda e, d: (
        f"Network: latency is now {d.get('latency') or d.get('fault') or 'different'}"
    ),
    "duplicate_changed": lambda e, d: (
        f"Network: {_percent(d.get('probability', 0))} of the messages arrive twice"
    ),
    "disk_lost": lambda e, d: f"{e.machine} lost its disk",
    "node_started": lambda e, d: f"{e.node} started on {e.machine}",
    "node_stopped": _stopped,
    "crash": _crash,
    "fault_skipped": lambda e, d: f"a planned fault could not strike: {d.get('reason')}",
    "lookup_failed": lambda e, d: f"a lookup at {e.node} failed: {d.get('error')}",
    "printed": lambda e, d: f"{e.node or e.machine} says: {str(d.get('text', '')).rstrip()}",
    "timed_out": lambda e, d: f"{e.node} got no answer from {d.get('to')} ({d.get('method')})",
    "dropped": lambda e, d: (
        f"a message from {e.node} to {d.get('to')} was lost ({d.get('reason') or 'network'})"
    ),
    "joined": lambda e, d: f"{e.node} joined; its successor is {d.get('successor')}",
    "left": lambda e, d: f"{e.node} left the ring",
    "dead_seen": lambda e, d: f"{e.node} noticed that {d.get('peer')} does not answer",
    "hop_timed_out": lambda e, d: (
        f"a lookup at {e.node} got no answer from {d.get('to')} and goes another way"
    ),
    "replicated": lambda e, d: f"{e.node} copied {_count(d.get('count'), 'key')} to {_names(d.get('to'))}",
    "moved": lambda e, d: (
        f"{e.node} moved {_count(d.get('count'), 'key')} to {_names(d.get('to'))} ({d.get('why')})"
    ),
}

#: Phrases for kinds without a line of their own: the space-time diagram and `why` show every event.
_QUIET: dict[str, Callable[[Any, Mapping[str, Any]], str]] = {
    "sent": lambda e, d: f"{e.node} sends {d.get('method')} ({d.get('what')}) to {d.get('to')}",
    "delivered": lambda e, d: f"{e.node} receives {d.get('method')} ({d.get('what')}) from {d.get('from')}",
    "hop": lambda e, d: f"{e.node} passes the lookup on to {d.get('to')}",
    "lookup_started": lambda e, d: f"{e.node} starts to look up {d.get('key')!r}",
    "lookup_finished": lambda e, d: (
        f"{e.node} learns the owner: {d.get('owner')} ({_count(d.get('hops'), 'hop')})"
    ),
    "stored": lambda e, d: f"{e.node} stores {d.get('key')!r}" + (" as a copy" if d.get("replica") else ""),
    "removed": lambda e, d: f"{e.node} removes {d.get('key')!r}",
    "successors_changed": lambda e, d: (
        f"{e.node}: successors are now {_names(list(d.get('successors', ()))[:3])} …"
    ),
    "predecessor_changed": lambda e, d: f"{e.node}: predecessor is now {d.get('predecessor')}",
    "fingers_changed": lambda e, d: f"{e.node} corrected {_count(len(d.get('fingers', ())), 'finger')}",
    "span_started": lambda e, d: f"{e.node or e.machine} starts {d.get('name', 'an operation')}",
    "span_finished": lambda e, d: f"{e.node or e.machine} finished {d.get('name', 'an operation')}",
}

#: In the event list nodes start and spans end too often; a system's own unknown kinds are shown as they are.
UNLISTED = SILENT | {"node_started", "span_finished", "dropped"}


def describe(event: Any) -> str:
    """The line of the event list, or "" for events that have none."""
    if event.kind in UNLISTED:
        return ""
    return explain(event)


def subject(event: Any) -> tuple[str, int]:
    """What an event's line is about, so that several can become one; "" if it stands alone.

    And what it adds up.
    """
    data = event.data
    if event.kind in ("timed_out", "dead_seen", "hop_timed_out"):
        return f"silent {data.get('to') or data.get('peer')}", int(event.kind != "dead_seen")
    if event.kind in ("replicated", "moved"):
        return event.kind, int(data.get("count") or 0)
    if event.kind in _MERGED:
        return _MERGED[event.kind](event), 1
    return ("joined", 1) if event.kind == "joined" else ("", 1)


def summary(about: str, total: int) -> str:
    """The line of several events about the same thing."""
    what, _, name = about.partition(" ")
    if what == "silent":
        return f"{name} does not answer: {_count(max(1, total), 'call')} to it timed out"
    return f"{total} {_SUMMARIES[what]}"


_SUMMARIES = {
    "replicated": "keys were copied to new holders",
    "moved": "keys moved to their new owners",
    "joined": "nodes joined the ring",
}


#: Kinds of events that share a line, and what it is about.
_MERGED: dict[str, Callable[[Any], str]] = {}


def explain(event: Any) -> str:
    """One event in words, of any kind."""
    phrase = _PHRASES.get(event.kind) or _QUIET.get(event.kind)
    if phrase is not None:
        return phrase(event, event.data)
    details = ", ".join(f"{key}={_short(value)}" for key, value in event.data.items())
    return f"{event.node or event.machine}: {event.kind.replace('_', ' ')}" + (
        f" ({details})" if details else ""
    )


def add_words(
    phrases: Mapping[str, Callable[[Any, Mapping[str, Any]], str]],
    silent: Iterable[str] = (),
    faults: Iterable[str] = (),
    repairs: Iterable[str] = (),
    trouble: Iterable[str] = (),
    merged: Mapping[str, Callable[[Any], str]] | None = None,
    summaries: Mapping[str, str] | None = None,
) -> None:
    """A system's own kinds of events: their phrases, those without a line of their own, and their tones.

    `merged`: what the line of such an event is about (see `subject`), and `summaries` the words for several.
    """
    _PHRASES.update(phrases)
    UNLISTED.update(silent)
    FAULTS.update(faults)
    REPAIRS.update(repairs)
    TROUBLE.update(trouble)
    _MERGED.update(merged or {})
    _SUMMARIES.update(summaries or {})


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:39] + "…"
