"""`SpaceTimePanel`: who knew what when, as Lamport drew it; and, for any event, why it came about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from labkit.trace.machines import EventLine, MachineView
from labkit.trace.why import FAULTS
from labkit.trace.words import Tables, explain

from .. import happened
from ..layouts.lamport import lamport
from ..messages import ClusterReducer
from ..numbers import Number
from ..panel import Panel
from ..pieces import Choice, Form, Told
from ..scene import Scene

#: The choice of no operation. Its value is not None, which the box would show as nothing chosen.
ALL = ("all events", "")
WINDOWS = (("10 ms", 0.01), ("100 ms", 0.1), ("1 s", 1.0), ("5 s", 5.0), ("30 s", 30.0))
LANES = (("nodes if few", "auto"), ("nodes", "node"), ("machines", "machine"))


@dataclass(frozen=True)
class Diagram:
    """A window of the run, and what every panel shows around it."""

    happened: happened.SpaceTimeFrame
    chosen: int | None
    machines: tuple[MachineView, ...]
    lines: tuple[EventLine, ...]
    tables: Tables

    @property
    def time(self) -> float:
        """The window's end."""
        return self.happened.end

    @property
    def numbers(self) -> tuple[Number, ...]:
        """How much is shown."""
        left = self.happened.left_out
        shown = Number("Events shown", f"{len(self.happened.points)}", f"{left:,} left out" if left else "")
        return shown, Number("Messages between lanes", f"{len(self.happened.arrows)}")


def _nearest(panel: Any) -> float:
    """The window among the choices that is nearest to the panel's."""
    return min((value for _, value in WINDOWS), key=lambda value: abs(value - panel._window))


def _why(panel: Any, frame: Diagram) -> dict[str, Any]:
    """The events that led to the selected one, in words."""
    if frame.chosen is None:
        return {}
    chain = panel.cluster.trace.why(frame.chosen).events
    items = [
        {"number": n, "sign": "✕" if e.kind in FAULTS else str(n + 1), "tone": "plain",
         "text": f"{e.time:.4f} s  {explain(e, frame.tables.words(e))}"}
        for n, e in enumerate(chain)
    ]  # fmt: skip
    title = "Why? From the cause to the selected event:"
    return {"id": str(frame.chosen), "title": title, "items": items, "again": False}


class SpaceTimePanel(Panel):
    """The space-time diagram of a window of time, or of one operation."""

    title: ClassVar[str] = "Space-time diagram"
    fold = ClusterReducer  # for machines, events and the clock; the diagram itself reads the trace
    wide = True
    above = (
        Form(
            (
                Choice("window", "Window", WINDOWS, _nearest, "window"),
                Choice("span", "Operation", [ALL], action="operation"),
                Choice("lanes", "Lanes", LANES, action="redraw"),
            )
        ),
    )
    below = (Told("steps", "steps", _why),)

    def __init__(self, cluster: Any, *, span: int | None = None, window: float = 1.0, **options: Any) -> None:
        self._span, self._window = span, window
        super().__init__(cluster, **options)

    def on_window(self, window: float) -> None:
        """So many seconds before the position."""
        self._window = window

    def on_operation(self, span: Any) -> None:
        """The events of one operation alone."""
        self._span = None if span == ALL[1] else span

    def on_redraw(self, lanes: str) -> None:
        """The next picture has a lane for each of these."""

    def on_replay(self) -> None:
        """`why` has nothing to replay."""

    def frame(self, position: float | None) -> Diagram:
        """The diagram at a position, with the machines as they were then."""
        lab = self.history.at(position).lab
        chosen = int(self.stage.selected) if self.stage.selected else None
        found = happened.frame(
            self.cluster.trace, position, window=self._window, span=self._span, chosen=chosen,
            by=self.lanes.value, tables=lab.tables,
        )  # fmt: skip
        return Diagram(found, chosen, lab.views(), tuple(lab.lines), lab.tables)

    def scene(self, frame: Diagram) -> Scene:
        """Lanes, events, arrows."""
        return lamport(frame.happened, frame.chosen)

    def caption(self, frame: Diagram, left_out: int) -> str:
        """How to use it."""
        return "select an event to see why it happened" if frame.chosen is None else ""

    def follow(self, frame: Diagram) -> None:
        """The operations to choose from."""
        options = [ALL, *((words, span) for span, words in frame.happened.spans)]
        if self._span is not None and all(span != self._span for _, span in options):
            options.append((f"operation {self._span}", self._span))
        if tuple(options) != tuple(self.span.options):
            chosen = self._span
            with self.span.hold_sync():
                self.span.options = options
                self.span.value = ALL[1] if chosen is None else chosen
            self._span = chosen
