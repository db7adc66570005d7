"""The scene of a Spark job: its RDDs from top to bottom, stage by stage, and their partitions by machine.

On the left the lineage, drawn as version control draws history: a line for a narrow dependency, a thick one
where data are shuffled. On the right a column for each machine. `gantt.py` draws the tasks below.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from labkit.systems.spark.state import Piece
from labkit.trace.machines import MachineView
from labkit.trace.words import size

from ..frames.lineage import LineageFrame
from ..frames.lineagerows import Band, Cell, Row
from ..looks import SIGNS, indexes
from ..scene import MARKS, Box, Label, Link, Mark, Scene
from .gantt import gantt

WIDTH = 620.0
#: Where the columns stand: lineage, names, what is still to do, machines.
EDGE, LANE0, LANE, LANES, NAMES, TODO, GRID = 8.0, 22.0, 11.0, 5, 36.0, 200.0, 254.0
#: Height of a stage's heading and of a line of squares.
HEADING, LINE = 19.0, 14.0
#: Width of a character of a row's name, as far as one can know without drawing it.
LETTER, BOLD = 6.1, 6.8
#: How a cell's state is said.
WORDS = {
    "todo": "not computed yet", "running": "being computed", "passed": "computed, not kept",
    "memory": "in memory", "disk": "on disk", "delivered": "computed, result delivered",
    "lost": "lost with", "ghost": "computed again; this copy was lost with",
}  # fmt: skip
LEGEND = (
    ("todo", "to do"), ("running", "being computed"), ("passed", "computed, not kept"),
    ("memory", "in memory"), ("disk", "on disk"), ("delivered", "result delivered"),
    ("lost", "lost"), ("memory again", "computed again"),
)  # fmt: skip


def lineage_scene(
    frame: LineageFrame, selected: str | None = None, sources: frozenset[Piece] = frozenset()
) -> Scene:
    """The job of a frame. `sources`: what the selected partition was made from."""
    if frame.job is None:
        words = "no job has run yet: an action such as collect() starts one"
        return Scene(WIDTH, 140.0, labels=(Label(WIDTH / 2, 70, words, "hint"),), title="No job yet")
    columns = _columns(frame.machines)
    places, bands, bottom = _layout(frame, columns)
    lanes, routes = _lanes([row.id for row in frame.rows], frame.edges)
    left = NAMES + LANE * max(lanes.values(), default=0)
    colours = indexes([machine.name for machine in frame.machines])
    marks: list[Mark] = []
    labels: list[Label] = []
    boxes: list[Box] = list(_column_boxes(frame.machines, columns, colours, bottom))
    for band, (top, end) in zip(frame.bands, bands, strict=True):
        boxes.append(_band_box(band, top, end))
        labels.append(Label(left, top + 14, _band_title(band), f"stage {band.state}", "start"))
    for row in frame.rows:
        y, height = places[row.id]
        if row.again:
            boxes.append(Box(f"cone:{row.id}", EDGE + 2, y + 1, WIDTH - 2 * EDGE - 4, height - 2, "cone"))
        labels += _row_words(row, left, y, height)
        found, counted, numbers = _pieces(row, y, height, columns, colours, selected, sources)
        marks += found
        boxes += counted
        labels += numbers
    dots, links = _graph(frame, places, lanes, routes, selected)
    legend_boxes, legend_labels, bottom = _legend(bottom + 8)
    chart = gantt(frame, colours, WIDTH, bottom + 6)
    return Scene(
        WIDTH,
        chart.bottom,
        marks=(*dots, *marks),
        links=(*links, *chart.links),
        labels=(*_heads(frame, columns), *labels, *legend_labels, *chart.labels),
        boxes=(*boxes, *legend_boxes, *chart.boxes),
        title=_title(frame),
        rows=True,
    )


def _title(frame: LineageFrame) -> str:
    job = frame.job
    assert job is not None
    lost = sum(cell.state == "lost" for row in frame.rows for cell in row.cells)
    words = f"; {lost} pieces lost" if lost else ""
    return f"Job {job.id}, {job.action}, in {len(frame.bands)} stages{words}"


# -- where things stand ------------------------------------------------------------


def _columns(machines: tuple[MachineView, ...]) -> dict[str, tuple[float, float]]:
    """Left edge and width of each machine's column, and of the one for what is still to do."""
    width = (WIDTH - GRID - EDGE) / max(1, len(machines))
    places = {machine.name: (GRID + k * width, width - 5) for k, machine in enumerate(machines)}
    return {"": (TODO, GRID - TODO - 6), **places}


