"""`DryadPanel`: a job's graph in stages, its execution records over time, and what refined it as it ran."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

from labkit.runtime.errors import LabError
from labkit.systems.dryad.view import JobReducer, JobState, Record
from labkit.trace.machines import EventLine, MachineView, natural
from labkit.trace.words import many, size

from ..layouts import layers
from ..layouts.gantt import Bar, gantt
from ..looks import indexes
from ..numbers import Number
from ..panel import Panel
from ..pieces import Told, story
from ..scene import Label, Scene, scene_of

RESULTS = {"ok": "done", "failed": "failed", "cancelled": "cancelled", "deadlocked": "given up: deadlock"}
LEGEND = (
    ("todo", "waits for input"), ("running", "runs"), ("disk", "done, on a disk"),
    ("delivered", "done, output of the job"), ("lost", "lost"), ("memory again", "executed again"),
)  # fmt: skip
HEADS = (
    "Processes over time",
    "pale: input comes; ↻ again; ‖ duplicate; ✕ failed or lost; white: not needed",
)
#: More vertices than this are counted, not drawn.
DRAWN = 150
WHYS = {"rerun": ", again", "upstream": ", again: its output was gone", "duplicate": ", as a duplicate"}
ENDS = {"ok": "succeeded", "failed": "failed", "lost": "ended with its computer", "running": "runs",
        "read_error": "could not read its input", "cancelled": "not needed any more"}  # fmt: skip
LOOKS = {"running": "running", "ok": "good", "cancelled": "unneeded"}
HINT = "Select a vertex to see its execution records"
#: A channel's kind as an edge between stages.
EDGES = {"file": "wide", "pipe": "narrow", "fifo": "narrow"}


class DryadFrame(NamedTuple):
    """A job at a position."""

    job: JobState
    machines: tuple[MachineView, ...]
    lines: tuple[EventLine, ...]
    time: float


class DryadPanel(Panel):
    """A job; its numbers, its graph by stages, its processes by machine over time."""

    title: ClassVar[str] = "Dryad"
    named = "job"
    fold = staticmethod(lambda known: JobReducer("", known))
    figures = staticmethod(lambda frame: numbers(frame.job))
    look = "labkit-lineage"  # a wide stage, as Spark's
    side = (Told("steps", "steps", lambda panel, frame: told(frame.job, panel.stage.selected)),)

    @classmethod
    def setup(cls, system: Any, **options: Any) -> Any:
        """A job cannot be begun without its graph. Raises ``LabError``."""
        raise LabError("a job is submitted in a cell, with its graph; then job.panel() shows it")

    def frame(self, position: float | None) -> DryadFrame:
        """The job at a position."""
        job: JobState = self.run_of(self.job.name, JobReducer).at(position)
        return DryadFrame(job, *self.seen(job.lab, position))

    def scene(self, frame: DryadFrame) -> Scene:
        """Vertices by stage and machine, processes over time."""
        return scene(frame, self.stage.selected)

    def about(self, frame: DryadFrame) -> str:
        """The job, and how large its graph is now."""
        job = frame.job
        return f"{job.name}, {many(job.total, 'vertex')} in {many(len(job.stages()), 'stage')}"

    def news(self, frame: DryadFrame) -> str:
        """What has ended, or cannot begin."""
        job = frame.job
        return f"{job.name} is {RESULTS[job.result]}" if job.result else job.stuck

    def caption(self, frame: DryadFrame, left_out: int) -> str:
        """How to read it."""
        job = frame.job
        if job.stuck:
            return f"Deadlock: {job.stuck}"
        return "too many vertices to draw each: a bar is as long as their number" if job.total > DRAWN else ""


# -- the numbers that matter ------------------------------------------------------------


def numbers(job: JobState) -> tuple[Number, ...]:
    """How it is, what was done again, what the graph has become, what moved where."""
    records = list(job.records.values())
    again = sum(each.why in ("rerun", "upstream") for each in records)
    upstream = sum(each.why == "upstream" for each in records)
    duplicates = [each for each in records if each.why == "duplicate"]
    won = sum(each.result == "ok" for each in duplicates)
    seconds = f"after {job.end - job.began:.2f} s" if job.end is not None else f"{len(job.racks)} computers"
    state = RESULTS.get(job.result, "stuck" if job.stuck else "running" if job.stage_of else "not begun")
    tone = "bad" if job.stuck or job.result not in ("", "ok") else "good" if job.result else "plain"
    done = job.completed_count
    return (
        Number("Job", state, seconds, tone),
        Number("Vertices", f"{done:,} of {job.total:,}", f"{len(job.inserted)} by refinement",
               "good" if done == job.total > 0 else "plain"),
        Number("Executed again", f"{again}", f"{upstream} upstream: {many(len(job.lost), 'output')} gone"),
        Number("Duplicates", f"{won} of {len(duplicates)} won" if duplicates else "none"),
        Number("Between racks", size(job.bytes_between),
               f"{size(job.bytes_in_rack)} within, {size(job.bytes_within)} on one computer"),
        Number("Through pipes", size(job.bytes_piped)),
    )  # fmt: skip


# -- the graph in stages ------------------------------------------------------------


def scene(frame: DryadFrame, selected: str = "") -> Scene:
    """A band for each stage, and the processes over time."""
    job = frame.job
    if not job.stage_of:
        words = "the job has not begun yet"
        return Scene(layers.WIDTH, 140.0, labels=(Label(layers.WIDTH / 2, 70, words, "hint"),), title=words)
    colours = indexes([machine.name for machine in frame.machines])
    stages = {name: some for name, some in job.stages().items() if not job.files.issuperset(some)}
    bands = [_band(frame, stage, some, selected) for stage, some in _sorted(job, stages)]
    kinds: dict[tuple[str, str], str] = {}
    for link in job.links.values():
        a, b = job.stage_of[link.source], job.stage_of[link.target]
        if a in stages and a != b:
            kinds[a, b] = link.kind
    edges = [layers.Edge(a, b, EDGES[kind], f"{a} to {b} by {kind}") for (a, b), kind in kinds.items()]
    top = layers.layers(bands, edges, frame.machines, colours, legend=LEGEND)
    bars, slots = _bars(job, colours)
    last = max([job.end or frame.time, *(each.end or 0.0 for each in job.records.values())])
    below = gantt(
        bars, slots, (job.began, last), width=layers.WIDTH, top=top.bottom + 6, heads=HEADS,
        moments=job.moments,
    )  # fmt: skip
    title = f"{job.name}: {job.completed_count} of {many(job.total, 'vertex')} completed"
    return scene_of(layers.WIDTH, top, below, title=title, rows=True)


def _sorted(job: JobState, stages: dict[str, list[int]]) -> list[tuple[str, list[int]]]:
    """Stages from the input to the output: each after those it reads from."""
    depth = dict.fromkeys(stages, 0)
    pairs = {(job.stage_of[link.source], job.stage_of[link.target]) for link in job.links.values()}
    for _ in stages:
        for a, b in sorted(pairs):
            if a in depth and b in depth and a != b:
                depth[b] = max(depth[b], min(depth[a] + 1, len(stages)))
    return sorted(stages.items(), key=lambda pair: depth[pair[0]])


def _band(frame: DryadFrame, stage: str, vertices: list[int], selected: str) -> layers.Band:
    job = frame.job
    done = sum(vertex in job.completed for vertex in vertices)
    running = any(job.state(vertex) == "running" for vertex in vertices)
    state = "done" if done == len(vertices) else "running" if running else "waiting"
    sign = {"done": "✓ ", "running": "▸ "}.get(state, "")
    pieces = [_piece(frame, vertex, selected) for vertex in vertices]
    counts = []
    if job.total > DRAWN:
        found = Counter((piece.machine, piece.state) for piece in pieces)
        counts = [layers.Count(*key, n, f"{n:,} × {stage}: {key[1]}") for key, n in sorted(found.items())]
        pieces = []
    refined = sum(vertex in job.inserted for vertex in vertices)
    note = f", {refined} by refinement" if refined else ""
    row = layers.Row(
        f"{stage}", stage, "", f"{many(len(vertices), 'vertex')}{note}", "diamond" if refined else "circle",
        len(vertices), selected=selected == stage, pieces=pieces, counts=counts,
        again=any(vertex == lost for vertex in vertices for lost, _ in job.lost),
    )  # fmt: skip
    title = f"{sign}{stage}: {done:,} of {many(len(vertices), 'vertex')}{note}"
    return layers.Band(title, state, f"stage {stage}", [row])


def _piece(frame: DryadFrame, vertex: int, selected: str) -> layers.Piece:
    """A vertex where its newest execution is."""
    job = frame.job
    dead = {machine.name for machine in frame.machines if machine.state == "dead"}
    name, records = f"v:{vertex}", job.of(vertex)
    if not records:
        return layers.Piece(name, "", "todo", f"{job.stage_of[vertex]} {vertex} waits for its input")
    counts = job.completed.get(vertex)
    newest = next((each for each in records if each.version == counts), records[-1])
    if counts is not None:
        state = "delivered" if vertex in job.committed else "lost" if newest.machine in dead else "disk"
        state = "disk" if state == "lost" and job.end is not None else state
    else:
        state = "running" if newest.end is None else "todo"
        state = "lost" if newest.machine in dead and newest.end is None else state
    words = ["again" * (newest.version > 1), "selected" * (name == selected)]
    where = newest.machine if state != "todo" else ""
    tip = f"{job.stage_of[vertex]} {vertex}, version {newest.version}: "
    tip += f"{ENDS[newest.result]} on {newest.machine}"
    return layers.Piece(name, where, state, tip, " ".join(filter(None, words)))


# -- processes over time ------------------------------------------------------------


def _bars(job: JobState, colours: dict[str, int]) -> tuple[list[Bar], list[str]]:
    """The bars, and the machine of each line."""
    lines: dict[tuple[str, int], list[Record]] = {}
    for each in sorted(job.records.values(), key=lambda record: (record.began, record.process)):
        for number in range(len(job.records)):
            line = lines.setdefault((each.machine, number), [])
            if not line or (line[-1].end is not None and line[-1].end <= each.began):
                line.append(each)
                break
    places = sorted(lines, key=lambda place: (natural(place[0]), place[1]))
    pairs = [(slot, each) for slot, place in enumerate(places) for each in lines[place]]
    bars = [bar for slot, each in pairs for bar in _bar(job, each, slot, colours.get(each.machine, -1))]
    return bars, [machine for machine, _ in places]


def _bar(job: JobState, each: Record, slot: int, colour: int) -> Iterator[Bar]:
    """A process: pale while its input comes."""
    again = each.why in ("rerun", "upstream")
    gone = any((vertex, each.version) in job.lost for vertex in each.vertices)
    look = "gone" if gone else LOOKS.get(each.result, "failed")
    sign = "✕" if look in ("gone", "failed") else "↻" if again else "‖" if each.why == "duplicate" else ""
    names = "+".join(f"{job.stage_of[vertex]}.{vertex}" for vertex in each.vertices)
    tip = f"{names} version {each.version} on {each.machine}{WHYS.get(each.why, '')}: {ENDS[each.result]}"
    start, name = each.began, f"t:{each.process}"
    if each.running is not None and look in ("good", "running"):
        yield Bar(f"{name}:input", slot, start, each.running, "task shuffle", colour, f"{tip} (input)")
        start = each.running
    look += " again" * (again and look in ("good", "running")) + " speculative" * (each.why == "duplicate")
    words = ((16 + 6.5 * len(names), f"{sign} {names}".strip()), (9, sign))
    yield Bar(name, slot, start, each.end, f"task {look}", colour, tip, words)


# -- the story of a vertex ------------------------------------------------------------


def told(job: JobState, selected: str) -> dict[str, Any]:
    """All execution records of the selected vertex."""
    kind, _, rest = selected.partition(":")
    if kind != "v" or not rest.isdigit() or int(rest) not in job.stage_of:
        return story("", HINT, []) if job.stage_of else {}
    vertex = int(rest)
    lines = [line for each in job.of(vertex) for line in _record(job, vertex, each)]
    lines = lines or [("·", "it waits for its input, or for a computer")]
    if vertex in job.inserted:
        lines.insert(0, ("+", f"{job.inserted[vertex]:.2f} s: a stage manager put it into the graph"))
    sources = Counter(job.stage_of[link.source] for link in job.links.values() if link.target == vertex)
    lines += [("⇐", f"reads {many(number, 'channel')} of {stage}") for stage, number in sources.items()]
    lines += [("→", job.committed[vertex])] if vertex in job.committed else []
    return story(selected, f"{job.stage_of[vertex]} {vertex}: {job.state(vertex)}", lines)


def _record(job: JobState, vertex: int, each: Record) -> Iterator[tuple[str, str]]:
    until = f"{each.end:.2f} s" if each.end is not None else "now"
    sign = {"ok": "✓", "failed": "✕", "lost": "✕", "read_error": "✕"}.get(each.result, "·")
    why = WHYS.get(each.why, "")
    where = f"on {each.machine}{why}: {ENDS[each.result]}"
    yield sign, f"version {each.version}: {each.began:.2f} to {until} {where}"
    if len(each.vertices) > 1:
        others = [f"{job.stage_of[other]} {other}" for other in each.vertices if other != vertex]
        yield "=", f"in one process with {', '.join(others)}"
    if job.completed.get(vertex) == each.version and each.result == "ok":
        yield "■", "this version counts"
    if (vertex, each.version) in job.lost:
        yield "✕", f"{job.lost[vertex, each.version]:.2f} s: its output could not be read"
