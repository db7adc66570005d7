"""`PregelPanel`: partitions by worker, superstep by superstep; the barrier, messages, checkpoints,
recovery."""

from __future__ import annotations

from typing import Any, ClassVar

from labkit.runtime.errors import LabError
from labkit.systems.pregel.view import PregelReducer, PregelState
from labkit.trace.words import many, size

from ..charts import Iterations
from ..numbers import Number
from ..panel import Panel
from ..pieces import Button, Chart, Choice, Form, Told, story
from ..scene import Scene
from .supersteps import DRAWN, PregelFrame, chosen, job_scene

RECOVERY = (("all go back (rollback)", "rollback"), ("only lost ones (confined)", "confined"))
RESULTS = {"ok": "done", "failed": "failed", "cancelled": "cancelled", "aborted": "aborted"}
HINT = "Select a partition to see its supersteps"


class PregelPanel(Panel):
    """A job; its numbers, its partitions by machine, its computations over time."""

    title: ClassVar[str] = "Pregel"
    named = "job"
    fold = staticmethod(lambda known: PregelReducer("", known))
    figures = staticmethod(lambda frame: numbers(frame.job))
    look = "labkit-lineage"  # a wide stage, as Spark's
    side = (
        Form((
            Choice("recovery", "Recovery", RECOVERY, lambda panel: panel.job.recovery, "recovery",
                   lambda panel, _frame: panel.off or panel.job.done,
                   lambda panel, new: panel.job.set_recovery(new)),
            Button("checkpoint", "checkpoint", "Checkpoint now", "Before the next superstep",
                   lambda panel: panel.job.checkpoint(), off=lambda panel, _frame: panel.job.done),
        )),
        Told("steps", "steps", lambda panel, frame: told(frame.job, panel.stage.selected)),
        Chart(Iterations, lambda _panel, frame: messages(frame.job), "messages",
              ("Messages per superstep: sent on (grey), combined away (orange)",)),
        Chart(Iterations, lambda _panel, frame: active(frame.job), "active",
              ("Active vertices after each superstep",)),
    )  # fmt: skip

    @classmethod
    def setup(cls, system: Any, **options: Any) -> Any:
        """A job cannot be begun without its program and its graph. Raises ``LabError``."""
        raise LabError("a job is begun in a cell, with its program and its graph; then job.panel() shows it")

    def frame(self, position: float | None) -> PregelFrame:
        """The job at a position."""
        job: PregelState = self.run_of(self.job.name, PregelReducer).at(position)
        return PregelFrame(job, *self.seen(job.lab, position))

    def scene(self, frame: PregelFrame) -> Scene:
        """Partitions by machine, computations over time."""
        return job_scene(frame, self.stage.selected)

    def about(self, frame: PregelFrame) -> str:
        """The job, and how large its graph is."""
        job = frame.job
        graph = f", {many(job.vertices, 'vertex')}, {many(job.edges, 'edge')}" if job.vertices else ""
        return job.name + graph

    def news(self, frame: PregelFrame) -> str:
        """What has ended, or gone wrong."""
        job = frame.job
        if job.result:
            return f"{job.name} is {RESULTS[job.result]}"
        return "recovering" if job.recovering else f"superstep {job.current}" if job.current >= 0 else ""

    def caption(self, frame: PregelFrame, left_out: int) -> str:
        """How to read it."""
        return "too many partitions to draw each" if frame.job.partitions > DRAWN else ""


# -- the numbers that matter ------------------------------------------------------------


def numbers(job: PregelState) -> tuple[Number, ...]:
    """How far it is, who is waited for, what messages cost, what failures cost."""
    now, waits, work = job.superstep, job.waiting_for, job.work()
    done = [each for _, each in sorted(job.supersteps.items()) if each.end is not None]
    last = done[-1] if done else None
    tone = "good" if job.result == "ok" else "bad" if job.result else "plain"
    state = RESULTS.get(job.result) or (f"superstep {job.current}" if now else "loading")
    after = f"after {job.end - job.began:.2f} s" if job.end is not None else many(len(job.workers), "worker")
    again, lost = work["computed"] - work["needed"], sum(len(each.lost) for each in job.recoveries)
    names = ", ".join(job.machines.get(worker, worker) for worker in waits[:3])
    saved = job.checkpoints[-1] if job.checkpoints else None
    return (
        Number("Job", state, after, tone),
        Number("Active", f"{last.active:,}" if last else "all", f"of {many(job.vertices, 'vertex')}"),
        Number("Waits for", names or "nobody", many(len(waits), "worker") if waits else "at the barrier"),
        Number("Messages", f"{last.combined:,}" if last else "none",
               f"of {last.sent:,} before the combiner" if last and last.sent else ""),
        Number("Checkpoint", f"superstep {saved[1]}" if saved else "none",
               f"{size(saved[2])} in {saved[3]:.2g} s" if saved else "the input is read again"),
        Number("Computed again", f"{again:,}", f"{many(lost, 'partition')} lost", "bad" if again else
        "plain"),
    )  # fmt: skip


def messages(job: PregelState) -> tuple[list[int], list[float], list[float]]:
    """By superstep: those that travelled, and those that the combiner spared."""
    done = [each for _, each in sorted(job.supersteps.items()) if each.end is not None]
    travelled = [float(each.combined) for each in done]
    return [each.number for each in done], travelled, [float(each.sent - each.combined) for each in done]


def active(job: PregelState) -> tuple[list[int], list[float]]:
    """By superstep."""
    done = [each for _, each in sorted(job.supersteps.items()) if each.end is not None]
    return [each.number for each in done], [float(each.active) for each in done]


# -- the story of a partition ------------------------------------------------------------


def told(job: PregelState, selected: str) -> dict[str, Any]:
    """Each superstep of the selected partition."""
    number = chosen(selected)
    if number is None or number >= job.partitions:
        return story("", HINT, []) if job.partitions else {}
    lines = [(each.end, "↻" if each.recovering else "✓",
              f"superstep {each.superstep} on {each.machine}: {many(each.computed, 'vertex')}, "
              f"{many(each.combined, 'message')}{' (again)' * each.recovering}")
             for each in job.computations if each.partition == number]  # fmt: skip
    lines += [(each.time, "✕", f"{each.time:.2f} s: lost in superstep {each.superstep}")
              for each in job.recoveries if number in each.lost]  # fmt: skip
    worker = job.places[number] if job.places else ""
    words = [(sign, text) for _, sign, text in sorted(lines)]
    return story(selected, f"Partition {number}, on {job.machines.get(worker, '?')}", words)
