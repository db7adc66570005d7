"""`SpaceTimePanel`: who knew what when, as Lamport drew it; and, for any event, why it came about."""

from __future__ import annotations

from typing import Any, ClassVar

import ipywidgets

from labkit.trace.machines import Machines, MachineView
from labkit.trace.why import FAULTS
from labkit.trace.words import explain

from .base import Panel
from .frames import spacetime
from .frames.cluster import ClusterReducer
from .frames.common import Number
from .scene import Scene
from .scenes import spacetime_scene
from .stage import update

#: The choice of no operation. Its value is not None, which the box would show as nothing chosen.
ALL = ("all events", "")
WINDOWS = (("10 ms", 0.01), ("100 ms", 0.1), ("1 s", 1.0), ("5 s", 5.0), ("30 s", 30.0))


class SpaceTimePanel(Panel):
    """The space-time diagram of a window of time, or of one operation."""

    title: ClassVar[str] = "Space-time diagram"

    def __init__(self, cluster: Any, *, span: int | None = None, window: float = 1.0, **options: Any) -> None:
        self._span, self._window = span, window
        super().__init__(cluster, **options)

    def layout(self) -> list[ipywidgets.Widget]:
        """The diagram needs the whole width; `why` stands below it."""
        self.window = ipywidgets.Dropdown(options=WINDOWS, description="Window", value=_nearest(self._window))
        self.span = ipywidgets.Dropdown(options=[ALL], value=ALL[1], description="Operation")
        self.lanes = ipywidgets.Dropdown(
            options=[("nodes if few", "auto"), ("nodes", "node"), ("machines", "machine")],
            description="Lanes",
        )
        for box in (self.window, self.span, self.lanes):
            box.style.description_width = "initial"
            box.observe(lambda _change: self.act("look"), "value")
        form = self.form(self.window, self.span, self.lanes, actions=("look",))
        self.steps = self.part("steps")
        return [self.top, form, self.stage, self.steps, self.events]

    def on_look(self) -> None:
        """Another window, operation or kind of lane."""
        self._window = self.window.value
        self._span = None if self.span.value == ALL[1] else self.span.value

    def on_replay(self) -> None:
        """`why` has nothing to replay."""

    def reducer(self, known: tuple[MachineView, ...]) -> ClusterReducer:
        """For machines, events and the clock; the diagram itself reads the trace."""
        return ClusterReducer(known)

    def frame(self, position: float | None) -> _Frame:
        """The diagram at a position, with the machines as they were then."""
        lab = self.history.at(position).lab
        chosen = int(self.stage.selected) if self.stage.selected else None
        diagram = spacetime.frame(
            self.cluster.trace,
            position,
            window=self._window,
            span=self._span,
            chosen=chosen,
            by=self.lanes.value,
            tables=lab.tables,
        )
        return _Frame(diagram, lab, chosen)

    def scene(self, frame: _Frame) -> Scene:
        """Lanes, events, arrows."""
        return spacetime_scene(frame.diagram, frame.chosen)

    def caption(self, frame: _Frame, left_out: int) -> str:
        """How to use it."""
        return "select an event to see why it happened" if frame.chosen is None else ""

    def show(self, frame: _Frame) -> None:
        """`why`, and the operations to choose from."""
        update(self.steps, steps=self._why(frame))
        options = [ALL, *((words, span) for span, words in frame.diagram.spans)]
        if self._span is not None and all(span != self._span for _, span in options):
            options.append((f"operation {self._span}", self._span))
        if tuple(options) != tuple(self.span.options):
            chosen = self._span
            with self.span.hold_sync():
                self.span.options = options
                self.span.value = ALL[1] if chosen is None else chosen
            self._span = chosen

    def _why(self, frame: _Frame) -> dict[str, Any]:
        if frame.chosen is None:
            return {}
        chain = self.cluster.trace.why(frame.chosen).events
        items = [
            {"number": n, "sign": "✕" if e.kind in FAULTS else str(n + 1), "tone": "plain",
             "text": f"{e.time:.4f} s  {explain(e, frame.tables.words(e))}"}
            for n, e in enumerate(chain)
        ]  # fmt: skip
        return {
            "id": str(frame.chosen),
            "title": "Why? From the cause to the selected event:",
            "items": items,
            "again": False,
        }


class _Frame:
    """A diagram, and what every panel shows around it."""

    def __init__(self, diagram: spacetime.SpaceTimeFrame, lab: Machines, chosen: int | None) -> None:
        self.diagram, self.chosen = diagram, chosen
        self.machines, self.lines, self.tables = lab.views(), tuple(lab.lines), lab.tables
        self.time = diagram.end
        self.numbers: tuple[Number, ...] = (
            Number(
                "Events shown",
                f"{len(diagram.points)}",
                f"{diagram.left_out:,} left out" if diagram.left_out else "",
            ),
            Number("Messages between lanes", f"{len(diagram.arrows)}"),
        )


def _nearest(window: float) -> float:
    return min((value for _, value in WINDOWS), key=lambda value: abs(value - window))
