"""`Panel`, what every panel is: a position in a trace, a pure frame of it, and widgets that show the frame.

A panel of a system is a class that says as data what stands where: its fold, its controls, words and charts
(see `pieces`); and in a few methods what is drawn on the stage, what moves, and what a click does.

Who writes what: a callback changes plain attributes and wakes the poller; slow work goes to a worker thread;
the poller alone computes frames and writes widgets. An error is shown beside the control that was used.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any, ClassVar

import ipywidgets

from labkit.runtime.beside import Beside
from labkit.trace.fold import History
from labkit.trace.machines import MachineView

from .actions import Actions
from .clock import SPEEDS, Position
from .log import Log, listed
from .looks import indexes, outline
from .numbers import Number
from .opened import forget, open_panels, place, register, tree
from .outbox import Outbox
from .pieces import made
from .poller import POLLER
from .saved import Outputs
from .scene import Pulse, Scene
from .setup import OneOf, Setup, Whole
from .snapshot import bundle, card, page
from .stage import Part, Stage, update

#: So many nodes of a machine are named on its chip; more are counted.
NAMED = 2
#: Lines of the event list, and runs that one can go back to.
LINES, RUNS = 40, 30


class Panel(Actions):
    """Base of all panels."""

    title: ClassVar[str] = "Panel"
    #: The system's name as an attribute of its panel.
    named: ClassVar[str] = "cluster"
    #: The fold behind the frames: given the machines that are known, a reducer. A method: of its system only.
    fold: ClassVar[Callable[[Any], Any]]
    #: The few numbers that matter, of a frame.
    figures: ClassVar[Callable[[Any], tuple[Number, ...]]] = staticmethod(lambda frame: frame.numbers)
    #: What stands above, beside and below the stage; `wide`: the stage has the page's whole width.
    above: ClassVar[tuple[Any, ...]] = ()
    side: ClassVar[tuple[Any, ...]] = ()
    below: ClassVar[tuple[Any, ...]] = ()
    wide: ClassVar[bool] = False
    #: A class of the panel's root, where its style sheet knows it.
    look: ClassVar[str] = ""
    #: How many moving things are drawn at once.
    drawn: ClassVar[int] = 200
    #: Kinds of events that the panel wants to find again in its log.
    noted: ClassVar[tuple[str, ...]] = ()
    #: What one can go back to, as the select is called; "": nothing.
    runs_are: ClassVar[str] = ""
    #: Options of the system that have a control before a start.
    parameters: ClassVar[tuple[Whole | OneOf, ...]] = ()

    @classmethod
    def setup(cls, system: Callable[..., Any], **options: Any) -> Setup:
        """Controls that start a system of this class, and show its panel."""
        return Setup(system, cls.parameters, cls.named, **options)

    @property
    def system(self) -> Any:
        """What runs on the cluster; the cluster itself, unless the panel is of more."""
        return getattr(self, self.named)

    def __init__(self, system: Any, *, compact: bool = False, live: bool = True) -> None:
        """A panel of a system or a cluster. `compact`: machines and stage only, beside a cell that runs.

        `live=False` starts no refreshing: for tests and for snapshots only.
        """
        self.compact = compact
        self._told = self._written = ""
        setattr(self, self.named, system)
        self.cluster = getattr(system, "cluster", system)
        self.position = Position()
        self.error, self.error_at = "", None
        self._undrawn = False  # the error is of a picture that could not be drawn
        self._parts: list[Part] = []
        self._beside = {}
        self._begin()
        self._machines: tuple[MachineView, ...] = ()
        self._code = ""
        self._outputs = Outputs()
        self._ticked = time.monotonic()
        self._moved = 0.0  # when virtual time was last seen to move
        self._last_now = -1.0
        self._work: dict[str, Beside] = {}
        self.doing = {}
        self._writing = threading.RLock()
        self._closed = False
        self.stage = Stage()
        self.top, self.numbers = self.part("top"), self.part("numbers")
        self.events = self.part("events", "code", "save")
        self.shows: list[Callable[[Any], None]] = []  # what shows a frame in a piece
        self.wanted: dict[str, Any] = {}  # what was asked for and is not in force yet
        self.root = ipywidgets.VBox(self.layout())
        self.root.add_class("labkit-panel")
        if self.look:
            self.root.add_class(self.look)
        self.stage.observe(lambda change: POLLER.wake(), "selected")
        for older in register(self):
            older.close(moved=place())
        self.refresh()
        if live:
            POLLER.add(self)

    def _begin(self) -> None:
        """From the begin of the cluster's trace."""
        # A full trace has forgotten its beginning: the cluster is asked what it no longer tells.
        known = self._now_there() if self.cluster.trace.dropped else ()
        self.log = Log(self.fold(known), self.noted)
        self.history = History(self.cluster.trace, self.log)
        self._runs: dict[str, History] = {}
        self._outbox = Outbox()
        self._heard = 0  # the newest event that was read aloud

    def _home(self) -> Any:
        """The cluster that the system is on; a context of its own may have made itself another."""
        return self.cluster if self._left() else getattr(self.system, "cluster", self.cluster)

    def _start_over(self) -> None:
        """The cluster was reset: what this panel knew is of another run."""
        self.cluster = self._home()
        self._begin()
        self.position = Position(speed=self.position.speed, epoch=self.position.epoch + 1)
        update(self.stage, selected="", route={})
        self.wanted.clear()
        self.forget()

    def run_of(self, name: str, reducer: Callable[[str, Any], Any]) -> History:
        """The fold of one run of the system, by its name, beside the panel's own of all that happens."""
        if name not in self._runs:
            known = self._now_there() if self.cluster.trace.dropped else ()
            self._runs[name] = History(self.cluster.trace, reducer(name, known))
        return self._runs[name]

    def seen(
        self, lab: Any, position: float | None
    ) -> tuple[tuple[MachineView, ...], tuple[Any, ...], float]:
        """What every frame has of the lab: the machines, the lines of its event list, what time it is."""
        now = max(lab.now, self._clock()) if position is None else position
        return lab.views(), tuple(lab.lines), now

    # -- what a subclass gives --------------------------------------------------------

    def frame(self, position: float | None) -> Any:
        """The frame at a position."""
        raise NotImplementedError

    def scene(self, frame: Any) -> Scene:
        """The frame as a scene."""
        raise NotImplementedError

    def flights(self, frame: Any) -> Iterable[tuple[float, Pulse]]:
        """What moves, and since when."""
        return ()

    def pulses(self, frame: Any, since: float, scene: Scene) -> tuple[list[Pulse], int]:
        """What moves since a moment, or stands at the frame's position; and how many were left out."""
        if not self.position.live and not self.position.replaying:
            return [], 0
        marks = {mark.id for mark in scene.marks}
        fresh = [p for time, p in self.flights(frame) if time > since and marks >= {p.source, p.target}]
        return fresh[-self.drawn :], max(0, len(fresh) - self.drawn)

    def runs(self) -> list[tuple[float, str]]:
        """What one can go back to: the moment that tells of it, and words for it; oldest first."""
        return []

    def news(self, frame: Any) -> str:
        """What is to be read aloud beside the faults; the same words are said once."""
        return ""

    def forget(self) -> None:
        """Forget what only this panel knows of a run: another begins."""

    def follow(self, frame: Any) -> None:
        """Before a frame is shown: what of it the panel turns to."""

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

    def layout(self) -> list[ipywidgets.Widget]:
        """From top to bottom: title and time, numbers, stage and side, events."""
        above, below = made(self.above, self), made(self.below, self)
        if self.wide:
            return [self.top, *above, self.stage, *below, self.events]
        main, side = ipywidgets.VBox([self.stage, *below]), ipywidgets.VBox(made(self.side, self))
        main.add_class("labkit-main")
        side.add_class("labkit-side")
        columns = ipywidgets.Box([main, side])
        columns.add_class("labkit-columns")
        return [self.top, self.numbers, *above, columns, self.events]

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
        known = self.cluster.trace is self.history.trace and self._home() is self.cluster
        if not known and not self._left():
            self._start_over()
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
            marks=[asdict(mark) for mark in self.log.marks],
            runs={"label": self.runs_are, "items": self.runs()[: -RUNS - 1 : -1]} if self.runs_are else {},
        )
        self._say(frame)
        update(self.numbers, numbers=[self._number(number) for number in self.figures(frame)])
        update(
            self.events,
            lines=[asdict(line) for line in listed(list(frame.lines), self.log.marks, LINES, frame.time)],
            code=self._code,
            head=self._files(),
        )
        if self.compact != ("labkit-compact" in self.root._dom_classes):
            (self.root.add_class if self.compact else self.root.remove_class)("labkit-compact")
        self.follow(frame)
        for show in self.shows:
            show(frame)
        self._outputs.keep(lambda: page(self.title, self.facts(frame), frame, self.figures(frame), scene))

    def _now_there(self) -> tuple[MachineView, ...]:
        """The machines as the cluster knows them."""
        return tuple(
            MachineView(m.name, m.state, m.factor, m.incarnation, tuple(m.nodes), m.pid)
            for m in self.cluster.machines
        )

    @property
    def off(self) -> bool:
        """Whether nothing can be asked of the system: this is the past, or it is closed."""
        return not self.position.live or self._gone()

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
                "names": list(m.nodes) if len(m.nodes) <= NAMED else [],
                "pid": m.pid,
                "colour": colours[m.name],
                "shape": outline(colours[m.name]),
            }
            for m in machines
        ]

    def _say(self, frame: Any) -> None:
        """Read aloud what has happened since: deaths, restarts, and what the panel itself has to tell."""
        if not self.position.live:
            return
        fresh = [mark for mark in self.log.marks if mark.seq > self._heard]
        self._heard = max([self._heard, *(mark.seq for mark in fresh)])
        before, self._told = self._told, self.news(frame)
        words = [*(mark.text for mark in fresh[-3:]), self._told if self._told != before else ""]
        text = "; ".join(filter(None, words))
        if text:
            update(self.top, said={"n": self.top.said.get("n", 0) + 1, "text": text})

    def _files(self) -> dict[str, str]:
        """Why a file of the trace cannot be written; what was written last."""
        traced = self.history.trace.level == "messages"
        return {"shiviz": "" if traced else 'ShiViz needs Cluster(trace="messages")', "text": self._written}

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
            "compact": self.compact,
        }

    def _real_time(self) -> bool:
        return self.cluster.engine != "sim" and not self._gone()

    def facts(self, frame: Any) -> str:
        """System, engine and seed, as the title shows them."""
        engine = {"sim": "simulator", "ray": "Ray: real processes"}.get(
            self.cluster.engine, self.cluster.engine
        )
        seed = "" if self.cluster.seed is None else f"seed {self.cluster.seed}"
        words = [self.cluster.name, engine, seed, self.about(frame)]
        return " · ".join(filter(None, words))

    def about(self, frame: Any) -> str:
        """What else the title shows of the system."""
        return ""

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
        return card(self.title, self.facts(frame), frame, self.figures(frame), self.scene(frame))

    def _ipython_display_(self, **_options: Any) -> None:
        self._outputs.show(self._bundle(), str(self.root.model_id))

    def _repr_mimebundle_(self, **_options: Any) -> dict[str, Any]:
        return self._bundle()

    def _bundle(self, note: str = "") -> dict[str, Any]:
        frame = self.frame(self.position.at)
        view = None if self._closed else self.root.model_id
        shown = self.title, self.facts(frame), frame, self.figures(frame), self.scene(frame)
        return bundle(repr(self), view, note, *shown)


def close_all() -> None:
    """Close every open panel."""
    for panel in open_panels():
        panel.close()


__all__ = ["LINES", "Panel", "close_all"]
