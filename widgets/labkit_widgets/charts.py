"""bqplot charts, with the colours of the panel and no more traits sent than changed. Where there is no bqplot
(it needs NumPy, which a page in a browser may lack), `drawn` draws the same marks as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ipywidgets

try:
    import bqplot
except ModuleNotFoundError:
    from . import drawn as bqplot  # type: ignore[no-redef]

from .looks import CHARTS, COLOURS
from .stage import update

_MARGIN = {"top": 8, "bottom": 24, "left": 46, "right": 8}
#: Bars have no machine's colour: they stand for nodes of all of them.
GREY = CHARTS["grey"]
#: Headings of the traffic chart: with each message in the trace, and without.
TRAFFIC = "Messages per second: sent; lost or timed out (dashed)"
SILENCE = "Timeouts per second (messages are not traced)"
#: Points of an earlier run that are drawn; it stands still.
EARLIER = 100
#: Iterations of a loop that are drawn.
COLUMNS = 16
#: Stretches of one curve that are drawn.
STRETCHES = 12
#: A part of a curve: x, y and colour.
Stretch = tuple[list[float], list[float], str]


def heading(words: str) -> ipywidgets.Label:
    """A chart's title, in the notebook's own type."""
    label = ipywidgets.Label(words)
    label.add_class("labkit-heading")
    return label


def legend(hues: Mapping[str, str]) -> ipywidgets.HTML:
    """What the colours of the curves mean, in the notebook's own type."""
    words = "".join(
        f'<span style="color:{colour};font-weight:600;margin-right:12px">━ {kind}</span>'
        for kind, colour in hues.items()
    )
    earlier = f'<span style="color:{GREY};font-weight:600">━ the run before</span>'
    box = ipywidgets.HTML(f'<div style="font-size:12px;line-height:1.3">{words}{earlier}</div>')
    box.layout.margin = "0"
    return box


class _Plot:
    """A small figure under its heading, without a background of its own, so that it fits both themes.

    Scales have explicit ends: bqplot cannot label an axis on which all values are equal.
    """

    x: Any

    def __init__(self, words: str, height: int, form: str = "~g", low: float = 0.0, top: float = 1.0) -> None:
        self.form = form
        self.y = bqplot.LinearScale(min=low, max=top)
        self.scales = {"x": self.x, "y": self.y}
        marks = self.draw()
        self.left = bqplot.Axis(
            scale=self.y, side="left", grid_lines="none", tick_format=form, tick_values=[0.0, float(int(top))]
        )
        self.below = self.axis()
        self.figure = bqplot.Figure(
            marks=marks,
            axes=[self.below, self.left],
            fig_margin=_MARGIN,
            background_style={"fill": "transparent"},
            min_aspect_ratio=1.2,
            max_aspect_ratio=6.0,
            padding_x=0.0,
            padding_y=0.0,
            layout=ipywidgets.Layout(height=f"{height}px", width="100%", min_width="0"),
            animation_duration=0,
        )
        self.words = heading(words)
        self.widgets = [self.words, self.figure]

    def draw(self) -> list[bqplot.Mark]:
        """The marks, on the scales."""
        raise NotImplementedError

    def axis(self) -> bqplot.Axis:
        """The axis below."""
        return bqplot.Axis(scale=self.x, grid_lines="none")

    def up_to(self, top: float, ticks: Sequence[float] = ()) -> None:
        """The end of the upright axis; without ticks: its half is marked."""
        update(self.y, max=top)
        # Half of 1 is 0.5, which the form for thousands and millions calls 500m.
        update(self.left, tick_format="~g" if self.form == "~s" and top < 1000 else self.form)
        _ticks(self.left, list(ticks) or [0.0, top / 2, top])


class _Curves(_Plot):
    """A plot over seconds, or what else is counted."""

    def __init__(self, *given: Any, **look: Any) -> None:
        self.x = bqplot.LinearScale(min=0.0, max=1.0)
        super().__init__(*given, **look)

    def axis(self) -> bqplot.Axis:
        return bqplot.Axis(scale=self.x, grid_lines="none", tick_format="~g", tick_values=[0.0, 1.0])

    def across(self, first: float, last: float) -> None:
        """The ends of the lower axis."""
        update(self.x, min=first, max=last)
        _ticks(self.below, _moments(first, last))

    def lines(self, **look: Any) -> bqplot.Lines:
        """A curve."""
        return bqplot.Lines(x=[0.0, 1.0], y=[0.0, 0.0], scales=self.scales, **look)