def _layout(
    frame: LineageFrame, columns: dict[str, tuple[float, float]]
) -> tuple[dict[str, tuple[float, float]], list[tuple[float, float]], float]:
    """Top and height of each row, top and end of each stage, and where they end."""
    y = 42.0
    places, bands = {}, []
    width = min((w for name, (_, w) in columns.items() if name), default=100.0)
    for band in frame.bands:
        top = y
        y += HEADING
        for row in band.rows:
            height = _height(row, width, len(frame.machines))
            places[row.id] = (y, height)
            y += height
        y += 3
        bands.append((top, y))
        y += 7
    return places, bands, y - 7


def _height(row: Row, width: float, machines: int) -> float:
    """Room for the squares that a machine gets when one of them is gone; not more than three lines."""
    if row.counts:
        return 24.0
    share = math.ceil(row.rdd.partitions / max(1, machines - 1))
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


# -- machines and stages ------------------------------------------------------------


def _column_boxes(
    machines: tuple[MachineView, ...],
    columns: dict[str, tuple[float, float]],
    colours: dict[str, int],
    bottom: float,
) -> Iterable[Box]:
    for machine in machines:
        x, width = columns[machine.name]
        cls = f"column {machine.state}"
        tip = f"{machine.name}: {machine.state}"
        yield Box(f"machine:{machine.name}", x, 24, width, bottom - 20, cls, colours[machine.name], tip)


def _heads(frame: LineageFrame, columns: dict[str, tuple[float, float]]) -> list[Label]:
    x, width = columns[""]
    found = [Label(x + width / 2, 16, "to do", "note")]
    if frame.hidden:
        found.append(Label(10, 36, f"… {frame.hidden} RDDs not shown", "note", "start"))
    for machine in frame.machines:
        x, width = columns[machine.name]
        sign = "" if machine.state == "alive" else f" {SIGNS[machine.state]}"
        words = f"{machine.name}{sign} {machine.state}" if sign and width > 62 else machine.name + sign
        found.append(Label(x + width / 2, 16, words, f"name state {machine.state}"))
    return found


def _band_box(band: Band, top: float, end: float) -> Box:
    tip = f"stage {band.stage}" if band.stage is not None else "a stage"
    name, cls = f"band:{band.rows[0].id}", f"stage {band.state}"
    return Box(name, EDGE, top, WIDTH - 2 * EDGE, end - top, cls, -1, tip)


def _band_title(band: Band) -> str:
    tasks = f"{band.done:,} of {band.total:,} {band.kind} tasks done"
    head = f"Stage {band.stage}" if band.stage is not None else "A stage"
    if band.state == "skipped":
        why = "its outputs are there" if band.kind == "map" else "nothing to do"
        return f"{head} skipped: {why}"
    if band.state == "waiting":
        return f"{head} that waits: {band.total - band.done:,} {band.kind} tasks to do"
    sign = {"done": "✓ ", "failed": "✕ ", "running": "▸ "}.get(band.state, "")
    return f"{sign}{head}: {tasks}"


