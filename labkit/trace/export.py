"""A trace in the formats of other tools: Perfetto's and ShiViz's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labkit.trace.event import Event

__all__ = ["to_perfetto", "to_shiviz", "vector_clocks"]


def to_perfetto(events: Sequence[Event], path: Path) -> Path:
    """Chrome trace events: spans as slices, messages as flows between nodes, the rest as instants. Times
    in microseconds."""
    places: dict[tuple[str, str], tuple[int, int]] = {}
    machines: dict[str, int] = {}
    out: list[dict[str, Any]] = []

    def place(event: Event) -> dict[str, int]:
        pid = machines.setdefault(event.machine, len(machines) + 1)
        name = event.node or event.machine
        if (event.machine, name) not in places:
            places[event.machine, name] = (pid, len(places) + 1)
            tid = places[event.machine, name][1]
            out.append({"ph": "M", "name": "process_name", "pid": pid, "args": {"name": event.machine}})
            out.append({"ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "args": {"name": name}})
        pid, tid = places[event.machine, name]
        return {"pid": pid, "tid": tid}

    for event in events:
        where, when = place(event), event.time * 1e6
        args = json.loads(json.dumps(event.data, default=repr))
        if event.kind in ("span_started", "span_finished"):
            phase = "b" if event.kind == "span_started" else "e"
            name = str(event.data.get("name", "span"))
            out.append(
                {
                    "ph": phase,
                    "cat": "span",
                    "id": event.span,
                    "name": name,
                    "ts": when,
                    "args": args,
                    **where,
                }
            )
            continue
        out.append({"ph": "X", "name": event.kind, "ts": when, "dur": 1, "args": args, **where})
        if event.kind in ("sent", "delivered"):
            phase = {"sent": "s", "delivered": "f"}[event.kind]
            flow = _flow(event)
            out.append(
                {
                    "ph": phase,
                    "cat": "message",
                    "id": flow,
                    "name": event.data["method"],
                    "ts": when,
                    "bp": "e",
                    **where,
                }
            )
    path.write_text(json.dumps({"traceEvents": out, "displayTimeUnit": "ms"}), encoding="utf8")
    return path


def _flow(event: Event) -> str:
    """One name for both ends of a message.

    Its number counts the requests of one machine, and an answer has its request's.
    """
    asks = event.data["what"] in ("request", "oneway")
    other = event.data["to_machine" if event.kind == "sent" else "from_machine"]
    asker = event.machine if asks == (event.kind == "sent") else other
    return f"{'ask' if asks else 'answer'} {asker} {event.data['message']}"


def vector_clocks(events: Sequence[Event]) -> list[dict[str, int]]:
    """Each event's vector clock by node (Lamport's happens-before, computed from sends and deliveries)."""
    clocks: dict[str, dict[str, int]] = {}
    sent: dict[int, dict[str, int]] = {}
    out = []
    for event in events:
        host = event.node or event.machine
        clock = dict(clocks.get(host, {}))
        if event.kind == "delivered":
            for other, value in sent.get(event.parent or 0, {}).items():
                clock[other] = max(clock.get(other, 0), value)
        clock[host] = clock.get(host, 0) + 1
        clocks[host] = clock
        if event.kind == "sent":
            sent[event.seq] = clock
        out.append(clock)
    return out


#: What ShiViz must be told to read our log.
SHIVIZ_PARSER = r"(?<host>\S*) (?<clock>{.*})\n(?<event>.*)"


def to_shiviz(events: Sequence[Event], path: Path) -> Path:
    """ShiViz's two-line format.

    The first line of the file is the regular expression to paste into its *log parsing* field.
    """
    lines = [SHIVIZ_PARSER, ""]
    for event, clock in zip(events, vector_clocks(events), strict=True):
        words = " ".join(f"{key}={value}" for key, value in event.data.items()).replace("\n", " ")
        host = (event.node or event.machine).replace(" ", "_")
        lines += [
            f"{host} {json.dumps({name.replace(' ', '_'): n for name, n in clock.items()})}",
            f"{event.kind} {words}",
        ]
    path.write_text("\n".join(lines) + "\n", encoding="utf8")
    return path
