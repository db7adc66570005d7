"""`StalenessPanel`: a parameter server while it trains.

Workers' clocks against the bound, how stale each read was, who waits for whom, the loss against time and
against iterations, the ring of key ranges; and one control that moves from bulk-synchronous through stale
synchronous to asynchronous.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from labkit.runtime.again import literal
from labkit.systems.paramserver.consistency import BSP, SSP, Async
from labkit.systems.paramserver.events import called, meaning
from labkit.systems.paramserver.view import KINDS, StalenessReducer, StalenessView

from ..charts import CHARTS, Losses, Staleness, Waiting, legend
from ..panel import Panel
from ..pieces import Chart, Plain, Slide
from ..scene import Pulse, Scene
from ..setup import OneOf, Whole
from .staleness import numbers, staleness_scene

#: Where the control can stand: from everybody waits to (almost) nobody waits. At its end stands Async.
BOUNDS = (0, 1, 2, 3, 4, 6, 8, 12, 16)
#: A colour for each kind of consistency that reads on light and on dark.
HUES = dict(zip(KINDS, (CHARTS[name] for name in ("blue", "orange", "green")), strict=True))


def _now(panel: Any, frame: StalenessView) -> tuple[int | None, str]:
    """What holds at the position; between runs: what the parameter server is set to."""
    if panel.position.live and not frame.running:
        return panel.ps.consistency.bound, called(panel.ps.consistency).removesuffix("()")
    return frame.bound, frame.consistency.removesuffix("()")


def _set(panel: Any, bound: int | None) -> None:
    panel.ps.consistency = Async() if bound is None else SSP(bound) if bound else BSP()


def _losses(panel: Any, frame: StalenessView) -> tuple[Any, ...]:
    return frame.points, frame.started, frame.earlier[-1][1] if frame.earlier else ()


def _stale(panel: Any, frame: StalenessView) -> tuple[Any, ...]:
    now = frame.time if frame.running or not frame.reads else frame.reads[-1].time
    return frame.reads, frame.bounds, frame.started, now


class StalenessPanel(Panel):
    """A parameter server on a cluster."""

    title: ClassVar[str] = "Parameter server"
    named = "ps"
    noted: ClassVar[tuple[str, ...]] = ("training_started", "training_finished")
    runs_are: ClassVar[str] = "Runs"
    fold = StalenessReducer
    figures = staticmethod(numbers)
    drawn = 40
    parameters = (
        Whole("servers", "Servers", 2, 1, 16),
        Whole("workers", "Workers", 4, 1, 64),
        Whole("replicas", "Copies beside the master's", 1, 0, 15),
        OneOf("consistency", "Consistency", [(literal(each), each) for each in (BSP(), SSP(4), Async())]),
    )
    above = (
        Slide(
            "control", "Consistency", "consistency",
            places=lambda bound: [*sorted({*BOUNDS, *([] if bound is None else [bound])}), None],
            called=lambda bound: "Async" if bound is None else f"SSP({bound})" if bound else "BSP",
            words=meaning, now=_now, get=lambda panel: panel.ps.consistency.bound, set=_set,
        ),
    )  # fmt: skip
    side = (
        Chart(Losses, _losses, "against_time", ("Loss against seconds", "time", HUES)),
        Chart(Losses, _losses, "against_iterations", ("Loss against iterations", "iterations", HUES)),
        Plain(lambda: legend(HUES)),
    )
    below = (
        Chart(Staleness, _stale, "stale"),
        Chart(Waiting, lambda _panel, frame: (frame.workers,), "waiting"),
    )

    def runs(self) -> list[tuple[float, str]]:
        """The trainings that have ended."""
        found, begun = [], ""
        for event in self.log.noted:
            if event.kind == "training_started":
                begun = called(event.data.get("consistency")).removesuffix("()")
            else:
                words = f"run {event.data.get('run')}: {begun}, ended at {event.time:.2f} s"
                found.append((event.time, words))
        return found

    def news(self, frame: StalenessView) -> str:
        """Whether a training runs."""
        return "" if not frame.workers else "training" if frame.running else "the training has ended"

    def frame(self, position: float | None) -> StalenessView:
        """The parameter server at a position."""
        found: StalenessView = self.history.at(position).view(position, self._clock())
        return found

    def scene(self, frame: StalenessView) -> Scene:
        """Clocks and key ranges."""
        return staleness_scene(frame)

    def about(self, frame: StalenessView) -> str:
        """The consistency."""
        return frame.consistency or "not training"

    def flights(self, frame: StalenessView) -> Iterator[tuple[float, Pulse]]:
        """Pushes that reached a server, and updates passed on along a chain."""
        at = {worker.name: f"shard-{worker.shard}" for worker in reversed(frame.workers)}
        for flow in frame.flows:
            kind, tip = (
                "request" if flow.kind == "push" else "hop",
                f"{flow.kind}: {flow.source} to {flow.target}",
            )
            yield flow.time, Pulse(flow.seq, at.get(flow.source, flow.source), flow.target, kind, tip)

    def caption(self, frame: StalenessView, left_out: int) -> str:
        """What the moving dots are."""
        words = "dots: pushes to servers, and updates passed along a chain"
        return f"{words} ({left_out} more are not drawn)" if left_out else words
