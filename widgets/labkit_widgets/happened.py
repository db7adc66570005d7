"""What a window of a trace holds, for Lamport's diagram. Lanes are machines or nodes, time runs to the right.

An arrow is happens-before across lanes: an event's `parent` is the event that led to it, and the runtime
carries it through every message. So the arrows are right at every trace level; with `trace="messages"` they
start and end exactly where a message was sent and delivered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from labkit.trace.machines import CLIENT, natural
from labkit.trace.words import Tables, explain, tone

#: More events than this are summarised: the diagram shows the last ones and says how many it left out.
SHOWN = 200
#: More lanes than this and the diagram's lanes are machines, not nodes.
LANES = 16


@dataclass(frozen=True)
class Point:
    """One event on its lane."""

    seq: int
    time: float
    lane: str
    kind: str
    text: str
    tone: str  # fault, repair, trouble, message or plain
    span: int | None = None


@dataclass(frozen=True)
class Arrow:
    """Happens-before from one point to another.

    A lost message has no second point, only the lane it was sent to.
    """

    source: int
    target: int
    lost: str = ""


@dataclass(frozen=True)
class Band:
    """A stretch of a lane on which its machine was dead, paused or slow; or a client waited for an answer."""

    lane: str
    start: float
    end: float
    state: str
    text: str = ""


@dataclass(frozen=True)
class SpaceTimeFrame:
    """A window of the run as a diagram."""

    start: float
    end: float
    lanes: tuple[str, ...]
    machines: dict[str, str]  # lane -> machine
    points: tuple[Point, ...]
    arrows: tuple[Arrow, ...]
    bands: tuple[Band, ...]
    left_out: int
    spans: tuple[tuple[int, str], ...]  # (span, its words) in the window, newest last
    order: tuple[str, ...] = ()  # all machines of the lab: the place of each gives its colour
    chain: tuple[int, ...] = ()  # the events that explain the chosen one, cause first

    def point(self, seq: int) -> Point | None:
        """The event with that seq, if it is shown."""
        return next((p for p in self.points if p.seq == seq), None)


def frame(
    trace: Any,
    position: float | None = None,
    *,
    window: float = 1.0,
    span: int | None = None,
    chosen: int | None = None,
    by: str = "auto",
    tables: Tables | None = None,
) -> SpaceTimeFrame:
    """The diagram of the last `window` seconds before `position` (None: now), or of one span.

    `by` is "machine", "node" or "auto" (nodes while there are few). `chosen` is the seq of an event to be
    explained. `tables` give the events' words; without them they are learned from the events.
    """
    events = _recent(trace)
    tables = tables or Tables.of(events)
    now = position if position is not None else max((event.time for event in events), default=0.0)
    happened = [event for event in events if event.time <= now]
    if span is not None:
        inside = [event for event in happened if event.span == span]
        start, end = (inside[0].time, max(event.time for event in inside)) if inside else (now - window, now)
    else:
        start, end = now - window, now
        inside = [event for event in happened if event.time >= start]
    inside.sort(key=lambda event: (event.time, event.seq))
    shown = inside[-SHOWN:]
    lane_of = _lanes(shown, by)
    homes = {e.node: e.machine for e in happened if e.kind == "node_started"}
    silent = _silent(shown, lane_of, homes)
    machines = {**silent, **{lane_of(e): e.machine for e in shown}}
    lanes = sorted(machines, key=lambda lane: (lane != CLIENT, natural(lane)))
    chain = tuple(event.seq for event in trace.why(chosen).events) if chosen is not None else ()
    points = tuple(
        Point(e.seq, e.time, lane_of(e), e.kind, explain(e, tables.words(e)), _tone(e, tables), e.span)
        for e in shown
    )
    return SpaceTimeFrame(
        start=shown[0].time if len(inside) > SHOWN else start,
        end=end,
        lanes=tuple(lanes),
        machines=machines,
        points=points,
        arrows=_arrows(shown, lane_of, homes, machines),
        bands=(
            *_bands(happened, machines, start, end),
            *_operations(happened, lane_of, machines, start, end),
        ),
        left_out=len(inside) - len(shown),
        spans=_spans(happened),
        order=tuple(
            trace.meta.get("machines") or sorted({e.machine for e in happened} - {CLIENT}, key=natural)
        ),
        chain=chain,
    )


#: How far back the diagram reads: a window of the last seconds does not need the whole trace.
READ = 20_000


def _recent(trace: Any) -> Sequence[Any]:
    return trace.since(max(0, trace.count - READ)) if hasattr(trace, "since") else list(trace)


def _lanes(events: Sequence[Any], by: str) -> Any:
    nodes = {event.node or event.machine for event in events}
    if by == "node" or (by == "auto" and len(nodes) <= LANES):
        return lambda event: event.node or event.machine
    return lambda event: event.machine


def _tone(event: Any, tables: Tables) -> str:
    return "message" if event.kind in ("sent", "delivered") else tone(tables.words(event))


def _silent(events: Sequence[Any], lane_of: Any, homes: dict[str, str]) -> dict[str, str]:
    """Lanes of those who were called in vain: nothing happens on them, and that is what is to be seen."""
    called = {e.data.get("to") for e in events if e.kind in _LOST}
    known = {node: homes[node] for node in sorted(filter(None, called)) if node in homes}
    nodes = any(lane_of(event) == event.node != event.machine for event in events)
    return known if nodes else {machine: machine for machine in known.values()}


_LOST = {"dropped", "timed_out"}


def _arrows(
    events: Sequence[Any], lane_of: Any, homes: dict[str, str], machines: dict[str, str]
) -> tuple[Arrow, ...]:
    shown = {event.seq: event for event in events}
    arrows = []
    for event in events:
        target = event.data.get("to")
        lane = target if target in machines else homes.get(target or "", "")
        if event.kind == "dropped" and lane in machines and lane != lane_of(event):
            source = (
                event.parent
                if event.parent in shown and lane_of(shown[event.parent]) == lane_of(event)
                else event.seq
            )
            arrows.append(Arrow(source, event.seq, lane))
        elif event.parent in shown and lane_of(shown[event.parent]) != lane_of(event):
            arrows.append(Arrow(event.parent, event.seq))
    return tuple(arrows)


_ENDS = {"restarted", "resumed", "machine_started"}
_BEGINS = {"killed": "dead", "machine_died": "dead", "paused": "paused", "slowed": "slow"}


def _bands(events: Sequence[Any], machines: dict[str, str], start: float, end: float) -> tuple[Band, ...]:
    """For each lane the stretches in which its machine did not run as usual."""
    stretches: list[tuple[str, float, float, str]] = []
    begun: dict[str, tuple[float, str]] = {}
    for event in events:
        ended = event.kind in _ENDS or (event.kind == "slowed" and event.data.get("factor") == 1)
        if (ended or event.kind in _BEGINS) and event.machine in begun:
            since, state = begun[event.machine]
            if not ended and _BEGINS[event.kind] == state:
                continue
            del begun[event.machine]
            stretches.append((event.machine, since, event.time, state))
        if event.kind in _BEGINS and not ended:
            begun[event.machine] = (event.time, _BEGINS[event.kind])
    stretches += [(machine, since, end, state) for machine, (since, state) in begun.items()]
    return tuple(
        Band(lane, max(since, start), min(until, end), state)
        for lane, home in machines.items()
        for machine, since, until, state in stretches
        if machine == home and until > start and since < end
    )


def _operations(
    events: Sequence[Any], lane_of: Any, machines: dict[str, str], start: float, end: float
) -> list[Band]:
    """What recorded clients asked, from the question to the answer, or on and on without one."""
    asked: dict[Any, Any] = {}
    bands = []
    for event in events:
        if event.kind not in ("operation_invoked", "operation_returned", "operation_failed"):
            continue
        who = (event.node, event.data.get("client"), event.data.get("operation"))
        if event.kind == "operation_invoked":
            asked[who] = event
        elif who in asked:
            begun = asked.pop(who)
            result = event.data.get("result")
            told = "" if result is None and begun.data.get("argument") is not None else f" → {result!r}"
            failed = event.kind == "operation_failed"
            bands.append((begun, event.time, " did not happen" if failed else told))
    bands += [(begun, end, " → ?") for begun in asked.values()]
    return [
        Band(lane_of(begun), max(begun.time, start), min(until, end), "asked", _question(begun) + answer)
        for begun, until, answer in bands
        if lane_of(begun) in machines and until >= start and begun.time <= end
    ]


def _question(event: Any) -> str:
    key, argument = event.data.get("key"), event.data.get("argument")
    about = "" if key is None else f" {key!r}"
    return f"{event.data.get('call')}{about}" + ("" if argument is None else f"({argument!r})")


def _spans(events: Sequence[Any]) -> tuple[tuple[int, str], ...]:
    started = [e for e in events if e.kind in ("span_started", "lookup_started") and e.span is not None]
    words = {
        e.span: f"{e.data.get('name') or 'lookup'} {e.data.get('key', '')}".strip() for e in started[-30:]
    }
    return tuple(words.items())
