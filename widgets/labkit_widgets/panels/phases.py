"""A MapReduce job as data for the stage: where its tasks are, all executions over time. Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from labkit.systems.mapreduce.messages import MAP, REDUCE
from labkit.systems.mapreduce.view import Execution, JobState
from labkit.trace.machines import EventLine, MachineView, natural
from labkit.trace.words import many, size

from ..layouts import layers
from ..layouts.gantt import Bar, gantt
from ..looks import indexes
from ..scene import Label, Scene, scene_of

LEGEND = (
    ("todo", "idle"), ("running", "in progress"), ("disk", "done, on local disk"),
    ("delivered", "done, in file system"), ("lost", "lost"), ("memory again", "run again"),
)  # fmt: skip
HEADS = ("Executions over time", "pale: shuffle; ↻ again; ‖ backup; ✕ lost; white: not needed")
#: More tasks than this are counted.
DRAWN = 150
TIPS = {MAP: "a map task for each piece of the input",
        REDUCE: "each reduce task fetches its region of every map output"}  # fmt: skip
WHERE = {MAP: "its output is on the disk of {}", REDUCE: "its file is in the file system, written on {}"}
#: How an execution ended, and why it was there, in words.
ENDS = {"ok": "completed", "failed": "the user's code failed", "lost": "died with its worker",
        "too_late": "another execution was faster", "cancelled": "not needed any more",
        "in progress": "in progress"}  # fmt: skip
WHYS = {"lost": ", again: its output was lost", "retry": ", once more", "backup": ", as a backup"}
LOOKS = {"in progress": "running", "ok": "good", "too_late": "unneeded", "cancelled": "unneeded"}


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
        forgotten = "the trace has forgotten how the job began: give Cluster(trace_limit=…)"
        words = forgotten if job.executions else "the job has not begun yet"
        return Scene(width, 140.0, labels=(Label(width / 2, 70, words, "hint"),), title=words)
    colours = indexes([machine.name for machine in frame.machines])
    bands = [band(frame, kind, total, selected) for kind, total in ((MAP, job.M), (REDUCE, job.R))]
    again = " again" * any(each.why == "lost" for each in job.executions.values())
    edges = [layers.Edge(MAP, REDUCE, f"wide{again}", TIPS[REDUCE])]
    top = layers.layers(bands, edges, frame.machines, colours, legend=LEGEND)
    tasks, slots = bars(job, colours)
    mapped = [job.executions[a].end or 0.0 for (kind, _), a in job.completed.items() if kind == MAP]
    last = max([job.end or frame.time, *(each.end or 0.0 for each in job.executions.values())])
    chart = gantt(
        tasks, slots, (job.began, last), width=width, top=top.bottom + 6, heads=HEADS,
        moments=job.moments,
        starts=[("mapped", max(mapped), "maps done")] if len(mapped) == job.M else [],
    )  # fmt: skip
    title = f"{job.name}: {job.done(MAP)} of {many(job.M, 'map task')} and {job.done(REDUCE)} of "
    return scene_of(width, top, chart, title=title + f"{many(job.R, 'reduce task')} completed", rows=True)


# -- where the tasks are ------------------------------------------------------------


def band(frame: JobFrame, kind: str, total: int, selected: str) -> layers.Band:
    """The tasks of a kind, as one row."""
    job, done = frame.job, frame.job.done(kind)
    running = any(each.kind == kind and each.end is None for each in job.executions.values())
    state = "done" if done == total else "running" if running else "waiting"
    sign = {"done": "✓ ", "running": "▸ "}.get(state, "")
    pieces, counts = list(_pieces(frame, kind, total, selected)), []
    if job.M + job.R > DRAWN:
        pieces, counts = [], counted(pieces, f"{kind} tasks")
    row = layers.Row(
        kind, f"{kind} tasks", "", f"{many(total, f'{kind} task')}: {done:,} completed",
        "circle" if kind == REDUCE else "diamond", total, again=kind == MAP and bool(job.lost),
        selected=kind == selected, pieces=pieces, counts=counts,
    )  # fmt: skip
    title = f"{sign}{kind.title()}: {done:,} of {many(total, 'task')} completed"
    return layers.Band(title, state, TIPS[kind], [row])


def counted(pieces: Sequence[layers.Piece], what: str) -> list[layers.Count]:
    """How many of them each machine has, by their state."""
    found = Counter((piece.machine, piece.state) for piece in pieces)
    return [layers.Count(*key, n, f"{n:,} {what}: {key[1]}") for key, n in sorted(found.items())]


def _pieces(frame: JobFrame, kind: str, total: int, selected: str) -> Iterator[layers.Piece]:
    """Each task where it is; of several executions of a task, all but the first have names of their own."""
    job = frame.job
    dead = {machine.name for machine in frame.machines if machine.state == "dead"}
    shown: dict[int, list[tuple[Execution | None, str]]] = {task: [] for task in range(total)}
    for each in job.executions.values():
        if each.kind == kind and each.task in shown and (state := _state(job, each, each.machine in dead)):
            shown[each.task].append((each, state))
    for task, found in shown.items():
        found.sort(key=lambda pair: pair[1] in ("lost", "ghost"))
        if (kind, task) not in job.completed and (not found or found[0][1] in ("lost", "ghost")):
            found.insert(0, (None, "todo"))
        for number, (each, state) in enumerate(found):
            name = f"{kind}:{task}" + (f"@{each.attempt}" if number and each else "")
            tip = f"{kind} {task}: {_said(job, each, state) if each else 'idle'}"
            words = ["again" * (each is not None and each.why == "lost"), "selected" * (name == selected)]
            yield layers.Piece(name, each.machine if each else "", state, tip, " ".join(filter(None, words)))


def _state(job: JobState, each: Execution, dead: bool) -> str:
    """Of the square of an execution; "": it has none any more."""
    done = job.completed.get((each.kind, each.task))
    if each.end is None:
        return "lost" if dead else "running"
    if each.attempt == done:
        gone = each.kind == MAP and dead and job.end is None
        return "lost" if gone else "disk" if each.kind == MAP else "delivered"
    return "" if each.attempt not in job.lost else "lost" if done is None else "ghost"


def _said(job: JobState, each: Execution, state: str) -> str:
    if state in ("lost", "ghost"):
        noticed = each.attempt in job.lost or (each.end is not None and each.result != "ok")
        return f"lost with {each.machine}" + ("" if noticed else "; the master has not noticed yet")
    if state == "running":
        return f"in progress on {each.machine}{WHYS.get(each.why, '')}"
    return f"{WHERE[each.kind].format(each.machine)}, {size(each.bytes_out)}"


# -- executions over time ------------------------------------------------------------


def bars(job: JobState, colours: dict[str, int]) -> tuple[list[Bar], list[str]]:
    """The bars, and the machine of each line: its map tasks, and below them its reduce tasks."""
    lines: dict[tuple[str, str, int], list[Execution]] = {}
    for each in sorted(job.executions.values(), key=lambda e: (e.began, e.attempt)):
        for number in range(len(job.executions)):
            line = lines.setdefault((each.machine, each.kind, number), [])
            if not line or (line[-1].end is not None and line[-1].end <= each.began):
                line.append(each)
                break
    places = sorted(lines, key=lambda place: (natural(place[0]), *place[1:]))
    pairs = [(slot, each) for slot, place in enumerate(places) for each in lines[place]]
    bars = [bar for slot, each in pairs for bar in _bar(job, each, slot, colours.get(each.machine, -1))]
    return bars, [machine for machine, _, _ in places]


def _bar(job: JobState, each: Execution, slot: int, colour: int) -> Iterator[Bar]:
    """An execution; of a reduce task, the shuffle before the user's code is a bar of its own."""
    again, gone = each.why == "lost", each.attempt in job.lost
    look = "gone" if gone else LOOKS.get(each.result, "failed")
    sign = "✕" if look in ("gone", "failed") else "↻" if again else "‖" if each.why == "backup" else ""
    again = again and look in ("good", "running")
    tip = f"{each.kind} {each.task} on {each.machine}{WHYS.get(each.why, '')}: {ENDS[each.result]}"
    tip += f" after {each.end - each.began:.2f} s" if each.end is not None else ""
    tip += f"; its output was lost at {job.lost[each.attempt]:.2f} s" if gone else ""
    words = ((24 + 10 * bool(sign), f"{sign} {each.kind[0].upper()}{each.task}".strip()), (9, sign))
    start, name = each.began, f"t:{each.attempt}"
    if each.kind == REDUCE and each.running is not None and look in ("good", "running"):
        pale = "task shuffle" + " again" * again
        yield Bar(f"{name}:shuffle", slot, start, each.running, pale, colour, f"{tip} (shuffle)")
        start = each.running
    look += " again" * again + " speculative" * (each.why == "backup")
    yield Bar(name, slot, start, each.end, f"task {look}", colour, tip, words)
