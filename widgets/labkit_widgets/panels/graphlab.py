"""`GraphLabPanel`: the data graph while it is updated, who has which locks, whether updates overlapped."""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar, NamedTuple

from labkit.parts.serializability import Conflict, Transaction, conflict_cycle
from labkit.runtime.errors import LabError
from labkit.systems.graphlab.events import ENDS
from labkit.systems.graphlab.programs import monochrome
from labkit.systems.graphlab.schedulers import SCHEDULERS
from labkit.systems.graphlab.scopes import MODELS
from labkit.systems.graphlab.view import RunReducer, RunState
from labkit.trace.machines import EventLine, MachineView
from labkit.trace.words import many

from ..charts import CHARTS, Iterations, Rates
from ..numbers import Number
from ..panel import Panel
from ..pieces import Button, Chart, Choice, Form, Slide, Told
from ..scene import MARKS, Scene
from .datagraph import grid_scene, round_scene, spread, told

#: The checker looks at so many updates at most, the last ones under the same consistency: what holds now.
RECENT = 300
LOCKED = {"full": "its neighbours too", "edge": "its neighbours for reading", "vertex": "the vertex alone"}


class GraphFrame(NamedTuple):
    """A run at a position."""

    run: RunState
    machines: tuple[MachineView, ...]
    lines: tuple[EventLine, ...]
    time: float
    cycle: tuple[Conflict, ...] | None  #: None: no update was logged
    same: tuple[tuple[int, int], ...] | None  #: monochrome edges; None: the values are no colours


class GraphLabPanel(Panel):
    """A run; its data graph, its numbers, and what may be changed while it runs."""

    title: ClassVar[str] = "GraphLab"
    named = "run"
    fold = staticmethod(lambda known: RunReducer("", known))
    figures = staticmethod(lambda frame: numbers(frame))
    above = (
        Slide(
            "control", "Consistency", "consistency", places=lambda _: MODELS, called=str,
            words=lambda model: f"an update locks {LOCKED[model]}",
            now=lambda panel, frame: (frame.run.consistency or panel.run.consistency,) * 2,
            get=lambda panel: panel.run.consistency,
            set=lambda panel, model: setattr(panel.run, "consistency", model),
        ),
        Form((
            Choice("scheduler", "Scheduler", [*(s for s in SCHEDULERS if s != "set"), "synchronous", "set"],
                   lambda panel: panel.run.scheduler, "scheduler", lambda panel, _: panel.fixed(),
                   lambda panel, new: setattr(panel.run, "scheduler", new)),
            Button("snapshot", "snapshot", "Snapshot now", "into the file system",
                   lambda panel: panel.run.snapshot(), off=lambda panel, frame: bool(frame.run.result)),
        )),
    )  # fmt: skip
    side = (
        Told("steps", "steps", lambda panel, frame: told(panel.run, frame, panel.stage.selected)),
        Chart(Iterations, lambda _, frame: spread(frame.run), "spread", ("Vertices by updates of them",)),
        Chart(Rates, lambda _, frame: pace(frame), "pace", ("Updates per second", "updates", CHARTS["blue"])),
    )  # fmt: skip

    @classmethod
    def setup(cls, system: Any, **options: Any) -> Any:
        """A run cannot be begun without program and graph. Raises ``LabError``."""
        raise LabError("a run is started in a cell, with its program and graph; then run.panel() shows it")

    def forget(self) -> None:
        """The run before."""
        self.__dict__.pop("_checked", None)

    def fixed(self) -> bool:
        """Whether the scheduler stays as it is."""
        options = self.run.spec.options
        return self.off or options.engine != "locking" or options.scheduler == "set" or self.run.done

    def frame(self, position: float | None) -> GraphFrame:
        """The run at a position."""
        run: RunState = self.run_of(self.run.name, RunReducer).at(position)
        return GraphFrame(run, *self.seen(run.lab, position), self._cycle(run), self._same(run))

    def _cycle(self, run: RunState) -> tuple[Conflict, ...] | None:
        """What the checker finds among the last updates; asked once for each new one."""
        key = run.epoch, len(run.log)
        before: Any = self.__dict__.get("_checked")
        if before is None or before[0] != key:
            last: list[Transaction] = run.transactions(run.epoch, recent(run))
            found = tuple(conflict_cycle(last) or ()) if last else None
            before = self.__dict__["_checked"] = (key, found)
        return before[1]  # type: ignore[no-any-return]

    def _same(self, run: RunState) -> tuple[tuple[int, int], ...] | None:
        graph, values = self.run.data.graph, run.values
        if graph.n > MARKS or not values or not all(type(v) is int and v < 16 for v in values.values()):
            return None
        first = [self.run.data.vertex(v) for v in range(graph.n)]
        return tuple(monochrome(graph, [values.get(v, first[v]) for v in range(graph.n)]))

    def scene(self, frame: GraphFrame) -> Scene:
        """The graph on a circle, machine by machine; a large one as a grid."""
        return round_scene(self.run, frame) if self.run.data.graph.n <= MARKS else grid_scene(frame)

    def about(self, frame: GraphFrame) -> str:
        """The run."""
        graph, options = self.run.data.graph, self.run.spec.options
        size = f"{many(graph.n, 'vertex')}, {many(graph.edges, 'edge')}"
        return f"{self.run.name}, {options.engine} engine, {size}"

    def news(self, frame: GraphFrame) -> str:
        """What has ended."""
        return f"{self.run.name} is over: {ENDS[frame.run.result]}" if frame.run.result else ""

    def caption(self, frame: GraphFrame, left_out: int) -> str:
        """How to read it."""
        if self.run.data.graph.n > MARKS:
            return "a square: a part of a machine's vertices; full: up to date; pale: some to be updated"
        what = "colours: the vertices' values" if frame.same is not None else "colours: machines"
        return f"{what}; pale: to be updated; ring: locked; bars: updates; dashed: waits for a lock"


