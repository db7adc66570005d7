"""What a trace tells of a lab: machines, nodes, the messages between them, and what the network does to
messages.

With `trace="messages"` every message is in the trace. At the default level only the nodes' own events are;
those that name a receiver (`to=`) still show who talked to whom, so they are drawn, and the frame says which
of the two it shows.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from labkit.trace.fold import History, fold
from labkit.trace.machines import CLIENT, EventLine, Machines, MachineView

from .numbers import Number

#: How a cluster is made to record each message.
HOW_TO_TRACE = 'Cluster(trace="messages")'
#: Messages remembered for drawing; more than this at once is summarised by the numbers.
RECENT = 200
#: A message that nobody ever reports (its receiver's machine died) leaves the picture after this many
#: seconds.
FORGOTTEN_AFTER = 10.0
#: Width of one bar of the traffic chart, in seconds, and how many are kept.
BUCKET, BUCKETS = 0.5, 120


class MessageView(NamedTuple):
    """One message: in flight until `end` is known. A named tuple: one is made for every message of a run."""

    id: int
    source: str  # node names
    target: str
    label: str
    start: float
    end: float | None = None
    fate: str = "flying"  # flying, delivered or dropped
    real: bool = True  # False: only the intent is known (domain level), not the flight

    def progress(self, now: float) -> float:
        """How far it has come at `now`, 0 to 1; half-way when nobody knows."""
        if self.end is None:
            return 0.5
        return min(1.0, (now - self.start) / (self.end - self.start)) if self.end > self.start else 1.0


@dataclass
class ClusterState:
    """The fold behind `ClusterFrame`."""

    lab: Machines = field(default_factory=Machines)
    flying: dict[int, MessageView] = field(default_factory=dict)
    recent: deque[MessageView] = field(default_factory=lambda: deque(maxlen=RECENT))
    traffic: dict[int, tuple[int, int, int]] = field(
        default_factory=dict
    )  # bucket -> sent, dropped, timed out
    links: dict[tuple[str, str], int] = field(default_factory=dict)  # (machine, machine) -> messages so far
    sent: int = 0
    delivered: int = 0
    dropped: int = 0
    timeouts: int = 0
    delay: float = 0.0  # sum of the delays of delivered messages
    delays: int = 0


@dataclass(frozen=True)
class ClusterFrame:
    """The whole lab at one position."""

    time: float
    machines: tuple[MachineView, ...]
    places: dict[str, str]
    classes: dict[str, str]
    gone: frozenset[str]
    cuts: frozenset[tuple[str, str]]
    loss: float
    latency: str
    messages: tuple[MessageView, ...]  # recent ones, oldest first
    flying: int
    sent: int
    links: dict[tuple[str, str], int]
    traffic: tuple[
        tuple[float, float, float, float], ...
    ]  # start of bucket; sent, dropped, timed out per second
    numbers: tuple[Number, ...]
    lines: tuple[EventLine, ...]
    complete: bool  # every message is in the trace, not only what nodes emitted

    def state_of(self, node: str) -> str:
        """alive, slow, paused or dead: of the node's machine, or dead by its own crash."""
        if node in self.gone:
            return "dead"
        return next((m.state for m in self.machines if m.name == self.places.get(node)), "alive")


class ClusterReducer:
    """Folds message, fault and lifecycle events, beginning with machines that are known, if any."""

    def __init__(self, known: tuple[MachineView, ...] = ()) -> None:
        self.known = known

    def initial(self) -> ClusterState:
        """Nothing has happened."""
        return ClusterState(Machines.known(self.known))

    def apply(self, state: ClusterState, event: Any) -> None:
        """Fold one event."""
        kind = event.kind
        if kind == "sent":
            _sent(state, event)
        elif kind == "delivered":
            _arrived(state, event, "delivered")
        elif kind == "dropped":
            _arrived(state, event, "dropped")
        else:
            if kind == "timed_out":
                state.timeouts += 1
                _bucket(state, event.time, 2)
            elif not state.sent and event.node is not None and "to" in event.data:
                _intent(state, event)
        state.lab.apply(event)


def frame(trace: Any, position: float | None = None, *, history: History | None = None) -> ClusterFrame:
    """What the cluster looked like at `position` seconds (None: now)."""
    state = history.at(position) if history is not None else fold(ClusterReducer(), trace, position)
    lab = state.lab
    now = lab.now if position is None else position
    return ClusterFrame(
        time=now,
        machines=lab.views(),
        places=dict(lab.places),
        classes=dict(lab.classes),
        gone=frozenset(lab.gone),
        cuts=frozenset(lab.cuts),
        loss=lab.loss,
        latency=lab.latency,
        messages=_merged(state, now),
        flying=len(state.flying),
        sent=state.sent,
        links=dict(state.links),
        traffic=_rates(state, now),
        numbers=_numbers(state, now, _traced(trace, state)),
        lines=tuple(lab.lines),
        complete=_traced(trace, state),
    )


# -- folding messages ------------------------------------------------------------


