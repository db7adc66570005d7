"""The charts of `StalenessPanel`: loss, staleness of reads, waiting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import bqplot
import ipywidgets
import numpy as np

from labkit.systems.paramserver.view import KINDS, Point, Read

from .charts import GREY, _ceiling, _moments, _set, _ticks, figure, heading
from .frames.staleness import WorkerView
from .looks import CHARTS, COLOURS
from .stage import update

#: A colour for BSP, SSP and Async that reads on light and on dark.
HUES = dict(zip(KINDS, (CHARTS[name] for name in ("blue", "orange", "green")), strict=True))
#: Points of an earlier run that are drawn; it stands still.
EARLIER = 100
#: Changes of consistency that one chart can show.
STRETCHES = 12


def legend() -> ipywidgets.HTML:
    """What the colours of the curves mean, in the notebook's own type."""
    words = "".join(
        f'<span style="color:{colour};font-weight:600;margin-right:12px">━ {kind}</span>'
        for kind, colour in HUES.items()
    )
    earlier = f'<span style="color:{GREY};font-weight:600">━ the run before</span>'
    box = ipywidgets.HTML(f'<div style="font-size:12px;line-height:1.3">{words}{earlier}</div>')
    box.layout.margin = "0"
    return box


class Stretches:
    """Some lines, each shown only while it has a stretch to draw: bqplot cannot draw gaps.

    A line with an end that is no number would be an error on the page's console.
    """

    def __init__(self, scales: dict[str, bqplot.Scale], **look: Any) -> None:
        nowhere = np.array([0.0, 0.0])
        self.marks = [
            bqplot.Lines(x=nowhere, y=nowhere, scales=scales, visible=False, **look) for _ in range(STRETCHES)
        ]

    def show(self, stretches: Sequence[tuple[np.ndarray, np.ndarray, str]]) -> None:
        """Draw the last of these: x, y and colour of each."""
        shown = [each for each in stretches if len(each[0]) > 1][-STRETCHES:]
        for number, mark in enumerate(self.marks):
            if number < len(shown):
                xs, ys, colour = shown[number]
                _set(mark, xs, ys)
                update(mark, colors=[colour], visible=True)
            else:
                update(mark, visible=False)


