"""A data graph as data for the stage: a circle of its vertices, or squares where they are too many; and what
was done with one of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from labkit.systems.graphlab.view import RunState
from labkit.trace.words import many

from ..layouts.circle import Spot, Way, circle
from ..looks import indexes, sign
from ..pieces import story
from ..scene import MARKS, Label, Mark, Scene

__all__ = ["grid_scene", "round_scene", "spread", "told"]

#: Squares of the grid in a row, and their size.
COLUMNS, CELL = 20, 24.0
#: What a vertex is doing, by the look that it has.
HINT = "Select a vertex to see its updates"
STATES = {"running": "its update has the locks", "passed": "is to be updated", "memory": "is up to date"}


def states(run: RunState) -> dict[int, str]:
    """What each vertex is doing: see STATES."""
    found = dict.fromkeys(run.owner, "memory") | dict.fromkeys(run.scheduled, "passed")
    return found | {vertex: "running" for (vertex, _), write in run.held.items() if write}


def round_scene(system: Any, frame: Any) -> Scene:
    """Every vertex, its edges, and who waits for whom."""
    run, graph, doing = frame.run, system.data.graph, states(frame.run)
    order = sorted(run.owner, key=lambda v: (run.owner[v], v))
    colours, alive = (
        indexes([each.name for each in frame.machines]),
        {m.name: m.state for m in frame.machines},
    )
    spots = []
    for at, v in enumerate(order):
        value = run.values.get(v, system.data.vertex(v) if frame.same is not None else None)
        colour = int(value) % 8 if frame.same is not None else colours.get(run.owner[v], -1)
        shown = "" if value is None else f", {value:.3g}" if isinstance(value, float) else f", {value}"
        gone = alive.get(run.owner[v]) == "dead"
        tip = (
            f"{graph.name(v)} on {run.owner[v]}{shown}: {'its machine is dead' if gone else STATES[doing[v]]}"
        )
        count = run.per_vertex.get(v, 0)
        spots.append(Spot(str(v), at / len(order), colour, "lost" if gone else doing[v], tip, "cell",
                          (("own", count),), f"{graph.name(v)}: {many(count, 'update')}"))  # fmt: skip
    title = f"Data graph of {many(graph.n, 'vertex')}, {many(len(run.scheduled), 'vertex')} to be updated"
    heads = [Label(10, 24, run.consistency, "big", "start"), *machine_labels(order, run, alive)]
    return circle(spots, ways(graph, frame), title, heads=heads)


def machine_labels(order: list[int], run: RunState, alive: dict[str, str]) -> Iterator[Label]:
    """In a corner, how many vertices each machine has."""
    for row, (machine, count) in enumerate(Counter(run.owner[v] for v in order).items()):
        state = alive.get(machine, "alive")
        words = f"{machine}: {many(count, 'vertex')}{sign(state)}"
        yield Label(10, 44 + 15 * row, words, f"note state {state}", "start")


def ways(graph: Any, frame: Any) -> Iterator[Way]:
    """Edges; those with one colour at both ends; those of a circle of conflicts; waiting for locks."""
    same = set(frame.same or ())
    pairs = zip(graph.sources().tolist(), graph.targets.tolist(), strict=True)
    for u, v in sorted({(min(u, v), max(u, v)) for u, v in pairs if u != v}):
        bad = (u, v) in same
        yield Way(f"e{u}-{v}", str(u), str(v), "finger stale" if bad else "link idle", 0.6,
                  f"{u} and {v} have the same colour" if bad else "")  # fmt: skip
    for each in frame.cycle or ():
        a, b = (str(name).rpartition(" ")[2] for name in (each.before, each.after))
        if a != b:
            yield Way(f"c{a}-{b}-{each.kind}", a, b, "arrow explains", 0.6, str(each))
    for (machine, job), (by, vertex) in frame.run.awaited.items():
        yield Way(f"w{machine}.{job}", str(by), str(vertex), "wait", 0.75, f"{by} waits for {vertex}")


def grid_scene(frame: Any) -> Scene:
    """Squares: as many as fit, each a part of the vertices of a machine."""
    run, doing, colours = frame.run, states(frame.run), indexes([each.name for each in frame.machines])
    marks, labels, top = [], [Label(10, 24, run.consistency, "big", "start")], 40.0
    for machine in sorted(set(run.owner.values())):
        mine = sorted(v for v, owner in run.owner.items() if owner == machine)
        parts = max(1, min(MARKS // len(set(run.owner.values())), len(mine)))
        labels.append(Label(10, top + 16, f"{machine}: {many(len(mine), 'vertex')}", "name", "start"))
        for part in range(parts):
            some = mine[part * len(mine) // parts : (part + 1) * len(mine) // parts]
            count = Counter(doing[v] for v in some)
            state = next((each for each in ("running", "passed") if count[each]), "memory")
            tip = f"vertices {some[0]} to {some[-1]}: " + ", ".join(
                f"{n} {STATES[s]}" for s, n in count.items()
            )
            x, y = 22 + CELL * (part % COLUMNS), top + 34 + CELL * (part // COLUMNS)
            marks.append(
                Mark(str(some[0]), x, y, 8.5, "square", colours.get(machine, -1), state, tip=tip, cls="cell")
            )
        top += 40 + CELL * -(-parts // COLUMNS)
    title = f"Data graph of {many(len(run.owner), 'vertex')}, {len(run.scheduled):,} to be updated"
    return Scene(COLUMNS * CELL + 30, top + 10, tuple(marks), labels=tuple(labels), title=title, rows=True)


def spread(run: RunState) -> tuple[list[int], list[float]]:
    """How many vertices were updated how often."""
    counts = Counter(run.per_vertex.values())
    return sorted(counts), [float(counts[each]) for each in sorted(counts)]


def told(system: Any, frame: Any, selected: str) -> dict[str, Any]:
    """The last updates of the selected vertex."""
    run, graph = frame.run, system.data.graph
    if not selected.isdigit() or int(selected) not in run.owner:
        return story("", HINT, [])
    v = int(selected)
    lines = [("→", f"{graph.name(v)} waits for vertex {b}") for a, b in run.awaited.values() if a == v]
    for each in [each for each in run.log if each.vertex == v][-8:]:
        more = f", and scheduled {many(len(each.scheduled), 'vertex')}" if each.scheduled else ""
        lines.append(
            ("■", f"{each.time:.3f} s, {each.consistency}: read {many(len(each.reads), 'item')}{more}")
        )
    return story(selected, f"{graph.name(v)}: {STATES[states(run)[v]]}", lines)
