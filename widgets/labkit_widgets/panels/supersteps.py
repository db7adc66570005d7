"""A Pregel job as data for the stage: the superstep that runs, those before it, and all computations over
time. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from labkit.systems.pregel.view import Computation, PregelState
from labkit.trace.machines import EventLine, MachineView, natural
from labkit.trace.words import many

from ..layouts import layers
from ..layouts.gantt import Bar, gantt
from ..looks import indexes
from ..scene import Label, Scene, scene_of
from .phases import counted

LEGEND = (
    ("running", "still to compute"), ("memory", "computed"), ("memory again", "computed again"),
    ("passed", "done"), ("lost", "lost"),
)  # fmt: skip
HEADS = ("Computations over time", "a bar for each partition; ↻ again; gaps: waiting")
#: Partitions and supersteps that are drawn one by one; the last ones.
DRAWN, ROWS = 40, 5


class PregelFrame(NamedTuple):
    """A job at a position."""

    job: PregelState
    machines: tuple[MachineView, ...]
    lines: tuple[EventLine, ...]
    time: float


def chosen(selected: str) -> int | None:
    """The partition that a selected square or bar is of."""
    kind, *rest = selected.split(":")
    place = {"partition": 0, "done": 1, "c": 1}.get(kind, len(rest))
    number = rest[place] if place < len(rest) else ""
    return int(number) if number.isdigit() else None


def job_scene(frame: PregelFrame, selected: str = "") -> Scene:
    """The superstep that runs, those before it, and the bars."""
    job, width = frame.job, layers.WIDTH
    if not job.places:
        words = "the job has not begun yet"
        return Scene(width, 140.0, labels=(Label(width / 2, 70, words, "hint"),), title=words)
    colours = indexes([machine.name for machine in frame.machines])
    dead = {machine.name for machine in frame.machines if machine.state == "dead"}
    latest = {each.partition: each for each in job.computations if each.superstep == job.current}
    pieces = [_piece(job, number, worker, latest.get(number), dead, selected)
              for number, worker in enumerate(job.places)]  # fmt: skip
    done = sum(piece.state in ("memory", "passed") for piece in pieces)
    title = f"Superstep {max(job.current, 0)}: {done} of {many(job.partitions, 'partition')} computed"
    if (recovery := job.recovering) is not None:
        back = "the input" if recovery.back_to is None else recovery.back_to
        title = f"Recovery, {recovery.kind}, from {back}"
    rows = [_squares("now", "partitions", "who has which", job.partitions, pieces)]
    state = "done" if job.result else "running"
    bands = [layers.Band(title, state, "the barrier waits for all", rows)]
    past = [number for number in sorted(job.supersteps) if number < job.current][-ROWS:]
    if past:
        earlier = [_row(job, number, selected) for number in past]
        bands.append(layers.Band("Supersteps before", "done", "where each partition was computed", earlier))
    top = layers.layers(bands, [], frame.machines, colours, legend=LEGEND)
    slots = sorted({each.machine for each in job.computations}, key=natural)
    last = max([job.end or frame.time, *(each.end for each in job.computations)])
    starts = [(f"superstep:{n}", each.began, str(n)) for n, each in sorted(job.supersteps.items())]
    bars = [bar for each in job.computations for bar in _bar(each, slots, colours)]
    fates = [(each.time, "", "noticed") for each in job.recoveries]
    chart = gantt(bars, slots, (job.began, last), width=width, top=top.bottom + 6, heads=HEADS, starts=starts,
                  moments=fates)  # fmt: skip
    return scene_of(width, top, chart, title=f"{job.name}: {title}", rows=True)


def _squares(name: str, words: str, tip: str, total: int, pieces: list[layers.Piece]) -> layers.Row:
    """Each partition, or how many there are."""
    counts = counted(pieces, "partitions") if total > DRAWN else []
    return layers.Row(name, words, "", tip, "circle", total, pieces=[] if counts else pieces, counts=counts)


def _piece(
    job: PregelState, number: int, worker: str, each: Computation | None, dead: set[str], selected: str
) -> layers.Piece:
    machine = job.machines.get(worker, "")
    state = "lost" if machine in dead else "memory" if each and each.worker == worker else "running"
    again = "again" * (state == "memory" and each is not None and each.recovering)
    name = f"partition:{number}"
    words = " ".join(filter(None, [again, "selected" * (chosen(selected) == number)]))
    return layers.Piece(name, machine, state, f"partition {number} on {machine}: {_does(state)}", words)


def _does(state: str) -> str:
    return {"lost": "lost with it", "memory": "computed this superstep"}.get(state, "has still to compute")


def _row(job: PregelState, number: int, selected: str) -> layers.Row:
    """A superstep that is over: each partition where it was computed last."""
    each = job.supersteps[number]
    found = {c.partition: c for c in job.computations if c.superstep == number}
    pieces = [_done(c, chosen(selected) == partition) for partition, c in sorted(found.items())]
    tip = f"{many(each.computed, 'vertex')} computed, {each.active:,} active afterwards"
    words = f"{number}: {many(each.combined, 'message')}"
    return _squares(f"superstep {number}", words, tip, job.partitions, pieces)


def _done(each: Computation, selected: bool) -> layers.Piece:
    tip = f"superstep {each.superstep}, partition {each.partition} on {each.machine}: "
    tip += many(each.computed, "vertex") + ", computed again" * each.recovering
    state, words = (
        "memory" if each.recovering else "passed",
        ["again" * each.recovering, "selected" * selected],
    )
    name = f"done:{each.superstep}:{each.partition}"
    return layers.Piece(name, each.machine, state, tip, " ".join(filter(None, words)))


def _bar(each: Computation, slots: list[str], colours: dict[str, int]) -> Iterator[Bar]:
    look = f"task good{' again' * each.recovering}"
    tip = f"superstep {each.superstep}, partition {each.partition} on {each.machine}: "
    tip += f"{each.end - each.began:.3f} s"
    words = ((24.0, f"{'↻ ' * each.recovering}{each.superstep}"),)
    name = f"c:{each.superstep}:{each.partition}:{each.epoch}"
    slot = slots.index(each.machine)
    yield Bar(name, slot, each.began, each.end, look, colours.get(each.machine, -1), tip, words)
