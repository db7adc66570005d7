"""A loop as data for the stage. Pure functions.

From top to bottom: the tasks of the stage that runs, who has which cache, where each partition was in each
iteration, all executions over time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from labkit.systems.haloop.events import FROM
from labkit.systems.haloop.view import Cached, Iteration, LoopState
from labkit.systems.mapreduce.messages import MAP, REDUCE
from labkit.trace.machines import MachineView
from labkit.trace.words import many, size

from ..layouts import layers
from ..layouts.gantt import gantt
from ..looks import indexes
from ..scene import Scene, scene_of
from .phases import DRAWN, HEADS, TIPS, JobFrame, band, bars, counted, phases_scene

LEGEND = (
    ("todo", "idle"), ("running", "in progress"), ("disk", "on local disk"), ("delivered", "in file system"),
    ("memory", "read from a cache"), ("passed", "without a cache"), ("memory again", "loaded again"),
    ("lost", "lost"),
)  # fmt: skip
#: So many iterations have a row of their own: the last ones.
ROWS = 5
#: What an iteration does with a cache, the most telling first: the event, how its square looks, and words.
USES = (
    ("cache_reloaded", "memory again", "loaded the {} cache again, from {}"),
    ("cache_read", "memory", "read the {} cache"),
    ("cache_written", "passed", "wrote the {} cache"),
)  # fmt: skip

Key = tuple[str, int, Any]


class Chosen(NamedTuple):
    """A partition of a step, or a file (of step 0)."""

    step: int
    part: Any


def chosen(selected: str, loop: LoopState) -> Chosen | None:
    """What a selected square is about; a reduce task is a partition of the step that runs."""
    kind, _, rest = selected.partition("@")[0].partition(":")
    if kind == REDUCE and rest:
        return Chosen(loop.step, int(rest))
    if kind not in ("part", "cache") or rest.count(":") < 2:
        return None
    _, step, part = rest.split(":", 2)
    return Chosen(int(step), part if step == "0" else int(part))


def stage_of(loop: LoopState) -> LoopState:
    """The loop with the executions of the stage that runs alone, and those whose outputs it keeps."""
    kept = set(loop.completed.values())
    lost = {attempt: time for attempt, time in loop.lost.items() if time >= loop.stage_began}
    mine = {
        attempt: each
        for attempt, each in loop.executions.items()
        if each.began >= loop.stage_began or attempt in kept or attempt in lost
    }
    return replace(loop, executions=mine, lost=lost)


def loop_scene(frame: JobFrame, selected: str = "") -> Scene:
    """Three bands and the executions."""
    loop, width = frame.job, layers.WIDTH
    if not isinstance(loop, LoopState) or not loop.iterations:
        return phases_scene(frame, selected)
    colours = indexes([machine.name for machine in frame.machines])
    bands = [
        _tasks(frame._replace(job=stage_of(loop)), selected),
        *_caches(loop, frame.machines, selected),
        _iterations(loop, selected),
    ]
    top = layers.layers(bands, [], frame.machines, colours, legend=LEGEND)
    tasks, slots = bars(loop, colours)
    last = max([loop.end or frame.time, *(each.end or 0.0 for each in loop.executions.values())])
    starts = [
        (f"iteration:{each.number}", each.began, f"{'iteration ' * (each.number == 1)}{each.number}")
        for each in loop.iterations
    ]
    chart = gantt(
        tasks, slots, (loop.began, last), width=width, top=top.bottom + 6, heads=HEADS, moments=loop.moments,
        starts=starts,
    )  # fmt: skip
    title = f"{loop.name}: iteration {loop.iteration}, step {loop.step} of {loop.steps}"
    return scene_of(width, top, chart, title=title, rows=True)


def _tasks(frame: JobFrame, selected: str) -> layers.Band:
    """Map and reduce tasks of the stage, as two rows of a band."""
    loop = frame.job
    maps, reduces = (band(frame, kind, total, selected) for kind, total in ((MAP, loop.M), (REDUCE, loop.R)))
    state = "done" if loop.end is not None else "running"
    title = (
        f"{'✓' if state == 'done' else '▸'} Iteration {loop.iteration}, step {loop.step} of {loop.steps}: "
    )
    title += f"{loop.done(MAP)} of {many(loop.M, 'map task')}, "
    title += f"{loop.done(REDUCE)} of {many(loop.R, 'reduce task')}"
    return layers.Band(title, state, TIPS[REDUCE], [*maps.rows, *reduces.rows])


def _caches(loop: LoopState, machines: Sequence[MachineView], selected: str) -> Iterator[layers.Band]:
    """A row for each cache of each step: on whose disk it is, and what died with a machine."""
    dead = {machine.name for machine in machines if machine.state == "dead"}
    lost = {key: each for _, key, each in loop.caches_lost if key not in loop.caches or each.machine in dead}
    about = chosen(selected, loop)
    rows = []
    for name, step in sorted({key[:2] for key in [*loop.caches, *lost]}, key=lambda row: (row[1], row[0])):
        there = {key: each for key, each in loop.caches.items() if key[:2] == (name, step)}
        gone = {key: each for key, each in lost.items() if key[:2] == (name, step)}
        pieces = [
            *(_cache(key, each, "disk", about) for key, each in there.items()),
            *(_cache(key, each, "ghost" if key in there else "lost", about) for key, each in gone.items()),
        ]
        called = f"{name}, step {step}" if step else name
        parts = max(loop.R, len(pieces)) if step else len(pieces)
        tip = f"the {name} cache: {size(sum(each.bytes for each in there.values()))} on local disks"
        rows.append(_row(f"caches:{name}:{step}", called, "", tip, parts, pieces, "pieces of a cache"))
    if rows:
        held = size(sum(each.bytes for each in loop.caches.values()))
        words = f", {many(len(loop.caches_lost), 'piece')} lost so far" if loop.caches_lost else ""
        yield layers.Band(f"Caches: {held} on local disks{words}", "", "what is not sent again", rows)


def _cache(key: Key, each: Cached, state: str, about: Chosen | None) -> layers.Piece:
    name, step, part = key
    what = f"{name} cache of {f'partition {part}, step {step}' if step else part}"
    tip = f"{what}: {size(each.bytes)} on {each.machine}, from iteration {each.iteration}"
    tip += "; lost with the machine" if state != "disk" else ""
    again = "again" if state == "disk" and step and name.endswith("input") and each.iteration > 1 else ""
    words = " ".join(filter(None, [again, "selected" * (about == (step, part))]))
    ghost = f"@{each.machine}" if state == "ghost" else ""
    return layers.Piece(f"cache:{name}:{step}:{part}{ghost}", each.machine, state, tip, words)


def _iterations(loop: LoopState, selected: str) -> layers.Band:
    """A row for each iteration, a square for each partition of each step, where it was reduced."""
    about = chosen(selected, loop)
    rows = []
    for each in loop.iterations[-ROWS:]:
        pieces = [
            _place(each, step, part, machine, about) for (step, part), machine in sorted(each.places.items())
        ]
        tip = f"iteration {each.number}: {size(each.shuffled)} shuffled"
        name = f"{each.number}: {size(each.shuffled)} shuffled"
        parts = loop.R * loop.steps
        rows.append(_row(f"iteration {each.number}", name, "", tip, parts, pieces, "partitions"))
    shown = f"s {loop.iteration - len(rows) + 1} to {loop.iteration}" if len(rows) > 1 else " 1"
    title = f"Iteration{shown}: where each partition was reduced, step by step"
    return layers.Band(title, "", "a partition goes to the worker that had it in the iteration before", rows)


def _place(each: Iteration, step: int, part: int, machine: str, about: Chosen | None) -> layers.Piece:
    look, said = used(each, step, part)
    tip = f"iteration {each.number}, step {step}, partition {part} on {machine}: "
    tip += "; ".join(said) or "no cache"
    state, _, again = look.partition(" ")
    words = " ".join(filter(None, [again, "selected" * (about == (step, part))]))
    return layers.Piece(f"part:{each.number}:{step}:{part}", machine, state, tip, words)


def used(each: Iteration, step: int, part: Any) -> tuple[str, list[str]]:
    """What a partition did with its caches in an iteration: the most telling look, and all in words. What
    happened on a machine that did not complete it does not count."""
    where = each.places.get((step, part))
    mine = {key[0]: kinds for key, kinds in each.uses.items() if key[1:] == (step, part)}
    found = [
        (rank, name)
        for rank, (kind, _, _) in enumerate(USES)
        for name, kinds in sorted(mine.items())
        if kind in kinds and where in (None, kinds[kind])
    ]
    best = min(found, default=(len(USES) - 1, ""))[0]
    return USES[best][1], [USES[rank][2].format(name, FROM[name]) for rank, name in found]


def _row(
    name: str, words: str, note: str, tip: str, parts: int, pieces: list[layers.Piece], what: str
) -> layers.Row:
    counts = []
    if parts > DRAWN / (ROWS + 2):
        pieces, counts = [], counted(pieces, what)
    return layers.Row(name, words, note, tip, "circle", parts, pieces=pieces, counts=counts)
