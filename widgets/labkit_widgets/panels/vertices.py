"""A graph on PowerGraph as data for the stage. Pure functions."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from labkit.systems.powergraph.view import State
from labkit.trace.machines import EventLine, MachineView
from labkit.trace.words import many

from ..layouts.circle import Spot, Way, circle
from ..looks import indexes
from ..scene import Box, Label, Scene

#: How a vertex in a state looks, and the words for it.
LOOKS = {"inactive": ("passed", "inactive"), "active": ("memory", "active"),
         "lock": ("disk", "waits for forks"), "gather": ("running", "runs")}  # fmt: skip


class Frame(NamedTuple):
    """A graph at a position."""

    run: State
    machines: tuple[MachineView, ...]
    lines: tuple[EventLine, ...]
    time: float
    graph: Any
    colours: bool  #: whether values are colours
    conflicts: tuple[tuple[int, int], ...]


def state(run: State) -> str:
    """How it is, in a word."""
    return {"ok": "done", "failed": "failed"}.get(run.result, "running" if run.going else "not begun")


def places_of(frame: Frame) -> dict[int, str]:
    return {gid: machine for machine, part in frame.run.parts.items() for gid in part.mastered}


def scene(frame: Frame, selected: str) -> Scene:
    """Vertices on a circle; edges; who waits for whose fork; edges between equal colours."""
    run, name, places = frame.run, frame.graph.name, places_of(frame)
    colours = indexes([machine.name for machine in frame.machines])
    spots = []
    for v in range(frame.graph.n):
        look, words = LOOKS[run.vertex(v)]
        value = run.value.get(v, 0)
        colour = value if frame.colours else colours.get(places.get(v, ""), -1)
        said = value if v in run.value else "not run yet"
        tip = f"{name(v)}: {said}, {words}; master on {places.get(v, '?')}"
        cls = "cell selected" if str(name(v)) == selected else "cell"
        spots.append(Spot(str(name(v)), v / frame.graph.n, colour, look, tip, cls))
    ends = zip(frame.graph.sources().tolist(), frame.graph.targets.tolist(), strict=True)

    def way(what: str, u: int, v: int, cls: str, tip: str = "") -> Way:
        return Way(f"{what}:{u}-{v}", str(name(u)), str(name(v)), cls, 0.35, tip)

    ways = [way("e", u, v, "link") for u, v in sorted({(min(e), max(e)) for e in ends}) if u != v]
    ways += [way("c", u, v, "cutoff", f"{name(u)} and {name(v)} have one colour") for u, v in frame.conflicts]
    ways += [
        way("w", u, v, "wait", f"{name(u)} waits for the fork of {name(v)}")
        for u, others in sorted(run.waits.items())
        for v in others
    ]
    return circle(spots, ways, f"PowerGraph: {state(run)}", heads=[Label(10, 24, run.engine, "big", "start")])


def grid(frame: Frame) -> Scene:
    """A row of each machine: masters, mirrors, and masters by state."""
    run, places, rows = frame.run, places_of(frame), sorted(frame.run.parts.items())
    colours = indexes([machine.name for machine in frame.machines])
    most = max([part.replicas for _, part in rows] or [1])
    doing = Counter((places.get(v, ""), LOOKS[state][1]) for v, state in run.state.items())
    labels, boxes = [Label(10, 22, f"{run.engine}: full: masters, pale: mirrors", "note", "start")], []
    for k, (machine, part) in enumerate(rows):
        y, at, colour = 40.0 + 52 * k, 60.0, colours.get(machine, -1)
        labels.append(Label(10, y + 15, machine, "name", "start"))
        for what, count, look in (("master", part.masters, "memory"), ("mirror", part.mirrors, "passed")):
            width = max(1.0, 480.0 * count / most)
            boxes.append(
                Box(f"{machine}:{what}", at, y, width, 20.0, f"count {look}", colour, many(count, what))
            )
            at += width + 2
        words = [f"{count:,} {state}" for (where, state), count in sorted(doing.items()) if where == machine]
        counted = (
            f"{many(part.edges, 'edge')}, {many(part.masters, 'master')}, {many(part.mirrors, 'mirror')}"
        )
        labels.append(Label(60, y + 35, "; ".join([counted, *words]), "tiny", "start"))
    return Scene(
        570.0, 52.0 * max(1, len(rows)) + 50, boxes=tuple(boxes), labels=tuple(labels), title=state(run)
    )
