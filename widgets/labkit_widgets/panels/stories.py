"""A Spark job in words: what is selected, what a failure cost, the numbers that matter. Pure functions."""

from __future__ import annotations

from typing import Any

from labkit.systems.spark.lineage import LineageView, sources
from labkit.systems.spark.rows import Cell, Row
from labkit.systems.spark.state import LineageState, Piece, TaskView
from labkit.trace.words import many, size

from ..numbers import Number
from ..pieces import story

HINT = "Select a partition, or the dot of an RDD, to see what it was made from"
#: How a piece's state is said.
WORDS = {
    "todo": "not computed yet", "running": "being computed", "passed": "computed, not kept",
    "memory": "in memory", "disk": "on disk", "delivered": "computed, result delivered",
    "lost": "lost with", "ghost": "computed again; this copy was lost with",
}  # fmt: skip


def piece_id(piece: Piece) -> str:
    """The mark of a piece."""
    return ":".join(map(str, piece))


def what(row: Row, cell: Cell) -> str:
    """A piece's name."""
    if row.shuffle is not None:
        return f"output {cell.partition} of shuffle {row.shuffle}"
    return f"partition {cell.partition} of {row.rdd.title} (RDD {row.rdd.id})"


def said(cell: Cell) -> str:
    """Where a piece is, or was, in words."""
    if not cell.machine:
        return WORDS[cell.state]
    if cell.state == "delivered":
        return f"computed on {cell.machine}; its result is with the driver"
    return f"{WORDS[cell.state]} {'' if cell.state in ('lost', 'ghost') else 'on '}{cell.machine}"


# -- the story of what is selected ------------------------------------------------------------


def told(state: LineageState, frame: LineageView, selected: str) -> dict[str, Any]:
    """What is selected, in a few lines."""
    if not selected:
        return story("", HINT, []) if frame.job else {}
    name, _, machine = selected.partition("@")
    for row in frame.rows:
        if row.id == name:
            return story(selected, *_of_row(row))
        for cell in row.cells:
            if piece_id(cell.piece) == name and (
                cell.machine == machine if machine else cell.state != "ghost"
            ):
                return story(selected, *_of_cell(state, row, cell))
    return {}


def _of_row(row: Row) -> tuple[str, list[tuple[str, str]]]:
    if row.shuffle is not None:
        title = f"Shuffle {row.shuffle}"
        return title, [
            ("·", f"{many(row.rdd.partitions, 'map task')} wrote a file each, on their machines' disks"),
            ("·", "a machine that dies takes its files along: then these map tasks run again"),
        ]
    rdd = row.rdd
    lines = [("·", f"{rdd.kind} of {many(rdd.partitions, 'partition')}, made by {rdd.op or 'the context'}()")]
    if rdd.site:
        lines.append(("·", f"in {rdd.site}"))
    for parent in rdd.parents:
        how = "wide: each partition needs all" if parent.wide else "narrow: each partition needs its own"
        lines.append(("⇐" if parent.wide else "←", f"{how} of RDD {parent.rdd}"))
    keep = f"kept: {rdd.storage}" if rdd.storage else "not kept: whoever needs it computes it again"
    return f"RDD {rdd.id}: {rdd.title}", [*lines, ("■" if rdd.storage else "□", keep)]


def _of_cell(state: LineageState, row: Row, cell: Cell) -> tuple[str, list[tuple[str, str]]]:
    name = what(row, cell)
    held = f", {size(cell.bytes)}" if cell.bytes else ""
    lines = [("✕" if cell.state in ("lost", "ghost") else "·", said(cell) + held)]
    task = state.done.get(state.makers.get(cell.piece, -1))
    if task is not None and task.end is not None:
        took = 1000 * (task.end - task.start)
        lines.append(("·", f"made by task {task.id} on {task.machine} in {took:,.0f} ms{_again(task)}"))
        lines.append(("←", _made_from(state, row, sources(state, cell.piece))))
    return name[:1].upper() + name[1:], lines


def _again(task: TaskView) -> str:
    return ", computed again" if task.again else ""


