"""The scene of a parameter server: the workers' clocks against the bound, and the ring of key ranges."""

from __future__ import annotations

import math

from labkit.systems.paramserver.view import Range

from ..frames.staleness import ServerView, StalenessFrame, WorkerView
from ..looks import indexes, outline
from ..scene import Box, Label, Link, Mark, Scene, arc, line

WIDTH = 640.0
#: The columns of clocks, from left to right.
LEFT, RIGHT = 138.0, 412.0
TOP = 44.0
#: A lane's height for few workers, and for many; more lanes than this are not drawn.
LANE, NARROW, LANES = 46.0, 16.0, 32
#: The ring: its middle, radius, and how thick the masters' and a replica's ring are.
CX, CY, R, MASTER, REPLICA = 546.0, 128.0, 76.0, 16.0, 9.0
#: Columns that are drawn at least, so that a step is a step.
COLUMNS = 6
#: More ranges than this become one arc a server.
ARCS = 120


def staleness_scene(frame: StalenessFrame) -> Scene:
    """Clocks on the left, key ranges on the right."""
    colours = indexes([machine.name for machine in frame.machines])
    shown = frame.workers[:LANES]
    lane = LANE if len(shown) <= 8 else NARROW
    low, high = _columns(frame)
    bottom = TOP + lane * max(1, len(shown))
    rows = -(-max(1, min(12, len(frame.servers))) // 3)
    height = max(bottom + 30.0, CY + R + 30.0 + 38.0 * rows)
    lanes = {w.shard: TOP + lane * (k + 0.5) for k, w in enumerate(shown)}
    places = {w.shard: (_x(min(w.clock, high), low, high), lanes[w.shard]) for w in shown}
    return Scene(
        WIDTH,
        height,
        marks=(
            *(_worker_mark(w, places[w.shard], colours, lane) for w in shown),
            *_server_marks(frame, colours),
        ),
        links=(
            *_grid(low, high, bottom),
            *_waits(shown, places),
            *_arcs(frame, colours),
        ),
        labels=(
            *_header(frame, bottom, len(shown)),
            *_axis(low, high, bottom),
            *_states(shown, lanes, lane),
            *_ring_labels(frame),
        ),
        boxes=_allowed(frame, low, high, bottom),
        title=_title(frame),
        rows=True,
    )


# -- clocks ------------------------------------------------------------


def _columns(frame: StalenessFrame) -> tuple[int, int]:
    """The first and the last clock that have a column."""
    low = max(0, frame.slowest - 1)
    high = max(frame.fastest, frame.slowest + (frame.bound or 0)) + 1
    return low, max(high, low + COLUMNS)


def _x(clock: float, low: int, high: int) -> float:
    """The middle of a clock's column."""
    return LEFT + (RIGHT - LEFT) * (clock - low + 0.5) / (high - low + 1)


def _step(low: int, high: int) -> int:
    """Clocks between two numbers on the axis."""
    return next((s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500) if (high - low) / s <= 10), 1000)


def _grid(low: int, high: int, bottom: float) -> list[Link]:
    step = _step(low, high)
    return [
        Link(f"g{k}", line(x, TOP, x, bottom), "grid")
        for k, x in enumerate(_x(c - 0.5, low, high) for c in range(low, high + 2, step))
    ]