# -- what stands beside it ------------------------------------------------------------


def numbers(frame: GraphFrame) -> tuple[Number, ...]:
    """How it is, how much was done, who waits, whether updates were serializable."""
    run = frame.run
    left, waits = len(run.scheduled), len(run.awaited)
    state = "over" if run.result else "running" if run.running else "loading"
    tone = "bad" if run.result == "failed" else "good" if run.result == "empty" else "plain"
    back = f"went back {len(run.rollbacks)}×" if run.rollbacks else many(len(run.members), "machine")
    mean = f"{run.updates / len(run.owner):.1f} for each vertex" if run.owner else ""
    judged = f"the last {many(recent(run), 'update')}"
    verdict = ("none logged", "", "plain") if frame.cycle is None else ("yes", judged, "good")
    if frame.cycle:
        verdict = ("NO", f"{len(frame.cycle)} conflicts in a circle", "bad")
    last = next((each for each in reversed(run.snapshots) if each.completed is not None), None)
    took = "a death loses all" if last is None else f"{last.mode}, {last.seconds:.2f} s"
    found = (
        Number("Run", state, ENDS[run.result] if run.result else back, tone),
        Number("Updates", f"{run.updates:,}", mean),
        Number("To be updated", f"{left:,}", "none: it ends", "good" if run.result == "empty" else "plain"),
        Number("Locks held", f"{len(run.held):,}", f"{waits} waiting; {run.waits:,} of {run.locks:,} had to"),
        Number("Serializable", *verdict),
        Number("Snapshot", f"{last.epoch}.{last.number}" if last else "none", took),
    )
    if frame.same is None:
        return found
    bad = len(frame.same)
    return (*found, Number("Edges of one colour", f"{bad}", "", "bad" if bad else "good", "0 at the end"))


def recent(run: RunState) -> int:
    """How many of the last updates the checker looks at."""
    last = run.log[-RECENT:]
    other = [at for at, each in enumerate(last) if each.consistency != last[-1].consistency]
    return len(last) - (other[-1] + 1 if other else 0)


def pace(frame: GraphFrame) -> tuple[list[float], dict[str, list[float]]]:
    """Updates per second, in forty stretches of the run."""
    run, step = frame.run, max(frame.time - frame.run.began, 0.1) / 40
    counts = Counter(min(int((each.time - run.began) / step), 39) for each in run.log)
    return [step * at for at in range(40)], {"updates": [counts[at] / step for at in range(40)]}
