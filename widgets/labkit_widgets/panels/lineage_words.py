"""A partition's or an RDD's story, and a failure's cost, for the parts beside the stage. Pure functions."""

from __future__ import annotations

from typing import Any

from labkit.systems.spark.state import LineageState, Piece, TaskView
from labkit.trace.words import many, size

from ..frames.lineage import LineageFrame, sources
from ..frames.lineagerows import Cell, Row
from ..scenes.lineage import piece_id, said

HINT = "Select a partition, or the dot of an RDD, to see what it was made from"


def told(state: LineageState, frame: LineageFrame, selected: str) -> dict[str, Any]:
    """What is selected, in a few lines."""
    if not selected:
        return _story("", HINT, []) if frame.job else {}
    name, _, machine = selected.partition("@")
    for row in frame.rows:
        if row.id == name:
            return _story(selected, *_of_row(row))
        for cell in row.cells:
            if piece_id(cell.piece) == name and (
                cell.machine == machine if machine else cell.state != "ghost"
            ):
                return _story(selected, *_of_cell(state, row, cell))
    return {}


def _story(selected: str, title: str, lines: list[tuple[str, str]]) -> dict[str, Any]:
    items = [
        {"number": n, "sign": sign, "text": text, "tone": "trouble" if sign == "✕" else "plain"}
        for n, (sign, text) in enumerate(lines)
    ]
    return {"id": selected, "title": title, "items": items, "again": False}


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
    what = f"Output {cell.partition} of shuffle {row.shuffle}"
    if row.shuffle is None:
        what = f"Partition {cell.partition} of {row.rdd.title} (RDD {row.rdd.id})"
    held = f", {size(cell.bytes)}" if cell.bytes else ""
    lines = [("✕" if cell.state in ("lost", "ghost") else "·", said(cell) + held)]
    task = state.done.get(state.makers.get(cell.piece, -1))
    if task is not None and task.end is not None:
        took = 1000 * (task.end - task.start)
        lines.append(("·", f"made by task {task.id} on {task.machine} in {took:,.0f} ms{_again(task)}"))
        lines.append(("←", _made_from(state, row, sources(state, cell.piece))))
    return what, lines


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


def cost(frame: LineageFrame) -> dict[str, Any]:
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
