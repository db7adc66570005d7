"""`MapReducePanel`: a job's map and reduce tasks, every execution of them, and the rates of Figure 3."""

from __future__ import annotations

from typing import Any, ClassVar

from labkit.runtime.again import call, changed
from labkit.systems.mapreduce.messages import MAP, REDUCE
from labkit.systems.mapreduce.status import rates
from labkit.systems.mapreduce.view import Execution, JobReducer, JobState
from labkit.trace.machines import MachineView
from labkit.trace.words import many, size

from ..charts import CHARTS, Rates
from ..numbers import Number
from ..panel import Panel
from ..pieces import Chart, Told
from ..scene import Scene
from ..script import Made
from .phases import DRAWN, ENDS, WHYS, JobFrame, phases_scene
from .stories import story

HINT = "Select a task to see its executions"
#: Heading and colour of each rate.
CURVES = (
    ("Input, bytes per second", "input", CHARTS["blue"]),
    ("Shuffle, bytes per second", "shuffle", CHARTS["orange"]),
    ("Output, bytes per second", "output", CHARTS["green"]),
)
NEAR = {"process": ", near its input", "any": ", far from its input"}


class MapReducePanel(Panel):
    """A job."""

    title: ClassVar[str] = "MapReduce"
    named = "job"
    look = "labkit-lineage"  # a wide stage, as Spark's
    figures = staticmethod(lambda frame: numbers(frame.job))
    side = (
        Told("steps", "steps", lambda panel, frame: told(frame.job, panel.stage.selected)),
        *(Chart(Rates, lambda _panel, frame: frame.rates, each[1], each) for each in CURVES),
    )

    def folded(self, known: tuple[MachineView, ...]) -> JobReducer:
        """Of this job's nodes."""
        return JobReducer(self.job.name, known)

    def frame(self, position: float | None) -> JobFrame:
        """The job at a position."""
        job: JobState = self.history.at(position)
        now = max(job.lab.now, self._clock()) if position is None else position
        return JobFrame(job, job.lab.views(), tuple(job.lab.lines), now, rates(job, now))

    def scene(self, frame: JobFrame) -> Scene:
        """Tasks by machine, executions over time."""
        return phases_scene(frame, self.stage.selected)

    def about(self, frame: JobFrame) -> str:
        """The job, and what it is to read."""
        job = frame.job
        return f"{job.name}, {size(job.input)} of input" if job.M else ""

    def news(self, frame: JobFrame) -> str:
        """Which phase has ended."""
        job = frame.job
        if job.end is not None:
            return f"{job.name} is done: {job.result}"
        return "all map tasks are completed" if job.M and job.done(MAP) == job.M else ""

    def caption(self, frame: JobFrame, left_out: int) -> str:
        """How to read it."""
        counted = frame.job.M + frame.job.R > DRAWN
        return "too many tasks to draw each: a bar is as long as their number" if counted else ""

    def made(self) -> Made:
        """The file system as code, and how the job is begun."""
        job, files = self.job, self.job.fs.settings
        options = {"replicas": files.replicas, "block_size": files.block_size}
        program = type(job.program).__name__
        given = changed(job.spec.options)
        begin = call(f"{program}(again, fs_again).start", given, repr(job.inputs), repr(job.spec.output))
        then = (f"fs_again.put(…)  # what {job.inputs!r} names", f"job_again = {begin}")
        return Made(
            "labkit.parts.store",
            "fs_again",
            "FileSystem",
            options,
            f"the class {program} and its input",
            then=then,
        )


# -- the story of a task ------------------------------------------------------------