def _axis(low: int, high: int, bottom: float) -> list[Label]:
    step = _step(low, high)
    first = -(-low // step) * step
    numbers = [Label(_x(c, low, high), bottom + 14, str(c), "note") for c in range(first, high + 1, step)]
    return [*numbers, Label(LEFT - 8, bottom + 14, "iteration", "note", "end")]


def _allowed(frame: StalenessFrame, low: int, high: int, bottom: float) -> tuple[Box, ...]:
    """The iterations that the bound allows now: from the slowest worker's on."""
    if frame.bound is None or not frame.workers:
        return ()
    left = _x(frame.slowest - 0.5, low, high)
    right = _x(frame.slowest + frame.bound + 0.5, low, high)
    tip = f"allowed by {frame.consistency}: up to {frame.bound} ahead of the slowest"
    return (Box("allowed", left, TOP, right - left, bottom - TOP, "allowed", tip=tip),)


def _worker_mark(worker: WorkerView, at: tuple[float, float], colours: dict[str, int], lane: float) -> Mark:
    colour = colours.get(worker.machine, -1)
    state = "dead" if worker.state == "failed" and worker.machine_state == "alive" else worker.machine_state
    return Mark(
        id=f"shard-{worker.shard}",
        x=at[0],
        y=at[1],
        r=9.0 if lane == LANE else 5.5,
        shape=outline(colour),
        colour=colour,
        state=state,
        tip=_worker_tip(worker),
    )


def _worker_tip(worker: WorkerView) -> str:
    words = f"{worker.name} on {worker.machine or '?'}, iteration {worker.clock}, {_doing(worker)}"
    if worker.staleness is not None:
        words += f"; its last read was {worker.staleness} stale"
    total = worker.waited + worker.worked
    return words + (f"; it waited {worker.waited:.1f} s of {total:.1f} s" if total else "")


def _doing(worker: WorkerView) -> str:
    if worker.machine_state in ("dead", "paused"):
        return worker.machine_state
    if worker.state == "waiting":
        others = len(worker.waits_for) - 1
        return (
            f"waits for {worker.waits_for[0]}{f' +{others}' if others > 0 else ''}"
            if others >= 0
            else "waits"
        )
    return {"computing": "computes", "done": "done", "failed": "failed"}.get(worker.state, worker.state)


def _waits(shown: tuple[WorkerView, ...], places: dict[int, tuple[float, float]]) -> list[Link]:
    """Who waits for whom."""
    shard_of = {w.name: w.shard for w in reversed(shown)}
    links = []
    for worker in shown:
        for name in worker.waits_for if worker.state == "waiting" else ():
            if shard_of.get(name, worker.shard) != worker.shard:
                ends = (*places[worker.shard], *places[shard_of[name]])
                tip = f"{worker.name} waits for {name}"
                links.append(Link(f"w{worker.shard}:{name}", line(*ends), "wait", tip=tip))
    return links


def _states(shown: tuple[WorkerView, ...], lanes: dict[int, float], lane: float) -> list[Label]:
    """Each worker's name and what it does; in narrow lanes only the name."""
    labels = []
    names = [worker.name for worker in shown]
    for worker in shown:
        # A worker that took over a part has two lines.
        name = worker.name if names.count(worker.name) == 1 else f"{worker.name} (part {worker.shard})"
        y, cls = lanes[worker.shard], "holding" if worker.state == "waiting" else "note"
        if lane == NARROW:
            labels.append(Label(LEFT - 8, y + 4, name, cls, "end"))
            continue
        labels.append(Label(10, y - 3, name, "name", "start"))
        words = _doing(worker)
        if worker.machine_state in ("dead", "paused"):
            cls = f"state {worker.machine_state}"
        elif worker.machine_state == "slow":
            cls, words = ("state slow" if cls == "note" else cls), f"{words} (slow)"
        labels.append(Label(10, y + 12, words, cls, "start"))
        total = worker.waited + worker.worked
        if total > 0:
            labels.append(Label(RIGHT + 14, y + 4, f"{worker.waited / total:.0%}", "note", "start"))
    return labels


def _header(frame: StalenessFrame, bottom: float, shown: int) -> list[Label]:
    if not frame.workers:
        return [Label((LEFT + RIGHT) / 2, (TOP + bottom) / 2 + 4, "no training yet", "hint")]
    ended = "" if frame.running else ", ended"
    at = f"iteration {frame.slowest} of {frame.iterations}{ended}" if frame.iterations else ""
    labels = [
        Label(10, 24, frame.consistency.removesuffix("()"), "big", "start"),
        Label(LEFT, 19, at, "note", "start"),
        Label(RIGHT + 14, TOP - 8, "waits", "note", "start"),
    ]
    bound = "no bound: nobody waits" if frame.bound is None else "green: what the bound allows"
    labels.append(Label(LEFT, TOP - 8, bound, "note", "start"))
    if shown < len(frame.workers):
        labels.append(
            Label(10, bottom + 26, f"and {len(frame.workers) - shown} more workers", "note", "start")
        )
    return labels


# -- key ranges ------------------------------------------------------------


def _arcs(frame: StalenessFrame, colours: dict[str, int]) -> list[Link]:
    """The circle of keys: masters outside, each place of the chain one ring further in."""
    machines = {server.name: server.machine for server in frame.servers}
    links = []
    for number, each in enumerate(_summarised(frame)):
        for place, server in enumerate(each.chain):
            radius = R - (0 if place == 0 else MASTER / 2 + 2 + (place - 0.5) * (REPLICA + 1))
            if radius < REPLICA:
                break
            pad = min(0.015, (each.high - each.low) * math.pi / 4)
            ends = (2 * math.pi * each.low + pad, 2 * math.pi * each.high - pad)
            cls, width = ("load", MASTER) if place == 0 else ("load copies", REPLICA)
            colour = colours.get(machines.get(server, ""), -1)
            path = arc(CX, CY, radius, *ends)
            links.append(Link(f"r{number}.{place}", path, cls, colour, width, _range_tip(each, place)))
    return links


def _summarised(frame: StalenessFrame) -> tuple[Range, ...]:
    """The ranges, or one arc for each master if they are too many to see."""
    if len(frame.ranges) <= ARCS:
        return frame.ranges
    found, start = [], 0.0
    for server in frame.servers:
        if server.share:
            found.append(Range(start, start + server.share, (server.name,)))
            start += server.share
    return tuple(found)


def _range_tip(each: Range, place: int) -> str:
    role = "master" if place == 0 else f"replica {place}"
    chain = " → ".join(each.chain)
    return f"{each.chain[place]}, {role} of {each.high - each.low:.1%} of the circle; chain: {chain}"


def _server_marks(frame: StalenessFrame, colours: dict[str, int]) -> list[Mark]:
    """The servers under the ring, in rows of three."""
    marks = []
    shown = frame.servers[:12]
    per_row = min(3, len(shown)) or 1
    for number, server in enumerate(shown):
        row, column = divmod(number, per_row)
        in_row = min(per_row, len(shown) - row * per_row)
        x = CX + (column - (in_row - 1) / 2) * 66
        y = CY + R + 36 + row * 38
        colour = colours.get(server.machine, -1)
        state = "dead" if server.state == "failed" else server.state
        marks.append(
            Mark(
                id=server.name,
                x=x,
                y=y,
                r=8.0,
                shape=outline(colour),
                colour=colour,
                state=state,
                label=f"{server.name}{_sign(state)}",
                lx=x,
                ly=y + 22,
                tip=_server_tip(server),
            )
        )
    return marks


def _sign(state: str) -> str:
    return {"dead": " ✕", "paused": " ‖", "slow": " ◔"}.get(state, "")


def _server_tip(server: ServerView) -> str:
    state = {"alive": "", "failed": ", replaced"}.get(server.state, f", {server.state}")
    return f"{server.name} on {server.machine or '?'}{state}; master of {server.share:.0%} of the keys"


def _ring_labels(frame: StalenessFrame) -> list[Label]:
    if not frame.ranges:
        return [Label(CX, CY + 4, "no servers yet", "hint")]
    copied = any(len(each.chain) > 1 for each in frame.ranges)
    inside = ("outside: master", "inside: copies") if copied else ("no copies",)
    first = CY + 4 - 15 * (len(inside) - 1) / 2
    notes = [Label(CX, first + 15 * k, words, "note") for k, words in enumerate(inside)]
    return [Label(CX, 24, "Key ranges", "name"), *notes]


def _title(frame: StalenessFrame) -> str:
    if not frame.workers:
        return "Parameter server, no training yet"
    waiting = sum(w.state == "waiting" for w in frame.workers)
    return (
        f"Parameter server, {frame.consistency}: workers at iterations {frame.slowest} to {frame.fastest}, "
        f"{waiting} waiting; {len(frame.servers)} servers"
    )