class Traffic(_Curves):
    """Messages per second over time; lost ones below, in red."""

    def __init__(self) -> None:
        super().__init__("", 150, "~s")

    def draw(self) -> list[bqplot.Mark]:
        """Sent, and lost."""
        self.sent = self.lines(colors=[COLOURS[4]], stroke_width=1.8)
        self.lost = self.lines(colors=[CHARTS["red"]], stroke_width=1.8, line_style="dashed")
        return [self.sent, self.lost]

    def show(self, traffic: Sequence[tuple[float, float, float, float]], traced: bool) -> None:
        """Set the curves, if they changed. Where messages are not traced, only silence can be counted."""
        update(self.words, value=TRAFFIC if traced else SILENCE)
        update(self.sent, visible=traced)
        rows = traffic if len(traffic) > 1 else [(0.0, 0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0)]
        times, sent = [row[0] for row in rows], [row[1] for row in rows]
        lost = [dropped + silent for _, _, dropped, silent in rows]
        self.across(times[0], times[-1])
        top = _ceiling(max(*lost, *(sent if traced else [])))
        self.up_to(top, _counts(top))
        _set(self.sent, times, sent)
        _set(self.lost, times, lost)


class Loads(_Plot):
    """Keys per node as bars in ring order: owned, and copies kept for others above them."""

    def __init__(self) -> None:
        self.x = bqplot.LinearScale()
        super().__init__("Keys per node: owned, copies (pale), mean owned (dashed)", 150, "~s")

    def draw(self) -> list[bqplot.Mark]:
        """Bars, and a line for their mean."""
        self.bars = bqplot.Bars(
            x=[0, 1], y=[[0.0, 0.0], [0.0, 0.0]], scales=self.scales, colors=[GREY, GREY],
            opacities=[1.0, 0.4], padding=0.25,
        )  # fmt: skip
        self.mean = bqplot.Lines(
            x=[0.0, 1.0], y=[0.0, 0.0], scales=self.scales, colors=[COLOURS[1]], line_style="dashed",
            stroke_width=1.6,
        )  # fmt: skip
        return [self.bars, self.mean]

    def axis(self) -> bqplot.Axis:
        """No numbers below."""
        return bqplot.Axis(scale=self.x, num_ticks=0, grid_lines="none")

    def show(self, own: Sequence[int], copies: Sequence[int]) -> None:
        """Set the bars, if they changed."""
        count = max(1, len(own))
        values = [[float(keys) for keys in kind] or [0.0] for kind in (own, copies)]
        top = _ceiling(_highest(values))
        self.up_to(top, _counts(top))
        _set(self.bars, list(range(count)), values)
        mean = sum(values[0]) / count
        _set(self.mean, [-0.5, count - 0.5], [mean, mean])


class _Columns(_Plot):
    """Two amounts on top of each other, for each of a few names."""

    #: The second amount's colour, how far bars stand apart, and the axis' names before there are any.
    second, padding = COLOURS[1], 0.35
    first: Mapping[str, Any] = {}

    def __init__(self, words: str, height: int, form: str = "~g") -> None:
        self.x = bqplot.OrdinalScale(**self.first)  # on a linear scale bqplot draws few bars as hairlines
        super().__init__(words, height, form)

    def draw(self) -> list[bqplot.Mark]:
        """The bars."""
        self.bars = bqplot.Bars(
            x=["0"], y=[[0.0], [0.0]], scales=self.scales, colors=[GREY, self.second], padding=self.padding
        )
        return [self.bars]


class Jobs(_Columns):
    """How long the last jobs took; those that did lost work again stand out."""

    second, padding, first = CHARTS["violet"], 0.25, {"domain": ["0"]}

    def __init__(self) -> None:
        super().__init__("Seconds per job (violet, ↻: work done again)", 130)

    def show(self, jobs: Sequence[Any], now: float) -> None:
        """Set the bars, if they changed."""
        if not jobs:
            return
        took = [(job.end if job.end is not None else now) - job.start for job in jobs]
        parts = [
            (0.0, seconds) if job.again else (seconds, 0.0) for job, seconds in zip(jobs, took, strict=True)
        ]
        names = [f"{job.id} ↻" if job.again else str(job.id) for job in jobs]
        update(self.x, domain=names)
        self.up_to(_upto(max(took)))
        _set(self.bars, names, [list(part) for part in zip(*parts, strict=True)])