def _row_words(row: Row, left: float, y: float, height: float) -> list[Label]:
    """The row's name, and a word on what happens to it."""
    x = left + (12 if row.shuffle is not None else 0)
    if row.shuffle is not None:
        name, extra = f"shuffle {row.shuffle}", "on disk"
    else:
        titles = [rdd.title for rdd in row.rdds]
        name = " → ".join(titles) if len(titles) < 3 else f"{titles[0]} … {titles[-1]}"
        extra = {None: row.rdd.site}.get(row.rdd.storage, f"keep: {row.rdd.storage}")
        extra = "checkpoint" if row.rdd.storage == "checkpoint" else extra
    name = f"↻ {name}" if row.again else name
    kept = row.rdd.storage is not None and row.shuffle is None
    room = int((TODO - 6 - x) / (BOLD if kept else LETTER))
    name = name if len(name) <= room else name[: room - 1] + "…"
    found = [Label(x, y + height / 2 + 4, name, "kept" if kept else "rdd", "start")]
    if extra and len(name) + len(extra) + 2 <= room:
        found.append(Label(TODO - 8, y + height / 2 + 4, extra, "note", "end"))
    return found


# -- partitions ------------------------------------------------------------


def _pieces(
    row: Row,
    y: float,
    height: float,
    columns: dict[str, tuple[float, float]],
    colours: dict[str, int],
    selected: str | None,
    sources: frozenset[Piece],
) -> tuple[list[Mark], list[Box], list[Label]]:
    if row.counts:
        return [], *_counted(row, y, height, columns, colours)
    marks: list[Mark] = []
    used: set[str] = set()
    for machine, (x, width) in columns.items():
        cells = [cell for cell in row.cells if cell.machine == machine]
        step, r = (LINE, 6.2) if machine else (8.0, 3.2)
        spots = _spots(len(cells), x, y, width, height, step)
        for cell, (cx, cy) in zip(cells, spots, strict=True):
            name = piece_id(cell.piece)
            if name in used or cell.state == "ghost":
                name = f"{name}@{machine}"
            used.add(name)
            words = [
                "again" if cell.again else "",
                "owed" if cell.owed else "",
                "selected" if name == selected else "source" if cell.piece in sources else "",
            ]
            cls = " ".join(["cell", *(word for word in words if word)])
            tip = _tip(row, cell)
            marks.append(
                Mark(name, cx, cy, r, "square", colours.get(machine, -1), cell.state, tip=tip, cls=cls)
            )
    return marks, [], []


def piece_id(piece: Piece) -> str:
    """The mark of a piece."""
    return ":".join(map(str, piece))


def _tip(row: Row, cell: Cell) -> str:
    what = f"output {cell.partition} of shuffle {row.shuffle}"
    if row.shuffle is None:
        what = f"partition {cell.partition} of {row.rdd.title} (RDD {row.rdd.id})"
    where = said(cell)
    held = f", {size(cell.bytes)}" if cell.bytes else ""
    again = ", computed again" if cell.again else ", must be computed again" if cell.owed else ""
    return f"{what}: {where}{held}{again}"


def said(cell: Cell) -> str:
    """Where a piece is, or was, in words."""
    if not cell.machine:
        return WORDS[cell.state]
    if cell.state == "delivered":
        return f"computed on {cell.machine}; its result is with the driver"
    return f"{WORDS[cell.state]} {'' if cell.state in ('lost', 'ghost') else 'on '}{cell.machine}"


def _counted(
    row: Row,
    y: float,
    height: float,
    columns: dict[str, tuple[float, float]],
    colours: dict[str, int],
) -> tuple[list[Box], list[Label]]:
    """Too many to draw each: bars as long as their numbers."""
    boxes, labels = [], []
    totals = [sum(n for m, _, n in row.counts if m == machine) for machine in columns if machine]
    most = max(totals, default=1)
    for machine, (x, width) in columns.items():
        some = [(state, n) for m, state, n in row.counts if m == machine]
        left, total = x + 3, sum(n for _, n in some)
        if not total:
            continue
        scale = (width - 6) / max(most if machine else total, 1)
        for state, n in some:
            w = max(2.0, n * scale)
            tip = f"{n:,} of {row.rdd.partitions:,}: {WORDS[state]} {machine}"
            name = f"n:{row.id}:{machine}:{state}"
            boxes.append(Box(name, left, y + 3, w, 9, f"count {state}", colours.get(machine, -1), tip))
            left += w
        lost = sum(n for state, n in some if state == "lost")
        words = f"{total:,}" + (f", ✕ {lost:,}" if lost else "")
        labels.append(Label(x + 3, y + height - 2, words, "tiny", "start"))
    return boxes, labels


