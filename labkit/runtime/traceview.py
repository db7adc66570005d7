"""What can be read out of a trace: tables, stories, causes, and the formats of other tools."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.runtime.errors import LabError

if TYPE_CHECKING:
    import pandas

    from labkit.runtime.trace import Event, Trace

__all__ = ["Chain", "frame", "story", "to_perfetto", "to_shiviz", "why"]

FIELDS = ("time", "seq", "machine", "node", "kind", "span", "parent")

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


def frame(trace: Trace) -> pandas.DataFrame:
    """One row per event; data keys become columns (a key named like a field gets ``data_`` before it)."""
    import pandas

    rows = []
    for event in trace.sorted():
        row = dict(zip(FIELDS, event[:7], strict=True))
        row.update((f"data_{key}" if key in FIELDS else key, value) for key, value in event.data.items())
        rows.append(row)
    return pandas.DataFrame(rows, columns=None if rows else list(FIELDS))


def story(trace: Trace, about: Any, last: int) -> str:
    """Lines of the events that concern a node, machine, key or span."""
    chosen = [event for event in trace.sorted() if concerns(event, about)]
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


def why(trace: Trace, event: Event | int) -> Chain:
    """Walk happens-before back from the event, and from a lost message to the fault that lost it."""
    events = trace.sorted()
    by_seq = {one.seq: one for one in events}
    if isinstance(event, int):
        if event not in by_seq:
            raise LabError(f"the trace has no event with seq {event} (it may have been forgotten: {trace!r})")
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


def _fault_behind(events: list[Event], symptom: Event) -> Event | None:
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


def to_perfetto(trace: Trace, path: Path) -> Path:
    """Chrome trace events: spans as slices, messages as flows between nodes, the rest as instants. Times
    in microseconds."""
    events = trace.sorted()
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


def vector_clocks(events: list[Event]) -> list[dict[str, int]]:
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


def to_shiviz(trace: Trace, path: Path) -> Path:
    """ShiViz's two-line format.

    The first line of the file is the regular expression to paste into its *log parsing* field.
    """
    if not trace.messages:
        raise LabError(
            "ShiViz draws messages, and this trace has none: make the cluster with "
            f'trace="messages", not {trace.level!r}'
        )
    events = trace.sorted()
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


def to_parquet(trace: Trace, path: Path) -> None:
    """Columns of the event's fields; ``data`` as JSON text; ``meta`` in the file's metadata."""
    pandas = _parquet()
    from labkit.runtime.trace import packed, plain

    rows = [(*event[:7], json.dumps(packed(event.data))) for event in trace]
    table = pandas.DataFrame(rows, columns=[*FIELDS, "data"])
    table[["span", "parent"]] = table[["span", "parent"]].astype("Int64")
    head = {"meta": trace.meta, "level": trace.level, "dropped": trace.dropped}
    table.attrs["labkit"] = json.dumps(head, default=plain)
    table.to_parquet(path)


def from_parquet(path: Path) -> tuple[dict[str, Any], list[tuple[Any, ...]]]:
    """What ``to_parquet`` wrote."""
    from labkit.runtime.trace import unpacked

    table = _parquet().read_parquet(path)
    if "labkit" not in table.attrs:
        raise ValueError(f"{path} is not a trace saved by labkit; Trace.save writes one")
    rows = []
    for row in table.itertuples(index=False, name=None):
        span, parent = (
            None if value is None or value != value else int(value) for value in map(_none, row[5:7])
        )
        rows.append((*row[:3], _none(row[3]), row[4], span, parent, json.loads(row[7], object_hook=unpacked)))
    return json.loads(table.attrs["labkit"]), rows


def _none(value: Any) -> Any:
    import pandas

    return None if value is None or value is pandas.NA or value != value else value


def _parquet() -> Any:
    import pandas

    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise LabError(
            "Parquet needs pyarrow: pip install pyarrow, or save to a name that ends in .jsonl"
        ) from error
    return pandas