def _sent(state: ClusterState, event: Any) -> None:
    data = event.data
    state.sent += 1
    number = data.get("message", event.seq)
    label = f"{data.get('method')} ({data.get('what')})"
    state.flying[number] = MessageView(number, event.node or CLIENT, str(data.get("to")), label, event.time)
    if len(state.flying) > 4 * RECENT:
        _forget(state, event.time)
    _bucket(state, event.time, 0)
    _link(state, event.machine, data.get("to_machine"))


def _arrived(state: ClusterState, event: Any, fate: str) -> None:
    message = state.flying.pop(event.data.get("message"), None)
    if fate == "delivered":
        state.delivered += 1
    else:
        state.dropped += 1
        _bucket(state, event.time, 1)
    if message is None:  # a duplicate, or sent before the trace begins
        return
    if fate == "delivered":
        state.delay += event.time - message.start
        state.delays += 1
    state.recent.append(_ended(message, event.time, fate))


def _intent(state: ClusterState, event: Any) -> None:
    """A domain event that names its receiver.

    Somebody talked to somebody, though the flight was not recorded.
    """
    target = event.data["to"]
    if target not in state.lab.places or target == event.node:
        return
    lost = event.kind.endswith("timed_out")
    view = MessageView(event.seq, event.node, target, event.kind, event.time, event.time, "delivered", False)
    state.recent.append(_ended(view, event.time, "dropped") if lost else view)
    _bucket(state, event.time, 0)
    _link(state, event.machine, state.lab.places[target])


def _ended(message: MessageView, end: float, fate: str) -> MessageView:
    return message._replace(end=end, fate=fate)


def _forget(state: ClusterState, now: float) -> None:
    for number in [n for n, m in state.flying.items() if now - m.start > FORGOTTEN_AFTER]:
        del state.flying[number]


def _bucket(state: ClusterState, time: float, column: int) -> None:
    key = int(time / BUCKET)
    sent, dropped, silent = state.traffic.get(key, (0, 0, 0))
    state.traffic[key] = (sent + (column == 0), dropped + (column == 1), silent + (column == 2))
    if len(state.traffic) > 2 * BUCKETS:
        for old in sorted(state.traffic)[:-BUCKETS]:
            del state.traffic[old]


def _link(state: ClusterState, a: str | None, b: str | None) -> None:
    if a and b and a != b:
        key = (a, b) if a < b else (b, a)
        state.links[key] = state.links.get(key, 0) + 1


# -- reading the state ------------------------------------------------------------


def _merged(state: ClusterState, now: float) -> tuple[MessageView, ...]:
    """Ended and flying messages together, oldest first, the newest `RECENT` of them."""
    flying = [m for m in state.flying.values() if now - m.start <= FORGOTTEN_AFTER]
    return tuple(sorted([*state.recent, *flying], key=lambda m: (m.start, m.id))[-RECENT:])


def _rates(state: ClusterState, now: float) -> tuple[tuple[float, float, float, float], ...]:
    if not state.traffic:
        return ()
    last = int(now / BUCKET)
    first = max(min(state.traffic), last - BUCKETS + 1)
    empty = (0, 0, 0)
    rows = ((key, state.traffic.get(key, empty)) for key in range(first, last + 1))
    return tuple((round(key * BUCKET, 6), a / BUCKET, b / BUCKET, c / BUCKET) for key, (a, b, c) in rows)


def _traced(trace: Any, state: ClusterState) -> bool:
    """Whether messages are recorded, also before the first one."""
    return state.sent > 0 or getattr(trace, "level", "") == "messages"


def _numbers(state: ClusterState, now: float, traced: bool) -> tuple[Number, ...]:
    machines = state.lab.views()
    alive = sum(m.state != "dead" for m in machines)
    timeouts = "bad" if state.timeouts else "good"
    living = Number(
        "Machines alive", f"{alive} of {len(machines)}", "", "good" if alive == len(machines) else "bad"
    )
    silent = Number("Timeouts", f"{state.timeouts:,}", tone=timeouts, theory="0 without faults")
    if not traced:
        names = ("Messages", "Messages lost", "Mean delay")
        return (living, *(Number(name, "not traced", HOW_TO_TRACE) for name in names), silent)
    return (living, *_of_messages(state, now), silent)


def _of_messages(state: ClusterState, now: float) -> tuple[Number, ...]:
    ended = state.delivered + state.dropped
    lost = state.dropped / ended if ended else 0.0
    last_second = sum(
        state.traffic.get(int(now / BUCKET) - back, (0, 0, 0))[0] for back in range(int(1 / BUCKET))
    )
    mean = f"{1000 * state.delay / state.delays:.1f} ms" if state.delays else "none yet"
    return (
        Number("Messages", f"{last_second:,}/s", f"{state.sent:,} so far" if state.sent else ""),
        Number(
            "Messages lost",
            f"{lost:.1%}",
            f"loss set to {state.lab.loss:.0%}",
            "bad" if lost > 0 else "plain",
        ),
        Number("Mean delay", mean, state.lab.latency),
    )