# -- lineage ------------------------------------------------------------


def _graph(
    frame: LineageFrame,
    places: dict[str, tuple[float, float]],
    lanes: dict[str, int],
    routes: dict[tuple[str, str], int],
    selected: str | None,
) -> tuple[list[Mark], list[Link]]:
    """A dot for each RDD, a diamond for each shuffle; lines from parents to children."""
    rows = list(frame.rows)
    at = {row.id: (LANE0 + LANE * lanes[row.id], places[row.id][0] + places[row.id][1] / 2) for row in rows}
    again = {row.id for row in rows if row.again}
    links = []
    for source, target, wide in frame.edges:
        x1, y1 = at[source]
        x2, y2 = at[target]
        lane = LANE0 + LANE * routes[source, target]
        cls = ("wide" if wide else "narrow") + (" again" if {source, target} <= again else "")
        tip = "wide: every partition needs all of them" if wide else "narrow: each partition needs its own"
        links.append(Link(f"e:{source}:{target}", _route(x1, y1, lane, x2, y2), f"dependency {cls}", tip=tip))
    marks = []
    for row in rows[-MARKS:]:
        x, y = at[row.id]
        kept = row.rdd.storage is not None and row.shuffle is None
        cls = " ".join(
            ["node", "kept" * kept, "again" * row.again, "selected" if row.id == selected else ""]
        ).split()
        shape = "diamond" if row.shuffle is not None else "circle"
        marks.append(Mark(row.id, x, y, 4.6, shape, -1, "alive", tip=_row_tip(row), cls=" ".join(cls)))
    return marks, links


def _row_tip(row: Row) -> str:
    if row.shuffle is not None:
        return f"shuffle {row.shuffle}: {row.rdd.partitions} map outputs, files on the machines' disks"
    names = " → ".join(f"{rdd.title} (RDD {rdd.id})" for rdd in row.rdds)
    keep = f"; kept: {row.rdd.storage}" if row.rdd.storage else "; not kept"
    where = f", made in {row.rdd.site}" if row.rdd.site else ""
    return f"{names}: {row.rdd.partitions} partitions{where}{keep}"


def _route(x1: float, y1: float, lane: float, x2: float, y2: float) -> str:
    """Down from a parent, along a lane, to its child."""
    a, b = y1 + min(14.0, (y2 - y1) / 2), y2 - min(14.0, (y2 - y1) / 2)
    return (
        f"M{x1:.1f},{y1:.1f}C{x1:.1f},{a:.1f} {lane:.1f},{y1 + 2:.1f} {lane:.1f},{a:.1f}"
        f"L{lane:.1f},{b:.1f}C{lane:.1f},{y2 - 2:.1f} {x2:.1f},{b:.1f} {x2:.1f},{y2:.1f}"
    )


def _lanes(
    rows: list[str], edges: tuple[tuple[str, str, bool], ...]
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
        for source, target, _ in sorted(edges):
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


# -- legend ------------------------------------------------------------


def _legend(top: float) -> tuple[list[Box], list[Label], float]:
    """What the squares mean, in two lines."""
    boxes, labels = [], []
    step = (WIDTH - 20) / 4
    for k, (state, words) in enumerate(LEGEND):
        x, y = EDGE + 6 + step * (k % 4), top + 6 + 17 * (k // 4)
        boxes.append(Box(f"legend:{k}", x, y, 10, 10, f"legend {state}"))
        if state == "disk":  # half full, as on the stage
            boxes.append(Box(f"legend:{k}:half", x, y + 5, 10, 5, "legend memory"))
        sign = {"lost": "✕", "delivered": "✓", "memory again": "◥"}.get(state)
        if sign:
            labels.append(Label(x + 5, y + 9, sign, f"sign {state.split()[-1]}"))
        labels.append(Label(x + 16, y + 9, words, "note", "start"))
    return boxes, labels, top + 42
