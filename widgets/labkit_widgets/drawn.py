"""The few of bqplot's classes that `charts` uses, drawn as SVG: where there is no NumPy, there is no bqplot.

A figure is one HTML widget. It draws itself anew when a trait of its marks, axes or scales is set; several
that are set under `hold_sync` are one drawing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ipywidgets

from .svg import tag

__all__ = ["Axis", "Bars", "Figure", "LinearScale", "Lines", "Mark", "OrdinalScale", "Scale", "Scatter"]

#: The drawing's own width; the page stretches it.
WIDTH = 420.0
#: In the notebook's type, and in the panel's colour for what stands back.
STYLE = "width:100%;height:100%;color:var(--lk-faint,#777);font-family:var(--jp-ui-font-family,sans-serif)"
PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


class Piece:
    """Traits, and the figure that shows them. As a widget, it has a ``comm`` until it is closed."""

    comm = "the figure's"
    figure: Figure | None = None
    _held = False

    def __init__(self, **traits: Any) -> None:
        for name, value in traits.items():
            setattr(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if self.figure is not None and not self._held and name[0] != "_" and name != "figure":
            self.figure.draw()

    @contextmanager
    def hold_sync(self) -> Iterator[None]:
        """Draw once, at the end."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
            if self.figure is not None:
                self.figure.draw()


class Scale(Piece):
    """Where a value stands, as a share of the plot's length."""

    def band(self, count: int) -> float:
        """The share of one bar of so many."""
        return 1.0 / max(1, count)

    def share(self, value: Any) -> float:
        """From 0 to 1."""
        raise NotImplementedError


class LinearScale(Scale):
    """From ``min`` to ``max``; without them, a place for each whole number of the bars."""

    min: float | None = None
    max: float | None = None
    _bars = 1

    def share(self, value: Any) -> float:
        if self.min is None or self.max is None:
            return (float(value) + 0.5) / self._bars
        return (float(value) - self.min) / ((self.max - self.min) or 1.0)


class OrdinalScale(Scale):
    """A place for each name."""

    domain: Sequence[str] = ()

    def share(self, value: Any) -> float:
        return (list(self.domain).index(value) + 0.5) / len(self.domain)


class Axis(Piece):
    """Its ends, or these values."""

    scale: Scale
    side = "bottom"
    tick_format = "~g"
    tick_values: Sequence[float] = ()
    num_ticks: int | None = None

    def ticks(self) -> list[tuple[float, str]]:
        """Place and words of each."""
        if isinstance(self.scale, OrdinalScale):
            return [(self.scale.share(name), str(name)) for name in self.scale.domain]
        if self.num_ticks == 0:
            return []
        places = [(self.scale.share(value), _words(value, self.tick_format)) for value in self.tick_values]
        return [each for each in places if -0.01 <= each[0] <= 1.01]


class Mark(Piece):
    """What is drawn of the pairs of ``x`` and ``y``."""

    x: Sequence[Any] = ()
    y: Sequence[Any] = ()
    scales: dict[str, Scale]
    colors: Sequence[str] = ("#777",)
    opacities: Sequence[float] = (1.0,)
    visible = True

    def places(self, width: float, height: float) -> list[tuple[float, float]]:
        """The points, in a plot of this size."""
        across, up = self.scales["x"], self.scales["y"]
        pairs = zip(self.x, self.y, strict=False)
        return [(across.share(x) * width, (1 - up.share(y)) * height) for x, y in pairs]

    def drawing(self, width: float, height: float) -> str:
        """As SVG, in a plot of this size."""
        raise NotImplementedError


class Lines(Mark):
    """A curve."""

    line_style = "solid"
    stroke_width = 2.0

    def drawing(self, width: float, height: float) -> str:
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in self.places(width, height))
        dash = "6 4" if self.line_style == "dashed" else None
        return tag(
            "polyline", points=points, fill="none", stroke=self.colors[0], stroke_width=self.stroke_width,
            stroke_dasharray=dash, opacity=self.opacities[0], vector_effect="non-scaling-stroke",
        )  # fmt: skip


class Scatter(Mark):
    """A dot each."""

    def drawing(self, width: float, height: float) -> str:
        look = {"r": 2.2, "fill": self.colors[0], "opacity": self.opacities[0]}
        return "".join(tag("circle", cx=x, cy=y, **look) for x, y in self.places(width, height))


class Bars(Mark):
    """Amounts on top of each other, a row of ``y`` for each kind."""

    padding = 0.25

    def drawing(self, width: float, height: float) -> str:
        across, up = self.scales["x"], self.scales["y"]
        thick = across.band(len(self.x)) * width * (1 - self.padding)
        parts, below = [], [0.0] * len(self.x)
        for kind, row in enumerate(self.y):
            look = {"fill": self.colors[kind], "opacity": (*self.opacities, 1.0, 1.0)[kind]}
            for k, (x, amount) in enumerate(zip(self.x, row, strict=True)):
                top, foot = 1 - up.share(below[k] + amount), 1 - up.share(below[k])
                below[k] += amount
                box = {"x": across.share(x) * width - thick / 2, "y": top * height, "width": thick}
                parts.append(tag("rect", **box, height=max(0.0, foot - top) * height, **look))
        return "".join(parts)


class Figure(ipywidgets.HTML):
    """Marks between their axes."""

    def __init__(
        self,
        marks: Sequence[Mark],
        axes: Sequence[Axis],
        fig_margin: dict[str, float],
        layout: Any,
        **_look: Any,
    ) -> None:
        super().__init__(layout=layout)
        self.marks, self._axes, self._margin = marks, axes, fig_margin
        for piece in (*marks, *axes, *(axis.scale for axis in axes)):
            piece.figure = self
        self.draw()

    def draw(self) -> None:
        """Show what the traits say now."""
        margin, full = self._margin, float(self.layout.height.removesuffix("px"))
        width, height = WIDTH - margin["left"] - margin["right"], full - margin["top"] - margin["bottom"]
        for mark in self.marks:
            if isinstance(mark, Bars) and isinstance(scale := mark.scales["x"], LinearScale):
                scale._bars = max(1, len(mark.x))
        inner = [
            *(self._axis(axis, width, height) for axis in self._axes),
            *(mark.drawing(width, height) for mark in self.marks if mark.visible),
        ]
        plot = tag("g", "".join(inner), transform=f"translate({margin['left']},{margin['top']})")
        self.value = tag("svg", plot, viewBox=f"0 0 {WIDTH:.0f} {full:.0f}", style=STYLE)

    @staticmethod
    def _axis(axis: Axis, width: float, height: float) -> str:
        left = axis.side == "left"
        line = (
            {"x1": 0, "x2": 0, "y1": 0, "y2": height}
            if left
            else {"x1": 0, "x2": width, "y1": height, "y2": height}
        )
        parts = [tag("line", **line, stroke="currentColor", opacity=0.5)]
        look = {"font_size": 10.5, "fill": "currentColor", "text_anchor": "end" if left else "middle"}
        for share, words in axis.ticks():
            x, y = (-6.0, (1 - share) * height + 3.5) if left else (share * width, height + 15.0)
            parts.append(tag("text", words, x=x, y=y, **look))
        return "".join(parts)


def _words(value: float, form: str) -> str:
    """A number as short as the axis asks for: 1500 as 1.5k, for "~s"."""
    if form == "~s":
        for size, prefix in PREFIXES:
            if abs(value) >= size:
                return f"{value / size:g}{prefix}"
    return f"{value:g}"