class Iterations(_Columns):
    """An amount of each iteration, or two on top of each other."""

    padding, first = 0.25, {"domain": ["0"]}

    def __init__(self, words: str, form: str = "~s") -> None:
        super().__init__(words, 120, form)

    def show(self, numbers: Sequence[int], below: Sequence[float], above: Sequence[float] = ()) -> None:
        """Set the bars, if they changed. The last ones, if they are many."""
        if not numbers:
            return
        names = [str(number) for number in numbers][-COLUMNS:]
        kinds = (below, above or [0.0] * len(below))
        values = [[float(amount) for amount in kind][-COLUMNS:] for kind in kinds]
        update(self.x, domain=names)
        self.up_to(_upto(_highest(values)))
        _set(self.bars, names, values)


class Waiting(_Columns):
    """Seconds that each worker computed, and waited."""

    def __init__(self) -> None:
        super().__init__("Seconds of each worker: working (grey), waiting (orange)", 138)

    def show(self, workers: Sequence[Any]) -> None:
        """Set the bars, if they changed."""
        names = [w.name if len(workers) <= 5 else str(w.shard) for w in workers] or ["0"]
        values = [[w.worked for w in workers] or [0.0], [w.waited for w in workers] or [0.0]]
        self.up_to(_hundredths(_highest(values) or 1.0))
        _set(self.bars, names, [[round(seconds, 2) for seconds in kind] for kind in values])


class Stretches:
    """Some lines, each shown only while it has a stretch to draw: bqplot cannot draw gaps.

    A line with an end that is no number would be an error on the page's console.
    """

    def __init__(self, scales: dict[str, bqplot.Scale], **look: Any) -> None:
        nowhere = [0.0, 0.0]
        self.marks = [
            bqplot.Lines(x=nowhere, y=nowhere, scales=scales, visible=False, **look) for _ in range(STRETCHES)
        ]

    def show(self, stretches: Sequence[Stretch]) -> None:
        """Draw the last of these: x, y and colour of each."""
        shown = [each for each in stretches if len(each[0]) > 1][-STRETCHES:]
        for number, mark in enumerate(self.marks):
            if number < len(shown):
                xs, ys, colour = shown[number]
                _set(mark, xs, ys)
                update(mark, colors=[colour], visible=True)
            else:
                update(mark, visible=False)


class Rates(_Curves):
    """Bytes per second of one kind over time, as a graph of MapReduce's Figure 3; below zero: taken back."""

    def __init__(self, words: str, what: str, colour: str) -> None:
        self.what, self.colour = what, colour
        super().__init__(words, 104, "~s")

    def draw(self) -> list[bqplot.Mark]:
        """One curve."""
        self.curve = self.lines(colors=[self.colour], stroke_width=1.8)
        return [self.curve]

    def show(self, seconds: Sequence[float], rates: Mapping[str, Sequence[float]]) -> None:
        """Set the curve, if it changed."""
        xs, ys = list(seconds), list(rates[self.what])
        if len(xs) < 2:
            return
        self.across(0.0, max(float(xs[-1]), 1.0))
        top, low = _ceiling(float(max(ys))), float(min(ys))
        low = -_ceiling(-low) if low < 0 else 0.0
        update(self.y, min=low)
        self.up_to(top, [*([low] if low else []), 0.0, top])
        _set(self.curve, xs, ys)