def _made_from(state: LineageState, row: Row, pieces: set[Piece]) -> str:
    outputs = sum(piece[0] == "output" for piece in pieces)
    blocks = len(pieces) - outputs
    if not pieces:
        return "made from input that survives: a file, or the driver's data"
    words = [many(blocks, "partition")] if blocks else []
    words += [many(outputs, "shuffle output")] if outputs else []
    return "made from " + " and ".join(words) + " (outlined)"


def cost(frame: LineageView) -> dict[str, Any]:
    """What the last failure cost, beside what lineage predicts."""
    failure = frame.failure
    if failure is None:
        return {}
    noticed = (
        f"noticed after {failure.noticed - failure.time:.2f} s"
        if failure.noticed is not None
        else "not noticed yet"
    )
    # Nobody knows how many records there are in a task that never ended.
    records = "not known yet" if failure.unknown else f"≈ {failure.predicted_records:,}"
    rows = [
        ["tasks", f"{failure.tasks:,}", f"{failure.predicted:,}"],
        ["lost partitions computed", f"{failure.partitions:,}", f"of {failure.blocks:,} lost"],
        ["records processed", f"{failure.records:,}", records],
        ["shuffle bytes fetched", size(failure.bytes), f"≈ {size(failure.predicted_bytes)}"],
        ["seconds of tasks", f"{failure.seconds:.2f}", ""],
    ]
    last = failure.last if failure.last is not None else failure.time
    return {
        "title": f"{failure.machine} died at {failure.time:.2f} s, {noticed}",
        "head": ["Done again", "really", "predicted"],
        "rows": rows,
        "foot": f"the last of it ended {last - failure.time:.2f} s after the death" if failure.tasks else "",
    }


# -- the numbers that matter ------------------------------------------------------------


def numbers(frame: LineageView) -> tuple[Number, ...]:
    """How far the job is, what is kept, what was lost and is done again."""
    job, now = frame.job, Number("Job", "none yet", "an action starts one")
    if job is not None:
        counted = [band for band in frame.bands if band.state != "skipped"]
        done, total = sum(band.done for band in counted), sum(band.total for band in counted)
        words = {None: "running", True: "done", False: "failed"}[job.ok]
        tone = {None: "plain", True: "good", False: "bad"}[job.ok]
        now = Number(f"{job.action}: tasks", f"{done:,} of {total:,}", f"job {job.id} {words}", tone)
    on_disk = f"and {size(frame.disk)} on disk" if frame.disk else "by persist()"
    return (now, Number("Kept in memory", size(frame.memory), on_disk), *_losses(frame))


def _losses(frame: LineageView) -> tuple[Number, ...]:
    failure, job = frame.failure, frame.job
    if failure is None:
        return (
            Number("Lost", "nothing", "no executor has died"),
            Number("Tasks run again", "0", "lineage predicts 0"),
            Number("Work done again", "0 %", "of the job"),
        )
    gone = [
        many(failure.blocks, "partition"),
        many(failure.outputs, "output"),
        many(failure.interrupted, "task"),
    ]
    some = [words for words in gone if not words.startswith("0 ")]
    some = ["memory, disk, tasks"] if len(some) > 2 else some
    value = str(failure.blocks + failure.outputs + failure.interrupted)
    if failure.noticed is None:
        lost = Number(f"Lost with {failure.machine}", "?", "not noticed yet", "bad")
    else:
        kinds = ", ".join(some) or "nothing that is kept"
        lost = Number(f"Lost with {failure.machine}", value, kinds, "plain" if frame.back else "bad")
    running = job is not None and job.end is None
    equal = failure.tasks == failure.predicted
    tone = ("good" if failure.tasks else "plain") if equal else "plain" if running else "bad"
    part = job.again_seconds / job.seconds if job is not None and job.seconds else 0.0
    return (
        lost,
        Number("Tasks run again", f"{failure.tasks}", f"lineage predicts {failure.predicted}", tone),
        Number("Work done again", f"{part:.0%}", "of this job's time"),
    )
