"""`PowerGraphPanel`: vertices by what they are doing, forks, conflicts, and what the cut costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, ClassVar

from labkit.parts.graphs.cuts import VERTEX_CUTS, expected_random
from labkit.runtime.errors import LabError
from labkit.systems.powergraph.invariants import conflicts
from labkit.systems.powergraph.options import ENGINES
from labkit.systems.powergraph.programs import Colouring
from labkit.systems.powergraph.view import Reducer, State
from labkit.trace.words import many, size

from ..charts import Iterations
from ..numbers import Number
from ..panel import Panel
from ..pieces import Button, Chart, Choice, Form, Told, story
from ..scene import MARKS, Scene
from .vertices import LOOKS, Frame, grid, scene, state

CACHING = (("on", True), ("off", False))
HINT = "What each machine has of the graph"


class PowerGraphPanel(Panel):
    """A graph and a program on it."""

    title: ClassVar[str] = "PowerGraph"
    named = "pg"
    fold = staticmethod(lambda known: Reducer("", known))
    figures = staticmethod(lambda frame: numbers(frame))
    side = (
        Form((
            Choice("engine", "Engine", ENGINES, lambda panel: panel.now.engine, "engine",
                   set=lambda panel, new: panel.pg.set_engine(new)),
            Choice("cut", "Cut", tuple(VERTEX_CUTS), lambda panel: panel.now.cut, "cut",
                   set=lambda panel, new: panel.pg.set_cut(new)),
            Choice("caching", "Delta caching", CACHING, lambda panel: panel.now.delta_caching, "caching",
                   set=lambda panel, new: panel.pg.set_delta_caching(new)),
            Button("snapshot_button", "snapshot", "Snapshot now", "At the next quiet moment",
                   lambda panel: panel.pg.snapshot(), off=lambda _panel, frame: bool(frame.run.result)),
        )),
        Told("steps", "steps", lambda panel, frame: told(frame, panel.stage.selected)),
        Chart(Iterations, lambda _panel, frame: factors(frame.run), "factors",
              ("Replicas of a vertex, by cut", "~g")),
        Chart(Iterations, lambda _panel, frame: gathers(frame.run), "gathers",
              ("Gathers of each superstep",)),
    )  # fmt: skip

    @classmethod
    def setup(cls, system: Any, **options: Any) -> Any:
        """It cannot be begun without a graph and a program. Raises ``LabError``."""
        raise LabError("make one in a cell, with its graph and its program; then pg.panel() shows it")

    @property
    def now(self) -> State:
        """How it is, whatever position is shown; with what was ordered as if it were done."""
        state: State = self.run_of(self.pg.name, Reducer).at(None)
        return state

    def frame(self, position: float | None) -> Frame:
        """The graph at a position."""
        run: State = self.run_of(self.pg.name, Reducer).at(position)
        colours = isinstance(self.pg.program, Colouring)
        wrong = conflicts(self.pg.graph, run.value) if colours and run.value else []
        once = tuple(sorted({(min(pair), max(pair)) for pair in wrong}))
        return Frame(run, *self.seen(run.lab, position), self.pg.graph, colours, once)

    def scene(self, frame: Frame) -> Scene:
        """A circle of vertices; above 200 a row of each machine, with their number in each state."""
        return scene(frame, self.stage.selected) if frame.graph.n <= MARKS else grid(frame)

    def about(self, frame: Frame) -> str:
        """The program and the graph."""
        program = type(self.pg.program).__name__
        return f"{program} on {many(frame.graph.n, 'vertex')} and {many(self.pg.edges, 'edge')}"

    def news(self, frame: Frame) -> str:
        """How it ended."""
        return {"ok": "no vertex is active any more", "failed": "the program failed"}.get(
            frame.run.result, ""
        )

    def caption(self, frame: Frame, left_out: int) -> str:
        """How to read it."""
        if frame.graph.n > MARKS:
            return "too many vertices to draw each: a bar is as long as their number"
        what = "its colour" if frame.colours else "its master's machine"
        return f"colour and shape: {what}; full: active, dot: runs, half: waits for forks, pale: inactive"


# -- what stands beside it ------------------------------------------------------------


def factors(run: State) -> tuple[list[str], list[float]]:
    """Cuts that were tried, and their replication factors."""
    return list(run.factors), [round(each, 2) for each in run.factors.values()]


def gathers(run: State) -> tuple[list[int], list[int]]:
    """Of each superstep."""
    return list(run.steps), [step.gathers for step in run.steps.values()]


def numbers(frame: Frame) -> tuple[Number, ...]:
    """How it is, what the cut costs and what theory expects, who runs and waits, what was saved."""
    run, graph = frame.run, frame.graph
    theory = ""
    if run.cut == "random" and run.parts:
        factor = expected_random(graph.out_degrees + graph.in_degrees, len(run.parts))
        theory = f"{factor:.2f} by Theorem 5.2"
    step = f"superstep {run.superstep}" if run.engine == ENGINES[0] else many(run.runs, "run")
    doing = Counter(run.state.values())
    tone = {"ok": "good", "failed": "bad"}.get(run.result, "plain")
    factor = f"{run.replication:.2f}" if run.replication else "?"
    wanting = f"{doing['active']:,} active, {doing['lock']:,} want forks"
    found = [
        Number("Program", state(run), step, tone),
        Number("Replicas of a vertex", factor, run.cut, theory=theory),
        Number("Running", f"{doing['gather']:,}", wanting),
        Number("Snapshots", f"{len(run.snapshots)}", f"{many(run.rollbacks, 'rollback')}"),
    ]
    if run.totals.bytes:
        found.append(Number("Sent", size(run.totals.bytes), f"{run.totals.gathers:,} gathers"))
    if frame.colours:
        wrong = len(frame.conflicts)
        tone = "bad" if wrong else "good" if run.runs else "plain"
        found.insert(1, Number("Conflicts", f"{wrong:,}", "edges of one colour", tone))
    return tuple(found)


def told(frame: Frame, selected: str) -> dict[str, Any]:
    """The selected vertex; without one, what each machine has."""
    run, name = frame.run, frame.graph.name
    chosen = next((v for v in range(min(frame.graph.n, MARKS)) if str(name(v)) == selected), None)
    if chosen is None:
        rows = sorted(run.parts.items())
        lines = [
            ("■", f"{m}: {p.edges:,} edges, {p.masters:,} masters, {p.mirrors:,} mirrors") for m, p in rows
        ]
        return story("", HINT, lines) if lines else {}
    return story(selected, f"Vertex {selected}: {LOOKS[run.vertex(chosen)][1]}", list(_of(run, chosen, name)))


def _of(run: State, v: int, name: Any) -> Iterator[tuple[str, str]]:
    """A vertex in lines."""
    for machine, part in sorted(run.parts.items()):
        if v in part.gids:
            yield ("●", f"master on {machine}") if v in part.mastered else ("○", f"mirror on {machine}")
    if v in run.value:
        yield "=", f"{run.value[v]}, after {many(run.version.get(v, 0), 'run')} in this epoch"
    for other in run.waits.get(v, ()):
        yield "‖", f"waits for the fork that it shares with {name(other)}"
