"""`MapReducePanel`: a job's map and reduce tasks, every execution of them, and the rates of Figure 3."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, ClassVar

from labkit.runtime.errors import LabError
from labkit.systems.mapreduce.messages import MAP, REDUCE
from labkit.systems.mapreduce.status import rates
from labkit.systems.mapreduce.view import Execution, JobReducer, JobState
from labkit.trace.words import many, size

from ..charts import CHARTS, Rates
from ..numbers import Number
from ..panel import Panel
from ..pieces import Chart, Told, story
from ..scene import Scene
from .phases import DRAWN, ENDS, WHYS, JobFrame, phases_scene

#: Each rate and its colour.
CURVES = (("input", "blue"), ("shuffle", "orange"), ("output", "green"))
RESULTS = {"ok": "done", "failed": "failed", "cancelled": "cancelled", "aborted": "aborted"}
HINT = "Select a task to see its executions"
NEAR = {"process": ", near its input", "any": ", far from its input"}


#: What a rate below zero means (§5.5).
BELOW = {"input": " (below 0: work that was lost)"}


class MapReducePanel(Panel):
    """A job; in the past, when it did not run, the one that did."""

    title: ClassVar[str] = "MapReduce"
    named = "job"
    runs_are: ClassVar[str] = "Jobs"
    noted = ("job_started", "job_finished")
    #: What folds a job's events.
    reducer: ClassVar[type[JobReducer]] = JobReducer
    fold = staticmethod(lambda known: JobReducer("", known))
    figures = staticmethod(lambda frame: numbers(frame.job))
    look = "labkit-lineage"  # a wide stage, as Spark's
    side = (
        Told("steps", "steps", lambda panel, frame: told(frame.job, panel.stage.selected)),
        *(
            Chart(Rates, lambda _panel, frame: frame.rates, what,
                  (f"{what.title()}, bytes per second{BELOW.get(what, '')}", what, CHARTS[colour]))
            for what, colour in CURVES
        ),
    )  # fmt: skip

    @classmethod
    def setup(cls, system: Any, **options: Any) -> Any:
        """A job cannot be begun without its program and its input. Raises ``LabError``."""
        raise LabError("a job is begun in a cell, with its program and its input; then job.panel() shows it")

    def frame(self, position: float | None) -> JobFrame:
        """The job at a position."""
        job: JobState = self.run_of(self._shown(position), self.reducer).at(position)
        machines, lines, now = self.seen(job.lab, position)
        return JobFrame(job, machines, lines, now, rates(job, now))

    def _shown(self, position: float | None) -> str:
        """This job; at a moment at which it did not run, one that did, or the last before."""
        own: str = self.job.name
        if position is None:
            return own
        until = [event for event in self.log.noted if event.time <= position]
        begun = [event.data["job"] for event in until if event.kind == "job_started"]
        over = [e.data["job"] for e in until if e.kind == "job_finished" and e.time < position]
        running = [name for name in begun if name not in over]
        return own if own in running or not begun else running[0] if running else str(begun[-1])

    def runs(self) -> list[tuple[float, str]]:
        """The jobs that have ended."""
        ended = [event for event in self.log.noted if event.kind == "job_finished"]
        return [(event.time, f"{event.data['job']}: {RESULTS[event.data['result']]}") for event in ended]

    def scene(self, frame: JobFrame) -> Scene:
        """Tasks by machine, executions over time."""
        return phases_scene(frame, self.stage.selected)

    def about(self, frame: JobFrame) -> str:
        """The job, and what it has to read."""
        return f"{frame.job.name}, {size(frame.job.input)} of input" if frame.job.M else ""

    def news(self, frame: JobFrame) -> str:
        """Which phase has ended."""
        job = frame.job
        if job.end is not None:
            return f"{job.name} is {RESULTS[job.result]}"
        return "all map tasks are completed" if job.M and job.done(MAP) == job.M else ""

    def caption(self, frame: JobFrame, left_out: int) -> str:
        """How to read it."""
        counted = frame.job.M + frame.job.R > DRAWN
        return "too many tasks to draw each: a bar is as long as their number" if counted else ""


# -- the numbers that matter ------------------------------------------------------------


def numbers(job: JobState) -> tuple[Number, ...]:
    """How it is, how far it is, what was done twice, what moved; each with what theory expects."""
    mine = list(job.executions.values())
    near = [each.locality == "process" for each in mine if each.kind == MAP]
    reduces = sum(each.kind == REDUCE and each.end is None for each in mine)
    again, lost = sum(each.why == "lost" for each in mine), len(job.lost)
    backups = [each for each in mine if each.why == "backup"]
    won = sum(each.result == "ok" for each in backups)
    spent, extra = (sum(e.end - e.began for e in some if e.end is not None) for some in (mine, backups))
    kept = [job.executions[attempt] for (kind, _), attempt in job.completed.items() if kind == MAP]
    emitted, pairs = sum(each.emitted for each in kept), sum(each.pairs for each in kept)
    saved = f"combined to {pairs / emitted:.0%} of the pairs" if pairs < emitted else "not combined"
    shuffled = sum(moved for _, what, moved, _ in job.moved if what == "shuffle")
    return (
        whole(job),
        _phase("Maps done", job, MAP, job.M, f"{sum(near)} of {len(near)} near their input"),
        _phase("Reduces done", job, REDUCE, job.R, f"{reduces} in progress"),
        Number("Maps run again", f"{again}", f"{many(lost, 'output')} lost",
               "good" if again == lost > 0 else "plain"),
        Number("Backups", f"{won} of {len(backups)} won" if backups else "none",
               f"{extra / spent:.0%} of the work; paper: a few %" if extra else ""),
        Number("Shuffled", size(shuffled), saved if kept else ""),
    )  # fmt: skip


def whole(job: JobState) -> Number:
    """Whether it goes on. Of a master that is dead no event tells the end."""
    home = job.lab.machines.get(job.lab.places.get(f"{job.name}-master", ""))
    if job.end is not None:
        tone = "good" if job.result == "ok" else "bad"
        return Number("Job", RESULTS[job.result], f"after {job.end - job.began:.2f} s", tone)
    if home is not None and home.state == "dead":
        return Number("Job", "without master", "it died; only a checkpoint helps", "bad")
    return Number("Job", "running" if job.M else "not begun", f"{many(len(job.workers), 'worker')}")


def _phase(label: str, job: JobState, kind: str, total: int, note: str) -> Number:
    done = job.done(kind)
    return Number(label, f"{done:,} of {total:,}", note, "good" if total and done == total else "plain")


# -- the story of a task ------------------------------------------------------------


def told(job: JobState, selected: str) -> dict[str, Any]:
    """All executions of the selected task; of a phase, how many of them ended how."""
    kind, _, rest = selected.partition("@")[0].partition(":")
    mine = [each for each in job.executions.values() if each.kind == kind and rest in ("", str(each.task))]
    if kind not in (MAP, REDUCE):
        return story("", HINT, []) if job.M else {}
    if not rest:
        ends = Counter(ENDS[each.result] for each in mine)
        lines = [("·", f"{number:,} × {words}") for words, number in ends.most_common()]
        return story(selected, f"Executions of {kind} tasks: {len(mine):,}", lines)
    lines = [line for each in mine for line in _of(job, each)]
    lines = lines or [("·", "no worker has been free for it yet")]
    path = job.committed.get(int(rest)) if kind == REDUCE else None
    lines += [("→", path)] if path else []
    left_out = [record for *task, record in job.skipped if task == [kind, int(rest)]]
    lines += [("!", f"record {record} is left out") for record in left_out]
    return story(selected, f"{kind.title()} {rest}: {job.state(kind, int(rest))}", lines)


def _of(job: JobState, each: Execution) -> Iterator[tuple[str, str]]:
    """One execution in lines."""
    until = f"{each.end:.2f} s" if each.end is not None else "now"
    where = f"on {each.machine}{WHYS.get(each.why, '')}{NEAR.get(each.locality, '')}"
    sign = {"ok": "✓", "failed": "✕", "lost": "✕"}.get(each.result, "·")
    yield sign, f"{each.began:.2f} to {until} {where}: {ENDS[each.result]}"
    if each.kind == REDUCE and each.running is not None:
        yield "⇐", f"had all its input at {each.running:.2f} s"
    if each.result == "ok" and each.kind == MAP:
        combined = f", combined from {each.emitted:,}" if each.pairs < each.emitted else ""
        yield "■", f"made {size(each.bytes_out)}, {many(each.pairs, 'pair')}{combined}"
    if each.attempt in job.lost:
        yield "✕", f"{job.lost[each.attempt]:.2f} s: its output died with the disk of {each.machine}"
