"""A circle of nodes, clockwise from twelve o'clock, as the papers draw identifiers.

Each node may have a bar inwards, arcs of the rim and chords lead from node to node, and a tick marks a place
between them. Too many nodes to draw are counted, arc by arc.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from ..looks import outline, sign
from ..scene import MARKS, Label, Link, Mark, Scene, arc, around, bow, line, on_circle, spread

WIDTH, HEIGHT = 570.0, 530.0
CX, CY, R = WIDTH / 2, HEIGHT / 2 + 2, 188.0
#: Labels stand on a wider circle; every node has one up to this many, beyond it only on hover.
LABEL_R, LABELLED, LABEL_GAP = R + 26, 40, 14.5
#: The longest bar.
BAR = 34.0
#: Above `MARKS` nodes the circle is drawn as this many arcs, each as dark as it is populated.
ARCS = 96


class Spot(NamedTuple):
    """A node: `turn` is where it stands, 0 to 1; `amounts` are stacked on its bar."""

    name: str
    turn: float
    colour: int
    state: str
    tip: str
    cls: str = ""
    amounts: tuple[tuple[str, int], ...] = ()  # (class, number)
    bar: str = ""  # the bar's tip


class Way(NamedTuple):
    """From one node to another: along the rim, or across; bend: 1 through the middle, below 0 outside."""

    id: str
    source: str
    target: str
    cls: str
    bend: float | None = None
    tip: str = ""


def circle(
    spots: Sequence[Spot],
    ways: Iterable[Way],
    title: str,
    *,
    tick: tuple[str, float] | None = None,
    heads: Iterable[Label] = (),
    named: Iterable[str] = (),
) -> Scene:
    """The scene. `tick`: a name and its turn; `named`: who is, in a crowd; `heads`: words in the corners."""
    count = len(spots)
    angles = _angles(tuple(spot.turn for spot in spots))
    places = dict(zip((spot.name for spot in spots), angles, strict=True))
    labels = _labels(places) if count <= LABELLED else {}
    crowd = [] if labels else [_named(name, places[name]) for name in places if name in set(named)]
    links = [_way(way, places) for way in ways if {way.source, way.target} <= places.keys()]
    return Scene(
        WIDTH,
        HEIGHT,
        marks=tuple(_mark(spot, places[spot.name], labels, count) for spot in spots),
        links=(_whole(), *_bars(spots, places), *links, *_tick(tick)),
        labels=(*heads, *_tick_name(tick), *crowd),
        title=title,
        bend=0.55,
        centre=(CX, CY),
    )


def crowded(spots: Sequence[Spot]) -> bool:
    """Whether they are too many to draw."""
    return len(spots) > MARKS


def summary(spots: Iterable[Spot], words: str, note: str, title: str) -> Scene:
    """How densely each arc is populated, and how much of it is dead."""
    counts = [[0, 0] for _ in range(ARCS)]
    for spot in spots:
        counts[int(spot.turn * ARCS)][spot.state == "dead"] += 1
    most = max(alive + dead for alive, dead in counts)
    step, links = 2 * math.pi / ARCS, []
    for index, (alive, dead) in enumerate(counts):
        middle = (index + 0.5) * step
        for kind, a, b in (("own", 0, alive), ("gone", alive, alive + dead)):
            if b > a:
                near, far = R + 60.0 * a / most, R + 60.0 * b / most
                path = line(*on_circle(CX, CY, near, middle), *on_circle(CX, CY, far, middle))
                tip = f"{alive} alive, {dead} dead"
                links.append(Link(f"{kind}:{index}", path, f"density {kind}", 0, 9.0, tip))
    labels = (Label(CX, CY - 8, words, "big"), Label(CX, CY + 16, note, "note"))
    return Scene(WIDTH, HEIGHT, links=(_whole(), *links), labels=labels, title=title, centre=(CX, CY))


# -- where things stand ------------------------------------------------------------


@lru_cache(maxsize=64)
def _angles(turns: tuple[float, ...]) -> tuple[float, ...]:
    """Where the nodes stand: in their places, moved apart just enough to be told apart."""
    return tuple(around([2 * math.pi * turn for turn in turns], (2 * _radius(len(turns)) + 3) / R))


def _radius(count: int) -> float:
    return 8.5 if count <= 40 else 6.0 if count <= 80 else 3.2


def _mark(spot: Spot, angle: float, labels: dict[str, tuple[float, float, str]], count: int) -> Mark:
    x, y = on_circle(CX, CY, R, angle)
    lx, ly, anchor = labels.get(spot.name, (0.0, 0.0, "middle"))
    label = spot.name + sign(spot.state) if spot.name in labels else ""
    shape = outline(spot.colour)
    return Mark(
        spot.name, x, y, _radius(count), shape, spot.colour, spot.state, label, lx, ly, anchor, spot.tip,
        spot.cls,
    )  # fmt: skip


def _labels(places: dict[str, float]) -> dict[str, tuple[float, float, str]]:
    """Labels left and right of the circle, level with their nodes as far as they do not touch."""
    found: dict[str, tuple[float, float, str]] = {}
    for side in (1, -1):
        group = [name for name, angle in places.items() if (math.sin(angle) >= 0) == (side > 0)]
        wanted = sorted((on_circle(CX, CY, LABEL_R, places[name])[1], name) for name in group)
        heights = spread([y for y, _ in wanted], LABEL_GAP, 16.0, HEIGHT - 26.0)
        for (_, name), y in zip(wanted, heights, strict=True):
            away = min(1.0, abs(y - CY) / LABEL_R)
            x = CX + side * max(LABEL_R * math.sqrt(1 - away**2), 26.0)
            found[name] = (x, y + 4.0, "start" if side > 0 else "end")
    return found


def _named(name: str, angle: float) -> Label:
    x, y = on_circle(CX, CY, LABEL_R - 12, angle)
    return Label(x, y + 4, name, "", "start" if x >= CX else "end")


# -- lines ------------------------------------------------------------


def _whole() -> Link:
    return Link("circle", arc(CX, CY, R, 0.0, 0.0), "circle")


def _way(way: Way, places: dict[str, float]) -> Link:
    here, there = places[way.source], places[way.target]
    if way.bend is None:
        return Link(way.id, arc(CX, CY, R, here, there), way.cls, tip=way.tip)
    ends = (*on_circle(CX, CY, R, here), *on_circle(CX, CY, R, there))
    return Link(way.id, bow(*ends, CX, CY, way.bend), way.cls, tip=way.tip)


def _bars(spots: Sequence[Spot], places: dict[str, float]) -> list[Link]:
    """Bars inwards, the longest for the node that has most."""
    most = max((sum(number for _, number in spot.amounts) for spot in spots), default=0)
    links, width = [], 5.0 if len(spots) <= 80 else 2.5
    start = R - _radius(len(spots)) - 4
    for spot in spots if most else ():
        angle, total = places[spot.name], 0
        for cls, number in spot.amounts:
            a, b = start - BAR * total / most, start - BAR * (total + number) / most
            total += number
            if a - b > 0.4:
                path = line(*on_circle(CX, CY, a, angle), *on_circle(CX, CY, b, angle))
                name = f"{cls}:{spot.name}"
                links.append(Link(name, path, f"load {cls}", spot.colour, width, spot.bar))
    return links


def _tick(tick: tuple[str, float] | None) -> list[Link]:
    """A place between the nodes."""
    if tick is None:
        return []
    angle = 2 * math.pi * tick[1]
    path = line(*on_circle(CX, CY, R - 13, angle), *on_circle(CX, CY, R + 13, angle))
    return [Link("key", path, "key", tip=tick[0])]


def _tick_name(tick: tuple[str, float] | None) -> list[Label]:
    if tick is None:
        return []
    name, angle = tick[0], 2 * math.pi * tick[1]
    x, y = on_circle(CX, CY, R - 22, angle)
    anchor = "end" if math.sin(angle) > 0.35 else "start" if math.sin(angle) < -0.35 else "middle"
    name = name if len(name) <= 18 else name[:17] + "…"
    return [Label(x, y + 4 + 6 * math.cos(angle), name, "key", anchor)]
