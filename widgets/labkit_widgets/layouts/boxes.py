"""The scene of a cluster.

Machines as boxes with their nodes inside, the links between them, the user in the middle.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from labkit.trace.machines import CLIENT, MachineView, natural, short
from labkit.trace.words import many

from ..looks import SIGNS, indexes, outline
from ..messages import ClusterFrame, MessageView
from ..scene import MARKS, Box, Label, Link, Mark, Pulse, Scene, line

WIDTH, HEIGHT = 570.0, 430.0
CX, CY = WIDTH / 2, HEIGHT / 2
#: Nodes of one machine that get a name; more are dots with a tooltip.
NAMED = 8


def boxes(frame: ClusterFrame, selected: str | None = None) -> Scene:
    """Machines, nodes and links at one position."""
    names = [machine.name for machine in frame.machines]
    colours = indexes(names)
    spots = _places(len(names))
    dots = sum(len(machine.nodes) for machine in frame.machines) <= MARKS
    marks: list[Mark] = [_client()]
    labels: list[Label] = [Label(CX, CY + 27, "you", "note")]
    shapes: list[Box] = []
    for machine, (x, y, w, h) in zip(frame.machines, spots, strict=True):
        shapes.append(_box(machine, x, y, w, h, colours[machine.name]))
        labels += _heading(machine, x, y, w, h)
        if dots:
            marks += _nodes(frame, machine, (x, y, w, h), colours[machine.name], selected)
        else:
            labels.append(Label(x, y + 10, many(len(machine.nodes), "node"), "big"))
    areas = {**dict(zip(names, spots, strict=True)), CLIENT: (CX, CY, 26.0, 26.0)}
    links, crosses = _links(frame, areas)
    return Scene(
        WIDTH,
        HEIGHT,
        marks=tuple(marks),
        links=tuple(links),
        labels=(*labels, *crosses, *_captions(frame)),
        boxes=tuple(shapes),
        title=f"{len(names)} machines, {sum(m.state == 'dead' for m in frame.machines)} of them dead",
        bend=0.12,
        centre=(CX, CY),
        rows=True,
    )


def flights(frame: ClusterFrame, since: float, marks: Iterable[str], standing: bool) -> list[Pulse]:
    """The messages to draw.

    Moving: those sent after `since`. Standing (a look at the past): those in flight at the frame's position.
    """
    known = set(marks)
    if standing:
        chosen = [
            m for m in frame.messages if m.start <= frame.time and (m.end is None or m.end > frame.time)
        ]
    else:
        chosen = [m for m in frame.messages if m.start > since]
    drawn = [_pulse(m, known, frame.time if standing else None) for m in chosen]
    visible = [pulse for pulse in drawn if pulse is not None and pulse.source != pulse.target]
    return visible[-MARKS:]


def _pulse(message: MessageView, known: set[str], now: float | None) -> Pulse | None:
    if message.source not in known or message.target not in known:
        return None
    kind = "lost" if message.fate == "dropped" else "reply" if "reply" in message.label else "request"
    tip = f"{message.source} to {message.target}: {message.label}" + (", lost" if kind == "lost" else "")
    at = None if now is None else round(message.progress(now), 3)
    return Pulse(message.id, message.source, message.target, kind, tip, at)


# -- where things stand ------------------------------------------------------------


def _places(count: int) -> list[tuple[float, float, float, float]]:
    """Centre and size of each machine's box: corners for up to four, an ellipse beyond."""
    corners = {
        1: [(CX, CY - 120)],
        2: [(112.0, CY), (WIDTH - 112.0, CY)],
        3: [(112.0, 92.0), (WIDTH - 112.0, 92.0), (CX, HEIGHT - 104.0)],
        4: [(112.0, 88.0), (WIDTH - 112.0, 88.0), (112.0, HEIGHT - 108.0), (WIDTH - 112.0, HEIGHT - 108.0)],
    }
    if count <= 4:
        return [(x, y, 208.0, 150.0) for x, y in corners.get(count, [])]
    w = max(46.0, min(130.0, 1050.0 / count))
    h = max(40.0, w * 0.74)
    rx, ry = CX - w / 2 - 8, CY - h / 2 - 22
    turns = [2 * math.pi * (k + 0.5) / count - math.pi / 2 for k in range(count)]
    return [(CX + rx * math.cos(t), CY - 6 + ry * math.sin(t), w, h) for t in turns]


def _client() -> Mark:
    return Mark(
        CLIENT, CX, CY, 9.0, "circle", -1, "alive", tip="you: this notebook's own process", cls="client"
    )


def _box(machine: MachineView, x: float, y: float, w: float, h: float, colour: int) -> Box:
    state = machine.state if machine.state != "slow" else f"{machine.factor:g}× slower"
    tip = f"{machine.name}: {state}, {many(len(machine.nodes), 'node')}"
    return Box(f"machine:{machine.name}", x - w / 2, y - h / 2, w, h, f"machine {machine.state}", colour, tip)


def _heading(machine: MachineView, x: float, y: float, w: float, h: float) -> list[Label]:
    words = {"alive": "", "slow": f"{SIGNS['slow']} {machine.factor:g}× slower"}
    state = words.get(machine.state, f"{SIGNS.get(machine.state, '')} {machine.state}")
    name = Label(x - w / 2 + 10, y - h / 2 + 19, machine.name, "name", "start")
    return (
        [name, Label(x + w / 2 - 10, y - h / 2 + 19, state, f"state {machine.state}", "end")]
        if state
        else [name]
    )


