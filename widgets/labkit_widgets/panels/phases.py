"""A MapReduce job as data for the stage: where its tasks are, all executions over time. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from labkit.systems.mapreduce.messages import MAP, REDUCE
from labkit.systems.mapreduce.view import Execution, JobState
from labkit.trace.machines import EventLine, MachineView, natural
from labkit.trace.words import many, size

from ..layouts import layers
from ..layouts.gantt import Bar, gantt
from ..looks import indexes
from ..scene import Label, Scene, scene_of
from .lineage import FATES

LEGEND = (
    ("todo", "idle"), ("running", "in progress"), ("disk", "done, on local disk"),
    ("delivered", "done, in file system"), ("lost", "output died"), ("memory again", "run again"),
)  # fmt: skip
TASKS = (
    "Executions over time",
    "pale: shuffle; ↻ again; dotted: backup; red edge: lost; white: not needed",
)
#: More tasks than this are counted.
DRAWN = 150
NEEDS = "each reduce task fetches its region of every map output"
#: How an execution ended, and why it was there, in words.
ENDS = {"ok": "completed", "failed": "the user's code failed", "lost": "died with its worker",
        "too_late": "another execution was faster", "cancelled": "not needed any more",
        "in progress": "in progress"}  # fmt: skip
WHYS = {"lost": ", again: its output was lost", "retry": ", once more", "backup": ", as a backup"}
WHERE = {MAP: "its output is on the disk of {}", REDUCE: "its file is in the file system, written on {}"}


class JobFrame(NamedTuple):
    """A job at a position."""

    job: JobState
    machines: tuple[MachineView, ...]
    lines: tuple[EventLine, ...]
    time: float
    rates: tuple[list[float], dict[str, list[float]]]


def phases_scene(frame: JobFrame, selected: str = "") -> Scene:
    """Map tasks, reduce tasks, and the executions of both."""
    job, width = frame.job, layers.WIDTH
    if not job.M:
        return Scene(width, 140.0, labels=(Label(width / 2, 70, "the job has not begun yet", "hint"),))
    colours = indexes([machine.name for machine in frame.machines])
    bands = [_band(frame, kind, total, selected) for kind, total in ((MAP, job.M), (REDUCE, job.R))]
    again = " again" * any(each.why == "lost" for each in job.executions.values())
    edges = [layers.Edge(MAP, REDUCE, f"wide{again}", NEEDS)]
    top = layers.layers(bands, edges, frame.machines, colours, legend=LEGEND)
    bars, slots = _bars(job, colours)
    last = max([job.end or frame.time, *(each.end or 0.0 for each in job.executions.values())])
    mapped = [
        job.executions[job.completed[MAP, task]].end for task in range(job.M) if (MAP, task) in job.completed
    ]
    moment = max((end for end in mapped if end is not None), default=0.0)
    tasks = gantt(
        bars, slots, (job.began, last), width=width, top=top.bottom + 6, heads=TASKS,
        moments=[(time, what, FATES[what].format(machine)) for time, machine, what in job.moments],
        starts=[("mapped", moment, "maps done")] if len(mapped) == job.M else [],
    )  # fmt: skip
    title = f"{job.name}: {job.done(MAP)} of {many(job.M, 'map task')} and {job.done(REDUCE)} of "
    return scene_of(width, top, tasks, title=title + f"{many(job.R, 'reduce task')} completed", rows=True)


# -- where the tasks are ------------------------------------------------------------


def _band(frame: JobFrame, kind: str, total: int, selected: str) -> layers.Band:
    job = frame.job
    done = job.done(kind)
    running = any(each.kind == kind and each.end is None for each in job.executions.values())
    state = "done" if done == total else "running" if running else "waiting"
    sign = {"done": "✓ ", "running": "▸ "}.get(state, "")
    title = f"{sign}{kind.title()}: {done:,} of {many(total, 'task')} completed"
    pieces = list(_pieces(frame, kind, total, selected))
    counts: list[layers.Count] = []
    if job.M + job.R > DRAWN:
        found: dict[tuple[str, str], int] = {}
        for piece in pieces:
            found[piece.machine, piece.state] = found.get((piece.machine, piece.state), 0) + 1
        counts = [layers.Count(*key, n, f"{n:,} {kind} tasks: {key[1]}") for key, n in sorted(found.items())]
        pieces = []
    note = {MAP: "on local disks", REDUCE: "part files"}[kind]
    again = kind == MAP and bool(job.lost)
    row = layers.Row(
        kind, f"{kind} tasks", note, f"{many(total, f'{kind} task')}: {done:,} completed",
        "circle" if kind == REDUCE else "diamond", total, again=again, selected=kind == selected,
        pieces=pieces, counts=counts,
    )  # fmt: skip
    return layers.Band(
        title, state, NEEDS if kind == REDUCE else "a map task for each piece of the input", [row]
    )


def _pieces(frame: JobFrame, kind: str, total: int, selected: str) -> Iterator[layers.Piece]:
    """Each task where it is; executions beside the first of a task have names of their own."""
    job = frame.job
    dead = {machine.name for machine in frame.machines if machine.state == "dead"}
    by_task: dict[int, list[Execution]] = {}
    for each in job.executions.values():
        if each.kind == kind:
            by_task.setdefault(each.task, []).append(each)
    for task in range(total):
        done = job.completed.get((kind, task))
        shown = []
        for each in by_task.get(task, ()):
            if each.end is None:
                shown.append((each, "lost" if each.machine in dead else "running"))
            elif each.attempt == done:
                gone = kind == MAP and each.machine in dead and job.end is None
                shown.append((each, "lost" if gone else "disk" if kind == MAP else "delivered"))
            elif each.attempt in job.lost:
                shown.append((each, "lost" if done is None else "ghost"))
        shown.sort(key=lambda pair: (pair[1] in ("lost", "ghost"), pair[0].attempt))
        if all(state in ("lost", "ghost") for _, state in shown) and done is None:
            yield layers.Piece(task_id(kind, task), "", "todo", f"{kind} {task}: idle")
            names = [f"{task_id(kind, task)}@{each.attempt}" for each, _ in shown]
        else:
            names = [
                f"{task_id(kind, task)}{f'@{each.attempt}' if n else ''}" for n, (each, _) in enumerate(shown)
            ]
        for name, (each, state) in zip(names, shown, strict=True):
            words = ["again" * (each.why == "lost"), "selected" * (name == selected)]
            tip = f"{kind} {task}: {said(job, each, state)}"
            yield layers.Piece(name, each.machine, state, tip, " ".join(filter(None, words)))


def task_id(kind: str, task: int) -> str:
    """The mark of a task."""
    return f"{kind}:{task}"


def said(job: JobState, each: Execution, state: str) -> str:
    """An execution's state in words."""
    if state in ("lost", "ghost"):
        noticed = each.attempt in job.lost or (each.end is not None and each.result != "ok")
        return f"lost with {each.machine}" + ("" if noticed else "; the master has not noticed yet")
    if state == "running":
        return f"in progress on {each.machine}{WHYS.get(each.why, '')}"
    return f"{WHERE[each.kind].format(each.machine)}, {size(each.bytes_out)}"


