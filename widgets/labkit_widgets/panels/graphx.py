"""`GraphXPanel`: where a graph's partitions are, and what each iteration of a loop ships."""

from __future__ import annotations

from typing import Any, ClassVar

from labkit.systems.graphx.strategies import STRATEGIES
from labkit.systems.graphx.view import GraphReducer, GraphXState, Iteration, RunView
from labkit.trace.words import many, size

from ..charts import Iterations
from ..numbers import Number
from ..panel import Panel
from ..pieces import Chart, Choice, Form, Told, story
from ..scene import Scene
from .replicas import GraphFrame, did, graph_scene

HINT = "Select an edge partition to see its iterations"
#: The switches: option, words.
SWITCHES = (
    ("incremental_view", "View"), ("join_elimination", "Sides"), ("index_scan", "Active edges"),
)  # fmt: skip
WORDS = {
    "incremental_view": (("ship what changed", True), ("ship all", False)),
    "join_elimination": (("ship what is read", True), ("ship both", False)),
    "index_scan": (("by index", True), ("scan all", False)),
}


def _switch(option: str, label: str) -> Choice:
    return Choice(option, label, WORDS[option], value=lambda panel: getattr(panel.gx.options, option),
                  action=option, off=lambda panel, _frame: panel.off,
                  set=lambda panel, new: panel.gx.switch(**{option: new}))  # fmt: skip


class GraphXPanel(Panel):
    """Graphs on a Spark context; the context's own panel, `gx.sc.panel()`, stands well beside it."""

    title: ClassVar[str] = "GraphX"
    named = "gx"
    runs_are: ClassVar[str] = "Loops"
    noted = ("run_finished",)
    fold = lambda panel, known: GraphReducer(panel.gx.name, known)  # noqa: E731
    figures = staticmethod(lambda frame: numbers(frame.state))
    look = "labkit-lineage"  # a wide stage, as Spark's
    side = (
        Told("steps", "steps", lambda panel, frame: told(frame.state, panel.stage.selected)),
        Form(tuple(_switch(*each) for each in SWITCHES)),
        Chart(Iterations, lambda _panel, frame: shipped(frame.state), "shipped",
              ("Bytes per iteration: attributes to edges (grey), messages (orange)",)),
        Chart(Iterations, lambda _panel, frame: active(frame.state), "active",
              ("Vertices with messages, per iteration",)),
    )  # fmt: skip

    def frame(self, position: float | None) -> GraphFrame:
        """The state at a position."""
        state: GraphXState = self.history.at(position)
        return GraphFrame(state, *self.seen(state.spark.lab, position))

    def runs(self) -> list[tuple[float, str]]:
        """The loops that have ended."""
        return [(each.time, f"{each.data['run']}: {each.data['why']}") for each in self.log.noted]

    def scene(self, frame: GraphFrame) -> Scene:
        """Partitions by machine, iterations."""
        return graph_scene(frame, self.stage.selected)

    def about(self, frame: GraphFrame) -> str:
        """The loop."""
        run = frame.state.run
        return f"{run.name}, {many(len(run.iterations), 'iteration')}" if run is not None else ""

    def news(self, frame: GraphFrame) -> str:
        """Whether the loop has ended."""
        run = frame.state.run
        return f"{run.name} is over: {run.why}" if run is not None and run.end is not None else ""


# -- numbers, charts, stories ------------------------------------------------------------


def numbers(state: GraphXState) -> tuple[Number, ...]:
    """How far the loop is, what it ships, how the graph is cut, what was done again."""
    run, cut = state.run, state.cut
    done = [each for each in run.iterations if each.end is not None] if run is not None else []
    last = done[-1] if done else Iteration(0, 0.0)
    first = run.iterations[0] if run is not None and run.iterations else last
    moved, began = last.vertex_bytes + last.message_bytes, first.vertex_bytes + first.message_bytes
    again = sum(each.again_bytes for each in run.iterations) if run is not None else 0
    strategy = STRATEGIES.get(cut.strategy) if cut is not None else None
    bound = f"at most {strategy.bound(len(cut.edge_parts))}: {cut.strategy}" if strategy and cut else ""
    return (
        _loop(run),
        Number("Active", f"{last.active:,}", "vertices with messages"),
        Number("Shipped", size(moved), f"{moved / began:.0%} of iteration 1" if began and done else ""),
        Number("Edges looked at", f"{last.touched / last.edges:.0%}" if last.edges else "none",
               f"by index in {last.by_index} of {many(len(last.by_part), 'partition')}"),
        Number("Replicas", f"{cut.replication:.2f}" if cut else "not measured", "of a vertex", theory=bound),
        Number("Shipped again", size(again) if again else "none", "after a loss"),
    )  # fmt: skip


def _loop(run: RunView | None) -> Number:
    if run is None:
        return Number("Loop", "none")
    if run.end is None:
        return Number("Loop", f"iteration {len(run.iterations)}")
    tone = "bad" if run.why == "an error" else "good"
    return Number("Loop", "done", f"{many(len(run.iterations), 'iteration')}: {run.why}", tone)


def shipped(state: GraphXState) -> tuple[list[int], list[float], list[float]]:
    """Bytes of attributes and of messages, by iteration."""
    found = state.run.iterations if state.run is not None else ()
    return ([each.number for each in found], [float(each.vertex_bytes) for each in found],
            [float(each.message_bytes) for each in found])  # fmt: skip


def active(state: GraphXState) -> tuple[list[int], list[float]]:
    """Vertices with messages, by iteration that has ended."""
    found = [each for each in (state.run.iterations if state.run is not None else ()) if each.end is not None]
    return [each.number for each in found], [float(each.active) for each in found]


def told(state: GraphXState, selected: str) -> dict[str, Any]:
    """What an edge partition did in each iteration."""
    kind, _, rest = selected.partition("@")[0].partition(":")
    if state.run is None or kind not in ("edges", "scan"):
        return story("", HINT, []) if state.run is not None else {}
    part = int(rest.split(":")[-1])
    mine = [each for each in state.run.iterations if part < len(each.by_part)]
    signs = ["✓" if each.by_part[part][0] else "·" for each in mine]
    words = [f"iteration {each.number} on {each.places[part] or '?'}: {did(each, part)}" for each in mine]
    lines = list(zip(signs, words, strict=True))
    return story(selected, f"Edge partition {part}", lines or [("·", "no iteration has ended yet")])
