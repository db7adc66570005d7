"""`StalenessPanel`.

A parameter server while it trains: workers' clocks against the bound, how stale each read was, who waits for
whom, the loss against time and against iterations, the ring of key ranges; and one control that moves from
bulk-synchronous through stale synchronous to asynchronous.
"""

from __future__ import annotations

from typing import Any, ClassVar

import ipywidgets

from labkit.runtime.again import literal
from labkit.systems.paramserver.events import called, meaning
from labkit.systems.paramserver.view import StalenessReducer
from labkit.trace.machines import MachineView

from .base import Panel
from .frames import staleness as frames
from .scene import Pulse, Scene
from .scenes import staleness_scene
from .script import Made, options_of
from .stage import update
from .staleness_charts import Losses, Staleness, Waiting, legend

#: Where the control can stand: from everybody waits to (almost) nobody waits. At its end stands Async.
BOUNDS = (0, 1, 2, 3, 4, 6, 8, 12, 16)
#: Messages that are drawn in one refresh.
PULSES = 40


class StalenessPanel(Panel):
    """A parameter server on a cluster."""

    title: ClassVar[str] = "Parameter server"
    noted: ClassVar[tuple[str, ...]] = ("training_started", "training_finished")
    runs_are: ClassVar[str] = "Runs"

    def __init__(self, ps: Any, **options: Any) -> None:
        self.ps = ps
        #: The bound that was asked for and is not in force yet; "": none.
        self._wanted: int | str | None = ""
        super().__init__(ps.cluster, **options)

    @property
    def system(self) -> Any:
        """The parameter server."""
        return self.ps

    def runs(self) -> list[tuple[float, str]]:
        """The trainings that have ended."""
        found, begun = [], ""
        for event in self.log.noted:
            if event.kind == "training_started":
                begun = called(event.data.get("consistency")).removesuffix("()")
            else:
                found.append(
                    (event.time, f"run {event.data.get('run')}: {begun}, ended at {event.time:.2f} s")
                )
        return found

    def news(self, frame: frames.StalenessFrame) -> str:
        """Whether a training runs."""
        return "" if not frame.workers else "training" if frame.running else "the training has ended"

    def forget(self) -> None:
        """Nothing is wanted."""
        self._wanted = ""

    # -- widgets --------------------------------------------------------

    def layout(self) -> list[ipywidgets.Widget]:
        """As every panel, with the control above the stage."""
        top, numbers, columns, events = super().layout()
        self.control = self.part("choice", "consistency", head=choice(0))
        return [top, numbers, self.control, columns, events]

    def side(self) -> list[ipywidgets.Widget]:
        """The loss."""
        self.against_time = Losses("Loss against seconds", "time")
        self.against_iterations = Losses("Loss against iterations", "iterations")
        return [*self.against_time.widgets, *self.against_iterations.widgets, legend()]

    def below(self) -> list[ipywidgets.Widget]:
        """Staleness of reads, and waiting."""
        self.stale, self.waiting = Staleness(), Waiting()
        return [*self.stale.widgets, *self.waiting.widgets]

    # -- frame --------------------------------------------------------

    def reducer(self, known: tuple[MachineView, ...]) -> StalenessReducer:
        """The parameter server's events."""
        return StalenessReducer(known)

    def frame(self, position: float | None) -> frames.StalenessFrame:
        """The parameter server at a position."""
        return frames.frame(self.cluster.trace, position, history=self.history, now=self._clock())

    def scene(self, frame: frames.StalenessFrame) -> Scene:
        """Clocks and key ranges."""
        return staleness_scene(frame)

    def facts(self, frame: frames.StalenessFrame) -> str:
        """Cluster, engine, seed, consistency."""
        return f"{super().facts(frame)} · {frame.consistency or 'not training'}"

    def pulses(self, frame: frames.StalenessFrame, since: float, scene: Scene) -> tuple[list[Pulse], int]:
        """Pushes that reached a server, and updates passed on along a chain."""
        if not self.position.live and not self.position.replaying:
            return [], 0
        marks = {mark.id for mark in scene.marks}
        at = {worker.name: f"shard-{worker.shard}" for worker in reversed(frame.workers)}
        fresh = []
        for flow in frame.flows:
            ends = at.get(flow.source, flow.source), flow.target
            if flow.time > since and marks.issuperset(ends):
                kind = "request" if flow.kind == "push" else "hop"
                fresh.append(Pulse(flow.seq, *ends, kind, f"{flow.kind}: {flow.source} to {flow.target}"))
        return fresh[-PULSES:], max(0, len(fresh) - PULSES)

    def caption(self, frame: frames.StalenessFrame, left_out: int) -> str:
        """What the moving dots are."""
        words = "dots: pushes to servers, and updates passed along a chain"
        return f"{words} ({left_out} more are not drawn)" if left_out else words

    def show(self, frame: frames.StalenessFrame) -> None:
        """The charts, and where the control stands."""
        before = frame.earlier[-1][1] if frame.earlier else ()
        self.against_time.show(frame.points, frame.started, before)
        self.against_iterations.show(frame.points, frame.started, before)
        now = frame.time if frame.running or not frame.reads else frame.reads[-1].time
        self.stale.show(frame.reads, frame.bounds, frame.started, now)
        self.waiting.show(frame.workers)
        self._show_control(frame)

    def _show_control(self, frame: frames.StalenessFrame) -> None:
        """The control follows the run: what the trace says, not what was asked for."""
        bound, label = self._in_force(frame)
        if self._wanted == bound:
            self._wanted = ""
        if self._wanted != "" and self.position.live:
            update(self.control, head=choice(self._wanted, pending=True))
        else:
            off = not self.position.live or self._gone()
            update(self.control, head=choice(bound, label, off=off))

    def _in_force(self, frame: frames.StalenessFrame) -> tuple[int | None, str]:
        """What holds at the position; between runs: what the parameter server is set to."""
        if self.position.live and not frame.running:
            return self.ps.consistency.bound, called(self.ps.consistency).removesuffix("()")
        return frame.bound, frame.consistency.removesuffix("()")

    # -- actions --------------------------------------------------------

    def on_consistency(self, bound: int | None) -> None:
        """Change the consistency, also of a training under way."""
        if not self.position.live:
            raise ValueError("this is the past; go back to live first")
        self._wanted = bound
        self.later("consistency", self._change)

    def _change(self) -> None:
        """Until the last wish is granted: the hand may have moved on while one was."""
        from labkit.systems.paramserver import BSP, SSP, Async

        while self._wanted != "" and self._wanted != self.ps.consistency.bound:
            wanted = self._wanted
            try:
                self.ps.consistency = Async() if wanted is None else SSP(wanted) if wanted else BSP()
            except Exception:
                self._wanted = ""
                raise

    def made(self) -> Made:
        """The parameter server as code."""
        from labkit.systems.paramserver import BSP

        options, now = options_of(self.ps), self.ps.consistency
        notes = ()
        if now != (options.get("consistency") or BSP()):
            notes = (f"Its consistency was changed meanwhile: ps_again.consistency = {literal(now)}",)
        lacks = "your vectors and trainings"
        return Made("labkit.systems.paramserver", "ps_again", "ParameterServer", options, lacks, notes)


def bounds(bound: int | None) -> list[int | None]:
    """The control's places; a bound that has none of its own gets one."""
    return [*sorted({*BOUNDS, *([] if bound is None else [bound])}), None]


def choice(bound: Any, label: str = "", off: bool = False, pending: bool = False) -> dict[str, Any]:
    """What the control shows at a bound. `label`: what the bound is called now."""
    places = bounds(bound)
    names = [label if each == bound and label else name(each) for each in places]
    words = meaning(bound)
    return {
        "label": "Consistency",
        "action": "consistency",
        "places": names,
        "bounds": places,
        "place": places.index(bound),
        "words": words[:1].upper() + words[1:],
        "off": off,
        "pending": pending,
    }


def name(bound: int | None) -> str:
    """A bound as the field calls it."""
    return "Async" if bound is None else f"SSP({bound})" if bound else "BSP"
