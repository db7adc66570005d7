"""What every frame shares: machines, event lines, numbers, and the fold that makes frames cheap.

A frame is the answer to "what did the lab look like at this position of the trace?". It is a pure function of
the trace and the position. Folding 100,000 events ten times a second would be too slow, so `History`
remembers the fold: it applies only the events that are new, and keeps a snapshot of the state every `BLOCK`
events for going back.
"""

from __future__ import annotations

import copy
import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

from .words import UNLISTED, describe, subject, summary, tone

#: A state is saved every so many events: a step back costs one copy and at most this many events.
BLOCK = 1000
#: Lines that a state remembers for the event list.
LINES_KEPT = 60
#: Seconds within which events about the same thing share a line.
MERGED = 2.0
#: The user's own process: it is drawn, but cannot be killed.
CLIENT = "client"


@dataclass(frozen=True)
class MachineView:
    """One machine as the panel shows it."""

    name: str
    state: str = "alive"  # alive, slow, paused or dead
    factor: float = 1.0  # how many times slower, when slow
    incarnation: int = 0
    nodes: tuple[str, ...] = ()  # the nodes placed here; those of a dead machine are remembered
    pid: int | None = None


@dataclass(frozen=True)
class EventLine:
    """One event in plain words."""

    time: float
    seq: int
    text: str
    tone: str  # fault, repair, trouble or plain: decides colour and sign
    about: str = ""  # lines about the same thing within `MERGED` seconds become one
    total: int = 1  # events in this line, or what they add up to


@dataclass(frozen=True)
class Number:
    """One of the few numbers that matter, with what theory predicts beside it."""

    label: str
    value: str
    theory: str = ""
    tone: str = "plain"  # plain, good or bad


class Reducer(Protocol):
    """How one kind of frame folds events. A state's containers are copied at a snapshot.

    Their items never change.
    """

    def initial(self) -> Any:
        """The state before the first event."""
        ...

    def apply(self, state: Any, event: Any) -> None:
        """Change `state` by one event."""
        ...


def copied(state: Any) -> Any:
    """A state that can be changed without touching the original: fields that are containers are copied."""
    twin = copy.copy(state)
    for each in fields(state):
        value = getattr(state, each.name)
        if isinstance(value, (dict, list, set, deque)):
            setattr(twin, each.name, copy.copy(value))
        elif hasattr(value, "__dataclass_fields__") and not type(value).__dataclass_params__.frozen:
            setattr(twin, each.name, copied(value))
    return twin


def fold(reducer: Reducer, events: Iterable[Any], position: float | None = None) -> Any:
    """The state after `events`, or after those that had happened at `position` seconds. The definition."""
    state = reducer.initial()
    for event in events:
        if position is None or event.time <= position:
            reducer.apply(state, event)
    return state


@dataclass(frozen=True)
class _Block:
    """A saved state and the events that follow it, up to the next block."""

    start: int  # events folded into `state`
    state: Any
    latest: float  # the latest time among those events
    earliest: list[float]  # one item: the earliest time among the events of this block


