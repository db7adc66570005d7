"""`HaLoopPanel`: the iterations of a loop, its caches, and how many bytes they spare."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from labkit.systems.haloop.view import Iteration, LoopReducer, LoopState
from labkit.trace.words import many, size

from ..charts import Iterations
from ..numbers import Number
from ..pieces import Chart, Told, story
from ..scene import Scene
from . import mapreduce
from .loops import Chosen, chosen, loop_scene, stage_of, used
from .mapreduce import RESULTS, MapReducePanel, whole
from .phases import JobFrame

HINT = "Select a partition to see its iterations"
#: Why a loop ended, in words.
ENDS = {
    "fix point": "nothing changes any more", "threshold": "the distance is small",
    "maximum": "the maximum",
}  # fmt: skip
SIGNS = {"memory again": "↻", "memory": "✓", "passed": "·"}


class HaLoopPanel(MapReducePanel):
    """A loop; a job is shown as MapReduce's panel shows it."""

    title: ClassVar[str] = "HaLoop"
    runs_are: ClassVar[str] = "Loops"
    reducer = LoopReducer
    fold = staticmethod(lambda known: LoopReducer("", known))
    figures = staticmethod(lambda frame: numbers(frame.job))
    side = (
        Told("steps", "steps", lambda panel, frame: told(frame.job, panel.stage.selected)),
        Chart(Iterations, lambda _panel, frame: shuffled(frame.job), "shuffled",
              ("Bytes shuffled per iteration: step 1 (grey), later steps (orange)",)),
        Chart(Iterations, lambda _panel, frame: distances(frame.job), "distance",
              ("Distance of each iteration to the one before", "~g")),
    )  # fmt: skip

    def scene(self, frame: JobFrame) -> Scene:
        """The stage that runs, caches, iterations, executions over time."""
        return loop_scene(frame, self.stage.selected)

    def about(self, frame: JobFrame) -> str:
        """The loop, and how far it is."""
        loop = frame.job
        return f"{loop.name}, {many(len(loop.iterations), 'iteration')}" if loop.M else ""

    def news(self, frame: JobFrame) -> str:
        """Which iteration has ended."""
        loop: LoopState = frame.job
        if loop.end is not None:
            return f"{loop.name} is {RESULTS[loop.result]}"
        over = [each.number for each in loop.iterations if each.end is not None]
        return f"iteration {over[-1]} is completed" if over else ""


# -- charts ------------------------------------------------------------


def shuffled(loop: LoopState) -> tuple[list[int], list[float], list[float]]:
    """Of each iteration the bytes of the first step, and those of the others."""
    first = [float(each.by_step.get(1, 0)) for each in loop.iterations]
    rest = [each.shuffled - some for each, some in zip(loop.iterations, first, strict=True)]
    return [each.number for each in loop.iterations], first, rest


def distances(loop: LoopState) -> tuple[list[int], list[float]]:
    """Of each iteration that has one."""
    found = [(each.number, each.distance) for each in loop.iterations if each.distance is not None]
    return [number for number, _ in found], [distance for _, distance in found]


# -- the numbers that matter ------------------------------------------------------------


def numbers(loop: LoopState) -> tuple[Number, ...]:
    """How far it is, how close to the end, what moved, and what did not have to."""
    if loop.latest is None:
        return (whole(loop),)
    latest, first = loop.latest, loop.iterations[0]
    part = f"{latest.shuffled / max(1, first.shuffled):.0%} of the first: {size(first.shuffled)}"
    again = sum(sum(each.reloaded.values()) for each in loop.iterations)
    measured = [each for each in loop.iterations if each.distance is not None]
    stayed, could = _stayed(loop)
    return (
        _loop(loop),
        Number("Distance", f"{measured[-1].distance:.3g}" if measured else "none",
               f"iteration {measured[-1].number} to the one before" if measured else "from iteration 2 on"),
        Number("Shuffled", size(latest.shuffled),
               part if latest is not first else "in iteration 1"),
        Number("From caches", size(sum(latest.cached.values())), f"in iteration {latest.number}"),
        Number("Loaded again", size(again), f"{many(len(loop.caches_lost), 'piece')} of caches lost"),
        Number("Stayed", f"{stayed} of {could}" if could else "none",
               "partitions where they were before", "good" if stayed == could > 0 else "plain"),
    )  # fmt: skip


def _loop(loop: LoopState) -> Number:
    """As a job's, with the iteration; at the end, why it ended."""
    job = whole(loop)
    if loop.end is not None:
        why = f": {ENDS[loop.why]}" if loop.why in ENDS else ""
        return Number("Loop", job.value, many(len(loop.iterations), "iteration") + why, job.tone)
    if job.value != "running":
        return Number("Loop", job.value, job.note, job.tone)
    return Number("Loop", f"iteration {loop.iteration}", f"step {loop.step} of {loop.steps}")


def _stayed(loop: LoopState) -> tuple[int, int]:
    """Of the partitions of all iterations but the first: how many were where they were before."""
    pairs = [
        before.places[key] == machine
        for before, now in zip(loop.iterations, loop.iterations[1:], strict=False)
        for key, machine in now.places.items()
        if key in before.places
    ]
    return sum(pairs), len(pairs)


# -- the story of a partition ------------------------------------------------------------


def told(loop: LoopState, selected: str) -> dict[str, Any]:
    """Of a partition, or a file of the mappers' cache, each iteration; of a map task, its executions."""
    about = chosen(selected, loop)
    if not loop.iterations or (about is None and selected):
        return mapreduce.told(stage_of(loop), selected)
    if about is None:
        return story("", HINT, [])
    lines = [line for each in loop.iterations for line in _in(each, about)]
    lines += [
        (time, "✕", f"{time:.2f} s: its {key[0]} cache died with {each.machine}")
        for time, key, each in loop.caches_lost
        if key[1:] == about
    ]
    what = f"Partition {about.part} of step {about.step}" if about.step else str(about.part)
    found = [(sign, words) for _, sign, words in sorted(lines, key=lambda line: line[0])]
    return story(selected, what, found or [("·", "its reduce task is not completed yet")])


def _in(each: Iteration, about: Chosen) -> Iterator[tuple[float, str, str]]:
    """When an iteration ended, a sign, and what it did with the partition, or with the file."""
    until = each.end if each.end is not None else float("inf")
    users = [machine for key, kinds in each.uses.items() if key[1:] == about for machine in kinds.values()]
    where = each.places.get(about, users[-1] if users and not about.step else None)
    look, said = used(each, *about)
    if where is not None or said:
        place = f" on {where}" if where is not None else ""
        words = "; ".join(said) or "no cache"
        yield until, SIGNS[look], f"iteration {each.number}{place}: {words}"
