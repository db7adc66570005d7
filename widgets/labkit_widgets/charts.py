"""bqplot charts, with the colours of the panel and no more traits sent than changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bqplot
import ipywidgets
import numpy as np

from .looks import CHARTS, COLOURS
from .stage import update

_MARGIN = {"top": 8, "bottom": 24, "left": 46, "right": 8}


#: Bars have no machine's colour: they stand for nodes of all of them. Reads on light and dark.
GREY = CHARTS["grey"]
#: What is done again; reads on light and dark.
VIOLET = CHARTS["violet"]
#: What is lost; reads on light and dark.
RED = CHARTS["red"]


def heading(words: str) -> ipywidgets.Label:
    """A chart's title, in the notebook's own type."""
    label = ipywidgets.Label(words)
    label.add_class("labkit-heading")
    return label


def figure(marks: list[bqplot.Mark], axes: list[bqplot.Axis], height: int = 150) -> bqplot.Figure:
    """A small figure without a background of its own, so that it fits both themes."""
    return bqplot.Figure(
        marks=marks,
        axes=axes,
        fig_margin=_MARGIN,
        background_style={"fill": "transparent"},
        min_aspect_ratio=1.2,
        max_aspect_ratio=6.0,
        padding_x=0.0,
        padding_y=0.0,
        layout=ipywidgets.Layout(height=f"{height}px", width="100%", min_width="0"),
        animation_duration=0,
    )


#: Headings of the traffic chart: with each message in the trace, and without.
TRAFFIC = "Messages per second: sent; lost or timed out (dashed)"
SILENCE = "Timeouts per second (messages are not traced)"


class Traffic:
    """Messages per second over time; lost ones below, in red."""

    def __init__(self) -> None:
        # Both scales have explicit ends: bqplot cannot label an axis on which all values are equal.
        self.x, self.y = bqplot.LinearScale(min=0.0, max=1.0), bqplot.LinearScale(min=0.0, max=1.0)
        scales = {"x": self.x, "y": self.y}
        self.sent = bqplot.Lines(
            x=[0.0, 1.0], y=[0.0, 0.0], scales=scales, colors=[COLOURS[4]], stroke_width=1.8
        )
        self.lost = bqplot.Lines(x=[0.0, 1.0], y=[0.0, 0.0], scales=scales, colors=[RED], stroke_width=1.8,
                                 line_style="dashed")  # fmt: skip
        self.below = bqplot.Axis(scale=self.x, grid_lines="none", tick_format="~g", tick_values=[0.0, 1.0])
        self.left = bqplot.Axis(
            scale=self.y, side="left", grid_lines="none", tick_format="~s", tick_values=[0.0, 1.0]
        )
        self.figure = figure([self.sent, self.lost], [self.below, self.left])
        self.words = heading("")
        self.widgets = [self.words, self.figure]

    def show(self, traffic: Sequence[tuple[float, float, float, float]], traced: bool) -> None:
        """Set the curves, if they changed. Where messages are not traced, only silence can be counted."""
        update(self.words, value=TRAFFIC if traced else SILENCE)
        update(self.sent, visible=traced)
        rows = traffic if len(traffic) > 1 else [(0.0, 0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0)]
        times, sent, dropped, silent = (np.array(column) for column in zip(*rows, strict=True))
        first, last = float(times[0]), float(times[-1])
        top = _ceiling(float(max(sent.max() if traced else 0.0, (dropped + silent).max())))
        update(self.x, min=first, max=last)
        update(self.y, max=top)
        _ticks(self.below, _moments(first, last))
        _ticks(self.left, _counts(top))
        _set(self.sent, times, sent)
        _set(self.lost, times, dropped + silent)


def _moments(first: float, last: float) -> list[float]:
    """Round moments between two times."""
    step = _ceiling((last - first) / 6) if last - first > 5 else 0.5
    return [k * step for k in range(int(np.ceil(first / step)), int(last / step) + 1)]


def _ticks(axis: bqplot.Axis, values: list[float]) -> None:
    if axis.comm is not None and not np.array_equal(axis.tick_values, values):
        axis.tick_values = np.array(values)


def _counts(top: float) -> list[float]:
    """Ticks of an axis that counts whole things."""
    return [0.0, top / 2, top] if top > 1 else [0.0, top]


def _ceiling(value: float) -> float:
    """The next round number: an axis that does not jump with every message."""
    power = 10.0 ** np.floor(np.log10(max(value, 1.0)))
    return float(next(power * k for k in (1, 1.5, 2, 3, 4, 6, 8, 10) if power * k >= value))


class Loads:
    """Keys per node as bars in ring order: owned, and copies kept for others above them."""

    def __init__(self) -> None:
        x, self.y = bqplot.LinearScale(), bqplot.LinearScale(min=0.0, max=1.0)
        scales = {"x": x, "y": self.y}
        self.bars = bqplot.Bars(
            x=[0, 1],
            y=[[0.0, 0.0], [0.0, 0.0]],
            scales=scales,
            colors=[GREY, GREY],
            opacities=[1.0, 0.4],
            padding=0.25,
        )
        self.mean = bqplot.Lines(
            x=[0.0, 1.0],
            y=[0.0, 0.0],
            scales=scales,
            colors=[COLOURS[1]],
            line_style="dashed",
            stroke_width=1.6,
        )
        self.left = bqplot.Axis(
            scale=self.y, side="left", grid_lines="none", tick_format="~s", tick_values=[0.0, 1.0]
        )
        below = bqplot.Axis(scale=x, num_ticks=0, grid_lines="none")
        self.figure = figure([self.bars, self.mean], [below, self.left])
        self.widgets = [heading("Keys per node: owned, copies (pale), mean owned (dashed)"), self.figure]

    def show(self, own: Sequence[int], copies: Sequence[int]) -> None:
        """Set the bars, if they changed."""
        count = max(1, len(own))
        values = np.array([own or [0], copies or [0]], dtype=float)
        top = _ceiling(float(values.sum(axis=0).max()))
        update(self.y, max=top)
        _ticks(self.left, _counts(top))
        _set(self.bars, np.arange(count), values)
        mean = float(values[0].mean())
        _set(self.mean, np.array([-0.5, count - 0.5]), np.array([mean, mean]))


class Jobs:
    """How long the last jobs took; those that did lost work again stand out."""

    def __init__(self) -> None:
        # On a linear scale bqplot draws few bars as hairlines.
        self.x, self.y = bqplot.OrdinalScale(domain=["0"]), bqplot.LinearScale(min=0.0, max=1.0)
        scales = {"x": self.x, "y": self.y}
        colours = [GREY, VIOLET]
        self.bars = bqplot.Bars(x=["0"], y=[[0.0], [0.0]], scales=scales, colors=colours, padding=0.25)
        self.left = bqplot.Axis(
            scale=self.y, side="left", grid_lines="none", tick_format="~g", tick_values=[0.0, 1.0]
        )
        self.below = bqplot.Axis(scale=self.x, grid_lines="none")
        self.figure = figure([self.bars], [self.below, self.left], height=130)
        self.widgets = [heading("Seconds per job (violet, ↻: work done again)"), self.figure]

    def show(self, jobs: Sequence[Any], now: float) -> None:
        """Set the bars, if they changed."""
        if not jobs:
            return
        took = np.array([(job.end if job.end is not None else now) - job.start for job in jobs])
        again = np.array([bool(job.again) for job in jobs])
        names = [f"{job.id} ↻" if job.again else str(job.id) for job in jobs]
        top = _upto(float(took.max()))
        update(self.x, domain=names)
        update(self.y, max=top)
        _ticks(self.left, [0.0, top / 2, top])
        _set(self.bars, np.array(names), np.array([np.where(again, 0.0, took), np.where(again, took, 0.0)]))


def _upto(value: float) -> float:
    """The next round number, of any size."""
    if value <= 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(power * k for k in (1, 1.5, 2, 3, 4, 6, 8, 10) if power * k >= value * (1 - 1e-9)))


def _set(mark: bqplot.Mark, x: np.ndarray, y: np.ndarray) -> None:
    if mark.comm is None or (np.array_equal(mark.x, x) and np.array_equal(mark.y, y)):
        return
    with mark.hold_sync():
        mark.x, mark.y = x, y
