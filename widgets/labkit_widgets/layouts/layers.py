"""Layers: rows of pieces from top to bottom, in bands, a column for each machine.

On the left the rows' graph, drawn as version control draws history: a dot for each row, along lanes
a line for each dependency. More pieces than can be drawn are counted: bars as long as their numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from labkit.trace.machines import MachineView

from ..looks import sign
from ..scene import MARKS, Box, Field, Label, Link, Mark

#: A page of 700 px shows all of it.
WIDTH = 590.0
#: Where the columns stand: graph, names, what is still to do, machines.
EDGE, LANE0, LANE, LANES, NAMES, TODO, GRID = 8.0, 22.0, 11.0, 5, 36.0, 200.0, 254.0
#: Height of a band's heading and of a line of squares.
HEADING, LINE = 19.0, 14.0
#: Width of a character of a row's name, as far as one can know without drawing it.
LETTER, BOLD = 6.1, 6.8

Columns = dict[str, tuple[float, float]]


class Piece(NamedTuple):
    """A square in the column of its machine; "" for none yet."""

    id: str
    machine: str
    state: str
    tip: str
    cls: str = ""


class Count(NamedTuple):
    """So many pieces of one state in a machine's column."""

    machine: str
    state: str
    number: int
    tip: str


class Row(NamedTuple):
    """A dot of the graph, its name, and its pieces: each, or counted."""

    id: str
    name: str
    note: str
    tip: str
    shape: str
    size: int  # pieces, when all are there
    indent: float = 0.0
    kept: bool = False
    again: bool = False
    selected: bool = False
    pieces: Sequence[Piece] = ()
    counts: Sequence[Count] = ()


class Band(NamedTuple):
    """Rows that belong together."""

    title: str
    state: str
    tip: str
    rows: Sequence[Row]


class Edge(NamedTuple):
    """A dependency between two rows."""

    source: str
    target: str
    cls: str
    tip: str


def layers(
    bands: Sequence[Band],
    edges: Sequence[Edge],
    machines: Sequence[MachineView],
    colours: dict[str, int],
    *,
    hidden: str = "",
    legend: Sequence[tuple[str, str]] = (),
    todo: str = "to do",
) -> Field:
    """The field. `hidden`: words on the rows left out; `legend`: states, and words for each; `todo`: what the
    column of pieces on no machine is called."""
    columns = _columns(machines)
    rows = [row for band in bands for row in band.rows]
    places, ends, bottom = _places(bands, columns, len(machines))
    lanes, routes = _lanes([row.id for row in rows], {(edge.source, edge.target): edge for edge in edges})
    left = NAMES + LANE * max(lanes.values(), default=0)
    marks, labels = [], []
    boxes = list(_machines(machines, columns, colours, bottom))
    for band, (top, end) in zip(bands, ends, strict=True):
        name, cls = f"band:{band.rows[0].id}", f"stage {band.state}"
        boxes.append(Box(name, EDGE, top, WIDTH - 2 * EDGE, end - top, cls, -1, band.tip))
        labels.append(Label(left, top + 14, band.title, cls, "start"))
    for row in rows:
        y, height = places[row.id]
        if row.again:
            boxes.append(Box(f"cone:{row.id}", EDGE + 2, y + 1, WIDTH - 2 * EDGE - 4, height - 2, "cone"))
        labels += _words(row, left, y + height / 2 + 4)
        if row.counts:
            counted, numbers = _counted(row, y, height, columns, colours)
            boxes += counted
            labels += numbers
        else:
            marks += _squares(row, y, height, columns, colours)
    dots, links = _graph(rows, edges, places, lanes, routes)
    squares, meanings, bottom = _legend(legend, bottom + 8)
    return Field(
        marks=[*dots, *marks],
        links=links,
        labels=[*_heads(machines, columns, hidden, todo), *labels, *meanings],
        boxes=[*boxes, *squares],
        bottom=bottom,
    )


# -- where things stand ------------------------------------------------------------


def _columns(machines: Sequence[MachineView]) -> Columns:
    """Left edge and width of each machine's column, and of the one for what is still to do."""
    width = (WIDTH - GRID - EDGE) / max(1, len(machines))
    places = {machine.name: (GRID + k * width, width - 5) for k, machine in enumerate(machines)}
    return {"": (TODO, GRID - TODO - 6), **places}


