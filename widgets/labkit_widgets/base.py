"""`Panel`, what every panel is: a position in a trace, a pure frame of it, and widgets that show the frame.

Who writes what: a callback changes plain attributes and wakes the poller; slow work goes to a worker thread;
the poller alone computes frames and writes widgets. An error is shown beside the control that was used.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, ClassVar

import ipywidgets

from .actions import Actions
from .clock import SPEEDS, Position
from .frames.common import History, MachineView, Number
from .opened import forget, open_panels, place, register, tree
from .outbox import Outbox
from .palette import SHAPES, indexes
from .poller import POLLER
from .saved import Outputs
from .scene import Pulse, Scene
from .snapshot import bundle, card, page
from .stage import Part, Stage, update

#: Lines of the event list.
LINES = 40


class Panel(Actions):
    """Base of all panels. A subclass says how to make a frame, a scene and its own widgets."""

    title: ClassVar[str] = "Panel"

    def __init__(self, cluster: Any, *, live: bool = True) -> None:
        """A panel of `cluster`. `live=False` starts no refreshing: for tests and for snapshots only."""
        self.cluster = cluster
        self.position = Position()
        self.error, self.error_at = "", None
        self._undrawn = False  # the error is of a picture that could not be drawn
        self._parts: list[Part] = []
        self._beside = {}
        # A full trace has forgotten its beginning: the cluster is asked what it no longer tells.
        self.history = History(
            cluster.trace, self.reducer(self._now_there() if cluster.trace.dropped else ())
        )
        self._machines: tuple[MachineView, ...] = ()
        self._code = ""
        self._outbox = Outbox()
        self._outputs = Outputs()
        self._ticked = time.monotonic()
        self._moved = 0.0  # when virtual time was last seen to move
        self._last_now = -1.0
        self._work: dict[str, threading.Thread] = {}
        self._writing = threading.RLock()
        self._closed = False
        self.stage = Stage()
        self.top, self.numbers = self.part("top"), self.part("numbers")
        self.events = self.part("events", "code")
        self.root = ipywidgets.VBox(self.layout())
        self.root.add_class("labkit-panel")
        self.stage.observe(lambda change: POLLER.wake(), "selected")
        for older in register(self):
            older.close(moved=place())
        self.refresh()
        if live:
            POLLER.add(self)

    # -- what a subclass gives --------------------------------------------------------

    def reducer(self, known: tuple[MachineView, ...]) -> Any:
        """The fold behind this panel's frames, beginning with these machines."""
        raise NotImplementedError

    def frame(self, position: float | None) -> Any:
        """The frame at a position."""
        raise NotImplementedError

    def scene(self, frame: Any) -> Scene:
        """The frame as a scene."""
        raise NotImplementedError

    def pulses(self, frame: Any, since: float, scene: Scene) -> tuple[list[Pulse], int]:
        """What moves: since a moment, or standing at the frame's position; and how many were left out."""
        return [], 0

    def side(self) -> list[ipywidgets.Widget]:
        """The widgets beside the stage."""
        return []

    def below(self) -> list[ipywidgets.Widget]:
        """The widgets under the stage."""
        return []

    def show(self, frame: Any) -> None:
        """Set the widgets that only this panel has."""

    def caption(self, frame: Any, left_out: int) -> str:
        """The line under the stage."""
        return f"{left_out} more messages at this moment are not drawn" if left_out else ""

    def part(self, kind: str, *actions: str, **traits: Any) -> Part:
        """A part of the panel. The errors of these actions are shown in it."""
        part = Part(kind=kind, **traits)
        part.on_action(self.act)
        self._parts.append(part)
        self._beside.update(dict.fromkeys(actions, part))
        return part

    def form(self, *widgets: ipywidgets.Widget, actions: Sequence[str] = ()) -> ipywidgets.VBox:
        """Controls side by side, and below them what went wrong with these actions."""
        row = ipywidgets.Box(widgets)
        row.add_class("labkit-form")
        return ipywidgets.VBox([row, self.part("note", *actions)])

    def layout(self) -> list[ipywidgets.Widget]:
        """From top to bottom: title and time, numbers, stage and side, events."""
        main, side = ipywidgets.VBox([self.stage, *self.below()]), ipywidgets.VBox(self.side())
        main.add_class("labkit-main")
        side.add_class("labkit-side")
        columns = ipywidgets.Box([main, side])
        columns.add_class("labkit-columns")
        return [self.top, self.numbers, columns, self.events]

    # -- refreshing: the poller's thread --------------------------------------------------------

    def refresh(self) -> None:
        """Show the newest state at the panel's position. Never raises; whatever fails is shown."""
        with self._writing:
            if self._closed:
                return
            self._showing = True
            try:
                self._refresh()
                if self._undrawn:
                    self._undrawn = False
                    self.on_dismiss()
            except Exception as error:
                self._undrawn = True
                self.fail(error, "to draw the panel")
            self._showing = False
            shown = self.error_at or self.top
            for part in self._parts:
                update(part, error=self.error if part is shown else "")

    def _refresh(self) -> None:
        start, now = self.history.span
        now = max(now, self._clock())
        elapsed, self._ticked = time.monotonic() - self._ticked, time.monotonic()
        self.position = self.position.advance(elapsed, now)
        frame = self.frame(self.position.at)
        scene = self.scene(frame)
        fresh, left_out = self.pulses(frame, self._outbox.since(self.position, frame.time), scene)
        pulses = self._outbox.send(fresh, self.position, frame.time)
        self._machines = frame.machines or self._now_there()  # with trace="off" no event tells of a machine
        update(self.stage, scene=scene.plain(), pulses=pulses, caption=self.caption(frame, left_out))
        update(
            self.top,
            head={"title": self.title, "facts": self.facts(frame)},
            machines=self._chips(self._machines),
            clock=self._time(start, now),
        )
        update(self.numbers, numbers=[self._number(number) for number in frame.numbers])
        update(
            self.events,
            lines=[asdict(line) for line in list(frame.lines)[: -LINES - 1 : -1]],
            code=self._code,
        )
        self.show(frame)
        self._outputs.keep(lambda: page(self.title, self.facts(frame), frame, scene))

    def _now_there(self) -> tuple[MachineView, ...]:
        """The machines as the cluster knows them."""
        return tuple(
            MachineView(m.name, m.state, m.factor, m.incarnation, tuple(m.nodes), m.pid)
            for m in self.cluster.machines
        )

    def _clock(self) -> float:
        """Now, of the run; a closed cluster's clock stands."""
        return 0.0 if self._gone() else float(self.cluster.now)

    def _chips(self, machines: tuple[MachineView, ...]) -> list[dict[str, Any]]:
        colours = indexes([machine.name for machine in machines])
        ended = self._gone() and self.position.live
        return [
            {
                "name": m.name,
                # Of a closed cluster nothing lives; how it was one sees in the past.
                "state": "closed" if ended and m.state != "dead" else m.state,
                "factor": m.factor,
                "incarnation": m.incarnation,
                "nodes": len(m.nodes),
                "pid": m.pid,
                "colour": colours[m.name],
                "shape": SHAPES[colours[m.name] % len(SHAPES)],
            }
            for m in machines
        ]

    def _number(self, number: Number) -> dict[str, Any]:
        """A number as the browser draws it; of a closed cluster nothing is well any more."""
        tone = "plain" if number.tone == "good" and self._gone() and self.position.live else number.tone
        return {**asdict(number), "tone": tone}

    def _time(self, start: float, now: float) -> dict[str, Any]:
        if now != self._last_now:
            self._last_now, self._moved = now, time.monotonic()
        running = time.monotonic() - self._moved < 1.0
        return {
            "start": min(start, now),
            "now": round(now, 3),
            "position": self.position.at,
            "running": running,
            "playing": self.position.replaying
            if not self.position.live
            else self._paced() or self._real_time(),
            "speed": self.position.speed,
            "speeds": list(SPEEDS),
            "steps": self.cluster.engine == "sim" and not self._gone(),
            "closed": self._gone(),
        }

    def _real_time(self) -> bool:
        return self.cluster.engine != "sim" and not self._gone()

    def facts(self, frame: Any) -> str:
        """System, engine and seed, as the title shows them."""
        engine = {"sim": "simulator", "ray": "Ray: real processes"}.get(
            self.cluster.engine, self.cluster.engine
        )
        return f"{self.cluster.name} · {engine} · seed {self.cluster.seed}"

    # -- life and display --------------------------------------------------------

    def close(self, *, moved: str = "") -> None:
        """Close every widget and stop refreshing; what was shown becomes its picture. Closing twice is fine.

        moved: where the panel that replaces this one is.
        """
        with self._writing:
            if self._closed:
                return
            self._closed = True
            self._outputs.become(self._bundle(f"This panel moved to {moved}." if moved else ""))
        forget(self)
        POLLER.remove(self)
        for widget in tree(self.root, self.stage, self.top, self.numbers, self.events):
            widget.close()

    def __enter__(self) -> Panel:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of cluster {self.cluster.name!r}>"

    def snapshot(self) -> str:
        """The panel as it stands, as SVG text."""
        frame = self.frame(self.position.at)
        return card(self.title, self.facts(frame), frame, self.scene(frame))

    def _ipython_display_(self, **_options: Any) -> None:
        self._outputs.show(self._bundle(), str(self.root.model_id))

    def _repr_mimebundle_(self, **_options: Any) -> dict[str, Any]:
        return self._bundle()

    def _bundle(self, note: str = "") -> dict[str, Any]:
        frame = self.frame(self.position.at)
        view = None if self._closed else self.root.model_id
        return bundle(repr(self), self.title, self.facts(frame), frame, self.scene(frame), view, note)


def close_all() -> None:
    """Close every open panel."""
    for panel in open_panels():
        panel.close()


__all__ = ["LINES", "Panel", "close_all"]