class History:
    """The remembered fold of one trace. `at(position)` equals `fold(reducer, trace, position)`.

    Events may arrive out of order (the Ray engine drains machines in batches), so a saved state serves a
    position only if *everything* folded into it had happened by then; what follows is filtered by time.
    """

    def __init__(self, trace: Any, reducer: Reducer) -> None:
        self.trace, self.reducer = trace, reducer
        self._lock = threading.RLock()
        self._state = reducer.initial()
        self._count = 0  # events folded into _state
        self._latest = float("-inf")
        self._blocks = [_Block(0, copied(self._state), self._latest, [float("inf")])]

    def at(self, position: float | None = None) -> Any:
        """The state now (None) or at a position in seconds. Read it before the next call.

        Do not change it.
        """
        with self._lock:
            self._catch_up()
            if position is None or position >= self._latest:
                return self._state
            return self._back(position)

    @property
    def span(self) -> tuple[float, float]:
        """The times of the first and the last event."""
        with self._lock:
            self._catch_up()
            first = min(block.earliest[0] for block in self._blocks)
            return (first, self._latest) if self._count else (0.0, 0.0)

    def next_time(self, position: float) -> float | None:
        """The time of the first event after `position`, or None: where a step forward goes."""
        with self._lock:
            self._catch_up()
            found = float("inf")
            for number in range(len(self._blocks)):
                if self._latest_until(number) > position and self._blocks[number].earliest[0] < found:
                    found = min([found, *(e.time for e in self._events(number) if e.time > position)])
            return None if found == float("inf") else found

    def last_time(self, position: float) -> float | None:
        """The time of the last event before `position`, or None: where a step back goes."""
        with self._lock:
            self._catch_up()
            found = float("-inf")
            for number in range(len(self._blocks) - 1, -1, -1):
                if self._latest_until(number) <= found:
                    break  # nothing that came earlier can be later than what was found
                if self._blocks[number].earliest[0] < position:
                    found = max([found, *(e.time for e in self._events(number) if e.time < position)])
            return None if found == float("-inf") else found

    def _catch_up(self) -> None:
        self._count = max(
            self._count, self.trace.dropped
        )  # a bounded trace may have forgotten some before we came
        for event in self.trace.since(self._count):
            self.reducer.apply(self._state, event)
            self._count += 1
            self._latest = max(self._latest, event.time)
            block = self._blocks[-1]
            block.earliest[0] = min(block.earliest[0], event.time)
            if self._count - block.start >= BLOCK:
                self._blocks.append(_Block(self._count, copied(self._state), self._latest, [float("inf")]))
        while len(self._blocks) > 1 and self._blocks[1].start <= self.trace.dropped:
            del self._blocks[0]  # nobody can go back there: the events are forgotten

    def _latest_until(self, number: int) -> float:
        """The latest time among the events of blocks 0 to `number`."""
        return self._blocks[number + 1].latest if number + 1 < len(self._blocks) else self._latest

    def _events(self, number: int) -> Sequence[Any]:
        """The retained events of one block."""
        start = self._blocks[number].start
        end = self._blocks[number + 1].start if number + 1 < len(self._blocks) else self._count
        gone = self.trace.dropped
        events: Sequence[Any] = self.trace[max(0, start - gone) : max(0, end - gone)]
        return events

    def _back(self, position: float) -> Any:
        number = max(n for n, block in enumerate(self._blocks) if block.latest <= position or n == 0)
        state = copied(self._blocks[number].state)
        for later in range(number, len(self._blocks)):
            if self._blocks[later].earliest[0] <= position:
                for event in self._events(later):
                    if event.time <= position:
                        self.reducer.apply(state, event)
        return state