def _places(
    bands: Sequence[Band], columns: Columns, machines: int
) -> tuple[dict[str, tuple[float, float]], list[tuple[float, float]], float]:
    """Top and height of each row, top and end of each band, and where they end."""
    y = 42.0
    places, ends = {}, []
    width = min((w for name, (_, w) in columns.items() if name), default=100.0)
    for band in bands:
        top = y
        y += HEADING
        for row in band.rows:
            height = _height(row, width, machines)
            places[row.id] = (y, height)
            y += height
        y += 3
        ends.append((top, y))
        y += 7
    return places, ends, y - 7


def _height(row: Row, width: float, machines: int) -> float:
    """Room for the squares that a machine gets when one of them is gone; not more than three lines."""
    if row.counts:
        return 24.0
    share = math.ceil(row.size / max(1, machines - 1))
    lines = min(3, math.ceil(share * LINE / max(LINE, width - 8)))
    return max(22.0, 9.0 + LINE * lines)


def _spots(
    count: int, x: float, y: float, width: float, height: float, step: float
) -> list[tuple[float, float]]:
    """Centres of that many squares in a field, line by line; closer together if there is little room."""
    lines = max(1, int((height - 5) // step))
    in_line = max(1, min(count, int((width - 4) // step)))
    if count > lines * in_line:
        in_line = math.ceil(count / lines)
    used = math.ceil(count / in_line)
    dx = min(step, (width - 4) / in_line)
    y0 = y + height / 2 - step * (used - 1) / 2
    return [(x + 4 + dx * (k % in_line + 0.5), y0 + step * (k // in_line)) for k in range(count)]


# -- machines, names, pieces ------------------------------------------------------------


def _machines(
    machines: Sequence[MachineView], columns: Columns, colours: dict[str, int], bottom: float
) -> Iterable[Box]:
    for machine in machines:
        x, width = columns[machine.name]
        cls, tip = f"column {machine.state}", f"{machine.name}: {machine.state}"
        yield Box(f"machine:{machine.name}", x, 24, width, bottom - 20, cls, colours[machine.name], tip)


def _heads(machines: Sequence[MachineView], columns: Columns, hidden: str, todo: str) -> list[Label]:
    x, width = columns[""]
    found = [Label(x + width / 2, 16, todo, "note")] if todo else []
    found += [Label(10, 36, hidden, "note", "start")] if hidden else []
    for machine in machines:
        x, width = columns[machine.name]
        mark = sign(machine.state)
        words = machine.name + mark + (f" {machine.state}" if mark and width > 62 else "")
        found.append(Label(x + width / 2, 16, words, f"name state {machine.state}"))
    return found


def _words(row: Row, left: float, y: float) -> list[Label]:
    """The row's name, and the note on it if there is room."""
    name = f"↻ {row.name}" if row.again else row.name
    x = left + row.indent
    room = int((TODO - 6 - x) / (BOLD if row.kept else LETTER))
    if len(name) > room:  # names that begin alike differ at the end
        last = max(1, room // 3)
        name = name[: room - 1 - last] + "…" + name[-last:]
    found = [Label(x, y, name, "kept" if row.kept else "rdd", "start")]
    if row.note and len(name) + len(row.note) + 2 <= room:
        found.append(Label(TODO - 8, y, row.note, "note", "end"))
    return found


def _squares(row: Row, y: float, height: float, columns: Columns, colours: dict[str, int]) -> Iterable[Mark]:
    for machine, (x, width) in columns.items():
        pieces = [piece for piece in row.pieces if piece.machine == machine]
        step, r = (LINE, 6.2) if machine else (8.0, 3.2)
        for piece, (cx, cy) in zip(pieces, _spots(len(pieces), x, y, width, height, step), strict=True):
            colour, cls = colours.get(machine, -1), f"cell {piece.cls}".strip()
            yield Mark(piece.id, cx, cy, r, "square", colour, piece.state, tip=piece.tip, cls=cls)


def _counted(
    row: Row, y: float, height: float, columns: Columns, colours: dict[str, int]
) -> tuple[list[Box], list[Label]]:
    """Too many to draw each: bars as long as their numbers."""
    boxes, labels = [], []
    totals = [sum(c.number for c in row.counts if c.machine == machine) for machine in columns if machine]
    most = max(totals, default=1)
    for machine, (x, width) in columns.items():
        some = [count for count in row.counts if count.machine == machine]
        left, total = x + 3, sum(count.number for count in some)
        if not total:
            continue
        scale = (width - 6) / max(most if machine else total, 1)
        for count in some:
            w = max(2.0, count.number * scale)
            name, cls = f"n:{row.id}:{machine}:{count.state}", f"count {count.state}"
            boxes.append(Box(name, left, y + 3, w, 9, cls, colours.get(machine, -1), count.tip))
            left += w
        lost = sum(count.number for count in some if count.state == "lost")
        words = f"✕ {lost:,}" if lost == total else f"{total:,}" + (f", ✕ {lost:,}" if lost else "")
        labels.append(Label(x + 3, y + height - 2, words, "tiny", "start"))
    return boxes, labels


# -- the graph ------------------------------------------------------------


def _graph(
    rows: Sequence[Row],
    edges: Sequence[Edge],
    places: dict[str, tuple[float, float]],
    lanes: dict[str, int],
    routes: dict[tuple[str, str], int],
) -> tuple[list[Mark], list[Link]]:
    """A dot for each row; lines from parents to children."""
    at = {row.id: (LANE0 + LANE * lanes[row.id], places[row.id][0] + places[row.id][1] / 2) for row in rows}
    links = []
    for edge in edges:
        lane = LANE0 + LANE * routes[edge.source, edge.target]
        path = _route(*at[edge.source], lane, *at[edge.target])
        links.append(Link(f"e:{edge.source}:{edge.target}", path, f"dependency {edge.cls}", tip=edge.tip))
    marks = []
    for row in rows[-MARKS:]:
        words = ["node", "kept" * row.kept, "again" * row.again, "selected" * row.selected]
        cls = " ".join(filter(None, words))
        marks.append(Mark(row.id, *at[row.id], 4.6, row.shape, -1, "alive", tip=row.tip, cls=cls))
    return marks, links


def _route(x1: float, y1: float, lane: float, x2: float, y2: float) -> str:
    """Down from a parent, along a lane, to its child."""
    a, b = y1 + min(14.0, (y2 - y1) / 2), y2 - min(14.0, (y2 - y1) / 2)
    return (
        f"M{x1:.1f},{y1:.1f}C{x1:.1f},{a:.1f} {lane:.1f},{y1 + 2:.1f} {lane:.1f},{a:.1f}"
        f"L{lane:.1f},{b:.1f}C{lane:.1f},{y2 - 2:.1f} {x2:.1f},{b:.1f} {x2:.1f},{y2:.1f}"
    )


def _lanes(
    rows: list[str], edges: Iterable[tuple[str, str]]
) -> tuple[dict[str, int], dict[tuple[str, str], int]]:
    """Which lane each row's dot stands in, and which one each dependency runs along.

    From the last row up: a row takes the leftmost lane that waits for it; its first parent waits there, the
    others in free lanes.
    """
    lanes: dict[str, int] = {}
    routes: dict[tuple[str, str], int] = {}
    waiting: list[str | None] = []
    for row in reversed(rows):
        mine = [lane for lane, wanted in enumerate(waiting) if wanted == row]
        lane = min(mine, default=next((k for k, w in enumerate(waiting) if w is None), len(waiting)))
        lanes[row] = min(lane, LANES - 1)
        for one in mine:
            waiting[one] = None
        for source, target in sorted(edges):
            if target != row or source not in rows:
                continue
            free = [k for k, wanted in enumerate(waiting) if wanted == source]  # it waits already
            free += [lane] if _free(waiting, lane) else []
            free += [k for k in range(len(waiting) + 1) if _free(waiting, k)]
            chosen = free[0]
            waiting += [None] * (chosen + 1 - len(waiting))
            waiting[chosen] = source
            routes[source, target] = min(chosen, LANES - 1)
    return lanes, routes


def _free(waiting: list[str | None], lane: int) -> bool:
    return lane >= len(waiting) or waiting[lane] is None


def _legend(legend: Sequence[tuple[str, str]], top: float) -> tuple[list[Box], list[Label], float]:
    """What the squares mean, in two lines."""
    boxes, labels = [], []
    step = (WIDTH - 20) / 4
    for k, (state, words) in enumerate(legend):
        x, y = EDGE + 6 + step * (k % 4), top + 6 + 17 * (k // 4)
        boxes.append(Box(f"legend:{k}", x, y, 10, 10, f"legend {state}"))
        if state == "disk":  # half full, as on the stage
            boxes.append(Box(f"legend:{k}:half", x, y + 5, 10, 5, "legend memory"))
        over = {"lost": "✕", "delivered": "✓", "memory again": "◥"}.get(state)
        if over:
            labels.append(Label(x + 5, y + 9, over, f"sign {state.split()[-1]}"))
        labels.append(Label(x + 16, y + 9, words, "note", "start"))
    return boxes, labels, top + 42