class Losses:
    """The loss against time or against iterations; each stretch has its consistency's colour."""

    def __init__(self, words: str, against: str) -> None:
        self.against = against
        self.x, self.y = bqplot.LinearScale(min=0.0, max=1.0), bqplot.LinearScale(min=0.0, max=1.0)
        scales = {"x": self.x, "y": self.y}
        self.before = Stretches(scales, stroke_width=1.4, opacities=[0.6])
        self.curve = Stretches(scales, stroke_width=2.2)
        self.below = bqplot.Axis(scale=self.x, grid_lines="none", tick_format="~g", tick_values=[0.0, 1.0])
        self.left = bqplot.Axis(
            scale=self.y, side="left", grid_lines="none", tick_format="~g", tick_values=[0.0, 1.0]
        )
        self.figure = figure([*self.before.marks, *self.curve.marks], [self.below, self.left], height=205)
        self.widgets = [heading(words), self.figure]

    def show(self, points: Sequence[Point], began: float, before: tuple[Point, ...]) -> None:
        """Set the curves, if they changed."""
        old = before[:: max(1, len(before) // EARLIER)]
        old_xs, old_ys = self._places(old, old[0].time if old else 0.0), np.array([p.loss for p in old])
        xs, ys = self._places(points, began), np.array([p.loss for p in points])
        far = float(max([1.0 if self.against == "time" else 10.0, *xs[-1:], *old_xs[-1:]]))
        top = _round_up(float(max([0.1, *ys, *old_ys])))
        update(self.x, max=far)
        update(self.y, max=top)
        _ticks(self.below, _moments(0.0, far))
        _ticks(self.left, [0.0, top / 2, top])
        self.curve.show(list(_by_kind(xs, ys, [p.kind for p in points])))
        self.before.show([(old_xs, old_ys, GREY)])

    def _places(self, points: Sequence[Point], origin: float) -> np.ndarray:
        if self.against == "time":
            return np.array([p.time - origin for p in points])
        return np.array([p.iteration for p in points])


def _by_kind(
    xs: np.ndarray, ys: np.ndarray, kinds: list[str]
) -> Iterator[tuple[np.ndarray, np.ndarray, str]]:
    """A stretch for each time a kind of consistency held; neighbours share a point."""
    start = 0
    for place in range(1, len(kinds) + 1):
        if place == len(kinds) or kinds[place] != kinds[start]:
            yield xs[start : place + 1], ys[start : place + 1], HUES[kinds[start]]
            start = place


def _round_up(value: float) -> float:
    """The next round number, for small numbers too."""
    return _ceiling(100 * value) / 100


class Staleness:
    """Each read as a dot: when, and how stale. The lines are the bounds."""

    def __init__(self) -> None:
        self.x, self.y = bqplot.LinearScale(min=0.0, max=1.0), bqplot.LinearScale(min=-0.4, max=4.0)
        scales = {"x": self.x, "y": self.y}
        self.dots = bqplot.Scatter(
            x=np.array([]), y=np.array([]), scales=scales, colors=[COLOURS[4]], default_size=14,
            opacities=[0.75], stroke=None,
        )  # fmt: skip
        self.bound = Stretches(scales, line_style="dashed", stroke_width=1.8)
        self.below = bqplot.Axis(scale=self.x, grid_lines="none", tick_format="~g", tick_values=[0.0, 1.0])
        self.left = bqplot.Axis(
            scale=self.y, side="left", grid_lines="none", tick_format="~g", tick_values=[0.0, 4.0]
        )
        self.figure = figure([self.dots, *self.bound.marks], [self.below, self.left], height=138)
        self.widgets = [heading("Staleness of each read, in iterations; dashed: the bound"), self.figure]

    def show(
        self, reads: Sequence[Read], bounds: Sequence[tuple[float, int | None]], began: float, now: float
    ) -> None:
        """Set dots and lines, if they changed."""
        first = (reads[0].time if reads else began) - began
        last = max(now - began, (reads[-1].time if reads else now) - began, first + 0.5)
        stale = np.array([r.staleness for r in reads], dtype=float)
        limits = _held(bounds, began, first, last)
        top = max([4.0, *stale, *(y for _, ys, _ in limits for y in ys)]) + 0.5
        update(self.x, min=first, max=last)
        update(self.y, max=float(np.ceil(top)))
        _ticks(self.below, _moments(first, last))
        step = next((s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500) if top / s <= 6), 1000)
        _ticks(self.left, [float(k) for k in range(0, int(top) + 1, step)])
        _set(self.dots, np.array([r.time for r in reads]) - began, stale)
        self.bound.show(limits)


def _held(
    bounds: Sequence[tuple[float, int | None]], began: float, first: float, last: float
) -> list[tuple[np.ndarray, np.ndarray, str]]:
    """A horizontal stretch for each bound, while it held, between two moments."""
    ends = [time - began for time, _ in bounds[1:]] + [last]
    found = []
    for (time, bound), end in zip(bounds, ends, strict=False):
        if bound is not None and end > first:
            xs = np.array([max(time - began, first), end])
            found.append((xs, np.array([bound, bound], dtype=float), COLOURS[1]))
    return found


class Waiting:
    """Seconds that each worker computed, and waited."""

    def __init__(self) -> None:
        x, self.y = bqplot.OrdinalScale(), bqplot.LinearScale(min=0.0, max=1.0)
        self.bars = bqplot.Bars(
            x=["0"], y=[[0.0], [0.0]], scales={"x": x, "y": self.y}, colors=[GREY, COLOURS[1]], padding=0.35
        )
        self.left = bqplot.Axis(
            scale=self.y, side="left", grid_lines="none", tick_format="~g", tick_values=[0.0, 1.0]
        )
        below = bqplot.Axis(scale=x, grid_lines="none")
        self.figure = figure([self.bars], [below, self.left], height=138)
        self.widgets = [heading("Seconds of each worker: working (grey), waiting (orange)"), self.figure]

    def show(self, workers: Sequence[WorkerView]) -> None:
        """Set the bars, if they changed."""
        names = [w.name if len(workers) <= 5 else str(w.shard) for w in workers] or ["0"]
        values = np.array([[w.worked for w in workers] or [0.0], [w.waited for w in workers] or [0.0]])
        top = _round_up(float(values.sum(axis=0).max()) or 1.0)
        update(self.y, max=top)
        _ticks(self.left, [0.0, top / 2, top])
        _set(self.bars, np.array(names), values.round(2))
