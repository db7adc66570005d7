"""`LineagePanel`: a Spark job's lineage, where its partitions are, and what a failure costs."""

from __future__ import annotations

from typing import Any, ClassVar

import ipywidgets

from labkit.runtime.again import changed
from labkit.systems.spark.state import LineageState, Piece
from labkit.systems.spark.view import LineageReducer
from labkit.trace.machines import MachineView
from labkit.trace.words import many

from .base import Panel
from .charts import Jobs
from .frames import lineage as frames
from .lineage_story import cost, told
from .scene import Scene
from .scenes import lineage_scene
from .script import Made, options_of
from .stage import update

#: Storage levels that can be chosen, with the words for each.
LEVELS = (
    ("in memory", "MEMORY_ONLY"),
    ("in memory, else on disk", "MEMORY_AND_DISK"),
    ("on disk", "DISK_ONLY"),
    ("in memory, two copies", "MEMORY_ONLY_2"),
)

#: Why an RDD cannot be checkpointed.
NOWHERE = "Checkpoint needs a folder that every machine sees: sc.setCheckpointDir(path)"


class LineagePanel(Panel):
    """A Spark context on a cluster."""

    title: ClassVar[str] = "Spark"
    runs_are: ClassVar[str] = "Jobs"

    def __init__(self, sc: Any, **options: Any) -> None:
        self.sc = sc
        super().__init__(sc.cluster, **options)
        self.root.add_class("labkit-lineage")

    @property
    def system(self) -> Any:
        """The context."""
        return self.sc

    def runs(self) -> list[tuple[float, str]]:
        """The jobs that have ended."""
        jobs = self.history.at(None).jobs.values()
        return [(job.end, f"job {job.id}: {job.action}{' ↻' * bool(job.again)}") for job in jobs if job.end]

    def news(self, frame: frames.LineageFrame) -> str:
        """Which job has ended."""
        job = frame.job
        return f"job {job.id} has ended" if job is not None and job.end is not None else ""

    # -- widgets --------------------------------------------------------

    def side(self) -> list[ipywidgets.Widget]:
        """The selected RDD and what can be done with it, the cost of the last failure, the jobs."""
        self.steps = self.part("steps")
        self.level = ipywidgets.Dropdown(options=LEVELS, description="Keep", value="MEMORY_ONLY")
        self.level.style.description_width = "initial"
        self.keep = ipywidgets.Button(description="Persist", tooltip="Keep the selected RDD's partitions")
        self.drop = ipywidgets.Button(
            description="Unpersist", tooltip="Drop the selected RDD's partitions; lineage can make them again"
        )
        self.cut = ipywidgets.Button(
            description="Checkpoint",
            tooltip="Save the selected RDD when a job next computes it, and cut its lineage there",
        )
        self.keep.on_click(lambda _button: self.act("persist", level=self.level.value))
        self.drop.on_click(lambda _button: self.act("unpersist"))
        self.cut.on_click(lambda _button: self.act("checkpoint"))
        levels = self.form(self.level, self.keep, actions=("persist",))
        buttons = self.form(self.drop, self.cut, actions=("unpersist", "checkpoint"))
        self.why_not = self.part("note")
        self.cost = self.part("cost")
        self.jobs = Jobs()
        return [self.steps, levels, buttons, self.why_not, self.cost, *self.jobs.widgets]

    # -- frame --------------------------------------------------------

    def reducer(self, known: tuple[MachineView, ...]) -> LineageReducer:
        """Spark's events."""
        return LineageReducer(known)

    def frame(self, position: float | None) -> frames.LineageFrame:
        """The latest job at a position."""
        return frames.frame(self.cluster.trace, position, history=self.history)

    def scene(self, frame: frames.LineageFrame) -> Scene:
        """Lineage, partitions, tasks; what the selected partition was made from."""
        piece = selected_piece(self.stage.selected)
        made_from = frames.sources(self._state(), piece) if piece is not None else set()
        return lineage_scene(frame, self.stage.selected or None, frozenset(made_from))

    def _state(self) -> LineageState:
        state: LineageState = self.history.at(self.position.at)
        return state

    def facts(self, frame: frames.LineageFrame) -> str:
        """Cluster, engine, seed, executors."""
        executors = len({slot.executor for slot in frame.slots})
        words = f"{many(executors, 'executor')}, {len(frame.slots)} at a time"
        return f"{super().facts(frame)} · {words}" if executors else super().facts(frame)

    def caption(self, frame: frames.LineageFrame, left_out: int) -> str:
        """How to read it."""
        if any(row.counts for row in frame.rows):
            return "too many partitions to draw each: a bar is as long as their number"
        return ""

    def show(self, frame: frames.LineageFrame) -> None:
        """The selected RDD, the failure's cost, the jobs, what can be clicked."""
        update(self.steps, steps=told(self._state(), frame, self.stage.selected))
        update(self.cost, cost=cost(frame))
        self.jobs.show(frame.jobs, frame.time)
        number = selected_rdd(self.stage.selected)
        rdd = frame.rdd(number) if number is not None else None
        off = not self.position.live or self._gone() or rdd is None
        kept = rdd is not None and rdd.storage is not None
        update(self.level, disabled=off or kept)
        update(self.keep, disabled=off or kept or self._busy("persist"))
        update(self.drop, disabled=off or not kept or self._busy("unpersist"))
        over = rdd is not None and rdd.storage == "checkpoint"
        nowhere = not off and not over and self.sc.getCheckpointDir() is None
        update(self.cut, disabled=off or over or nowhere or self._busy("checkpoint"))
        update(self.why_not, head={"text": NOWHERE if nowhere else ""})

    def made(self) -> Made:
        """The context as code."""
        given = options_of(self.sc)
        executors = given.get("executors")
        options = {} if executors is None or isinstance(executors, str) else {"executors": executors}
        options |= {"appName": self.sc.appName} if self.sc.appName != "labkit" else {}
        options |= changed(self.sc.options)
        lacks = "your RDDs and the actions on them"
        return Made("labkit.systems.spark", "sc_again", "SparkContext", options, lacks)

    # -- actions --------------------------------------------------------

    def _selected(self) -> Any:
        """The user's RDD of that number, as far as anybody still holds it."""
        number = selected_rdd(self.stage.selected)
        if number is None:
            raise ValueError("select an RDD first: click its dot, or one of its partitions")
        rdd = self.sc.rdd(number)
        if rdd is None:
            raise ValueError(f"no variable holds RDD {number} any more, so nobody can use it again")
        return rdd

    def on_persist(self, level: str) -> None:
        """Keep the selected RDD from now on."""
        from labkit.systems.spark import StorageLevel

        rdd = self._selected()
        self.later("persist", lambda: rdd.persist(getattr(StorageLevel, level)))

    def on_unpersist(self) -> None:
        """Keep it no longer."""
        self.later("unpersist", self._selected().unpersist)

    def on_checkpoint(self) -> None:
        """Cut its lineage when a job next computes it."""
        self.later("checkpoint", self._selected().checkpoint)

    def on_replay(self) -> None:
        """The story of a partition has nothing to replay."""


def selected_piece(selected: str) -> Piece | None:
    """The partition or shuffle output of a selected mark, if it is one."""
    parts = selected.partition("@")[0].split(":")
    return (parts[0], int(parts[1]), int(parts[2])) if len(parts) == 3 else None


def selected_rdd(selected: str) -> int | None:
    """The RDD of a selected mark, if it belongs to one."""
    piece = selected_piece(selected)
    if piece is not None:
        return piece[1] if piece[0] == "block" else None
    kind, _, number = selected.partition(":")
    return int(number) if kind == "r" else None


__all__ = ["LEVELS", "LineagePanel"]
