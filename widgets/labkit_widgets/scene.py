"""A scene: what a stage draws, as plain data. One scene feeds the browser's stage and the static SVG alike.

Coordinates are those of a fixed view box, so a scene is the same on every screen. Everything has a class that
says what it *is* (a dead node, a stale pointer); how that looks is decided in `looks.toml`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

#: More marks than this are summarised by the scene's maker.
MARKS = 200


@dataclass(frozen=True)
class Mark:
    """A node, machine or event that a person can point at."""

    id: str
    x: float
    y: float
    r: float
    shape: str
    colour: int  # index into the palette; -1: neutral
    state: str = "alive"
    label: str = ""
    lx: float = 0.0
    ly: float = 0.0
    anchor: str = "middle"
    tip: str = ""  # tooltip and accessible name
    cls: str = ""


@dataclass(frozen=True)
class Link:
    """A line: `path` is SVG path data."""

    id: str
    path: str
    cls: str
    colour: int = -1
    width: float = 1.0
    tip: str = ""


@dataclass(frozen=True)
class Label:
    """Text that belongs to no mark."""

    x: float
    y: float
    text: str
    cls: str = ""
    anchor: str = "middle"


@dataclass(frozen=True)
class Box:
    """A rounded rectangle behind the marks: a machine, a stretch of time."""

    id: str
    x: float
    y: float
    w: float
    h: float
    cls: str = ""
    colour: int = -1
    tip: str = ""


@dataclass(frozen=True)
class Scene:
    """Everything on a stage that does not move by itself."""

    width: float
    height: float
    marks: tuple[Mark, ...] = ()
    links: tuple[Link, ...] = ()
    labels: tuple[Label, ...] = ()
    boxes: tuple[Box, ...] = ()
    title: str = ""
    bend: float = 0.0  # how far moving messages bend towards the centre: 0 straight, 1 through it
    centre: tuple[float, float] = (0.0, 0.0)
    rows: bool = False  # the marks stand in rows: ↑ and ↓ go from one to the next

    def mark(self, name: str) -> Mark | None:
        """The mark with that id."""
        return next((mark for mark in self.marks if mark.id == name), None)

    def plain(self) -> dict[str, Any]:
        """JSON for the browser: numbers rounded, so that equal pictures are equal data."""
        return {key: _plain(value) for key, value in asdict(self).items()}


@dataclass(frozen=True)
class Field:
    """What a layout draws: a part of a scene, and where it ends."""

    marks: Sequence[Mark] = ()
    links: Sequence[Link] = ()
    labels: Sequence[Label] = ()
    boxes: Sequence[Box] = ()
    bottom: float = 0.0


def scene_of(width: float, *fields: Field, **more: Any) -> Scene:
    """A scene of several fields, as high as the lowest of them."""
    together = {
        kind: tuple(item for field in fields for item in getattr(field, kind))
        for kind in ("marks", "links", "labels", "boxes")
    }
    return Scene(width, max(field.bottom for field in fields), **together, **more)


@dataclass(frozen=True)
class Pulse:
    """Something that moves from one mark to another: a message, drawn because it was really sent."""

    id: int
    source: str
    target: str
    kind: str  # request, reply, hop, lost, …: a class for the colour
    tip: str = ""
    at: float | None = None  # standing at this fraction of the way (a look at the past), None: moving

    def plain(self) -> dict[str, Any]:
        """JSON for the browser."""
        return asdict(self)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 2)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


# -- geometry ------------------------------------------------------------


def line(x1: float, y1: float, x2: float, y2: float) -> str:
    """Path data of a straight line."""
    return f"M{x1:.1f},{y1:.1f}L{x2:.1f},{y2:.1f}"


def bow(x1: float, y1: float, x2: float, y2: float, cx: float, cy: float, bend: float) -> str:
    """Path data of a curve whose middle is pulled towards (cx, cy)."""
    mx, my = (x1 + x2) / 2, (y1 + y2) / 2
    return f"M{x1:.1f},{y1:.1f}Q{mx + (cx - mx) * bend:.1f},{my + (cy - my) * bend:.1f} {x2:.1f},{y2:.1f}"


def arc(cx: float, cy: float, r: float, start: float, end: float) -> str:
    """Path data of a clockwise arc between two angles in radians, 0 at twelve o'clock."""
    x1, y1 = on_circle(cx, cy, r, start)
    x2, y2 = on_circle(cx, cy, r, end)
    turn = (end - start) % (2 * math.pi)
    if turn < 1e-6:
        xm, ym = on_circle(cx, cy, r, start + math.pi)
        half = f"A{r:.1f},{r:.1f} 0 1 1"
        return f"M{x1:.1f},{y1:.1f}{half} {xm:.1f},{ym:.1f}{half} {x2:.1f},{y2:.1f}"
    return f"M{x1:.1f},{y1:.1f}A{r:.1f},{r:.1f} 0 {int(turn > math.pi)} 1 {x2:.1f},{y2:.1f}"


def on_circle(cx: float, cy: float, r: float, angle: float) -> tuple[float, float]:
    """The point at that angle, 0 at twelve o'clock, clockwise, as identifier circles are drawn."""
    return cx + r * math.sin(angle), cy - r * math.cos(angle)


def spread(wanted: list[float], gap: float, low: float, high: float) -> list[float]:
    """Sorted positions moved as little as it takes to be `gap` apart and within [low, high]."""
    if not wanted:
        return []
    gap = min(gap, (high - low) / max(1, len(wanted) - 1)) if len(wanted) > 1 else gap
    groups: list[
        tuple[float, int]
    ] = []  # (centre, members): groups pushed together, after pool-adjacent-violators
    for value in wanted:
        centre, size = value, 1
        while groups and centre - gap * (size - 1) / 2 - gap < groups[-1][0] + gap * (groups[-1][1] - 1) / 2:
            other, count = groups.pop()
            centre, size = (other * count + centre * size) / (count + size), count + size
        half = gap * (size - 1) / 2
        groups.append((min(max(centre, low + half), high - half), size))
    placed = [centre - gap * (size - 1) / 2 + gap * k for centre, size in groups for k in range(size)]
    for index in range(1, len(placed)):  # clamping to the ends may have pushed groups into each other
        placed[index] = max(placed[index], placed[index - 1] + gap)
    overflow = placed[-1] - high
    return placed if overflow <= 0 else _back(placed, high, gap)


def _back(placed: list[float], high: float, gap: float) -> list[float]:
    placed = list(placed)
    placed[-1] = high
    for index in range(len(placed) - 2, -1, -1):
        placed[index] = min(placed[index], placed[index + 1] - gap)
    return placed


def around(wanted: list[float], gap: float) -> list[float]:
    """Sorted angles moved apart to `gap`, on a circle: cut at the widest opening, then spread."""
    turn = 2 * math.pi
    if len(wanted) < 2 or gap * len(wanted) >= turn:
        return list(wanted)
    count = len(wanted)
    openings = [(b - a, i) for i, (a, b) in enumerate(itertools.pairwise([*wanted, wanted[0] + turn]))]
    width, last = max(openings)
    first = (last + 1) % count
    start = wanted[first]
    unrolled = [(wanted[(first + k) % count] - start) % turn for k in range(count)]
    slack = max(0.0, (width - gap) / 2)
    moved = spread(unrolled, gap, -slack, unrolled[-1] + slack)
    result = [0.0] * count
    for k, angle in enumerate(moved):
        result[(first + k) % count] = (start + angle) % turn
    return result