def _nodes(
    frame: ClusterFrame,
    machine: MachineView,
    box: tuple[float, float, float, float],
    colour: int,
    selected: str | None,
) -> list[Mark]:
    """The nodes of a machine in rows inside its box."""
    x, y, w, h = box
    count = len(machine.nodes)
    if not count:
        return []
    top, tall = y - h / 2 + 28, h - 36
    columns = max(1, min(count, round(math.sqrt(count * w / tall)) or 1))
    rows = math.ceil(count / columns)
    step_x, step_y = w / (columns + 0.35), tall / rows
    named = count <= NAMED * 2 and step_x >= 34 and step_y >= 26
    r = max(2.5, min(8.0, step_x / 3.2, step_y / (3.6 if named else 2.6)))
    marks = []
    for index, node in enumerate(sorted(machine.nodes, key=natural)):
        row, column = divmod(index, columns)
        in_row = min(columns, count - row * columns)
        mx = x + (column - (in_row - 1) / 2) * step_x
        my = top + (row + 0.5) * step_y - (5 if named else 0)
        state = frame.state_of(node)
        words = f"{node} on {machine.name}" + ("" if state == "alive" else f", {state}")
        cls = "selected" if node == selected else ""
        label = (short(node) if count > 4 else node) if named else ""
        shape = outline(colour)
        tip = f"{words}; a {frame.classes.get(node) or 'node'}"
        marks.append(Mark(node, mx, my, r, shape, colour, state, label, mx, my + r + 12, "middle", tip, cls))
    return marks


def _links(
    frame: ClusterFrame, areas: dict[str, tuple[float, float, float, float]]
) -> tuple[list[Link], list[Label]]:
    """A line for each pair of machines, as wide as it is used; a cut one is broken and crossed."""
    names = sorted(areas, key=natural)
    most = max(frame.links.values(), default=1)
    dead = {m.name for m in frame.machines if m.state == "dead"}
    links, crosses = [], []
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            used = frame.links.get((a, b) if a < b else (b, a), 0)
            forth, back = (a, b) in frame.cuts, (b, a) in frame.cuts
            if not used and not (forth or back) and (CLIENT in (a, b) or len(names) > 14):
                continue
            (x1, y1), (x2, y2) = _edge(areas[a], areas[b]), _edge(areas[b], areas[a])
            width = 1.0 + 3.0 * math.log1p(used) / math.log1p(most)
            idle = a in dead or b in dead or not used
            cls = "link cut" if forth and back else "link idle" if idle else "link"
            words = f"{a} and {b}: {used:,} messages" + _cut_words(a, b, forth, back)
            links.append(Link(f"l:{a}:{b}", line(x1, y1, x2, y2), cls, -1, width, words))
            if forth or back:  # off the middle, where diagonals and the user are
                crosses.append(Label(x1 + (x2 - x1) * 0.36, y1 + (y2 - y1) * 0.36 + 5, "✕", "cross"))
            if forth != back:
                ends = (x1, y1, x2, y2) if forth else (x2, y2, x1, y1)
                links.append(
                    Link(f"o:{a}:{b}", _one_way(*ends, 0.36 if forth else 0.64), "cutoff", tip=words)
                )
    return links, crosses


def _one_way(x1: float, y1: float, x2: float, y2: float, cross: float) -> str:
    """Up to the cross the way is broken, and an arrow says for which direction."""
    length = math.hypot(x2 - x1, y2 - y1) or 1.0
    ux, uy = (x2 - x1) / length, (y2 - y1) / length
    tx, ty = x1 + ux * (length * cross - 9), y1 + uy * (length * cross - 9)
    wings = [(tx - 9 * ux + side * 5 * uy, ty - 9 * uy - side * 5 * ux) for side in (1, -1)]
    (ax, ay), (bx, by) = wings
    return f"{line(x1, y1, tx, ty)}M{ax:.1f},{ay:.1f}L{tx:.1f},{ty:.1f}L{bx:.1f},{by:.1f}"


def _edge(
    box: tuple[float, float, float, float], towards: tuple[float, float, float, float]
) -> tuple[float, float]:
    """Where the line from the middle of a box to that of another leaves the first."""
    x, y, w, h = box
    dx, dy = towards[0] - x, towards[1] - y
    reach = min(w / 2 / abs(dx) if dx else math.inf, h / 2 / abs(dy) if dy else math.inf, 1.0)
    return x + dx * reach, y + dy * reach


def _cut_words(a: str, b: str, forth: bool, back: bool) -> str:
    if forth and back:
        return "; cut off from each other"
    if forth or back:
        source, target = (a, b) if forth else (b, a)
        return f"; {source} cannot send to {target}"
    return ""


def _captions(frame: ClusterFrame) -> list[Label]:
    found: list[Any] = []
    if frame.cuts:
        found.append(Label(12, HEIGHT - 10, "✕ partition: " + _sides(frame), "bad", "start"))
    elif not frame.complete:
        words = 'drawn from the nodes\' own events; Cluster(trace="messages") records every message'
        found.append(Label(12, HEIGHT - 10, words, "note", "start"))
    if not frame.machines:
        found.append(Label(CX, CY - 40, "no machine is in the trace yet", "hint"))
    return found


def _sides(frame: ClusterFrame) -> str:
    """Who is cut off from whom, each pair of groups once."""
    reach: dict[frozenset[str], set[str]] = {}
    for machine in sorted({a for a, _ in frame.cuts} | {b for _, b in frame.cuts}, key=natural):
        against = frozenset(b for a, b in frame.cuts if a == machine)
        reach.setdefault(against, set()).add(machine)
    oneway = {(a, b) for a, b in frame.cuts if (b, a) not in frame.cuts}
    if oneway:
        sources, targets = (" ".join(sorted(set(ends), key=natural)) for ends in zip(*oneway, strict=True))
        return f"{sources} cannot send to {targets} (the other way is open)"
    groups = [" ".join(sorted(group, key=natural)) for against, group in reach.items() if against]
    return " | ".join(groups)
