"""A Spark job as data for the stage. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator

from labkit.systems.spark.lineage import LineageView
from labkit.systems.spark.rows import Band, Cell, Row
from labkit.systems.spark.state import Piece, TaskView
from labkit.trace.words import many, size

from ..layouts import layers
from ..layouts.gantt import Bar, gantt
from ..looks import indexes
from ..scene import Label, Scene, scene_of
from .stories import WORDS, piece_id, said, what

LEGEND = (
    ("todo", "to do"), ("running", "being computed"), ("passed", "computed, not kept"),
    ("memory", "in memory"), ("disk", "on disk"), ("delivered", "result delivered"),
    ("lost", "lost"), ("memory again", "computed again"),
)  # fmt: skip
#: How a task ended, why it ran, and what the bars mean that the squares' legend does not say.
ENDS = {"ok": "done", "fetch_failed": "an input was gone", "executor_lost": "died with its executor",
        "too_late": "another copy was faster", "cancelled": "cancelled", "error": "failed"}  # fmt: skip
WHYS = {"lost": "; its result was lost", "retry": "; a second attempt",
        "speculative": "; a copy of a slow task"}  # fmt: skip
TASKS = (
    "Tasks over time",
    "stage.partition; ↻ done again; dashed: running; red: failed, its result is not used",
)
NEEDS = {
    True: ("wide", "every partition needs all of them"),
    False: ("narrow", "each partition needs its own"),
}


def lineage_scene(
    frame: LineageView, selected: str | None = None, made_from: frozenset[Piece] = frozenset()
) -> Scene:
    """The job of a frame. `made_from`: what the selected partition was made from."""
    job, width = frame.job, layers.WIDTH
    if job is None:
        words = "no job has run yet: an action such as collect() starts one"
        return Scene(width, 140.0, labels=(Label(width / 2, 70, words, "hint"),), title="No job yet")
    colours = indexes([machine.name for machine in frame.machines])
    bands = [
        layers.Band(
            _title(band),
            band.state,
            f"stage {band.stage}" if band.stage is not None else "a stage",
            [_row(frame, row, selected, made_from) for row in band.rows],
        )
        for band in frame.bands
    ]
    again = {row.id for row in frame.rows if row.again}
    edges = [
        layers.Edge(*ends, NEEDS[wide][0] + " again" * again.issuperset(ends), ": ".join(NEEDS[wide]))
        for *ends, wide in frame.edges
    ]
    hidden = f"… {frame.hidden} RDDs not shown" if frame.hidden else ""
    top = layers.layers(bands, edges, frame.machines, colours, hidden=hidden, legend=LEGEND)
    lines = {(slot.executor, slot.index): k for k, slot in enumerate(frame.slots)}
    ends = [frame.time if job.end is None else 0.0, *(task.end or 0.0 for task in frame.bars)]
    tasks = gantt(
        [_bar(task, lines, colours) for task in frame.bars],
        [slot.machine for slot in frame.slots],
        (frame.start, max(ends)),
        width=width,
        top=top.bottom + 6,
        heads=TASKS,
        moments=frame.moments,
        starts=[
            (f"job:{other.id}", other.start, f"job {other.id}")
            for other in frame.jobs
            if other.start >= frame.start and other.id <= job.id
        ],
    )
    lost = sum(cell.state == "lost" for row in frame.rows for cell in row.cells)
    title = f"Job {job.id}, {job.action}, in {many(len(frame.bands), 'stage')}"
    title += f"; {lost} pieces lost" if lost else ""
    return scene_of(width, top, tasks, title=title, rows=True)


def _title(band: Band) -> str:
    tasks = f"{band.done:,} of {band.total:,} {band.kind} tasks done"
    head = f"Stage {band.stage}" if band.stage is not None else "A stage"
    if band.state == "skipped":
        why = "its outputs are there" if band.kind == "map" else "nothing to do"
        return f"{head} skipped: {why}"
    if band.state == "waiting":
        return f"{head} that waits: {band.total - band.done:,} {band.kind} tasks to do"
    sign = {"done": "✓ ", "failed": "✕ ", "running": "▸ "}.get(band.state, "")
    return f"{sign}{head}: {tasks}"


def _row(frame: LineageView, row: Row, selected: str | None, made_from: frozenset[Piece]) -> layers.Row:
    """RDDs that are computed in one go, or the outputs of a shuffle."""
    rdd, titles = row.rdd, [rdd.title for rdd in row.rdds]
    pieces = tuple(_pieces(frame, row, selected, made_from))
    counts = tuple(
        layers.Count(machine, state, n, f"{n:,} of {rdd.partitions:,}: {WORDS[state]} {machine}")
        for machine, state, n in row.counts
    )
    common = {"size": rdd.partitions, "again": row.again, "selected": row.id == selected, "pieces": pieces,
              "counts": counts}  # fmt: skip
    if row.shuffle is not None:
        tip = f"shuffle {row.shuffle}: {rdd.partitions} map outputs, files on the machines' disks"
        return layers.Row(row.id, f"shuffle {row.shuffle}", "on disk", tip, "diamond", indent=12, **common)
    name = " → ".join(titles) if len(titles) < 3 else f"{titles[0]} … {titles[-1]}"
    note = rdd.site if rdd.storage is None else f"keep: {rdd.storage}"
    note = "checkpoint" if rdd.storage == "checkpoint" else note
    names = " → ".join(f"{rdd.title} (RDD {rdd.id})" for rdd in row.rdds)
    where = f", made in {rdd.site}" if rdd.site else ""
    keep = f"; kept: {rdd.storage}" if rdd.storage else "; not kept"
    tip = f"{names}: {rdd.partitions} partitions{where}{keep}"
    return layers.Row(row.id, name, note, tip, "circle", kept=rdd.storage is not None, **common)


def _pieces(
    frame: LineageView, row: Row, selected: str | None, made_from: frozenset[Piece]
) -> Iterator[layers.Piece]:
    """Each partition where it is; what is in two places has a name of its own in the second."""
    used: set[str] = set()
    for machine in ("", *(machine.name for machine in frame.machines)):
        for cell in row.cells:
            if cell.machine != machine:
                continue
            name = piece_id(cell.piece)
            if name in used or cell.state == "ghost":
                name = f"{name}@{machine}"
            used.add(name)
            chosen = "selected" if name == selected else "source" if cell.piece in made_from else ""
            cls = " ".join(filter(None, ["again" * cell.again, "owed" * cell.owed, chosen]))
            yield layers.Piece(name, machine, cell.state, _tip(row, cell), cls)


def _tip(row: Row, cell: Cell) -> str:
    held = f", {size(cell.bytes)}" if cell.bytes else ""
    again = ", computed again" if cell.again else ", must be computed again" if cell.owed else ""
    return f"{what(row, cell)}: {said(cell)}{held}{again}"


def _bar(task: TaskView, lines: dict[tuple[str, int], int], colours: dict[str, int]) -> Bar:
    """A task; what is done again has a sign."""
    look = "running" if task.end is None else "good" if task.result == "ok" else "failed"
    look += " again" if task.again and look != "failed" else ""
    look += " speculative" if task.why == "speculative" else ""
    took = f", {1000 * (task.end - task.start):,.0f} ms" if task.end is not None else ""
    end = ENDS.get(task.result, task.result) if task.end is not None else "running"
    records = f", {task.records:,} records" if task.records else ""
    what = f"task {task.id}: stage {task.stage}, partition {task.partition} on {task.machine}"
    tip = f"{what}: {end}{took}{records}{WHYS.get(task.why, '')}"
    sign = "↻" if task.again else ""
    words = ((30 + 10 * task.again, f"{sign} {task.stage}.{task.partition}".strip()), (9, sign))
    slot, colour = lines[task.executor, task.slot], colours.get(task.machine, -1)
    return Bar(f"t:{task.id}", slot, task.start, task.end, f"task {look}", colour, tip, words)