@dataclass
class Machines:
    """Folds the life of machines and nodes: the part that every frame needs."""

    machines: dict[str, MachineView] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)  # node -> machine, also of nodes on a dead machine
    classes: dict[str, str] = field(default_factory=dict)  # node -> class name
    gone: set[str] = field(default_factory=set)  # nodes that crashed or whose machine died
    cuts: set[tuple[str, str]] = field(default_factory=set)  # (from, to) pairs of machines that cannot talk
    loss: float = 0.0
    latency: str = ""
    lines: deque[EventLine] = field(default_factory=lambda: deque(maxlen=LINES_KEPT))
    now: float = 0.0

    def apply(self, event: Any) -> None:
        """Fold one event."""
        if event.time > self.now:
            self.now = event.time
        handler = _HANDLERS.get(event.kind)
        if handler is None and event.kind in UNLISTED:
            return  # most events
        if handler is not None:
            handler(self, event, event.data)
        text = describe(event)
        if text:
            self._tell(EventLine(event.time, event.seq, text, tone(event.kind), *subject(event)))

    def _tell(self, line: EventLine) -> None:
        """Append a line, or add it to a recent one that says the same: ten nodes notice one death."""
        if line.about:
            for back in range(1, min(len(self.lines), 8) + 1):
                other = self.lines[-back]
                if other.about == line.about and line.time - other.time <= MERGED:
                    total = other.total + line.total
                    self.lines[-back] = EventLine(
                        other.time, other.seq, summary(line.about, total), line.tone, line.about, total
                    )
                    return
        self.lines.append(line)

    @classmethod
    def known(cls, views: Iterable[MachineView]) -> Machines:
        """Begin with these machines: where the trace has forgotten how they started."""
        lab = cls()
        for view in views:
            lab.machines[view.name] = view
            lab.places.update(dict.fromkeys(view.nodes, view.name))
            lab.gone.update(view.nodes if view.state == "dead" else ())
        return lab

    def alive(self, node: str) -> bool:
        """Whether the node runs (a paused machine's node does: it is slow without end, not gone)."""
        return node in self.places and node not in self.gone

    def views(self) -> tuple[MachineView, ...]:
        """The machines in natural order, the client left out."""
        homes: dict[str, list[str]] = {name: [] for name in self.machines}
        for node, machine in self.places.items():
            homes.setdefault(machine, []).append(node)
        order = sorted((name for name in homes if name != CLIENT), key=natural)
        blank = MachineView("")
        return tuple(
            _with(self.machines.get(name, blank), name=name, nodes=tuple(sorted(homes[name], key=natural)))
            for name in order
        )

    # -- events --------------------------------------------------------

    def _change(self, name: str, **changes: Any) -> None:
        self.machines[name] = _with(self.machines.get(name, MachineView(name)), **changes)

    def _started(self, event: Any, data: Mapping[str, Any]) -> None:
        self._change(
            event.machine,
            state="alive",
            factor=1.0,
            pid=data.get("pid"),
            incarnation=data.get("incarnation") or 0,
        )

    def _dead(self, event: Any, data: Mapping[str, Any]) -> None:
        self._change(event.machine, state="dead", factor=1.0)
        self.gone.update(node for node, machine in self.places.items() if machine == event.machine)

    def _paused(self, event: Any, data: Mapping[str, Any]) -> None:
        self._change(event.machine, state="paused")

    def _resumed(self, event: Any, data: Mapping[str, Any]) -> None:
        factor = self.machines.get(event.machine, MachineView("")).factor
        self._change(event.machine, state="alive" if factor == 1.0 else "slow")

    def _slowed(self, event: Any, data: Mapping[str, Any]) -> None:
        factor = float(data.get("factor", 1.0))
        was = self.machines.get(event.machine, MachineView("")).state
        state = was if was in ("dead", "paused") else ("alive" if factor == 1.0 else "slow")
        self._change(event.machine, state=state, factor=factor)

    def _cut(self, event: Any, data: Mapping[str, Any]) -> None:
        for a in data.get("a", ()):
            for b in data.get("b", ()):
                self.cuts.add((a, b))
                if not data.get("oneway"):
                    self.cuts.add((b, a))

    def _healed(self, event: Any, data: Mapping[str, Any]) -> None:
        self.cuts.clear()

    def _loss(self, event: Any, data: Mapping[str, Any]) -> None:
        self.loss = float(data.get("probability", 0.0))

    def _latency(self, event: Any, data: Mapping[str, Any]) -> None:
        self.latency = str(data.get("latency") or data.get("distribution") or data.get("fault") or "")

    def _node_started(self, event: Any, data: Mapping[str, Any]) -> None:
        self.places[event.node] = event.machine
        self.classes[event.node] = str(data.get("cls", ""))
        self.gone.discard(event.node)

    def _node_stopped(self, event: Any, data: Mapping[str, Any]) -> None:
        self.places.pop(event.node, None)
        self.classes.pop(event.node, None)
        self.gone.discard(event.node)

    def _crashed(self, event: Any, data: Mapping[str, Any]) -> None:
        if event.node is not None:
            self.gone.add(event.node)


_HANDLERS = {
    "machine_started": Machines._started,
    "restarted": Machines._started,
    "machine_died": Machines._dead,
    "killed": Machines._dead,
    "paused": Machines._paused,
    "resumed": Machines._resumed,
    "slowed": Machines._slowed,
    "partitioned": Machines._cut,
    "healed": Machines._healed,
    "loss_changed": Machines._loss,
    "latency_changed": Machines._latency,
    "node_started": Machines._node_started,
    "node_stopped": Machines._node_stopped,
}


def _with(view: MachineView, **changes: Any) -> MachineView:
    """`dataclasses.replace`, three times as fast; it runs for every event of a fold."""
    twin = object.__new__(MachineView)
    twin.__dict__.update(view.__dict__)
    twin.__dict__.update(changes)
    return twin


def natural(name: str) -> tuple[Any, ...]:
    """A sort key in which m10 comes after m9."""
    head = name.rstrip("0123456789")
    return (head, int(name[len(head) :] or -1), name)


def short(node: str) -> str:
    """A label for small places: `chord-17` becomes `17`."""
    tail = node.rsplit("-", 1)[-1]
    return tail if tail and tail[0].isdigit() else node
