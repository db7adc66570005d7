"""`Panel`, what every panel is: a position in a trace, a pure frame of it, and widgets that show the frame.

Who writes what: a callback changes plain attributes and wakes the poller; slow work goes to a worker thread;
the poller alone computes frames and writes widgets. An error anywhere ends in the panel's error line.
"""

from __future__ import annotations

import threading
import time
from dataclasses import asdict, replace
from typing import Any, ClassVar

import ipywidgets

from .actions import Actions
from .clock import SPEEDS, Position
from .frames.common import History, MachineView
from .opened import forget, open_panels, register, tree
from .palette import SHAPES, indexes
from .poller import POLLER
from .scene import Pulse, Scene
from .snapshot import bundle, card
from .stage import Part, Stage, update

#: Lines of the event list.
LINES = 40
#: For how long a pulse stays in the stage's state: a little more than a tick, so that no browser misses it.
PULSES_KEPT = 0.6


class Panel(Actions):
    """Base of all panels. A subclass says how to make a frame, a scene and its own widgets."""

    title: ClassVar[str] = "Panel"

    def __init__(self, cluster: Any, *, live: bool = True) -> None:
        """A panel of `cluster`. `live=False` starts no refreshing: for tests and for snapshots only."""
        self.cluster = cluster
        self.position = Position()
        self.error = ""
        self.history = History(cluster.trace, self.reducer())
        self._machines: tuple[MachineView, ...] = ()
        self._code = ""
        self._sent: list[tuple[float, Pulse]] = []  # (when it was sent to the browser, pulse)
        self._drawn_until: float | None = None  # moments up to here have had their messages drawn
        self._ticked = time.monotonic()
        self._moved = 0.0  # when virtual time was last seen to move
        self._last_now = -1.0
        self._work: dict[str, threading.Thread] = {}
        self._writing = threading.RLock()
        self._closed = False
        self.stage = Stage()
        self.top, self.numbers, self.events = Part(kind="top"), Part(kind="numbers"), Part(kind="events")
        for part in (self.top, self.events):
            part.on_action(self.act)
        self.root = ipywidgets.VBox(self.layout())
        self.root.add_class("labkit-panel")
        self.stage.observe(lambda change: POLLER.wake(), "selected")
        for older in register(self):
            older.close()
        self.refresh()
        if live:
            POLLER.add(self)

    # -- what a subclass gives --------------------------------------------------------

    def reducer(self) -> Any:
        """The fold behind this panel's frames."""
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
            try:
                self._refresh()
            except Exception as error:
                self.fail(error, "The panel could not be drawn")
            update(self.events, error=self.error)

    def _refresh(self) -> None:
        start, now = self.history.span
        now = max(now, self._clock())
        elapsed, self._ticked = time.monotonic() - self._ticked, time.monotonic()
        self.position = self.position.advance(elapsed, now)
        frame = self.frame(self.position.at)
        scene = self.scene(frame)
        pulses, left_out = self._pulses(frame, scene)
        self._machines = frame.machines
        update(self.stage, scene=scene.plain(), pulses=pulses, caption=self.caption(frame, left_out))
        update(
            self.top,
            head={"title": self.title, "facts": self.facts(frame)},
            machines=self._chips(frame.machines),
            clock=self._time(start, now),
        )
        update(self.numbers, numbers=[asdict(number) for number in frame.numbers])
        update(
            self.events,
            lines=[asdict(line) for line in list(frame.lines)[: -LINES - 1 : -1]],
            code=self._code,
        )
        self.show(frame)

    def _clock(self) -> float:
        """Now, of the run; a closed cluster's clock stands."""
        return 0.0 if self._gone() else float(self.cluster.now)

    def _chips(self, machines: tuple[MachineView, ...]) -> list[dict[str, Any]]:
        colours = indexes([machine.name for machine in machines])
        return [
            {
                "name": m.name,
                "state": m.state,
                "factor": m.factor,
                "incarnation": m.incarnation,
                "nodes": len(m.nodes),
                "pid": m.pid,
                "colour": colours[m.name],
                "shape": SHAPES[colours[m.name] % len(SHAPES)],
            }
            for m in machines
        ]

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

    def _pulses(self, frame: Any, scene: Scene) -> dict[str, Any]:
        """The pulses of the last moments.

        The browser starts each id once, so sending one twice is harmless.
        """
        standing = not self.position.live and not self.position.replaying
        if self._drawn_until is None or frame.time < self._drawn_until:
            self._drawn_until = frame.time
        fresh, left_out = self.pulses(frame, self._drawn_until, scene)
        if standing:
            self._sent, self._drawn_until = [], frame.time
            return {"epoch": self.position.epoch, "items": [pulse.plain() for pulse in fresh]}, left_out
        fresh = [replace(pulse, at=None) for pulse in fresh]
        now = time.monotonic()
        self._sent = [(sent, pulse) for sent, pulse in self._sent if now - sent < PULSES_KEPT]
        self._sent += [(now, pulse) for pulse in fresh]
        self._drawn_until = frame.time
        return {"epoch": self.position.epoch, "items": [pulse.plain() for _, pulse in self._sent]}, left_out

    def facts(self, frame: Any) -> str:
        """System, engine and seed, as the title shows them."""
        engine = {"sim": "simulator", "ray": "Ray: real processes"}.get(
            self.cluster.engine, self.cluster.engine
        )
        return f"{self.cluster.name} · {engine} · seed {self.cluster.seed}"

    # -- life and display --------------------------------------------------------

    def close(self) -> None:
        """Close every widget and stop refreshing. Closing twice is fine."""
        with self._writing:
            if self._closed:
                return
            self._closed = True
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

    def _repr_mimebundle_(self, **_options: Any) -> dict[str, Any]:
        frame = self.frame(self.position.at)
        view = None if self._closed else self.root.model_id
        return bundle(repr(self), self.title, self.facts(frame), frame, self.scene(frame), view)


def close_all() -> None:
    """Close every open panel."""
    for panel in open_panels():
        panel.close()


__all__ = ["LINES", "Panel", "close_all"]
