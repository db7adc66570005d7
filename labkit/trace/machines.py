"""The machines and nodes of a run, as its trace tells of them: the part that every view needs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from labkit.trace.words import Says, Tables, describe, filled, summary, tone

__all__ = ["CLIENT", "EventLine", "MachineView", "Machines", "natural", "short"]

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


@dataclass
class Machines:
    """Folds the life of machines and nodes: the part that every frame needs."""

    machines: dict[str, MachineView] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)  # node -> machine, also of nodes on a dead machine
    classes: dict[str, str] = field(default_factory=dict)  # node -> class name
    gone: set[str] = field(default_factory=set)  # nodes whose machine died
    cuts: set[tuple[str, str]] = field(default_factory=set)  # (from, to) pairs of machines that cannot talk
    loss: float = 0.0
    latency: str = ""
    tables: Tables = field(default_factory=Tables)
    lines: deque[EventLine] = field(default_factory=lambda: deque(maxlen=LINES_KEPT))
    now: float = 0.0

    def apply(self, event: Any) -> None:
        """Fold one event."""
        if event.time > self.now:
            self.now = event.time
        handler = _HANDLERS.get(event.kind)
        if handler is not None:
            handler(self, event, event.data)
        words = self.tables.words(event)
        if words is None or words.listed:
            self._tell(event, words)

    def _tell(self, event: Any, words: Says | None) -> None:
        """Append a line, or add the event to a recent one that says the same: ten nodes notice one death."""
        about = filled(words.about, event) if words is not None and words.about else ""
        total = words.total(event) if words is not None and about else 1
        line = EventLine(event.time, event.seq, describe(event, words), tone(words), about, total)
        for back in range(1, min(len(self.lines), 8) + 1) if about else ():
            other = self.lines[-back]
            if words is not None and other.about == about and line.time - other.time <= MERGED:
                total += other.total
                text = summary(event, words, total)
                self.lines[-back] = EventLine(other.time, other.seq, text, line.tone, about, total)
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
        self.tables.learn(event)

    def _node_stopped(self, event: Any, data: Mapping[str, Any]) -> None:
        self.places.pop(event.node, None)
        self.classes.pop(event.node, None)
        self.gone.discard(event.node)


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
