"""`LineagePanel`: a Spark job's lineage, where its partitions are, and what a failure costs."""

from __future__ import annotations

from typing import Any, ClassVar

from labkit.systems.spark.lineage import LineageView, sources, view
from labkit.systems.spark.state import LineageState, Piece
from labkit.systems.spark.view import LineageReducer
from labkit.trace.words import many

from ..charts import Jobs
from ..panel import Panel
from ..pieces import Button, Chart, Choice, Form, Told
from ..scene import Scene
from ..setup import Whole
from .lineage import lineage_scene
from .stories import cost, numbers, told

#: Storage levels that can be chosen, with the words for each.
LEVELS = (
    ("in memory", "MEMORY_ONLY"),
    ("in memory, else on disk", "MEMORY_AND_DISK"),
    ("on disk", "DISK_ONLY"),
    ("in memory, two copies", "MEMORY_ONLY_2"),
)
#: Why an RDD cannot be checkpointed.
NOWHERE = "Checkpoint needs a folder that every machine sees: sc.setCheckpointDir(path)"


def _kept(panel: Any, frame: LineageView) -> str | None:
    """How the selected RDD is kept, "" if it is not, None if there is none."""
    number = selected_rdd(panel.stage.selected)
    rdd = frame.rdd(number) if number is not None else None
    return None if rdd is None else rdd.storage or ""


def _not_kept(panel: Any, frame: LineageView) -> bool:
    return not _kept(panel, frame)


def _cannot_keep(panel: Any, frame: LineageView) -> bool:
    return _kept(panel, frame) != ""


def _why_not(panel: Any, frame: LineageView | None) -> dict[str, str]:
    """Why the selected RDD cannot be checkpointed."""
    can = frame is None or panel.off or _kept(panel, frame) in (None, "checkpoint")
    return {"text": "" if can or panel.sc.getCheckpointDir() is not None else NOWHERE}


def _cannot_cut(panel: Any, frame: LineageView) -> bool:
    return _kept(panel, frame) in (None, "checkpoint") or bool(_why_not(panel, frame)["text"])


class LineagePanel(Panel):
    """A Spark context on a cluster."""

    title: ClassVar[str] = "Spark"
    named = "sc"
    runs_are: ClassVar[str] = "Jobs"
    fold = LineageReducer
    figures = staticmethod(numbers)
    look = "labkit-lineage"
    parameters = (Whole("cores", "Cores of an executor", 1, 1, 16),)
    side = (
        Told("steps", "steps", lambda panel, frame: told(panel.state, frame, panel.stage.selected)),
        Form((
            Choice("level", "Keep", LEVELS, off=lambda panel, frame: panel.off or _cannot_keep(panel, frame)),
            Button("keep", "persist", "Persist", "Keep the selected RDD's partitions",
                   send=lambda panel: {"level": panel.level.value}, off=_cannot_keep),
        )),
        Form((
            Button("drop", "unpersist", "Unpersist",
                   "Drop the selected RDD's partitions; lineage can make them again", off=_not_kept),
            Button("cut", "checkpoint", "Checkpoint",
                   "Save the selected RDD when a job next computes it, and cut its lineage there",
                   off=_cannot_cut),
        )),
        Told("why_not", "note", _why_not, "head"),
        Told("cost", "cost", lambda _panel, frame: cost(frame)),
        Chart(Jobs, lambda _panel, frame: (frame.jobs, frame.time), "jobs"),
    )  # fmt: skip

    def runs(self) -> list[tuple[float, str]]:
        """The jobs that have ended."""
        jobs = self.history.at(None).jobs.values()
        return [(job.end, f"job {job.id}: {job.action}{' ↻' * bool(job.again)}") for job in jobs if job.end]

    def news(self, frame: LineageView) -> str:
        """Which job has ended."""
        job = frame.job
        return f"job {job.id} has ended" if job is not None and job.end is not None else ""

    @property
    def state(self) -> LineageState:
        """What the events add up to at the position."""
        state: LineageState = self.history.at(self.position.at)
        return state

    def frame(self, position: float | None) -> LineageView:
        """The latest job at a position."""
        return view(self.history.at(position), position)

    def scene(self, frame: LineageView) -> Scene:
        """Lineage, partitions, tasks; what the selected partition was made from."""
        piece = selected_piece(self.stage.selected)
        made_from = sources(self.state, piece) if piece is not None else set()
        return lineage_scene(frame, self.stage.selected or None, frozenset(made_from))

    def about(self, frame: LineageView) -> str:
        """The executors."""
        executors = len({slot.executor for slot in frame.slots})
        return f"{many(executors, 'executor')}, {len(frame.slots)} at a time" if executors else ""

    def caption(self, frame: LineageView, left_out: int) -> str:
        """How to read it."""
        counted = any(row.counts for row in frame.rows)
        return "too many partitions to draw each: a bar is as long as their number" if counted else ""

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