class Losses(_Curves):
    """The loss against time or against iterations; each stretch has the colour of its kind."""

    def __init__(self, words: str, against: str, hues: Mapping[str, str]) -> None:
        self.against, self.hues = against, hues
        super().__init__(words, 205)

    def draw(self) -> list[bqplot.Mark]:
        """The run before, and this one."""
        self.before = Stretches(self.scales, stroke_width=1.4, opacities=[0.6])
        self.curve = Stretches(self.scales, stroke_width=2.2)
        return [*self.before.marks, *self.curve.marks]

    def show(self, points: Sequence[Any], began: float, before: Sequence[Any]) -> None:
        """Set the curves, if they changed."""
        old = before[:: max(1, len(before) // EARLIER)]
        old_xs, old_ys = self._places(old, old[0].time if old else 0.0), [p.loss for p in old]
        xs, ys = self._places(points, began), [p.loss for p in points]
        self.across(0.0, float(max([1.0 if self.against == "time" else 10.0, *xs[-1:], *old_xs[-1:]])))
        self.up_to(_hundredths(float(max([0.1, *ys, *old_ys]))))
        self.curve.show(list(self._by_kind(xs, ys, [p.kind for p in points])))
        self.before.show([(old_xs, old_ys, GREY)])

    def _places(self, points: Sequence[Any], origin: float) -> list[float]:
        if self.against == "time":
            return [p.time - origin for p in points]
        return [p.iteration for p in points]

    def _by_kind(self, xs: list[float], ys: list[float], kinds: list[str]) -> Iterator[Stretch]:
        """A stretch for each time a kind held; neighbours share a point."""
        start = 0
        for place in range(1, len(kinds) + 1):
            if place == len(kinds) or kinds[place] != kinds[start]:
                yield xs[start : place + 1], ys[start : place + 1], self.hues[kinds[start]]
                start = place


class Staleness(_Curves):
    """Each read as a dot: when, and how stale. The lines are the bounds."""

    def __init__(self) -> None:
        super().__init__("Staleness of each read, in iterations; dashed: the bound", 138, low=-0.4, top=4.0)

    def draw(self) -> list[bqplot.Mark]:
        """Dots and lines."""
        self.dots = bqplot.Scatter(
            x=[], y=[], scales=self.scales, colors=[COLOURS[4]], default_size=14,
            opacities=[0.75], stroke=None,
        )  # fmt: skip
        self.bound = Stretches(self.scales, line_style="dashed", stroke_width=1.8)
        return [self.dots, *self.bound.marks]

    def show(
        self, reads: Sequence[Any], bounds: Sequence[tuple[float, int | None]], began: float, now: float
    ) -> None:
        """Set dots and lines, if they changed."""
        first = (reads[0].time if reads else began) - began
        last = max(now - began, (reads[-1].time if reads else now) - began, first + 0.5)
        stale = [float(r.staleness) for r in reads]
        limits = _held(bounds, began, first, last)
        top = max([4.0, *stale, *(y for _, ys, _ in limits for y in ys)]) + 0.5
        self.across(first, last)
        step = next((s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500) if top / s <= 6), 1000)
        self.up_to(float(math.ceil(top)), [float(k) for k in range(0, int(top) + 1, step)])
        _set(self.dots, [r.time - began for r in reads], stale)
        self.bound.show(limits)


def _held(
    bounds: Sequence[tuple[float, int | None]], began: float, first: float, last: float
) -> list[Stretch]:
    """A horizontal stretch for each bound, while it held, between two moments."""
    ends = [time - began for time, _ in bounds[1:]] + [last]
    found = []
    for (time, bound), end in zip(bounds, ends, strict=False):
        if bound is not None and end > first:
            found.append(([max(time - began, first), end], [float(bound)] * 2, COLOURS[1]))
    return found


def _highest(columns: Sequence[Sequence[float]]) -> float:
    """Of amounts that stand on top of each other: how high they reach."""
    return float(max(map(sum, zip(*columns, strict=True))))


# -- round numbers ------------------------------------------------------------


def _moments(first: float, last: float) -> list[float]:
    """Round moments between two times."""
    step = _ceiling((last - first) / 6) if last - first > 5 else 0.5
    return [k * step for k in range(math.ceil(first / step), int(last / step) + 1)]


def _counts(top: float) -> list[float]:
    """Ticks of an axis that counts whole things."""
    return [0.0, top / 2, top] if top > 1 else [0.0, top]


def _ceiling(value: float) -> float:
    """The next round number, at least 1: an axis that does not jump with every message."""
    return _upto(max(value, 1.0))


def _hundredths(value: float) -> float:
    """The next round number, at least a hundredth."""
    return _ceiling(100 * value) / 100


def _upto(value: float) -> float:
    """The next round number, of any size."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return float(next(power * k for k in (1, 1.5, 2, 3, 4, 6, 8, 10) if power * k >= value * (1 - 1e-9)))


# -- traits ------------------------------------------------------------


def _ticks(axis: bqplot.Axis, values: list[float]) -> None:
    if axis.comm is not None and _plain(axis.tick_values) != values:
        axis.tick_values = values


def _set(mark: bqplot.Mark, x: list[Any], y: list[Any]) -> None:
    if mark.comm is None or (_plain(mark.x) == x and _plain(mark.y) == y):
        return
    with mark.hold_sync():
        mark.x, mark.y = x, y


def _plain(values: Any) -> Any:
    """The array that a mark keeps, as lists."""
    return values.tolist() if hasattr(values, "tolist") else values
