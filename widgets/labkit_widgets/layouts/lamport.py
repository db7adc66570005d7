"""The scene of a space-time diagram.

A lane for each node or machine, time to the right, an arrow for each message.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ..happened import Band, Point, SpaceTimeFrame
from ..looks import indexes
from ..scene import Box, Label, Link, Mark, Scene, line

WIDTH = 900.0
#: So many operations are written beside their bands.
ASKED = 16
LEFT, RIGHT, TOP, LANE = 118.0, 18.0, 26.0, 34.0
_SHAPES = {"fault": "cross", "trouble": "cross", "repair": "square", "message": "circle", "plain": "circle"}
_SIZES = {"fault": 8.0, "trouble": 6.0, "repair": 6.0, "message": 3.2, "plain": 4.5}


def lamport(frame: SpaceTimeFrame, chosen: int | None = None) -> Scene:
    """The diagram of a frame; the events that explain the chosen one stand out."""
    height = TOP + LANE * max(1, len(frame.lanes)) + 34
    rows = {lane: TOP + LANE * (index + 0.5) for index, lane in enumerate(frame.lanes)}
    colours = indexes(frame.order)
    span = max(frame.end - frame.start, 1e-9)

    def x(time: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (time - frame.start) / span

    marks = tuple(
        _mark(p, x(p.time), rows[p.lane], colours.get(frame.machines[p.lane], -1), frame, chosen)
        for p in frame.points
    )
    return Scene(
        WIDTH,
        height,
        marks=marks,
        links=(*_lanes(frame, rows, colours), *_arrows(frame, marks, rows)),
        labels=(*_names(frame, rows), *_axis(frame, height, x), *_notes(frame), *_asked(frame, rows, x)),
        boxes=tuple(_band(f"b:{n}", b, rows, x) for n, b in enumerate(frame.bands)),
        title=f"Space-time diagram of {len(frame.points)} events, {frame.start:.3f} s to {frame.end:.3f} s",
        rows=True,
    )


def _band(name: str, band: Band, rows: dict[str, float], x: Callable[[float], float]) -> Box:
    start, end = x(band.start), x(band.end)
    cls = f"band {band.state}"
    tip = f"{band.lane}: {band.text}" if band.text else f"{band.lane} was {band.state}"
    return Box(name, start, rows[band.lane] - 11, max(2.0, end - start), 22, cls, tip=tip)


def _mark(point: Point, x: float, y: float, colour: int, frame: SpaceTimeFrame, chosen: int | None) -> Mark:
    cls = "selected" if point.seq == chosen else "explains" if point.seq in frame.chain else ""
    shape, size = _SHAPES[point.tone], _SIZES[point.tone]
    tip = f"{point.time:.4f} s: {point.text}"
    y = (
        y - 9 if point.tone in ("fault", "trouble", "repair") else y
    )  # beside the lane, where messages do not cover it
    return Mark(
        str(point.seq), x, y, size, shape, colour, "alive", tip=tip, cls=f"{point.tone} {cls}".strip()
    )


def _lanes(frame: SpaceTimeFrame, rows: dict[str, float], colours: dict[str, int]) -> list[Link]:
    return [
        Link(f"lane:{lane}", line(LEFT, y, WIDTH - RIGHT, y), "lane", colours.get(frame.machines[lane], -1))
        for lane, y in rows.items()
    ]


def _arrows(frame: SpaceTimeFrame, marks: tuple[Mark, ...], rows: dict[str, float]) -> list[Link]:
    at = {mark.id: mark for mark in marks}
    explained = set(frame.chain)
    links = []
    for arrow in frame.arrows:
        a, b = at[str(arrow.source)], at[str(arrow.target)]
        cls = "arrow explains" if {arrow.source, arrow.target} <= explained else "arrow"
        x, y = (b.x, b.y) if not arrow.lost else (a.x + 14, a.y + (rows[arrow.lost] - a.y) * 0.8)
        links.append(
            Link(
                f"a:{arrow.source}:{arrow.target}",
                line(a.x, a.y, x, y),
                cls + (" lost" if arrow.lost else ""),
            )
        )
    return links


def _names(frame: SpaceTimeFrame, rows: dict[str, float]) -> list[Label]:
    found = []
    for lane, y in rows.items():
        home = frame.machines[lane]
        words = lane if home in (lane, "client") else f"{lane} ({home})"
        found.append(Label(LEFT - 10, y + 4, words, "name", "end"))
    return found


def _asked(frame: SpaceTimeFrame, rows: dict[str, float], x: Callable[[float], float]) -> list[Label]:
    """What clients asked and were told, while there is room for it."""
    bands = [band for band in frame.bands if band.text]
    if len(bands) > ASKED:
        return []
    found = []
    for band in bands:
        text = band.text if len(band.text) <= 32 else band.text[:31] + "…"
        late = x(band.start) > WIDTH - 150
        at = x(band.end if late else band.start)
        found.append(Label(at, rows[band.lane] - 13, text, "note", "end" if late else "start"))
    return found


def _axis(frame: SpaceTimeFrame, height: float, x: Callable[[float], float]) -> list[Label]:
    """About five round moments along the bottom."""
    return [
        Label(x(m), height - 12, f"{text} s", "note", "end" if x(m) > WIDTH - 40 else "middle")
        for m, text in round_moments(frame.start, frame.end, 5)
    ]


def round_moments(first: float, last: float, about: int) -> list[tuple[float, str]]:
    """About that many round moments between two times, each with its text."""
    if last <= first:
        return []
    step = _round_step((last - first) / about)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return [
        (k * step, f"{k * step:.{digits}f}")
        for k in range(math.ceil(first / step), math.floor(last / step) + 1)
    ]


def _round_step(rough: float) -> float:
    """The next of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * k for k in (1, 2, 5, 10) if power * k >= rough * (1 - 1e-9))


def _notes(frame: SpaceTimeFrame) -> list[Label]:
    if not frame.points:
        return [Label(WIDTH / 2, TOP + 20, "nothing happened in this window", "hint")]
    if frame.left_out:
        total = len(frame.points) + frame.left_out
        words = f"the last {len(frame.points)} of {total:,} events; narrow the window for the others"
        return [Label(LEFT, 16, words, "note", "start")]
    return []