# -- executions over time ------------------------------------------------------------


def _bars(job: JobState, colours: dict[str, int]) -> tuple[list[Bar], list[str]]:
    """The bars, and the machine of each line: its map tasks, and below them its reduce tasks."""
    lines: dict[tuple[str, str, int], list[Execution]] = {}
    for each in sorted(job.executions.values(), key=lambda e: (e.began, e.attempt)):
        for number in range(len(job.executions)):
            line = lines.setdefault((each.machine, each.kind, number), [])
            if not line or (line[-1].end is not None and line[-1].end <= each.began):
                line.append(each)
                break
    places = sorted(lines, key=lambda place: (natural(place[0]), place[1], place[2]))
    bars = [
        bar
        for slot, place in enumerate(places)
        for each in lines[place]
        for bar in _bar(job, each, slot, colours)
    ]
    return bars, [machine for machine, _, _ in places]


def _bar(job: JobState, each: Execution, slot: int, colours: dict[str, int]) -> Iterator[Bar]:
    """An execution; of a reduce task, the shuffle before the user's code is a bar of its own."""
    again, gone = each.why == "lost", each.attempt in job.lost
    look = {"in progress": "running", "ok": "good", "too_late": "unneeded", "cancelled": "unneeded"}.get(
        each.result, "failed"
    )
    look = "gone" if gone else look
    look += " again" * (again and look in ("good", "running")) + " speculative" * (each.why == "backup")
    took = f" after {each.end - each.began:.2f} s" if each.end is not None else ""
    tip = f"{each.kind} {each.task} on {each.machine}{WHYS.get(each.why, '')}: {ENDS[each.result]}{took}"
    tip += f"; its output was lost at {job.lost[each.attempt]:.2f} s" if gone else ""
    sign = "✕" if gone or look.startswith("failed") else "↻" if again else "‖" if each.why == "backup" else ""
    letter = each.kind[0].upper()
    words = ((24 + 10 * bool(sign), f"{sign} {letter}{each.task}".strip()), (9, sign))
    start, name, colour = each.began, f"t:{each.attempt}", colours.get(each.machine, -1)
    if each.kind == REDUCE and each.running is not None and look.split()[0] in ("good", "running"):
        pale = "task shuffle" + " again" * again
        yield Bar(f"{name}:shuffle", slot, start, each.running, pale, colour, f"{tip} (shuffle)")
        start = each.running
    yield Bar(name, slot, start, each.end, f"task {look}", colour, tip, words)