def told(job: JobState, selected: str) -> dict[str, Any]:
    """All executions of the selected task, or of a phase how many of each kind."""
    kind, _, rest = selected.partition("@")[0].partition(":")
    mine = [each for each in job.executions.values() if each.kind == kind]
    if kind not in (MAP, REDUCE):
        return story("", HINT, []) if job.M else {}
    if not rest:
        ends = {words: sum(each.result == end for each in mine) for end, words in ENDS.items()}
        lines = [("·", f"{number:,} × {words}") for words, number in ends.items() if number]
        return story(selected, f"Executions of {kind} tasks: {len(mine):,}", lines)
    mine = [each for each in mine if each.task == int(rest)]
    lines = [line for each in mine for line in _of(job, each)]
    path = job.committed.get(int(rest)) if kind == REDUCE else None
    lines += [("→", path)] if path else []
    lines += [
        ("!", f"record {record} is left out") for *task, record in job.skipped if task == [kind, int(rest)]
    ]
    title = f"{kind.title()} {rest}: {job.state(kind, int(rest))}"
    return story(selected, title, lines or [("·", "no worker has been free for it yet")])


def _of(job: JobState, each: Execution) -> list[tuple[str, str]]:
    """One execution in lines."""
    sign = {"ok": "✓", "failed": "✕", "lost": "✕"}.get(each.result, "·")
    until = f"{each.end:.2f} s" if each.end is not None else "now"
    words = (
        f"{each.began:.2f} to {until} on {each.machine}{WHYS.get(each.why, '')}{NEAR.get(each.locality, '')}"
    )
    lines = [(sign, f"{words}: {ENDS[each.result]}")]
    if each.kind == REDUCE and each.running is not None:
        lines.append(("⇐", f"had all its input at {each.running:.2f} s"))
    if each.result == "ok" and each.kind == MAP:
        combined = f", combined from {each.emitted:,}" if each.pairs < each.emitted else ""
        lines.append(("■", f"left {size(each.bytes_out)}, {many(each.pairs, 'pair')}{combined}"))
    if each.attempt in job.lost:
        lines.append(
            ("✕", f"{job.lost[each.attempt]:.2f} s: its output died with the disk of {each.machine}")
        )
    return lines


# -- the numbers that matter ------------------------------------------------------------


def numbers(job: JobState) -> tuple[Number, ...]:
    """How far it is, what was done twice, what moved; each with what theory expects."""
    mine = list(job.executions.values())
    maps = [each for each in mine if each.kind == MAP]
    near = sum(each.locality == "process" for each in maps)
    reduces = f"{sum(each.kind == REDUCE and each.end is None for each in mine)} in progress"
    again, lost = sum(each.why == "lost" for each in mine), len(job.lost)
    backups = [each for each in mine if each.why == "backup"]
    won = sum(each.result == "ok" for each in backups)
    spent = [each.end - each.began for each in mine if each.end is not None]
    wasted = [each.end - each.began for each in mine if each.result in ("too_late", "cancelled") and each.end]
    share = sum(wasted) / sum(spent) if sum(spent) else 0.0
    shuffled = sum(moved for _, what, moved, _ in job.moved if what == "shuffle")
    kept = [job.executions[attempt] for (kind, _), attempt in job.completed.items() if kind == MAP]
    left, emitted, pairs = (sum(getattr(each, k) for each in kept) for k in ("bytes_out", "emitted", "pairs"))
    saved = f"{1 - pairs / emitted:.0%}" if emitted else "none yet"
    tone = "plain" if not lost else "good" if again == lost else "bad" if job.end is not None else "plain"
    return (
        _phase("Maps done", job, MAP, job.M, f"{near} of {len(maps)} near their input"),
        _phase("Reduces done", job, REDUCE, job.R, reduces),
        Number("Maps run again", f"{again}", tone=tone, theory=f"{many(lost, 'output')} lost"),
        Number("Backups", f"{won} of {len(backups)} won", theory=f"waste a few %; here {share:.0%}"),
        Number("Shuffled", size(shuffled), theory=f"maps left {size(left)}"),
        Number("Combiner saves", saved, f"of {emitted:,} pairs"),
    )


def _phase(label: str, job: JobState, kind: str, total: int, note: str) -> Number:
    done = job.done(kind)
    return Number(label, f"{done:,} of {total:,}", note, "good" if total and done == total else "plain")
